"""A form from the class of a verb's options: labels, bounds, choices and defaults stand in the class and nowhere else.

What is filled in becomes the words of the command line, so that the page asks for exactly what a terminal would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError

from workspace.bounds import bounds, choices
from workspace.errors import UsageError, pydantic_fault

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

MOST_LETTERS = 20_000
_LABELS = {
    "api_key_env": "Variable of the key",
    "dtype": "Number format",
    "top_p": "Top p",
    "t": "t",
    "lora": "LoRA",
    "yaml": "YAML",
}
"""Labels of options whose names say too little to people."""


_PLAIN = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be yes or no",
    "string_pattern_mismatch": "has letters that it may not have: letters, digits, dots and hyphens are fine",
}
"""Faults that pydantic words for programmers, by their type."""


class FieldFault(UsageError):
    """What was filled in is wrong; ``at`` is the field's name, beside which the line stands."""

    def __init__(self, message: str, at: str) -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True)
class Field:
    """One field of a form.

    Attributes:
        name: The option's name in its class.
        label: For people.
        kind: ``switch``, ``choice``, ``number`` or ``text``.
        hint: What it is, its bounds.
        default: What holds where nothing is filled in, in words.
        choices: What may be chosen.
        option: Its name on the command line.
        needed: Whether it must be filled in.
        many: Whether several values may be given, with commas between them.
        step: Of a number: ``1`` for whole ones, else ``any``.
        least: The least number.
        most: The largest number.
    """

    name: str
    label: str
    kind: str
    hint: str
    default: str = ""
    choices: tuple[str, ...] = ()
    option: str = ""
    needed: bool = False
    many: bool = False
    step: str = "any"
    least: str = ""
    most: str = ""


def fields(options: type[BaseModel], leave_out: Sequence[str] = ()) -> list[Field]:
    """The fields of a verb's options, in their order; hidden ones and those to leave out are none."""
    from studio.verb import named

    kept: list[Field] = []
    for name in named(options):
        info = options.model_fields[name]
        if name not in leave_out and not _extra(info).get("hidden"):
            kept.append(_field(name, info))
    return kept


def _extra(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def _field(name: str, info: FieldInfo) -> Field:
    limits = bounds(info)
    kind, many, whole = _kind(info.annotation)
    words = tuple(str(one) for one in choices(info.annotation) if one not in ("", None)) if kind == "choice" else ()
    hint, numbers = (info.description or "").rstrip("."), limits.numbers()
    return Field(
        name=name,
        label=_LABELS.get(name, name.replace("_", " ").capitalize()),
        kind=kind,
        hint=f"{hint} ({numbers})." if numbers and numbers not in hint else f"{hint}." if hint else "",
        default=_default(info),
        choices=words,
        option=str(_extra(info).get("option") or f"--{name.replace('_', '-')}"),
        needed=info.is_required(),
        many=many,
        step="1" if whole else "any",
        least="" if limits.ge is None else str(limits.ge),
        most="" if limits.le is None else str(limits.le),
    )


def _default(info: FieldInfo) -> str:
    default = info.default
    if info.is_required() or default in (None, "", (), False) or default == {}:
        return ""
    return ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _kind(annotation: Any) -> tuple[str, bool, bool]:
    """What a field is shown as, whether it takes several values, and whether these are whole numbers."""
    parts = [part for part in get_args(annotation) if part not in (type(None), ...)]
    if get_origin(annotation) in (tuple, list, Sequence, dict):
        return "text", True, False
    if choices(annotation):
        return "choice", False, False
    if get_origin(annotation) is Annotated or (get_origin(annotation) in (Union, type(int | None)) and len(parts) == 1):
        return _kind(parts[0])
    if annotation is bool:
        return "switch", False, False
    if annotation in (int, float):
        return "number", False, annotation is int
    return "text", False, False


def arguments(shown: Sequence[Field], values: Mapping[str, Any]) -> list[str]:
    """What was filled in as the words of a command line; a blank field is left to its default.

    Args:
        shown: The form's fields.
        values: What was filled in, by field.
    """
    made: list[str] = []
    for field in shown:
        given = values.get(field.name)
        text = " ".join(str(given).split()) if isinstance(given, str | int | float) else ""
        if len(text) > MOST_LETTERS:
            text = text[:MOST_LETTERS]
        if field.kind == "switch":
            made += [field.option] if text and text != "False" else []
        elif text and field.many:
            for one in filter(None, (part.strip() for part in text.split(","))):
                made += [field.option, one]
        elif text:
            made += [field.option, text]
    return made


def check(options: type[BaseModel], shown: Sequence[Field], values: Mapping[str, Any]) -> None:
    """Let the class of the options look at what was filled in; its fields that the form does not show are not asked.

    Args:
        options: The class.
        shown: The form's fields.
        values: What was filled in, by field.

    Raises:
        FieldFault: A field is wrong; its name and one line that says why.
    """
    given = {field.name: value for field in shown if (value := _value(field, values.get(field.name))) is not None}
    missing = next((field for field in shown if field.needed and field.name not in given), None)
    if missing is not None:
        raise FieldFault(f"{missing.label} must be filled in", missing.name)
    try:
        options.model_validate(given)
    except ValidationError as error:
        labels = {field.name: field.label for field in shown}
        own = [one for one in error.errors(include_url=False) if not one["loc"] or str(one["loc"][0]) in labels]
        if not own:
            return  # only of fields that the form does not show
        first, at = own[0], str(own[0]["loc"][0]) if own[0]["loc"] else ""
        plain = _PLAIN.get(first["type"])
        if at and (plain or len(own) < error.error_count()):
            why = plain or first["msg"].removeprefix("Value error, ").removeprefix("Input ")
            raise FieldFault(f"{labels[at]} {why}, not {str(first['input'])[:60]!r}", at) from None
        line = pydantic_fault(error, options)
        raise FieldFault(line.replace(at, labels[at], 1) if at and line.startswith(at) else line, at) from None


def _value(field: Field, given: Any) -> Any:
    """What was filled in, as the class takes it; nothing for a blank."""
    text = " ".join(str(given).split()) if isinstance(given, str | int | float) else ""
    if not text:
        return None
    if field.kind == "switch":
        return text != "False"
    return [part.strip() for part in text.split(",") if part.strip()] if field.many else text


def path_of(text: str) -> str:
    """A path as a person types it, with a home directory's sign."""
    return str(Path(text.strip()).expanduser()) if text.strip().startswith("~") else text.strip()

"""The one error tree. Knows exit codes and how a fault is worded; knows nothing of what failed.

StudioError                1   anything Studio raises on purpose
├── UsageError             2   the request is wrong: an unknown name, an option out of range, a broken setting
├── DataError             65   what was handed in is wrong: a program file, a weight file, a document
├── ServiceError          69   something needed is not there: a model, an endpoint, an optional package
├── StorageError          74   the disk said no: read-only, full, unreadable
├── Unfinished            75   partly done and resumable: another process has the run, a step gave up for now
└── Interrupted          130   the user stopped it; resumable
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args, get_origin

from workspace.letters import harmless

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

LONGEST_LINE = 200
LONGEST_VALUE = 60
_NEVER_LEARNED = re.compile(r"(rotary_emb\.inv_freq|position_ids|masked_bias|attn\.bias|attention\.bias)$")
_WORDS = {"missing_keys": "lack", "mismatched_keys": "have in other shapes", "unexpected_keys": "add"}
_PASSWORDS = re.compile(r"(?<=://)(?:[^/?#\s'\"]*|[^/\s'\"]*:[^\s'\"]*)@|(?<![\w/.])[\w.+-]+:[^\s/@'\"]+@(?=[\w\[])")
SECRET_NAMES = r"[\w.-]*(?:key|token|sig|signature|secret|password|passwd|pwd|code|auth|authorization|credential|jwt)"
"""What a parameter of an address is called that holds a secret."""

_SECRETS = re.compile(rf"(?i)([?&]{SECRET_NAMES}=)[^&#\s'\"]+")


def masked(text: str) -> str:
    """A text without the passwords and keys of the addresses in it: ``https://***@host/v1``."""
    return _SECRETS.sub(r"\1***", _PASSWORDS.sub("***@", text))


def _one(text: str) -> str:
    return harmless(masked(text)).replace("\n", " ")


class StudioError(Exception):
    """An error worth one clear line: what was wrong, the value, where, and the choices.

    Passwords in addresses are masked, and control characters and line ends taken out, whatever put them there.

    Args:
        message: The line, without a full stop.
        hint: What to do about it, most often a command.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = _one(message)
        self.hint = None if hint is None else _one(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(StudioError):
    """The request is wrong."""

    exit_code = 2


class DataError(StudioError):
    """What was handed in is wrong."""

    exit_code = 65


class ServiceError(StudioError):
    """Something needed is not there or does not answer."""

    exit_code = 69


class StorageError(StudioError):
    """The disk said no."""

    exit_code = 74


class Unfinished(StudioError):
    """Partly done; what was made is kept and the run can be resumed."""

    exit_code = 75


class Interrupted(StudioError):
    """The user stopped it; what was made is kept and the run can be resumed."""

    exit_code = 130


def unknown(noun: str, value: str, choices: Iterable[str]) -> str:
    """Word the error for a name that is not in a table, nearest name first.

    Args:
        noun: What was looked for, such as ``"program"``.
        value: The name that was given.
        choices: The names there are.
    """
    names = sorted(choices)
    near = get_close_matches(value, names, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]!r}? " if near else ""
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"unknown {noun} {value!r}; {guess}choices: {shown or 'none'}"


def one_line(fault: BaseException | str, most: int = LONGEST_LINE) -> str:
    """Word somebody else's error as one line: white space run together, what is too long cut with an ellipsis.

    Args:
        fault: The error, or what it said; one that says nothing is named by its class.
        most: Letters of the line.
    """
    line = " ".join(str(fault).split()) or type(fault).__name__
    return line if len(line) <= most else f"{line[: most - 4].rstrip()} ..."


def first_fault(error: ValidationError) -> Mapping[str, Any]:
    """What of all that pydantic found wrong is told: an unknown key, or what comes first.

    A key that is misspelt is one too many and one that is missing; the first of the two says what to change.
    """
    found = error.errors(include_url=False)
    return min(found, key=lambda fault: fault["type"] != "extra_forbidden")


def pydantic_fault(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """Word what pydantic found wrong as one line: of `first_fault` where, why, the value, and how much more is wrong.

    Args:
        error: What pydantic raised.
        model: The class that was filled; with it an unknown key is told with the nearest one and the choices.
    """
    first = first_fault(error)
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *held, key = first["loc"]
        owner = _part(model, held)
        inside = f"{'.'.join(map(str, held))}: " if held else ""
        fields = [] if owner is None else [info.alias or name for name, info in owner.model_fields.items()]
        line = f"{inside}{unknown('key', str(key), fields)}" if fields else f"{inside}unknown key {str(key)!r}"
    else:
        line = _worded(first, where, model)
    more = len(_own_faults(error)) - 1
    return f"{line} (and {more} more)" if more > 0 else line


def _own_faults(error: ValidationError) -> list[Any]:
    """The faults without those that follow from another: a list is too short where none of its items is sound."""
    every = error.errors(include_url=False, include_context=False)
    return [
        one
        for one in every
        if one["type"] != "too_short"
        or not any(len(other["loc"]) > len(one["loc"]) == _shared(one["loc"], other["loc"]) for other in every)
    ]


def _shared(one: Sequence[Any], other: Sequence[Any]) -> int:
    return next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))


def _worded(first: Any, where: str, model: type[BaseModel] | None) -> str:
    """Word a value that does not fit, with its bounds where it is out of them."""
    from workspace.bounds import Bounds, bounds

    value, kind, context = first["input"], first["type"], first.get("ctx", {})
    shown = repr(value)
    shown = shown if len(shown) <= LONGEST_VALUE else f"{shown[: LONGEST_VALUE - 4]} ..."
    why = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    owner = _part(model, list(first["loc"][:-1])) if first["loc"] else None
    info = owner.model_fields.get(str(first["loc"][-1])) if owner else None
    limits = bounds(info) if info else Bounds()
    limits = limits._replace(**{key: context[key] for key in Bounds._fields if key in context})
    if kind in ("string_too_short", "string_too_long"):
        return f"{where} has {len(value)} characters; it may have {limits.letters()}"
    if kind == "too_long" and context.get("actual_length"):
        return f"{context['actual_length']} {where} given; at most {context['max_length']}"
    if kind in ("greater_than_equal", "less_than_equal", "greater_than", "less_than") and where:
        return f"{where} must be {limits.numbers()}, not {shown}"
    if kind in ("tuple_type", "list_type", "model_type", "model_attributes_type") and where:
        return f"{where} must be {'a list' if kind in ('tuple_type', 'list_type') else 'keys with values'}, not {shown}"
    if kind == "literal_error":
        return unknown(where, str(value), re.findall(r"'([^']*)'", context["expected"]))
    if kind == "multiple_of":
        step = context["multiple_of"]
        low = value - value % step
        return f"{where} must be a multiple of {step}, not {shown}; nearest: {low} or {low + step}"
    whole = isinstance(value, dict)  # of a part that does not hold together no single value is at fault
    tells = kind == "missing" or whole or not where or "choices" in why or f"not {shown}" in why
    return (f"{where}: {why}" if where else why) + ("" if tells else f", not {shown}")


def _part(kind: Any, trail: list[int | str]) -> type[BaseModel] | None:
    """The class of the part of a document that a trail of keys leads to, if there is one."""
    fields = getattr(kind, "model_fields", None)
    if fields is None:  # a union stands for its arguments, a list or mapping for its items
        inside = trail[1:] if get_origin(kind) in (list, tuple, dict, Sequence) else trail
        return next((part for inner in get_args(kind) if (part := _part(inner, inside)) is not None), None)
    if not trail:
        return kind  # type: ignore[no-any-return]
    info = next((info for name, info in fields.items() if trail[0] in (name, info.alias)), None)
    return None if info is None else _part(info.annotation, trail[1:])


def check_loaded(found: Mapping[str, Any], where: object) -> None:
    """Refuse a model that its weights do not fill, or that leaves some of them over.

    Args:
        found: What ``from_pretrained(..., output_loading_info=True)`` says; what a library knows to be harmless is not
            in it.
        where: The folder, for the error.

    Raises:
        DataError: Weights are missing, left over or of another shape; some are named.
    """
    said = []
    for kind, word in (
        ("missing_keys", "lack"),
        ("mismatched_keys", "have in other shapes"),
        ("unexpected_keys", "add"),
    ):
        keys = sorted(key if isinstance(key, str) else str(key[0]) for key in found.get(kind, ()))
        if kind == "unexpected_keys":
            keys = [key for key in keys if not _NEVER_LEARNED.search(key)]
        if keys:
            said.append(f"{word} {', '.join(map(repr, keys[:3]))}{f' and {len(keys) - 3} more' if keys[3:] else ''}")
    if said:
        raise DataError(f"the weights in {where} are not those of its architecture: they {'; they '.join(said)}")


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever a library raises over a stranger's file into a `DataError`.

    A library that is handed a hostile folder raises what it likes, from a wrong type to too little memory.
    """
    try:
        yield
    except StudioError:
        raise
    except BaseException as fault:  # a panic of a library in Rust is no Exception
        if not isinstance(fault, Exception) and type(fault).__module__ != "pyo3_runtime":
            raise
        raise DataError(f"cannot read {what}: {one_line(fault)}") from fault

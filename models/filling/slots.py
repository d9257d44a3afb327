"""Lays a pydantic class out as a flat list of slots to be written. Knows bounds and hints; writes nothing itself.

A text field may carry hints in ``json_schema_extra``: ``x-text`` (``name``, ``sentence``, ``question`` or ``prompt``),
``x-ask`` (the question that brings the text about; ``{name}`` stands for the sibling field ``name``, ``{nth}`` for the
ordinal), ``x-lead`` (how the answer begins; part of the text unless it is a name; a list gives one for each item),
``x-sources`` (true: it ought to name a source that the document was given and has not named yet), and on a list
``x-items`` (how many).
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from workspace.errors import UsageError

Path = tuple[str | int, ...]
_ITEMS = 3
_NAME_LENGTH = 100
_FEW = 12  # integers that are chosen from rather than written

_LINKING = """a an and are as at because but by for from in into is its of on or that the their this to via was were
which with"""

DANGLING = frozenset(_LINKING.split())
"""Words that call for another: no text ends with one."""


MILD = "?"
"""What the path of a hint begins with that a model which is tuned on the kind of document does without."""


def firm(hints: Mapping[str, Sequence[str]], *, taught: bool) -> dict[str, list[str]]:
    """The hints that hold for a model, tuned on the kind of document or not, by the field alone."""
    held = {path: values for path, values in hints.items() if values and not (taught and path.startswith(MILD))}
    return {path.removeprefix(MILD): list(values) for path, values in held.items()}


@dataclass
class Slot:
    """One leaf of a document: what may stand there and how to ask for it."""

    path: Path
    kind: Literal["name", "sentence", "question", "prompt", "pattern", "number", "choice"]
    check: Callable[[Any], Any]
    description: str = ""
    ask: str | None = None
    lead: str | list[str] | None = None
    bounds: dict[str, Any] = field(default_factory=dict)
    choices: tuple[Any, ...] = ()
    optional: bool = False
    sources: bool = False

    @property
    def parent(self) -> Path:
        """Where the siblings stand."""
        return self.path[:-1]

    @property
    def family(self) -> str:
        """The path without indices: the same for all items of a list."""
        return ".".join(str(part) for part in self.path if isinstance(part, str))

    @property
    def where(self) -> str:
        """The path as people write it, such as ``components[1].role``."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return text.lstrip(".")

    @property
    def item(self) -> Path | None:
        """The list item this slot belongs to, innermost; None outside lists."""
        for end in range(len(self.path), 0, -1):
            if isinstance(self.path[end - 1], int):
                return self.path[:end]
        return None


@dataclass
class Layout:
    """All slots of a document, and for each list the least number of items."""

    slots: list[Slot] = field(default_factory=list)
    lists: dict[Path, int] = field(default_factory=dict)


def lay_out(schema: type[BaseModel], given: Mapping[str, list[str]] | None = None) -> Layout:
    """Return the slots of a pydantic class, lists unrolled to the length they will have.

    Args:
        schema: The class.
        given: Texts for a family of leaves; a list with given texts gets as many items, within its bounds.

    Raises:
        UsageError: A field has a type that cannot be written, such as a mapping.
    """
    layout, given = Layout(), given or {}
    _model(layout, schema, (), given)
    return layout


def _model(layout: Layout, schema: type[BaseModel], path: Path, given: Mapping[str, list[str]]) -> None:
    for name, info in schema.model_fields.items():
        here = (*path, info.validation_alias if isinstance(info.validation_alias, str) else name)
        family = ".".join(str(part) for part in here if isinstance(part, str))
        wanted = any(key == family or key.startswith(family + ".") for key in given)
        if not info.is_required() and not wanted and not _nullable(info.annotation):
            continue
        checked = Annotated[info.annotation, info]  # type: ignore[name-defined]
        _value(layout, checked, here, given, _field_check(schema, name, info), info.description or "")


def _field_check(schema: type[BaseModel], name: str, info: FieldInfo) -> Callable[[Any], Any]:
    if schema.__pydantic_decorators__.model_validators:
        adapter: TypeAdapter[Any] = TypeAdapter(Annotated[info.annotation, info])  # type: ignore[arg-type]
        return adapter.validate_python

    def check(value: Any) -> Any:
        blank = schema.model_construct()
        schema.__pydantic_validator__.validate_assignment(blank, name, value)
        return getattr(blank, name)

    return check


def _value(
    layout: Layout,
    kind: Any,
    path: Path,
    given: Mapping[str, list[str]],
    check: Callable[[Any], Any] | None,
    description: str,
) -> None:
    schema = TypeAdapter(kind).json_schema()
    schema = _inlined(schema, schema.get("$defs", {}))
    bare, optional = _bare(kind)
    origin = get_origin(bare)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return _model(layout, bare, path, given)
    if origin in (list, set, frozenset) or (origin is tuple and get_args(bare)[-1] is Ellipsis):
        return _list(layout, bare, path, given, schema, description)
    slot = Slot(
        path,
        "name",
        check or TypeAdapter(kind).validate_python,
        description=description or schema.get("description", ""),
        ask=schema.get("x-ask"),
        lead=schema.get("x-lead"),
        sources=schema.get("x-sources", False),
        bounds={k: v for k, v in schema.items() if isinstance(v, (int, float, str)) and not k.startswith("x-")},
        optional=optional,
    )
    layout.slots.append(_kinded(slot, bare, schema))
    return None


def _list(
    layout: Layout, bare: Any, path: Path, given: Mapping[str, list[str]], schema: dict[str, Any], description: str
) -> None:
    least, most = schema.get("minItems", 0), schema.get("maxItems", 1000)
    family = ".".join(str(part) for part in path if isinstance(part, str))
    counts = [len(texts) for key, texts in given.items() if key == family or key.startswith(family + ".")]
    count = max([*counts, schema.get("x-items", 0)]) if counts else schema.get("x-items", _ITEMS)
    layout.lists[path] = least
    for number in range(min(most, max(least, count))):
        before = len(layout.slots)
        _value(layout, get_args(bare)[0], (*path, number), given, None, "")
        for slot in layout.slots[before:]:
            if slot.path == (*path, number):
                slot.description = slot.description or description
                slot.ask, slot.lead = slot.ask or schema.get("x-ask"), slot.lead or schema.get("x-lead")


def _kinded(slot: Slot, bare: Any, schema: dict[str, Any]) -> Slot:
    if bare is bool:
        slot.kind, slot.choices = "choice", (True, False)
    elif get_origin(bare) is Literal:
        slot.kind, slot.choices = "choice", get_args(bare)
    elif isinstance(bare, type) and issubclass(bare, Enum):
        slot.kind, slot.choices = "choice", tuple(member.value for member in bare)
    elif schema.get("type") in ("integer", "number"):
        slot.kind = "number"
        if schema["type"] == "integer" and {"minimum", "maximum"} <= schema.keys():
            span = range(schema["minimum"], schema["maximum"] + 1)
            if len(span) <= _FEW:
                slot.kind, slot.choices = "choice", tuple(span)
    elif schema.get("type") != "string":
        raise UsageError(f"{slot.where} has a type that cannot be written field by field: {bare}")
    elif "pattern" in schema:
        slot.kind = "pattern"
    else:
        short = schema.get("maxLength", 1000) <= _NAME_LENGTH
        slot.kind = schema.get("x-text") or ("name" if short else "sentence")
    return slot


def _bare(kind: Any) -> tuple[Any, bool]:
    """Strip ``Annotated`` and ``Optional``; of a union the first member counts."""
    optional = False
    while True:
        origin = get_origin(kind)
        if origin is Annotated:
            kind = get_args(kind)[0]
        elif origin in (Union, types.UnionType):
            members = [member for member in get_args(kind) if member is not type(None)]
            optional = optional or len(members) < len(get_args(kind))
            kind = members[0]
        else:
            return kind, optional


def _nullable(kind: Any) -> bool:
    return _bare(kind)[1]


def _inlined(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Follow ``$ref`` and take the non-null member of ``anyOf``, keeping the outer keys."""
    while True:
        if "$ref" in schema:
            schema = {**definitions[schema["$ref"].rsplit("/", 1)[-1]], **_without(schema, "$ref")}
        elif "anyOf" in schema:
            first = next(member for member in schema["anyOf"] if member.get("type") != "null")
            schema = {**first, **_without(schema, "anyOf")}
        elif len(schema.get("allOf", [])) == 1:
            schema = {**schema["allOf"][0], **_without(schema, "allOf")}
        else:
            return schema


def _without(schema: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in schema.items() if k != key}


def put(data: dict[str, Any], path: Path, value: Any) -> None:
    """Store a value in nested plain data, making dictionaries and lists on the way (items arrive in any order)."""
    spot: Any = data
    for part in path[:-1]:
        spot = spot.setdefault(part, {})
    spot[path[-1]] = value


def settle(data: Any, path: Path, lists: Mapping[Path, int]) -> Any:
    """Turn the index-keyed dictionaries that ``put`` made into lists, in order."""
    if not isinstance(data, dict):
        return data
    plain = {key: settle(value, (*path, key), lists) for key, value in data.items()}
    return [plain[key] for key in sorted(plain)] if path in lists else plain


def words(name: str) -> str:
    """Turn a field's name into words: ``pore_size`` and ``poreSize`` into ``pore size``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name).lower()


def figures(bounds: Mapping[str, Any]) -> tuple[float, ...]:
    """Figures within a number's bounds from which one can be chosen: every small integer, or round ones."""
    low = float(bounds.get("minimum", bounds.get("exclusiveMinimum", 0)))
    high = float(bounds.get("maximum", bounds.get("exclusiveMaximum", max(1000.0, low + 1000))))
    if bounds.get("type") != "integer":
        return round_figures(low, high)
    if high - low <= 100:
        return tuple(range(int(low), int(high) + 1))
    return tuple(int(figure) for figure in round_figures(low, high) if figure == int(figure)) or (int(low),)


def round_figures(low: float, high: float) -> tuple[float, ...]:
    """The figures of one or two digits from ``low`` to ``high``, as people write them: 0.5, 1, 1.2, 1.5, 2, 2.5 ..."""
    found = []
    for power in range(-6, 7):
        for digit in (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0):
            figure = round(digit * 10.0**power, 9)
            if low <= figure <= high:
                found.append(figure)
    return tuple(found) or (low,)


def spoken(slot: Slot) -> list[str]:
    """A slot's choices as a model says them."""
    return [_spoken(choice) for choice in slot.choices]


def _spoken(choice: Any) -> str:
    if isinstance(choice, bool):
        return "yes" if choice else "no"
    return f"{choice:g}" if isinstance(choice, float) else str(choice)

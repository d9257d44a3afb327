"""The bounds of a pydantic field, read off its definition: help, forms and errors take them from here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


class Bounds(NamedTuple):
    """What a value may be; ``None`` where nothing is said."""

    ge: Any = None
    le: Any = None
    gt: Any = None
    lt: Any = None
    multiple_of: Any = None
    min_length: int | None = None
    max_length: int | None = None

    def numbers(self) -> str:
        """The range of a number in words, such as ``1 to 64``; empty if there is none."""
        low, high = (
            None if limit is None else f"{limit:g}" if isinstance(limit, float) else str(limit)
            for limit in (self.ge if self.gt is None else self.gt, self.le if self.lt is None else self.lt)
        )
        if low is None and high is None:
            return ""
        if high is None:
            return f"{low} or more" if self.gt is None else f"more than {low}"
        if low is None:
            return f"at most {high}" if self.lt is None else f"less than {high}"
        between = f"{low} to {high}"
        if self.gt is not None:
            between = f"more than {low}, {'at most' if self.lt is None else 'less than'} {high}"
        elif self.lt is not None:
            between = f"{low} or more, less than {high}"
        return between

    def letters(self) -> str:
        """The range of a length in words, such as ``3 to 8000``."""
        if self.max_length is None:
            return f"{self.min_length or 0} or more"
        return f"{self.min_length or 0} to {self.max_length}"


def bounds(info: FieldInfo) -> Bounds:
    """The bounds of a field, also those within its annotation (``Annotated[int, Field(ge=1)] | None``)."""
    found = {}
    for item in _metadata(info):
        for name in Bounds._fields:
            if (value := getattr(item, name, None)) is not None:
                found[name] = value
    return Bounds(**found)


def choices(annotation: Any) -> tuple[Any, ...]:
    """The choices of a field whose annotation is, or holds, a ``Literal``."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next((found for inner in get_args(annotation) if (found := choices(inner))), ())


def _metadata(info: FieldInfo) -> Iterator[Any]:
    yield from info.metadata
    yield from _inside(info.annotation)


def _inside(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (list, tuple, dict, Sequence):  # the bounds of an item are not those of the whole
        return
    for inner in get_args(annotation):
        for item in getattr(inner, "__metadata__", ()):
            yield from getattr(item, "metadata", ())
            yield item
        yield from _inside(inner)

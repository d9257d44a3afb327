"""One entry of a list as it stands there, before anything in it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """Where an entry begins, what it is called, and its fields: title, doi (texts where one may stand), year, file."""

    line: int
    key: str = ""
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    latex: bool = False

    def first(self, name: str) -> str:
        """A field's first text; empty if it has none."""
        return next((text for text in self.fields.get(name, ()) if text.strip()), "")


Bad = Callable[[int, str, str], None]
"""Called with the line and key of an entry that cannot be read, and why."""

Reader = Callable[[str, Bad], Iterator[Entry]]
"""Reads a list of one form."""

"""Worked examples for a small model: how a field was filled in documents of the same kind, as text that it continues.

A model of a hundred million parameters answers questions badly but continues a pattern well. Knows documents as plain
data and the layout's paths; no model and no grammar.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from models.filling.slots import Path, Slot, words

_ITEMS = 2
_NOTES = 1600


@dataclass(frozen=True)
class Shots:
    """What a document is about, and documents of its kind with what they were about.

    Args:
        about: What the new document is about, in the manner of the examples' own.
        examples: Pairs of what an example is about and its document as plain data.
        kind: Which kind of document it is; a model tuned on that kind needs no examples.
        taught: Whether the model is tuned on it: the examples then only say which fields are written this way.
        copies: Whether a text may hold whole sentences of what the document is about.
        apart: What another document, of another wish, would be about: what is as likely there is not to the point.
        fits: Whether a text is to the point of its field: one that is not stays only where none is.
    """

    about: str
    examples: tuple[tuple[str, Mapping[str, Any]], ...]
    kind: str = ""
    taught: bool = False
    copies: bool = False
    apart: str = ""
    fits: Callable[[Path, Any], bool] = lambda path, value: True

    @cached_property
    def grams(self) -> frozenset[tuple[str, ...]]:
        """Every run of three words in the examples."""
        texts = [text for _, document in self.examples for text in _texts(document)]
        return frozenset(gram for text in texts for gram in _grams(text))

    def prefix(self, slot: Slot) -> str | None:
        """The examples of one field, up to where the new document begins; None if they do not show it."""
        blocks = []
        for about, document in self.examples:
            items = [_lines(slot.path, _reader(document), number) for number in range(_ITEMS if slot.item else 1)]
            shown = [item for item in items if item]
            if shown:
                blocks.append("\n".join([about, *shown]))
        if self.taught and blocks:
            return f"{self.about}\n"
        return "\n\n".join([*blocks, self.about]) + "\n" if blocks else None

    def lead(self, slot: Slot, values: Mapping[Path, Any], refused: Sequence[str] = ()) -> str:
        """What of the new document stands before the field: earlier items of its list, then its own siblings.

        A list's item that was refused stands there too, so that a model does not write it again.
        """
        index = _index(slot.path)
        first = [f"{label(path)}: {_plain(values[path])}" for path in ahead(slot.path, values) if path in values]
        earlier = [_lines(slot.path, values.get, number) for number in range(index or 0)]
        own = _lines(slot.path, values.get, index or 0, open_end=True)
        vain = [f"{label(slot.path)}: {text}" for text in refused]
        return "\n".join([*first, *(item for item in earlier if item), *vain, own])

    def echoes(self, text: str) -> bool:
        """Say whether a text says what an example says, rather than something of its own."""
        if self.taught:
            return False
        grams = _grams(text)
        plain = " ".join(re.findall(r"\w+", text.lower()))
        if any(plain == " ".join(re.findall(r"\w+", shown.lower())) for _, d in self.examples for shown in _texts(d)):
            return plain not in " ".join(re.findall(r"\w+", self.about.lower()))
        return bool(grams) and sum(gram in self.grams for gram in grams) / len(grams) > 0.34


def about(wanted: str, after: str, notes: str) -> str:
    """What a document is about, in the manner of the examples; long notes end at a sentence."""
    plain = " ".join(notes.split())
    if len(plain) > _NOTES:
        plain = plain[: plain.rfind(". ", 0, _NOTES) + 1] or plain[:_NOTES]
    return f"Wanted: {' '.join(wanted.split())[:400]}\nInspirations: {after}\nNotes: {plain}"


def field_text(document: Mapping[str, Any], path: Path) -> str:
    """One field of a document as a model continues it: all items of its list, each after the siblings that help."""
    read = _reader(document)
    count = len(read(path[: path.index(_index(path))])) if _index(path) is not None else 1
    return "\n".join(_lines(path, read, number) for number in range(count))


def _index(path: Path) -> int | None:
    return next((part for part in reversed(path) if isinstance(part, int)), None)


def _at(path: Path, number: int) -> Path:
    """The same field of another item: the innermost index replaced."""
    for place in range(len(path) - 1, -1, -1):
        if isinstance(path[place], int):
            return (*path[:place], number, *path[place + 1 :])
    return path


def _lines(path: Path, read: Any, number: int, *, open_end: bool = False) -> str:
    """The field of one item as ``Label: value`` after its item's name; empty if there is no such item."""
    spot = _at(path, number)
    parts: list[str] = []
    if isinstance(spot[-1], str):
        for sibling in helpers(spot[-1]):
            value = read((*spot[:-1], sibling))
            if value is not None:
                parts.append(f"{label((*spot[:-1], sibling))}: {_plain(value)}")
    if open_end:
        return "\n".join([*parts, f"{label(spot)}:"])
    value = read(spot)
    return "\n".join([*parts, f"{label(spot)}: {_plain(value)}"]) if value is not None else ""


def ahead(path: Path, known: Iterable[Path]) -> tuple[Path, ...]:
    """Fields of the document that one is written after: what is seen stands before what is concluded from it.

    A rating also comes after the answers to the checklist, of which ``known`` fields tell how many there are.
    """
    if path[0] not in ("seen", "checks", "fit", "change"):
        return ()
    seen: tuple[Path, ...] = tuple(("sees", name) for name in ("pattern", "second", "palette"))
    asked = (
        sorted({one[1] for one in known if len(one) > 1 and one[0] == "checks"}, key=str) if path[0] == "fit" else []
    )
    return (*seen, *(("checks", number, name) for number in asked for name in ("question", "answer")))


def text_ahead(document: Mapping[str, Any], path: Path) -> str:
    """The lines that stand ahead of a field as a model continues it; each ends its line."""
    read = _reader(document)
    known = [("checks", number) for number in range(len(document.get("checks", ())))]
    return "".join(f"{label(one)}: {_plain(read(one))}\n" for one in ahead(path, known) if read(one) is not None)


def helpers(name: str) -> tuple[str, ...]:
    """Sibling fields that help to write a list item's field."""
    helpful = {
        "feature": ("name",),
        "principle": ("name", "feature"),
        "material": ("name",),
        "role": ("name", "material"),
        "unit": ("name",),
        "value": ("name", "unit"),
        "basis": ("name", "value", "unit"),
        "answer": ("question",),
        "second": ("pattern",),
        "other": ("one",),
        "difference": ("one", "other"),
        "wrong": ("right",),
        "chosen": ("question",),
        "rejected": ("question", "chosen"),
        "first_wrong": ("question", "answer"),
        "second_wrong": ("question", "answer", "first_wrong"),
        "third_wrong": ("question", "answer", "first_wrong", "second_wrong"),
        "premise": ("question",),
        "link": ("question", "premise"),
        "conclusion": ("question", "premise", "link"),
    }
    return helpful.get(name, ())


def label(path: Path) -> str:
    """How a field is called in the text: its own name, or for a list's item the singular of the list's name."""
    texts = [part for part in path if isinstance(part, str)]
    name = texts[-1]
    if isinstance(path[-1], int):
        name = _singular(name)
    elif name == "name" and len(texts) > 1:
        name = _singular(texts[-2])
    return words(name).capitalize()


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return name[:-3] + "y"
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def _reader(document: Mapping[str, Any]) -> Any:
    def read(path: Path) -> Any:
        spot: Any = document
        for part in path:
            try:
                spot = spot[part]
            except (KeyError, IndexError, TypeError):
                return None
        return spot

    return read


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    members: Sequence[Any] = (
        list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else []
    )
    return [text for member in members for text in _texts(member)]


def _grams(text: str) -> list[tuple[str, ...]]:
    found = re.findall(r"\w+", text.lower())
    return list(zip(found, found[1:], found[2:], strict=False))

"""What the atlas says, sentence by sentence, each with a name of its own and the source that it is taken from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from workspace.atlas.table import Level, Material, Property

HEADINGS = {
    "name": "What it is called",
    "summary": "What it is",
    "level": "Structure",
    "mechanism": "How it works",
    "property": "Figures",
    "function": "What it can do",
    "lesson": "What can be learnt from it",
}
"""What each kind of statement is headed by."""

_END = re.compile(r"(?<=[.])\s+(?=[A-Z])")


@dataclass(frozen=True)
class Statement:
    """One sentence of the atlas.

    Attributes:
        id: ``<material>/<kind>-<number>``.
        kind: A key of `HEADINGS`.
        text: The sentence.
        cite: The source of its figures; empty where the entry's sources stand behind it as a whole.
    """

    id: str
    kind: str
    text: str
    cite: str = ""


def statements(material: Material) -> list[Statement]:
    """Every sentence that the atlas has of a material."""
    return list(_statements(material))


def _statements(material: Material) -> Iterator[Statement]:
    cites = {source.key: source.cite for source in material.sources}
    for kind, texts in (
        ("name", [(_called(material), "")]),
        ("summary", [(text, "") for text in _END.split(material.summary)]),
        ("level", [(_level(material.name, one), "") for one in material.levels]),
        ("mechanism", [(text, "") for text in material.mechanisms]),
        ("property", [(_property(material.name, one), cites[one.source]) for one in material.properties]),
        ("function", [(f"{material.name} can {one.function}: {one.how}", "") for one in material.functions]),
        ("lesson", [(text, "") for text in material.lessons]),
    ):
        for number, (text, cite) in enumerate(texts, 1):
            yield Statement(f"{material.id}/{kind}-{number}", kind, text, cite)


def _called(material: Material) -> str:
    others = f", also called {', '.join(material.aliases)}" if material.aliases else ""
    return f"{material.name}{others}: {material.organism.rstrip('.')}."


def _level(name: str, level: Level) -> str:
    return f"{name}, at {_span(level.low, level.high)} {level.unit}: {level.structure}."


def _property(name: str, one: Property) -> str:
    unit = "" if one.unit == "1" else f" {one.unit}"
    condition = f" ({one.condition})" if one.condition else ""
    return f"{name}: {one.name} {_span(one.low, one.high)}{unit}{condition}."


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"

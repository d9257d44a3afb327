"""What the team knows beforehand: worked examples, and the quantities designs aim at. Knows no model and no run.

The examples show a small model the manner of a document; the quantities give a property its unit and the range that
known materials span, so that no figure is out of this world. Both lie in YAML files beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from agents.vocabulary import stems
from models.filling.shots import Shots, about

_HERE = Path(__file__).parent
_SHOWN = 2
_OTHER = "A new thing made of these"  # a wish that says nothing


@dataclass(frozen=True)
class Quantity:
    """A property: its unit, the range known materials span, and words that call for it."""

    name: str
    unit: str
    low: float
    high: float
    words: str


@cache
def quantities() -> tuple[Quantity, ...]:
    """All quantities, in the order of the table."""
    return tuple(Quantity(**row) for row in yaml.safe_load((_HERE / "quantities.yaml").read_text(encoding="utf-8")))


def fitting(wish: str, rank: Callable[[str, Sequence[str]], Sequence[float]] | None, count: int = 3) -> list[Quantity]:
    """The quantities that a wish calls for most: by the words it shares with them, then by nearness in meaning."""
    table = quantities()
    near = rank(wish, [f"{one.name}: {one.words}" for one in table]) if rank else [0.0] * len(table)
    wanted = stems(wish)
    scores = [len(wanted & stems(one.words)) + float(like) for one, like in zip(table, near, strict=True)]
    best = sorted(range(len(table)), key=lambda i: (-scores[i], i))[:count]
    return [table[i] for i in sorted(best, key=lambda i: -scores[i])]


@cache
def _examples(kind: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    rows = yaml.safe_load((_HERE / "examples.yaml").read_text(encoding="utf-8"))[kind]
    return tuple((about(row["wanted"], row["after"], row["notes"]), row["document"]) for row in rows)


def shots(kind: str, wanted: str, after: str, notes: str, apart: str = "") -> Shots:
    """The examples (``design`` or ``picture``) most like what is wanted, and what the new document is about.

    Args:
        kind: ``design`` or ``picture``.
        wanted: What is wanted.
        after: Its sources.
        notes: What is said of it.
        apart: What of the notes would be said for any wish.
    """
    subject = about(wanted, after, notes)
    rows = _examples(kind)
    meant = stems(subject)
    like = sorted(range(len(rows)), key=lambda i: -len(meant & stems(rows[i][0])))[:_SHOWN]
    other = about(_OTHER, after, apart) if apart else ""
    return Shots(subject, tuple(rows[i] for i in sorted(like)), kind, apart=other)

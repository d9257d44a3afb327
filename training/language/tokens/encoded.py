"""A row as tokens and labels, and what many of them come to. Knows no tokenizer and no trainer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

IGNORED = -100


@dataclass(frozen=True)
class Encoded:
    """A row's tokens and, for each, the token itself where it is learned or -100."""

    input_ids: list[int]
    labels: list[int]

    @property
    def start(self) -> int:
        """How many tokens stand before the first that is learned."""
        return next((place for place, label in enumerate(self.labels) if label != IGNORED), len(self.labels))

    def cut(self, begin: int, end: int) -> Encoded:
        """The tokens from ``begin`` up to ``end``."""
        return Encoded(self.input_ids[begin:end], self.labels[begin:end])


@dataclass(frozen=True)
class Lengths:
    """What a set of rows comes to in tokens: in all, learned, the longest, the share of them that is cut.

    ``rows`` counts rows as they are in the data: a preference pair is one, and so is a conversation whose turns are
    trained one by one. In words: how many rows are left out because nothing of them would be learned, with the first
    one's name, and how many conversations are split into their turns.
    """

    rows: int
    tokens: int
    learned: int
    longest: int
    truncated: float
    left_out: str = ""
    split: str = ""


def lengths(rows: Sequence[Sequence[Encoded]], most: int) -> Lengths:
    """Count tokens, before anything is cut; ``rows`` holds for each row the sequences that are made of it."""
    every = [one for row in rows for one in row]
    sizes = [len(one.input_ids) for one in every]
    return Lengths(
        rows=len(rows),
        tokens=sum(sizes),
        learned=sum(label != IGNORED for one in every for label in one.labels),
        longest=max(sizes, default=0),
        truncated=sum(size > most for size in sizes) / max(1, len(sizes)),
    )

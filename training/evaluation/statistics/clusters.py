"""Which questions share a passage, and whether a row of scores can be counted with. Knows numbers, no statistics.

Questions on one passage stand or fall together, so whatever draws, flips or leaves out takes whole passages.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workspace.errors import DataError

Floats = NDArray[np.float64]


def numbers(values: ArrayLike, what: str, low: float = 0.0, high: float = 1.0) -> Floats:
    """Check a row of numbers, or a row for each of several models.

    Args:
        values: One a question; booleans count as 0 and 1.
        what: What they are, for the error.
        low: Least that one may be.
        high: Most that one may be.

    Returns:
        The same as floats, of the same shape.

    Raises:
        DataError: There are none, rows differ in length, or one is no number or out of bounds.
    """
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as fault:
        raise DataError(f"{what} must be rows of numbers of one length") from fault
    if found.ndim not in (1, 2) or not found.size:
        raise DataError(f"{what}: no numbers are given")
    outside = ~((found >= low) & (found <= high))  # NaN is neither
    if outside.any():
        place = int(np.argwhere(outside)[0][-1])
        raise DataError(f"{what}: number {place + 1} is {found[outside][0]:g}; it must be {low:g} to {high:g}")
    return found


def same_length(one: Sequence[Any] | Floats, other: Sequence[Any] | Floats, what: str) -> None:
    """Refuse two rows that are not about the same questions.

    Raises:
        DataError: One is longer.
    """
    if len(one) != len(other):
        raise DataError(f"{what} are not about the same questions: {len(one)} and {len(other)}")


@dataclass(frozen=True)
class Clusters:
    """Questions by passage: of n questions in G passages, ``places`` [n] in 0 to G - 1 and ``sizes`` [G]."""

    places: NDArray[np.intp]
    sizes: Floats

    @classmethod
    def of(cls, passages: Sequence[Hashable] | None, questions: int) -> Clusters:
        """Number the passages in the order in which they come.

        Args:
            passages: What each question is about; None where every question is on its own.
            questions: How many there are.

        Raises:
            DataError: There are more or fewer passages than questions.
        """
        if passages is None:
            return cls(np.arange(questions), np.ones(questions))
        if len(passages) != questions:
            raise DataError(f"{len(passages)} passages are named for {questions} questions")
        names = {name: place for place, name in enumerate(dict.fromkeys(passages))}
        places = np.array([names[name] for name in passages], dtype=np.intp)
        return cls(places, np.bincount(places).astype(np.float64))

    @property
    def count(self) -> int:
        """Passages."""
        return len(self.sizes)

    @property
    def questions(self) -> int:
        """Questions."""
        return len(self.places)

    @property
    def repeat(self) -> bool:
        """Whether any passage has more than one question."""
        return self.count < self.questions

    def sums(self, values: Floats) -> Floats:
        """Sums of values [..., n] by passage: [..., G]."""
        order = np.argsort(self.places, kind="stable")
        starts = np.concatenate(([0], np.cumsum(self.sizes[:-1]).astype(np.intp)))
        return np.add.reduceat(values[..., order], starts, axis=-1)

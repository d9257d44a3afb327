"""From right and wrong on both splits to what a search has shown: intervals, paired comparisons, optimism.

A winner's score on the questions that it was chosen by is too high, the more so the more trials and the fewer questions
there were. Two figures tell by how much: its score on development less that on test, and the same less what the others
lose, which no score has chosen, so that a test split that happens to be harder is not taken for optimism. Both are
differences between independent samples; their intervals are put together from those of the two parts (MOVER: Zou and
Donner, "Construction of confidence limits about effect measures", Statistics in Medicine 27, 2008). Knows answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from training.evaluation.statistics.correction import Corrected, corrected
from training.evaluation.statistics.intervals import Estimate, share
from training.evaluation.statistics.paired import contrasts, gain


class Side(NamedTuple):
    """One split's answers.

    Attributes:
        right: Right or wrong, a row a model, the winner first; in every row the split's questions in order.
        passages: What each question is about; none where every question is on its own.
    """

    right: Sequence[Sequence[bool]]
    passages: Sequence[str] | None

    def shares(self) -> list[Estimate]:
        """Every model's share right."""
        return [share(row, self.passages) for row in self.right]

    def beside(self) -> list[Corrected]:
        """The first model beside each of the others, corrected for all."""
        winner, *others = self.right
        return corrected(contrasts([winner] * len(others), others, self.passages))


def optimism(development: Side, test: Side) -> tuple[Estimate, Estimate]:
    """How much higher the winner scores on development than on test, and how much beyond what the others do.

    Args:
        development: The winner first, then all others.
        test: The same models in the same order.
    """
    own, beyond = [], []
    for side in (development, test):
        winner, *others = (np.asarray(row, dtype=np.float64) for row in side.right)
        own.append(share(winner, side.passages))
        beyond.append(gain(winner, np.mean(others, axis=0), side.passages))
    return apart(*own), apart(*beyond)


def apart(one: Estimate, other: Estimate) -> Estimate:
    """The difference of two values from independent samples, with an interval made of theirs (MOVER)."""
    value = one.value - other.value
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(value, value - below, value + above)

"""How sure a share of right answers is, and a difference of two shares. Knows answers as right or wrong, no models.

Questions on one passage stand or fall together: intervals are the percentile bootstrap over passages (clusters), each
drawn with all its questions (Efron, "Bootstrap methods", 1979; Cameron, Gelbach and Miller, 2008). Questions without
passages have Wilson's score interval of a share ("Probable inference", 1927), and differences the bootstrap over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

_DRAWS = 10_000
_AT_ONCE = 1_000  # draws; more take more memory


class Estimate(NamedTuple):
    """A value and its 95% interval."""

    value: float
    low: float
    high: float


class Accuracy(BaseModel):
    """How well a model answers, and how much better than the one it is compared with, each with a 95% interval."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accuracy: float = Field(description="Share of questions answered right")
    low: float = Field(description="Lower end of its interval")
    high: float = Field(description="Upper end of its interval")
    gain: float = Field(description="Share that is answered right beyond the other model's")
    gain_low: float = Field(description="Lower end of its interval")
    gain_high: float = Field(description="Upper end of its interval")


def interval(right: Sequence[float], passages: Sequence[Any] | None = None) -> Estimate:
    """The share right, with Wilson's interval, or with the bootstrap's over the passages that questions are about."""
    if passages is not None:
        found = _clustered(np.asarray(right, dtype=float), passages)
        return found._replace(low=max(0.0, found.low), high=min(1.0, found.high))
    from scipy.stats import binomtest

    ends = binomtest(int(sum(right)), len(right)).proportion_ci(confidence_level=0.95, method="wilson")
    return Estimate(sum(right) / len(right), float(ends.low), float(ends.high))


def gain(
    one: Sequence[float], other: Sequence[float], passages: Sequence[Any] | None = None, seed: int = 0
) -> Estimate:
    """How much more ``one`` gets right than ``other`` on the same questions, by a paired bootstrap.

    Of a single question or passage nothing can be drawn: its interval is all that there could be.

    Args:
        one: Right (1) or wrong (0), or a mean over several trainings, of every question.
        other: The same of what it is compared with.
        passages: What each question is about; by default every question is on its own.
        seed: Of what is drawn.
    """
    difference = np.asarray(one, dtype=float) - np.asarray(other, dtype=float)
    return _clustered(difference, range(len(difference)) if passages is None else passages, seed)


def _clustered(values: np.ndarray[Any, Any], passages: Sequence[Any], seed: int = 0) -> Estimate:
    """The mean of values and its interval, passages drawn with all that they hold."""
    names = {name: place for place, name in enumerate(dict.fromkeys(passages))}
    places = np.array([names[name] for name in passages])
    sums, counts = (np.bincount(places, weights) for weights in (values, np.ones(len(values))))
    mean = float(values.mean())
    if len(sums) < 2:
        return Estimate(mean, -1.0, 1.0)
    rng, found = np.random.default_rng(seed), []
    for _ in range(_DRAWS // _AT_ONCE):
        drawn = rng.integers(len(sums), size=(_AT_ONCE, len(sums)))
        found.append(sums[drawn].sum(1) / counts[drawn].sum(1))
    low, high = np.percentile(np.concatenate(found), [2.5, 97.5])
    return Estimate(mean, float(low), float(high))


def measured(right: Sequence[float], base: Sequence[float], passages: Sequence[Any] | None = None) -> Accuracy:
    """Accuracy and gain over ``base`` on the same questions, to four digits."""
    figures = [round(value, 4) for value in (*interval(right, passages), *gain(right, base, passages))]
    return Accuracy.model_validate(dict(zip(Accuracy.model_fields, figures, strict=True)))

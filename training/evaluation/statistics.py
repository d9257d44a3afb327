"""How sure a share of right answers is, and a difference of two shares. Knows answers as right or wrong, no models.

Both intervals are scipy's: Wilson's score interval of a share (Wilson, "Probable inference", 1927), and the percentile
bootstrap over questions of a paired difference (Efron, "Bootstrap methods", 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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


def interval(right: Sequence[bool]) -> Estimate:
    """Accuracy with Wilson's interval."""
    from scipy.stats import binomtest

    ends = binomtest(sum(right), len(right)).proportion_ci(confidence_level=0.95, method="wilson")
    return Estimate(sum(right) / len(right), float(ends.low), float(ends.high))


def gain(one: Sequence[bool], other: Sequence[bool], seed: int = 0) -> Estimate:
    """How much more ``one`` gets right than ``other`` on the same questions, by a paired bootstrap.

    Of a single question nothing can be drawn: its interval is all that there could be.
    """
    from scipy.stats import bootstrap

    first, second = (np.array(answers, dtype=float) for answers in (one, other))
    change = float((first - second).mean())
    if len(first) < 2:
        return Estimate(change, -1.0, 1.0)
    found = bootstrap(
        (first, second),
        lambda first, second, axis: (first - second).mean(axis=axis),
        n_resamples=_DRAWS,
        batch=_AT_ONCE,
        paired=True,
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return Estimate(change, float(found.confidence_interval.low), float(found.confidence_interval.high))


def measured(right: Sequence[bool], base: Sequence[bool]) -> Accuracy:
    """Accuracy and gain over ``base`` on the same questions, to four digits."""
    figures = [round(value, 4) for value in (*interval(right), *gain(right, base))]
    return Accuracy.model_validate(dict(zip(Accuracy.model_fields, figures, strict=True)))

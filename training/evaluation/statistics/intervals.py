"""How sure a share is: Wilson's interval, one for questions that share passages, and the bootstrap for all else.

**A share** of questions that stand alone has Wilson's score interval ("Probable inference", 1927). Where questions
share passages it is Wilson's of the *effective* number of questions (Dean and Pagano, "Evaluating confidence interval
methods for binomial proportions in clustered surveys", 2015): the variance of the share, by leaving out one passage at
a time (Efron and Stein, 1981), says how many independent questions these are worth, and Student's t with G - 1 degrees
of freedom replaces the normal distribution. It is never narrower than Wilson's of questions that stand alone.

Why not the percentile bootstrap over passages: in simulation (`benchmarks/inference.py`) it covers 80-91% at 6-8
passages and 88-93% at 12, at a nominal 95%, and far less wherever shares are near 1; the plain t interval mends only
the first. It comes near 95% from about 40 passages on. This one stays near 95% from about 12 passages on, unless
passages differ tenfold in size or nearly every passage is answered wholly or not at all (then down to 85%).

**Everything else** (a maximum, a ratio, a calibration error) has the bootstrap over passages, each drawn with all its
questions (Efron, 1979; Cameron, Gelbach and Miller, 2008), with *expanded* percentiles: those that make it as wide as
Student's t would (Hesterberg, "What teachers should know about the bootstrap", 2015).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from training.evaluation.statistics.clusters import Clusters, Floats, numbers

ALPHA = 0.05
"""What a 95% interval may miss, and what a test may be wrong by."""
DRAWS = 5_000


class Estimate(NamedTuple):
    """A value and its 95% interval."""

    value: float
    low: float
    high: float


def share(right: ArrayLike, passages: Sequence[Hashable] | None = None) -> Estimate:
    """The share of questions answered right, or the mean of any numbers from 0 to 1, and its interval.

    Args:
        right: Right (1) or wrong (0), or a mean over several trainings, of every question.
        passages: What each question is about; by default every question is on its own.

    Raises:
        DataError: There are none, one is out of bounds, or passages are of another number.
    """
    values = numbers(right, "answers")
    return shares(values[None], Clusters.of(passages, len(values)))[0]


def shares(values: Floats, clusters: Clusters) -> list[Estimate]:
    """`share` of several models [models, n] at once."""
    means = values.mean(1)
    binary = bool(np.isin(values, (0.0, 1.0)).all())
    if binary and not clusters.repeat:
        return [_wilson_alone(int(row.sum()), len(row)) for row in values]
    if clusters.count < 2:
        return [Estimate(float(mean), 0.0, 1.0) for mean in means]
    from scipy.stats import t

    error = jackknife(clusters.sums(values), clusters)
    even = means * (1 - means)
    with np.errstate(divide="ignore", invalid="ignore"):
        worth = np.where(error > 0, even / error, float(clusters.questions))
    worth = np.where(even > 0, worth, float(clusters.count))  # all right: how passages hang together cannot be seen
    low, high = _wilson(means, worth, float(t.ppf(1 - ALPHA / 2, clusters.count - 1)))
    found = [Estimate(*map(float, row)) for row in zip(means, low, high, strict=True)]
    if not binary:
        return found
    alone = [_wilson_alone(int(row.sum()), len(row)) for row in values]
    return [
        one._replace(low=min(one.low, other.low), high=max(one.high, other.high))
        for one, other in zip(found, alone, strict=True)
    ]


def jackknife(sums: Floats, clusters: Clusters) -> Floats:
    """Variance of means by leaving out one passage at a time.

    Args:
        sums: Of what the mean is taken of, by passage: [models, G].
        clusters: Two passages or more.

    Returns:
        Of every model's mean: [models].
    """
    total = sums.sum(-1, keepdims=True)
    without = (total - sums) / (clusters.questions - clusters.sizes)
    count = clusters.count
    return np.asarray((count - 1) / count * ((without - total / clusters.questions) ** 2).sum(-1))


def _wilson_alone(right: int, questions: int) -> Estimate:
    from scipy.stats import binomtest

    ends = binomtest(right, questions).proportion_ci(confidence_level=1 - ALPHA, method="wilson")
    return Estimate(right / questions, float(ends.low), float(ends.high))


def _wilson(means: Floats, worth: Floats, critical: float) -> tuple[Floats, Floats]:
    """Wilson's interval of shares of any number of questions, which scipy has for whole numbers alone."""
    square = critical**2 / worth
    centre = (means + square / 2) / (1 + square)
    half = np.sqrt(square * means * (1 - means) + square**2 / 4) / (1 + square)
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


@lru_cache(maxsize=8)
def drawn(count: int, draws: int = DRAWS, seed: int = 0) -> Floats:
    """How often each of ``count`` passages is in each draw of as many with replacement: [draws, count]."""
    rng = np.random.default_rng(seed)
    found = rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)
    found.flags.writeable = False  # everybody's
    return found


def tail(count: int) -> float:
    """The share of draws of ``count`` passages to leave out on either side: the expanded percentile's."""
    from scipy.stats import norm, t

    return float(norm.cdf(-np.sqrt(count / (count - 1)) * t.ppf(1 - ALPHA / 2, count - 1)))


def bootstrap(value: float, draws: Floats, count: int, low: float, high: float) -> Estimate:
    """A value with the interval that its draws give; of a single passage the widest.

    Args:
        value: Of all questions.
        draws: What it was in every draw.
        count: Passages.
        low: Least that it could be.
        high: Most that it could be.
    """
    if count < 2:
        return Estimate(value, low, high)
    least, most = np.quantile(draws, [tail(count), 1 - tail(count)])
    return Estimate(value, max(low, float(least)), min(high, float(most)))

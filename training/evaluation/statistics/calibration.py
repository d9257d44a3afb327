"""Whether a model is as sure as it is right: calibration error, Brier score, the points of a reliability figure.

Expected calibration error (Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
binning", 2015) over bins that hold equally many questions (Nguyen and O'Connor, "Posterior calibration and exploratory
analysis", 2015); answers of the same confidence share a bin. **It is too high on average**, a perfectly calibrated
model's too, because chance in any bin counts as error (Kumar, Liang and Ma, "Verified uncertainty calibration", 2019):
so beside it stands the error that chance would make what was seen in half of all cases, with the interval between
those that chance would bring so low, or raise so high, in 2.5% of cases (a test inverted along the line from no gap to
the gaps seen; chance is what the bootstrap over passages adds to the gaps). It holds zero where the model may well be
calibrated, and covers 92-99% in simulation. The Brier score (1950), the mean square between confidence and being
right, needs no bins.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from training.evaluation.statistics.clusters import Clusters, Floats, numbers, same_length
from training.evaluation.statistics.intervals import Estimate, drawn, shares, tail

BINS = 10
_DRAWS = 1_000


class Point(NamedTuple):
    """A bin of answers of about the same confidence."""

    confidence: float
    right: Estimate
    answers: int


class Calibration(NamedTuple):
    """How far a model's confidence is from its being right."""

    error: float
    """Expected calibration error as it is usually told: too high."""
    unbiased: Estimate
    """The same less what chance adds, with its interval."""
    brier: Estimate
    overconfidence: float
    """Mean confidence less the share right."""
    points: tuple[Point, ...]


def calibration(
    confidence: ArrayLike, right: ArrayLike, passages: Sequence[Hashable] | None = None, seed: int = 0
) -> Calibration:
    """How well a model knows when it is right.

    Args:
        confidence: Chance that the model gives its answer, of every question.
        right: Whether the answer is right: 1 or 0.
        passages: What each question is about; by default every question is on its own.
        seed: Of the draws.

    Raises:
        DataError: A row is empty, has what is no number, or is not about the same questions.
    """
    sure, found = numbers(confidence, "confidences"), numbers(right, "answers")
    same_length(sure, found, "confidences and answers")
    clusters = Clusters.of(passages, len(sure))
    bins = _bins(sure)
    inside = (bins == np.arange(bins.max() + 1)[:, None]).astype(np.float64)
    sums = clusters.sums(inside * (sure - found))
    gaps = sums.sum(1) / clusters.questions
    weights = drawn(clusters.count, _DRAWS, seed)
    noise = weights @ sums.T / (weights @ clusters.sizes)[:, None] - gaps
    names: list[Hashable] = list(range(len(sure)) if passages is None else passages)
    return Calibration(
        error=float(np.abs(gaps).sum()),
        unbiased=_unbiased(gaps, noise, clusters.count),
        brier=shares(((sure - found) ** 2)[None], clusters)[0],
        overconfidence=float((sure - found).mean()),
        points=tuple(_point(sure, found, names, np.flatnonzero(row)) for row in inside),
    )


def _bins(sure: Floats) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """The bin of every answer, from 0, none empty, those of one confidence in one bin."""
    edges = np.unique(np.quantile(sure, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    found: np.ndarray[tuple[int], np.dtype[np.intp]] = np.unique(
        np.searchsorted(edges, sure, side="left"), return_inverse=True
    )[1]
    return found


def _unbiased(gaps: Floats, noise: Floats, count: int) -> Estimate:
    """The error whose median, and whose ends, chance makes the error that was seen.

    Args:
        gaps: Of bins, weighted by their answers: [bins].
        noise: What chance adds to them: [draws, bins].
        count: Passages.
    """
    error = float(np.abs(gaps).sum())
    if count < 2 or not error:
        return Estimate(error, 0.0, 1.0)
    shape = _shrunk(gaps, noise)
    shape /= max(np.abs(shape).sum(), 1e-12)
    sizes = np.linspace(0, 3 * error, 61)
    errors = np.stack([np.abs(size * shape + noise).sum(1) for size in sizes])
    out = tail(count)
    most, middle, least = np.quantile(errors, [out, 0.5, 1 - out], axis=1)
    low, value, high = (float(np.interp(error, np.maximum.accumulate(row), sizes)) for row in (least, middle, most))
    return Estimate(value, low, min(1.0, high))


def _shrunk(gaps: Floats, noise: Floats) -> Floats:
    """Gaps drawn towards their mean by as much as chance sets them apart (James and Stein, 1961)."""
    mean, bins = gaps.mean(), len(gaps)
    apart = float(((gaps - mean) ** 2).sum())
    chance = float(noise.var(0).sum()) * (bins - 3) / bins
    kept = max(0.0, 1 - chance / apart) if bins > 3 and apart > 0 else 1.0
    return np.asarray(mean + kept * (gaps - mean))


def _point(
    sure: Floats, right: Floats, passages: list[Hashable], places: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> Point:
    own = Clusters.of([passages[place] for place in places], len(places))
    return Point(float(sure[places].mean()), shares(right[places][None], own)[0], len(places))

"""Whether one model answers better than another on the same questions. Knows right and wrong, no models.

**The test** flips signs: were the two models the same, any question's two answers could as well be the other way
round. Where questions share passages, whole passages are flipped (a randomisation test, Fisher 1935; for clusters
Cameron, Gelbach and Miller 2008, "wild cluster" with signs): every way of flipping up to 12 passages that differ,
drawn ways beyond. Where every question is on its own, it is McNemar's exact test (1947), which the same flips amount
to.

**The interval** is Student's t, with an error that leaves out one passage at a time and two questions added, one won
by each model (Bonett and Price, "Adjusted Wald confidence interval for a difference of binomial proportions based on
paired data", 2012), which keeps it from vanishing where models hardly differ. Its critical value is moved as little as
makes it agree with the test: **the interval at a level excludes zero exactly where p is below that level**, at every
level.

Why not the percentiles of a paired bootstrap: over 8 passages they cover 84-91% at a nominal 95%, and so claim a
difference that is not there about one time in ten (`benchmarks/inference.py`); flips are exact for any number of
passages. Fewer than six passages that differ can never show a difference at 5%: the test then says so by its p.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from training.evaluation.statistics.clusters import Clusters, Floats, numbers, same_length
from training.evaluation.statistics.intervals import ALPHA, Estimate

Test = Literal["McNemar exact", "sign flips of passages", "sign flips of questions"]
_EVERY_WAY = 12  # passages that differ: 2,048 ways
_DRAWS = 10_000
_AT_ONCE = 64  # comparisons; more take more memory
_CLOSE = 1e-9  # statistics closer than this are one


class Comparison(BaseModel):
    """One model beside another on the same questions."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    difference: float = Field(ge=-1, le=1, description="Share right of the one less that of the other")
    low: float = Field(ge=-1, le=1, description="Lower end of its 95% interval, of this comparison alone")
    high: float = Field(ge=-1, le=1, description="Upper end")
    p: float = Field(ge=0, le=1, description="Chance of a difference as large between models that are the same")
    one_only: int = Field(ge=0, description="Questions that the one answers better")
    other_only: int = Field(ge=0, description="Questions that the other answers better")
    n: int = Field(ge=1, description="Questions")
    clusters: int = Field(ge=1, description="Passages")
    test: Test


@dataclass(frozen=True, eq=False)
class Contrast:
    """A difference with all that its interval at any level up to 5% takes."""

    difference: float
    centre: float
    error: float
    p: float
    one_only: int
    other_only: int
    sums: Floats
    clusters: Clusters
    test: Test
    draws: int
    seed: int

    @cached_property
    def null(self) -> tuple[Floats, Floats]:
        """The statistics that flips give, largest first, and the p of each; of drawn ones those up to 5%."""
        statistic = _Statistic(self.clusters)
        if self.test == "McNemar exact":
            return _mcnemar(self.one_only + self.other_only, statistic)
        signs, drawn = _ways(self.sums, self.draws, self.seed)
        kept = np.arange(len(self.sums)) if drawn else np.flatnonzero(self.sums)
        own = self.sums[kept]
        squares = np.asarray((statistic.weights * self.sums**2).sum())
        null = statistic.of(signs @ own, signs @ (own * statistic.tilt[kept]), squares)
        ways = len(null) + drawn
        top = min(len(null), int(np.ceil(ALPHA * ways)) + 1)
        null = np.sort(np.partition(null, len(null) - top)[len(null) - top :])[::-1]
        return null, (np.searchsorted(-null, -null * (1 - _CLOSE), side="right") + drawn) / ways

    def interval(self, level: float, excludes_zero: bool | None = None) -> tuple[float, float]:
        """The interval at a level; it excludes zero where p is below it.

        Args:
            level: Such as 0.05 of a 95% interval, and no larger.
            excludes_zero: What was decided already, where a correction for several comparisons did.
        """
        if self.clusters.count < 2:
            return -1.0, 1.0
        from scipy.stats import t

        critical = float(t.ppf(1 - level / 2, self.clusters.count - 1))
        null, chances = self.null
        at = int(np.searchsorted(chances, level))  # the first that is not below the level
        if at < len(null):
            critical = max(critical, float(null[at]))
        if at > 0:
            critical = min(critical, float(null[at - 1]))
        seen = abs(self.centre) / self.error
        excludes = self.p < level if excludes_zero is None else excludes_zero
        critical = min(critical, seen * (1 - _CLOSE)) if excludes else max(critical, seen * (1 + _CLOSE))
        half = critical * self.error
        return max(-1.0, self.centre - half), min(1.0, self.centre + half)

    def comparison(self) -> Comparison:
        """As one comparison, with its 95% interval."""
        low, high = self.interval(ALPHA)
        return Comparison(
            difference=self.difference,
            low=low,
            high=high,
            p=self.p,
            one_only=self.one_only,
            other_only=self.other_only,
            n=self.clusters.questions,
            clusters=self.clusters.count,
            test=self.test,
        )


def compared(one: ArrayLike, other: ArrayLike, passages: Sequence[Hashable] | None = None, seed: int = 0) -> Comparison:
    """Compare two models on the same questions: by McNemar's test, or by passages where questions share them.

    Args:
        one: Right (1) or wrong (0), or a mean over several trainings, of every question.
        other: The same of the other model.
        passages: What each question is about; by default every question is on its own.
        seed: Of the flips that are drawn.

    Raises:
        DataError: A row is empty, has what is no number, or is not about the same questions.
    """
    return contrasts([one], [other], passages, seed=seed)[0].comparison()


def contrasts(
    ones: Sequence[ArrayLike] | Floats,
    others: Sequence[ArrayLike] | Floats,
    passages: Sequence[Hashable] | None = None,
    family: int = 1,
    seed: int = 0,
) -> list[Contrast]:
    """Compare pairs of models, all on the same questions, with the same flips.

    Args:
        ones: A row of scores of every pair.
        others: The same of the model that it is compared with.
        passages: What each question is about; by default every question is on its own.
        family: How many comparisons are corrected for together, where they are more than these: more ways are drawn,
            so that p can be as small as the correction asks.
        seed: Of the flips that are drawn.

    Raises:
        DataError: A row is empty, has what is no number, or is not about the same questions.
    """
    rows = []
    for one, other in zip(ones, others, strict=True):
        first, second = (numbers(row, "answers") for row in (one, other))
        same_length(first, second, "two models' answers")
        rows.append(first - second)
    if not rows:
        return []
    for row in rows:
        same_length(rows[0], row, "the pairs' answers")
    differences = np.stack(rows)
    clusters = Clusters.of(passages, differences.shape[1])
    draws = max(_DRAWS, 40 * max(family, len(rows)))
    found: list[Contrast] = []
    for start in range(0, len(rows), _AT_ONCE):
        found += _contrasts(differences[start : start + _AT_ONCE], clusters, draws, seed)
    return found


class _Statistic:
    """Student's t of a mean difference, from sums [..., G]: those that are, and those that flips give."""

    def __init__(self, clusters: Clusters) -> None:
        count, self.clusters = clusters.count, clusters
        self.questions = clusters.questions + 2  # one more that each model wins
        self.scale = (count - 1) / count
        self.weights = (1 - clusters.sizes / self.questions) ** -2
        self.added = (1 - 1 / self.questions) ** -2
        self.tilt = self.weights * clusters.sizes
        self.bend = float((self.tilt * clusters.sizes).sum())

    def errors(self, totals: Floats, tilted: Floats, squares: Floats) -> Floats:
        """Standard errors of totals / questions, from sums over passages of weight x size x sum and weight x sum^2."""
        mean = totals / self.questions
        spread = squares - 2 * mean * tilted + mean**2 * self.bend + 2 * self.added * (1 + mean**2)
        return np.asarray(np.sqrt(self.scale * spread) / self.questions)

    def of(self, totals: Floats, tilted: Floats, squares: Floats) -> Floats:
        """The size of t."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.abs(totals) / self.questions / self.errors(totals, tilted, squares)
        return np.where(totals == 0, 0.0, found)


def _contrasts(differences: Floats, clusters: Clusters, draws: int, seed: int) -> list[Contrast]:
    sums = clusters.sums(differences)
    statistic = _Statistic(clusters)
    totals, tilted = sums.sum(1), sums @ statistic.tilt
    squares = (statistic.weights * sums**2).sum(1)
    errors = statistic.errors(totals, tilted, squares)
    exact = not clusters.repeat and bool(np.isin(differences, (-1.0, 0.0, 1.0)).all())
    test: Test = (
        "McNemar exact" if exact else "sign flips of passages" if clusters.repeat else "sign flips of questions"
    )
    ones, others = (differences > 0).sum(1), (differences < 0).sum(1)
    if clusters.count < 2:
        chances = np.ones(len(sums))
    elif exact:
        chances = _mcnemar_chances(np.minimum(ones, others), ones + others)
    else:
        chances = _flipped(sums, squares, statistic.of(totals, tilted, squares), statistic, draws, seed)
    means = differences.mean(1)
    return [
        Contrast(
            difference=float(means[at]),
            centre=float(totals[at] / statistic.questions),
            error=float(errors[at]),
            p=float(chances[at]),
            one_only=int(ones[at]),
            other_only=int(others[at]),
            sums=sums[at],
            clusters=clusters,
            test=test,
            draws=draws,
            seed=seed,
        )
        for at in range(len(sums))
    ]


def _mcnemar_chances(fewer: NDArray[np.intp], differ: NDArray[np.intp]) -> Floats:
    """McNemar's exact p: as ``scipy.stats.binomtest`` has it of one, of many at once."""
    from scipy.stats import binom

    return np.asarray(np.minimum(1.0, 2 * binom.cdf(fewer, differ, 0.5)), dtype=np.float64)


def _mcnemar(differ: int, statistic: _Statistic) -> tuple[Floats, Floats]:
    """Of every split of the questions on which two models differ, t and p."""
    if not differ:
        return np.zeros(1), np.ones(1)
    fewer = np.arange(differ // 2 + 1)
    totals = (differ - 2 * fewer).astype(np.float64)
    squares = np.full(len(totals), differ * statistic.weights[0])
    return statistic.of(totals, totals * statistic.tilt[0], squares), _mcnemar_chances(
        fewer, np.full_like(fewer, differ)
    )


def _flipped(sums: Floats, squares: Floats, seen: Floats, statistic: _Statistic, draws: int, seed: int) -> Floats:
    """Of every comparison p: the share of ways to flip that give a t as large as what was seen.

    t of a flip reaches the limit c where total^2 >= (c x error x questions)^2; both sides are gathered into one product
    of two sums less a constant, so that thousands of flips of hundreds of comparisons take two matrix products.
    """
    scaled = (seen * (1 - _CLOSE)) ** 2 * statistic.scale
    questions = statistic.questions
    own = (1 - scaled * (statistic.bend + 2 * statistic.added) / questions**2)[:, None] * sums
    leaning = own + (2 * scaled / questions)[:, None] * statistic.tilt * sums
    least = scaled * (squares + 2 * statistic.added)
    found = np.ones(len(sums))
    many = (sums != 0).sum(1) > _EVERY_WAY
    if many.any():
        signs = _signs(sums.shape[1], draws, seed)
        reached = (signs @ sums[many].T) * (signs @ leaning[many].T) >= least[many]
        found[many] = (np.count_nonzero(reached, axis=0) + 1) / (draws + 1)  # what was seen is one of the ways
    for at in np.flatnonzero(~many):
        differ = np.flatnonzero(sums[at])
        signs = _every_way(len(differ))
        reached = (signs @ sums[at][differ]) * (signs @ leaning[at][differ]) >= least[at]
        found[at] = np.count_nonzero(reached) / len(signs)
    return np.where(seen == 0, 1.0, found)


def _ways(sums: Floats, draws: int, seed: int) -> tuple[Floats, bool]:
    """Ways to flip what differs, and whether they are drawn: then what was seen comes on top."""
    differ = int((sums != 0).sum())
    return (_signs(len(sums), draws, seed), True) if differ > _EVERY_WAY else (_every_way(differ), False)


@lru_cache(maxsize=2)
def _signs(count: int, draws: int, seed: int) -> Floats:
    """Drawn ways to flip: -1 or 1, [draws, count]."""
    found = np.random.default_rng(seed).integers(0, 2, size=(draws, count)).astype(np.float64) * 2 - 1
    found.flags.writeable = False
    return found


@lru_cache(maxsize=16)
def _every_way(count: int) -> Floats:
    """Every way to flip, but for which side is called one: [2 ** (count - 1), count]."""
    if not count:
        return np.ones((1, 0))
    ways = np.arange(2 ** (count - 1))[:, None] >> np.arange(count) & 1
    found = 1 - 2 * ways.astype(np.float64)
    found.flags.writeable = False
    return found


def gain(one: ArrayLike, other: ArrayLike, passages: Sequence[Hashable] | None = None, seed: int = 0) -> Estimate:
    """How much more ``one`` gets right than ``other`` on the same questions, with the interval of `compared`.

    A model beside itself (the same answers throughout) gains nothing, for certain.
    """
    if np.array_equal(np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)):
        return Estimate(0.0, 0.0, 0.0)
    found = compared(one, other, passages, seed)
    return Estimate(found.difference, found.low, found.high)

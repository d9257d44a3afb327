"""A judge's scores, corrected for how the judge errs on items that people have labelled.

**Right or wrong.** A judge that calls p right, of which it recognises q1 of what is right and q0 of what is wrong, has
seen (p + q0 - 1) / (q0 + q1 - 1) (Rogan and Gladen, "Estimating prevalence from the results of a screening test",
1978). The interval adds what is not known of q0 and q1: that of Lang and Reiczigel ("Confidence limits for prevalence
of disease adjusted for estimated sensitivity and specificity", 2014), as taken up for model judges by Lee and others
("How to correctly report LLM-as-a-judge evaluations", arXiv 2511.21140).

**Scores from 1 to 10.** The same idea is inverse regression (Eisenhart, "The interpretation of certain regression
methods", 1939): on labelled items the judge's score is regressed on the people's, judge = a + b people, and the
judge's mean is read backwards, (mean - a) / b; with scores of 0 and 1, a = 1 - q0 and b = q0 + q1 - 1, and both are
one formula. The interval is Fieller's ("Some problems in interval estimation", 1954), the chance in the judge's mean
and that in the line each at its own degrees of freedom (Zou and Donner, "Construction of confidence limits about
effect measures", 2008): a mean of few scores is no surer for many labels. It is proper where the judge errs alike on
labelled and other items of the same worth, however many good ones either has, and where its mean score rises about
linearly with the people's; regressing people on judge, the other way round, would ask that both hold equally good
items. Neither mends a judge that prefers one model's manner: label items of every model. People's scores are taken for
the truth.

A sum of several scores of an item is corrected as such, by people's sums: what a judge errs by in one score it errs by
in the others too, so that neither adding up intervals nor adding up their squares gives the sum's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from training.evaluation.statistics.clusters import Floats, numbers, same_length
from training.evaluation.statistics.intervals import ALPHA, Estimate, share
from workspace.errors import DataError

LOWEST, HIGHEST = 1.0, 10.0
_ADDED = 1  # right and wrong, to each of q0 and q1


class CorrectedShare(NamedTuple):
    """A share that a judge called right, as it was and corrected."""

    told: Estimate
    corrected: Estimate
    q0: Estimate
    """Share of wrong items that the judge calls wrong."""
    q1: Estimate
    """Share of right items that the judge calls right."""


class CorrectedScore(NamedTuple):
    """A mean score, as the judge gave it and corrected."""

    told: float
    corrected: Estimate
    intercept: float
    slope: float


def corrected_share(judged: ArrayLike, labels: ArrayLike, judged_labelled: ArrayLike) -> CorrectedShare:
    """Correct the share that a judge calls right.

    Args:
        judged: What the judge says of every item: 1 or 0.
        labels: What people say of the labelled items: 1 or 0.
        judged_labelled: What the judge says of the same.

    Raises:
        DataError: Rows are empty, not 0 and 1, or differ in length; labels are all alike; or the judge is no better
            than chance.
    """
    told, truth, said = (
        _binary(row, name)
        for row, name in ((judged, "judgements"), (labels, "labels"), (judged_labelled, "judgements of labelled items"))
    )
    same_length(truth, said, "labels and judgements")
    if truth.min() == truth.max():
        kind = "right" if truth[0] else "wrong"
        raise DataError(f"all {len(truth)} labelled items are {kind}: how the judge errs on the others is not known")
    q0, q1 = share(1 - said[truth == 0]), share(said[truth == 1])
    wrong, right = int((truth == 0).sum()), int((truth == 1).sum())
    _better_than_chance(q0.value, q1.value)
    p = share(told)
    value = (p.value + q0.value - 1) / (q0.value + q1.value - 1)
    low, high = _lang_reiczigel(p.value, q0.value, q1.value, len(told), wrong, right)
    value = min(1.0, max(0.0, value))
    return CorrectedShare(p, Estimate(value, min(low, value), max(high, value)), q0, q1)


def _lang_reiczigel(p: float, q0: float, q1: float, judged: int, wrong: int, right: int) -> tuple[float, float]:
    from scipy.stats import norm

    z = float(norm.ppf(1 - ALPHA / 2))
    p, judged_plus = (judged * p + z**2 / 2) / (judged + z**2), judged + z**2
    q0, wrong_plus = (wrong * q0 + _ADDED) / (wrong + 2 * _ADDED), wrong + 2 * _ADDED
    q1, right_plus = (right * q1 + _ADDED) / (right + 2 * _ADDED), right + 2 * _ADDED
    _better_than_chance(q0, q1)
    value = (p + q0 - 1) / (q0 + q1 - 1)
    of_q0, of_q1 = q0 * (1 - q0) / wrong_plus, q1 * (1 - q1) / right_plus
    shift = 2 * z**2 * (value * of_q1 - (1 - value) * of_q0)
    spread = p * (1 - p) / judged_plus + (1 - value) ** 2 * of_q0 + value**2 * of_q1
    half = z * math.sqrt(spread) / (q0 + q1 - 1)
    return min(1.0, max(0.0, value + shift - half)), min(1.0, max(0.0, value + shift + half))


def _better_than_chance(q0: float, q1: float) -> None:
    if q0 + q1 <= 1:
        raise DataError(
            f"the judge is no better than chance on the labelled items (it recognises {q0:.2f} of the wrong ones and "
            f"{q1:.2f} of the right ones, together not above 1): its scores cannot be corrected"
        )


def corrected_score(
    scores: ArrayLike,
    labels: ArrayLike,
    scores_labelled: ArrayLike,
    *,
    known: Sequence[float | None] = (),
    of_one: bool = False,
) -> CorrectedScore:
    """Correct a judge's mean score from 1 to 10.

    Args:
        scores: The judge's of every item.
        labels: People's scores of the labelled items.
        scores_labelled: The judge's of the same, each over as many repeats as the scores.
        known: People's score of each item of ``scores`` that is labelled itself, which then stands for the judge's, and
            None of every other; by default no one has labelled any of them.
        of_one: Whether all scores are of one item, judged again and again. The interval is then that of its own worth:
            repeats do not show how far the judge is off on this item, the labelled items do.

    Raises:
        DataError: Rows are empty, out of 1 to 10 or differ in length; there are fewer than three labelled items or all
            have one label; or the judge's scores do not rise with the people's beyond chance.
    """
    given, truth, said = (
        numbers(row, name, LOWEST, HIGHEST)
        for row, name in ((scores, "scores"), (labels, "labels"), (scores_labelled, "scores of labelled items"))
    )
    same_length(truth, said, "labels and scores")
    if known:
        same_length(given, known, "scores and people's scores of the same")
    if len(truth) < 3 or not np.ptp(truth):
        raise DataError(f"{len(truth)} labelled items of {len(np.unique(truth))} scores: at least 3 of 2 are needed")
    from scipy.stats import linregress, t

    line = linregress(truth, said)
    a, b, error = float(line.intercept), float(line.slope), float(line.stderr)
    critical = float(t.ppf(1 - ALPHA / 2, len(truth) - 2))
    if not b > 0 or b <= critical * error:
        raise DataError(
            f"the judge's scores do not follow the people's (slope {b:.2f} with a standard error of {error:.2f} over "
            f"{len(truth)} labelled items): they cannot be corrected"
        )
    places = [place for place, one in enumerate(known) if one is not None]
    read = given.copy()
    read[places] = [a + b * one for one in known if one is not None]
    value = min(HIGHEST, max(LOWEST, (float(read.mean()) - a) / b))
    low, high = _fieller(read, truth, (a, b, critical * error), 1 - len(places) / len(given), of_one)
    return CorrectedScore(float(given.mean()), Estimate(value, min(low, value), max(high, value)), a, b)


def _fieller(
    read: Floats, truth: Floats, line: tuple[float, float, float], unknown: float, of_one: bool
) -> tuple[float, float]:
    """Where (mean - a - b x)^2 is within what chance gives, x measured from the mean label.

    Args:
        read: Scores, the line's value in place of those whose label is known.
        truth: Labels.
        line: Its a, its b, and half the interval of b.
        unknown: The share of scores whose label is not known, and for which alone the line's error counts.
        of_one: As for `corrected_score`.
    """
    if len(read) < 2 and not of_one:
        return LOWEST, HIGHEST
    from scipy.stats import t

    a, b, error = line
    centre = float(truth.mean())
    apart = float(read.mean()) - a - b * centre
    # the variance of the line at the mean label is that of the slope times the mean square of labels about it
    height = error**2 * float(truth.var())
    if of_one:
        chance = unknown * len(truth) * height
    else:
        chance = float(t.ppf(1 - ALPHA / 2, len(read) - 1)) ** 2 * float(read.var(ddof=1)) / len(read)
    fixed, bend = chance + unknown**2 * height, b**2 - (unknown * error) ** 2
    root = math.sqrt(max(0.0, (apart * b) ** 2 - bend * (apart**2 - fixed)))
    low, high = (min(HIGHEST, max(LOWEST, centre + (apart * b + way * root) / bend)) for way in (-1, 1))
    return low, high


def _binary(row: ArrayLike, what: str) -> Floats:
    found = numbers(row, what)
    if not np.isin(found, (0.0, 1.0)).all():
        raise DataError(f"{what} must be 0 or 1, not {found[~np.isin(found, (0.0, 1.0))][0]:g}")
    return found

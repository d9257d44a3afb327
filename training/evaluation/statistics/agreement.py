"""Whether judges agree: Krippendorff's alpha of any number of them, Cohen's kappa of two.

Krippendorff ("Content analysis", 4th edition, 2018, chapter 12) by the ``krippendorff`` package; Cohen ("A coefficient
of agreement for nominal scales", 1960). 1 is agreement throughout, 0 what chance gives. Intervals draw units (what was
judged) with all their ratings. Both are undefined where only one value was ever given: such draws say nothing and are
left out, and of such ratings there is no alpha.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np

from training.evaluation.statistics.clusters import Floats, same_length
from training.evaluation.statistics.intervals import Estimate, bootstrap, drawn
from workspace.errors import DataError

Level = Literal["nominal", "ordinal", "interval", "ratio"]
_DRAWS = 1_000


def krippendorff_alpha(ratings: Sequence[Sequence[float | None]], level: Level = "interval", seed: int = 0) -> Estimate:
    """Agreement of any number of judges, some of whom may have left units out.

    Args:
        ratings: A row a judge, a column a unit; None where a judge gave none.
        level: What a distance between two ratings means: nominal for labels, ordinal for ranks, interval for scores.
        seed: Of the draws.

    Raises:
        DataError: Rows differ in length, a rating is no number, no unit has two ratings, or all ratings are the same.
    """
    from krippendorff import alpha

    counts, domain = _counted(ratings)

    def of(rows: Floats) -> float | None:
        if (rows.sum(0) > 0).sum() < 2:
            return None
        return float(alpha(value_counts=rows, value_domain=domain, level_of_measurement=level))

    value = of(counts)
    if value is None:
        raise DataError(
            f"every rating that can be compared is {domain[counts.sum(0) > 0][0]:g}: agreement is undefined"
        )
    draws = [of(counts[np.repeat(np.arange(len(counts)), row.astype(int))]) for row in drawn(len(counts), _DRAWS, seed)]
    return _with_interval(value, draws, len(counts))


def _counted(ratings: Sequence[Sequence[float | None]]) -> tuple[Floats, Floats]:
    """How many judges gave each unit each value, of units with two ratings or more: [units, values]; and the values."""
    if len(ratings) < 2:
        raise DataError("agreement takes two judges or more")
    for row in ratings:
        same_length(ratings[0], row, "two judges' ratings")
    rows = [[rating for rating in column if rating is not None] for column in zip(*ratings, strict=True)]
    rows = [row for row in rows if len(row) > 1]
    if not rows:
        raise DataError("no unit has the ratings of two judges")
    domain = np.unique(np.asarray([rating for row in rows for rating in row], dtype=np.float64))
    if not np.isfinite(domain).all():
        raise DataError("a rating is no number")
    return np.array([[row.count(value) for value in domain] for row in rows], dtype=np.float64), domain


def cohen_kappa(one: Sequence[Hashable], other: Sequence[Hashable], seed: int = 0) -> Estimate:
    """Agreement of two judges who labelled the same units.

    Args:
        one: Labels of one judge, a unit each.
        other: The same of the other.
        seed: Of the draws.

    Raises:
        DataError: Rows are empty or differ in length, a label is no number, or all labels are the same.
    """
    same_length(one, other, "two judges' labels")
    if not one:
        raise DataError("two judges' labels: none are given")
    if any(label != label for label in (*one, *other)):
        raise DataError("a label is no number")
    names = {name: place for place, name in enumerate(dict.fromkeys((*one, *other)))}
    if len(names) < 2:
        raise DataError(f"every label is {one[0]!r}: agreement is undefined")
    first, second = (np.eye(len(names))[[names[label] for label in row]] for row in (one, other))
    same = (first * second).sum(1)
    weights = drawn(len(one), _DRAWS, seed)
    value = _kappas(same.mean(), first.mean(0), second.mean(0))
    draws = _kappas(weights @ same / len(one), weights @ first / len(one), weights @ second / len(one))
    return _with_interval(float(value), [None if np.isnan(draw) else float(draw) for draw in draws], len(one))


def _kappas(same: Floats, first: Floats, second: Floats) -> Floats:
    chance = (first * second).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(chance < 1 - 1e-12, (same - chance) / (1 - chance), np.nan))


def _with_interval(value: float, draws: Sequence[float | None], units: int) -> Estimate:
    told = np.array([draw for draw in draws if draw is not None])
    return bootstrap(value, told, units, -1.0, 1.0) if len(told) else Estimate(value, -1.0, 1.0)

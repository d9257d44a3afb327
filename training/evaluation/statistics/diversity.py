"""How differently two parents answer, and what their merge adds to them.

The study's figures (arXiv 2409.03444): expected score (P1 + P2) / 2, improvement P - max(P1, P2), diversity |P1 - P2|.
Two parents may score the same and answer quite differently, so beside them stand measures of Kuncheva and Whitaker
("Measures of diversity in classifier ensembles", 2003): disagreement (share of questions that exactly one answers
right), double fault (share that both answer wrong, which no choice between them mends) and Yule's Q (1 where both
answer the same questions right, 0 where independently, below 0 where each knows what the other does not).

Intervals are bootstraps over passages, all figures from the same draws. **The better parent is picked anew in every
draw.** The maximum of two noisy scores is on average above that of the true ones, and more so in a draw: where parents
are close, improvement is told too low, by up to 0.4 of the standard error of P1 - P2, and its interval lies low too.
The interval of |P1 - P2| is that of P1 - P2 folded at zero.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from training.evaluation.statistics.clusters import Clusters, Floats, numbers, same_length
from training.evaluation.statistics.intervals import Estimate, bootstrap, drawn


class Diversity(NamedTuple):
    """How differently two models answer the same questions."""

    difference: Estimate
    disagreement: Estimate
    double_fault: Estimate
    yule_q: Estimate | None
    """None where a product of its table is zero twice over, as where both answer everything right."""


class Improvement(NamedTuple):
    """What a merge has beyond what its two parents let expect."""

    score: Estimate
    expected: Estimate
    over_expected: Estimate
    over_best: Estimate


def diversity(one: ArrayLike, other: ArrayLike, passages: Sequence[Hashable] | None = None, seed: int = 0) -> Diversity:
    """How differently two models answer.

    Args:
        one: Right (1) or wrong (0) of every question.
        other: The same of the other model.
        passages: What each question is about; by default every question is on its own.
        seed: Of the draws.

    Raises:
        DataError: A row is empty, has what is no number, or is not about the same questions.
    """
    (first, second), clusters = _rows((one, other), passages)
    signed, apart = first - second, first * (1 - second) + second * (1 - first)
    both, neither = first * second, (1 - first) * (1 - second)
    only, other_only = first * (1 - second), second * (1 - first)
    value, draws = _means(np.stack([signed, apart, neither, both, only, other_only]), clusters, seed)
    count = clusters.count
    signed_estimate = bootstrap(float(value[0]), draws[:, 0], count, -1.0, 1.0)
    return Diversity(
        difference=_folded(signed_estimate),
        disagreement=bootstrap(float(value[1]), draws[:, 1], count, 0.0, 1.0),
        double_fault=bootstrap(float(value[2]), draws[:, 2], count, 0.0, 1.0),
        yule_q=_yule(value, draws, count),
    )


def improvement(
    merge: ArrayLike, one: ArrayLike, other: ArrayLike, passages: Sequence[Hashable] | None = None, seed: int = 0
) -> Improvement:
    """A merge's score beside its parents'; the better parent is picked anew in every draw.

    Args:
        merge: Right (1) or wrong (0) of every question.
        one: The same of one parent.
        other: The same of the other.
        passages: What each question is about; by default every question is on its own.
        seed: Of the draws.

    Raises:
        DataError: A row is empty, has what is no number, or is not about the same questions.
    """
    rows, clusters = _rows((merge, one, other), passages)
    value, draws = _means(np.stack(rows), clusters, seed)

    def estimate(figures: Floats, of_draws: Floats, low: float) -> Estimate:
        return bootstrap(float(figures), of_draws, clusters.count, low, 1.0)

    expected, drawn_expected = value[1:].mean(), draws[:, 1:].mean(1)
    return Improvement(
        score=estimate(value[0], draws[:, 0], 0.0),
        expected=estimate(expected, drawn_expected, 0.0),
        over_expected=estimate(value[0] - expected, draws[:, 0] - drawn_expected, -1.0),
        over_best=estimate(value[0] - value[1:].max(), draws[:, 0] - draws[:, 1:].max(1), -1.0),
    )


def _rows(models: Sequence[ArrayLike], passages: Sequence[Hashable] | None) -> tuple[list[Floats], Clusters]:
    rows = [numbers(model, "answers") for model in models]
    for row in rows:
        same_length(rows[0], row, "the models' answers")
    return rows, Clusters.of(passages, len(rows[0]))


def _means(rows: Floats, clusters: Clusters, seed: int) -> tuple[Floats, Floats]:
    """Means of rows [k, n], and in every draw: [k] and [draws, k]."""
    weights = drawn(clusters.count, seed=seed)
    return rows.mean(1), weights @ clusters.sums(rows).T / (weights @ clusters.sizes)[:, None]


def _folded(signed: Estimate) -> Estimate:
    ends = abs(signed.low), abs(signed.high)
    return Estimate(abs(signed.value), 0.0 if signed.low <= 0 <= signed.high else min(ends), max(ends))


def _yule(value: Floats, draws: Floats, count: int) -> Estimate | None:
    """Yule's Q from the means of neither, both, one only, other only (places 2 to 5)."""
    together, across = value[2] * value[3], value[4] * value[5]
    if not together + across:
        return None
    drawn_together, drawn_across = draws[:, 2] * draws[:, 3], draws[:, 4] * draws[:, 5]
    total = drawn_together + drawn_across
    told = total > 0
    found = (drawn_together - drawn_across)[told] / total[told]
    # a draw that has no Q says nothing of it: the interval then reaches as far as Q can
    if not told.all():
        found = np.concatenate([found, np.resize([-1.0, 1.0], int((~told).sum()))])
    return bootstrap(float((together - across) / (together + across)), found, count, -1.0, 1.0)

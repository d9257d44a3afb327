"""The smallest difference that a benchmark can show, and how many questions a difference takes. Knows no answers.

Normal approximation for two shares (Fleiss, Levin and Paik, "Statistical methods for rates and proportions", 2003,
chapter 4) and for pairs by the share of questions on which two models differ (Miettinen, "The matched pairs design in
the case of all-or-none responses", 1968), with the variance of no difference, which asks slightly more than is needed.
Questions that share passages are worth fewer: the design effect (Kish, "Survey sampling", 1965) says how many times.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from training.evaluation.statistics.clusters import Clusters, numbers
from training.evaluation.statistics.intervals import ALPHA, jackknife
from workspace.errors import UsageError

POWER = 0.8


def detectable_unpaired(questions: int, share: float = 0.8, design_effect: float = 1.0, comparisons: int = 1) -> float:
    """The smallest difference of shares that two sets of questions as large as this show, four times out of five.

    Args:
        questions: Of each set.
        share: Share right, about which the variance is taken.
        design_effect: How many questions count as one, because they share passages.
        comparisons: How many are corrected for together; by Bonferroni, which Holm's first step is.

    Raises:
        UsageError: A figure is out of bounds.
    """
    return _smallest(2 * _variance(share), questions, design_effect, comparisons)


def detectable_paired(
    questions: int, discordance: float = 0.15, design_effect: float = 1.0, comparisons: int = 1
) -> float:
    """The smallest difference that two models on the same questions show, four times out of five.

    Args:
        questions: How many both answer.
        discordance: Share of questions that exactly one of them answers right.
        design_effect: How many questions count as one, because they share passages.
        comparisons: How many are corrected for together.

    Raises:
        UsageError: A figure is out of bounds.
    """
    return _smallest(_part("discordance", discordance), questions, design_effect, comparisons)


def questions_unpaired(difference: float, share: float = 0.8, design_effect: float = 1.0, comparisons: int = 1) -> int:
    """How many questions a set needs to show a difference of shares; as `detectable_unpaired`."""
    return _enough(2 * _variance(share), difference, design_effect, comparisons)


def questions_paired(
    difference: float, discordance: float = 0.15, design_effect: float = 1.0, comparisons: int = 1
) -> int:
    """How many questions two models have to answer to show a difference; as `detectable_paired`.

    Raises:
        UsageError: A figure is out of bounds, or models differ by more than they disagree.
    """
    if difference > _part("discordance", discordance):
        raise UsageError(f"models that disagree on {discordance:g} of questions cannot differ by {difference:g}")
    return _enough(discordance, difference, design_effect, comparisons)


def design_effect(values: ArrayLike, passages: Sequence[Hashable] | None) -> float:
    """How many questions count as one: the variance of a mean over passages, beside that over questions alone.

    Args:
        values: Answers of one model, or differences of two, a question each, from -1 to 1.
        passages: What each question is about.

    Returns:
        1 where no two questions share a passage, where answers do not vary, and where there is one passage alone
        (nothing can be told then); below 1 where questions of one passage differ more than those of several.
    """
    found = numbers(values, "answers", low=-1.0)
    clusters = Clusters.of(passages, len(found))
    alone = Clusters.of(None, len(found))
    if clusters.count < 2 or not clusters.repeat or not np.ptp(found):
        return 1.0
    return float(jackknife(clusters.sums(found), clusters) / jackknife(found, alone))


def fewest_passages(comparisons: int = 1) -> int:
    """Passages on which two models have to differ before flipping signs can show anything at all.

    All G to one side have a p of 2 / 2^G, which has to be below 5% among the comparisons that are corrected for.
    """
    _whole("comparisons", comparisons)
    return math.floor(1 + math.log2(comparisons / ALPHA)) + 1


def _smallest(variance: float, questions: int, effect: float, comparisons: int) -> float:
    _whole("questions", questions)
    return min(1.0, _reach(comparisons) * math.sqrt(variance * _positive("design effect", effect) / questions))


def _enough(variance: float, difference: float, effect: float, comparisons: int) -> int:
    _part("difference", difference)
    return math.ceil(_reach(comparisons) ** 2 * variance * _positive("design effect", effect) / difference**2)


def _reach(comparisons: int) -> float:
    """Standard errors that a difference has to be away from zero."""
    from scipy.stats import norm

    _whole("comparisons", comparisons)
    return float(norm.ppf(1 - ALPHA / comparisons / 2) + norm.ppf(POWER))


def _variance(share: float) -> float:
    _part("share", share)
    return share * (1 - share)


def _whole(name: str, value: int) -> None:
    if value < 1:
        raise UsageError(f"{name} must be 1 or more, not {value}")


def _part(name: str, value: float) -> float:
    if not 0 < value < 1:
        raise UsageError(f"{name} must be between 0 and 1, not {value:g}")
    return value


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise UsageError(f"{name} must be above 0, not {value:g}")
    return value

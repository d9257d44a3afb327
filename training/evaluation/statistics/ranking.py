"""A leaderboard that says which models cannot be told apart.

**The rule.** Models stand in the order of their scores (of equal ones by name). The best is the leader of the first
group; with it stand all models that a paired test does not tell apart from it. The best of the rest leads the next
group, and so on. p is corrected by Holm over **every pair** of models, not only over those that the rule looks at: who
leads is chosen from the same answers, and of 40 models that are all the same the best and the worst differ by chance
alone by far more than any two picked beforehand do.

A model may stand above the leader of a later group and below it in no test: groups say what was told apart from whom,
scores say the order.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from training.evaluation.statistics.clusters import Clusters, numbers, same_length
from training.evaluation.statistics.correction import holm
from training.evaluation.statistics.intervals import ALPHA, Estimate, shares
from training.evaluation.statistics.paired import Test, contrasts
from workspace.errors import DataError


class Place(BaseModel):
    """A model's place in a leaderboard."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str
    score: Estimate = Field(description="Share right, with its 95% interval")
    group: int = Field(ge=1, description="1 holds the leader and all that cannot be told apart from it")
    leads: bool = Field(description="Whether it is the one that its group was compared with")
    p: float | None = Field(description="Corrected, beside the leader of its group; none of the leader")


class Leaderboard(BaseModel):
    """Models, best first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    places: tuple[Place, ...]
    comparisons: int = Field(ge=0, description="Pairs that were corrected for")
    questions: int = Field(ge=1)
    passages: int = Field(ge=1)
    test: Test | None = Field(description="None of a single model")


def leaderboard(
    answers: Mapping[str, ArrayLike], passages: Sequence[Hashable] | None = None, seed: int = 0
) -> Leaderboard:
    """Rank models that answered the same questions.

    Args:
        answers: By model, right (1) or wrong (0) of every question.
        passages: What each question is about; by default every question is on its own.
        seed: Of the flips that are drawn.

    Raises:
        DataError: There is no model, or rows are empty, have what is no number, or are not about the same questions.
    """
    rows = {name: numbers(row, f"answers of {name}") for name, row in answers.items()}
    if not rows:
        raise DataError("a leaderboard takes one model or more")
    first = next(iter(rows))
    for name, row in rows.items():
        same_length(rows[first], row, f"answers of {first} and of {name}")
    names = sorted(rows, key=lambda name: (-rows[name].mean(), name))
    scores = np.stack([rows[name] for name in names])
    clusters = Clusters.of(passages, scores.shape[1])
    pairs = list(combinations(range(len(names)), 2))
    found = contrasts([scores[one] for one, _ in pairs], [scores[other] for _, other in pairs], passages, seed=seed)
    adjusted = dict(zip(pairs, (one.p for one in holm([one.p for one in found])), strict=True))
    groups = _groups(len(names), adjusted)
    return Leaderboard(
        places=tuple(
            Place(
                model=name,
                score=estimate,
                group=group,
                leads=leader == at,
                p=None if leader == at else adjusted[leader, at],
            )
            for at, (name, estimate, (group, leader)) in enumerate(
                zip(names, shares(scores, clusters), groups, strict=True)
            )
        ),
        comparisons=len(pairs),
        questions=clusters.questions,
        passages=clusters.count,
        test=found[0].test if found else None,
    )


def _groups(models: int, adjusted: Mapping[tuple[int, int], float]) -> list[tuple[int, int]]:
    """The group of every model, best first, and its leader."""
    found: dict[int, tuple[int, int]] = {}
    group = 0
    for leader in range(models):
        if leader in found:
            continue
        group += 1
        found[leader] = group, leader
        for other in range(leader + 1, models):
            if other not in found and adjusted[leader, other] >= ALPHA:
                found[other] = group, leader
    return [found[at] for at in range(models)]

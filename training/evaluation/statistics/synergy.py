"""Whether a merge is better than its rivals, and when that may be called synergy. Knows answers, no models.

A merge is called **better** than a rival only where the corrected interval of their difference lies above zero. It
shows **synergy** only where all four rivals were asked the same questions and it is better than each: its best parent
(a merge that is not has gained nothing), linear interpolation at the same t (else the sphere has nothing to do with
it), task arithmetic (else any merge would have done), and a soup of as much compute (else training longer would have
done).

p is corrected by Holm over all merges, rivals and benchmarks of one report. The best parent is the one that scored
higher on the same questions, which favours the parent: chance lifts the higher of two.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from training.evaluation.statistics.clusters import numbers
from training.evaluation.statistics.correction import Corrected, corrected
from training.evaluation.statistics.paired import Contrast, contrasts
from workspace.errors import DataError, unknown

Rival = Literal["best parent", "LERP at equal t", "task arithmetic", "soup of as much compute"]
RIVALS: tuple[Rival, ...] = get_args(Rival)
Beside = Literal["better", "cannot be told apart", "worse"]
Verdict = Literal["synergy", "better", "cannot be told apart", "worse", "not tested"]


@dataclass(frozen=True)
class Trial:
    """A merge's answers to a benchmark, and those of what it has to beat, all on the same questions.

    ``parents`` and ``rivals`` hold names with right (1) or wrong (0) of every question; of rivals by what they are.
    """

    merge: str
    answers: ArrayLike
    parents: Mapping[str, ArrayLike]
    rivals: Mapping[Rival, tuple[str, ArrayLike]] = field(default_factory=dict)
    passages: Sequence[Hashable] | None = None
    benchmark: str = ""


class BesideRival(BaseModel):
    """A merge beside one rival."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rival: Rival
    model: str = Field(description="Name of the rival")
    verdict: Beside
    comparison: Corrected


class Finding(BaseModel):
    """What one benchmark says of one merge."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    merge: str
    benchmark: str
    rivals: tuple[BesideRival, ...]
    missing: tuple[Rival, ...] = Field(description="Rivals that were not asked; synergy cannot be claimed without them")
    verdict: Verdict = Field(description="Of synergy; `better` is better than the best parent, but not than all rivals")

    @property
    def words(self) -> str:
        """The verdict as a report prints it, such as ``not tested: no LERP at equal t``."""
        return f"not tested: no {', no '.join(self.missing)}" if self.verdict == "not tested" else self.verdict

    @property
    def better_than(self) -> tuple[Rival, ...]:
        """Rivals that the merge is better than."""
        return tuple(beside.rival for beside in self.rivals if beside.verdict == "better")


def verdicts(trials: Sequence[Trial], seed: int = 0) -> list[Finding]:
    """Judge merges, corrected for all of them together.

    Args:
        trials: Every merge on every benchmark of one report.
        seed: Of the flips that are drawn.

    Returns:
        In the same order.

    Raises:
        DataError: A merge has no parent, a rival is unknown, or rows are empty, have what is no number, or are not
            about the same questions.
    """
    fields = [_rivals(trial) for trial in trials]
    size = sum(map(len, fields))
    family: list[Contrast] = []
    for trial, rivals in zip(trials, fields, strict=True):
        others = [answers for _, answers in rivals.values()]
        family += contrasts([trial.answers] * len(others), others, trial.passages, family=size, seed=seed)
    told = iter(corrected(family))
    return [_finding(trial, rivals, [next(told) for _ in rivals]) for trial, rivals in zip(trials, fields, strict=True)]


def _rivals(trial: Trial) -> dict[Rival, tuple[str, ArrayLike]]:
    """All that a merge is compared with, in the order of `RIVALS`; the best parent from its parents."""
    for name in trial.rivals:
        if name not in RIVALS[1:]:
            raise DataError(unknown("rival", name, RIVALS[1:]))
    if not trial.parents:
        raise DataError(f"merge {trial.merge} has no parents to be compared with")
    scores = {name: float(np.mean(numbers(row, f"answers of {name}"))) for name, row in trial.parents.items()}
    best = min(scores, key=lambda name: (-scores[name], name))
    found: dict[Rival, tuple[str, ArrayLike]] = {"best parent": (best, trial.parents[best])}
    return found | {rival: trial.rivals[rival] for rival in RIVALS if rival in trial.rivals}


def _finding(trial: Trial, rivals: Mapping[Rival, tuple[str, ArrayLike]], comparisons: Sequence[Corrected]) -> Finding:
    beside = tuple(
        BesideRival(rival=rival, model=model, verdict=_beside(one), comparison=one)
        for (rival, (model, _)), one in zip(rivals.items(), comparisons, strict=True)
    )
    missing = tuple(rival for rival in RIVALS if rival not in rivals)
    return Finding(
        merge=trial.merge,
        benchmark=trial.benchmark,
        rivals=beside,
        missing=missing,
        verdict=_verdict(beside, missing),
    )


def _beside(one: Corrected) -> Beside:
    return "better" if one.better else "worse" if one.worse else "cannot be told apart"


def _verdict(beside: Sequence[BesideRival], missing: Sequence[Rival]) -> Verdict:
    """A merge that does not beat its best parent has no synergy, whatever else is missing."""
    over_parent = beside[0].verdict
    if over_parent != "better":
        return over_parent
    if missing:
        return "not tested"
    return "synergy" if all(one.verdict == "better" for one in beside) else "better"

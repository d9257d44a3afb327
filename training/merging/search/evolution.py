"""The search itself: vectors asked of CMA-ES, scored on development questions, told back; within a budget.

Every trial is recorded before the next begins, and all that the optimiser draws follows from the seed: a search that
was killed tells it the recorded scores again and goes on with the vectors that it would have had. A vector that comes
twice is scored once. Knows vectors and scores; neither models nor questions, nor that there is a test split.

Source: Hansen, "The CMA evolution strategy: a tutorial" (arXiv 1604.00772), as `cmaes` has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.merging.search.config import SearchConfig, Vector
from training.merging.search.genome import DIGITS, size
from training.merging.search.trials import Trial, Trials, open_trials
from workspace.errors import DataError
from workspace.progress import Remark, Tell, silent

Score = Callable[[Vector], Sequence[float]]
"""Merges by a vector and scores each question that a trial asks: 0 to 1."""


def mean(scores: Sequence[float]) -> float:
    """The score of a trial where every development question is asked."""
    return math.fsum(scores) / len(scores)


def evolve(
    score: Score,
    config: SearchConfig,
    record: Path,
    identity: Mapping[str, Any],
    starts: Sequence[Vector] = (),
    overall: Callable[[Sequence[float]], float] = mean,
    tell: Tell = silent,
) -> tuple[Trial, ...]:
    """Look for the vector that scores best.

    It ends when the budget is spent, when the optimiser has settled, or when a generation held nothing new.

    Args:
        score: Called once for every new vector.
        config: How far and how wide it looks.
        record: File of trials; one that is there is gone on with.
        identity: What is merged and asked, as plain JSON data: a record of anything else is refused.
        starts: Vectors that are scored first, such as the presets; the optimiser is not told of them.
        overall: A trial's score from those of its questions.
        tell: Called with a `Remark` after every trial.

    Returns:
        Trials in their order; `best` names the one to take.

    Raises:
        DataError: A score is not a number from 0 to 1, or the record is of another search or damaged.
    """
    from cmaes import CMA

    many = size(config.anchors)
    asked = config.model_dump(exclude={"trials"})
    known = {**identity, **asked, "starts": [list(vector) for vector in starts]}
    with open_trials(record, known) as trials:
        run = _Run(score, overall, config.trials, trials, tell)
        for vector in starts:
            if run.take(0, vector) is None:
                return tuple(run.done)
        optimiser = CMA(
            mean=np.full(many, 0.5),
            sigma=config.spread,
            bounds=np.tile([0.0, 1.0], (many, 1)),
            seed=config.seed,
        )
        while not optimiser.should_stop():
            told = []
            for _ in range(optimiser.population_size):
                trial = run.take(optimiser.generation + 1, _rounded(optimiser.ask()))
                if trial is None:
                    return tuple(run.done)
                told.append(trial)
            if all(trial.repeats for trial in told):
                break
            optimiser.tell([(np.array(trial.vector), -trial.score) for trial in told])
        return tuple(run.done)


def best(trials: Sequence[Trial]) -> Trial:
    """The trial of the highest score, the first of several that are alike."""
    return max(trials, key=lambda trial: (trial.score, -trial.number))


class _Run:
    """Trials one after another: from the record as far as it goes, then scored and recorded."""

    def __init__(
        self, score: Score, overall: Callable[[Sequence[float]], float], budget: int, trials: Trials, tell: Tell
    ) -> None:
        self._score, self._overall, self._budget, self._trials, self._tell = score, overall, budget, trials, tell
        self._left = list(trials.known)
        self._met: dict[Vector, Trial] = {}
        self.done: list[Trial] = []

    def take(self, generation: int, vector: Vector) -> Trial | None:
        """The next trial, or none where the budget is spent; a recorded one keeps the vector that it was scored by."""
        if len(self._met) >= self._budget and vector not in self._met:
            return None
        trial = self._left.pop(0) if self._left else self._made(generation, vector)
        self._met.setdefault(trial.vector, trial)
        self.done.append(trial)
        return trial

    def _made(self, generation: int, vector: Vector) -> Trial:
        number, former = len(self.done) + 1, self._met.get(vector)
        if former is not None:
            trial = Trial(
                number=number, generation=generation, vector=vector, score=former.score, repeats=former.number
            )
        else:
            right = tuple(map(float, self._score(vector)))
            if not right:
                raise DataError(f"trial {number} has no score: no development question was asked")
            for place, one in enumerate(right, 1):
                if not 0 <= one <= 1:
                    raise DataError(
                        f"trial {number}: the score of question {place} is {one}, which is no number from 0 to 1; "
                        f"t is {', '.join(map(str, vector))}"
                    )
            trial = Trial(number=number, generation=generation, vector=vector, score=self._overall(right), right=right)
        self._trials.add(trial)
        top = best([*self.done, trial])
        self._tell(
            Remark(
                text=f"trial {number}, {len(self._met | {vector: trial})} of {self._budget} merges: "
                f"{trial.score:.3f} on development questions; best {top.score:.3f} (trial {top.number})"
            )
        )
        return trial


def _rounded(point: Any) -> Vector:
    return tuple(round(min(max(float(value), 0.0), 1.0), DIGITS) for value in point)

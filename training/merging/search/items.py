"""Few questions that stand for many: item response theory on what known models got right and wrong.

A question has a difficulty b and a model an ability theta; it is answered right with the chance
1 / (1 + exp(b - theta)) (Rasch, "Probabilistic models for some intelligence and attainment tests", 1960), fitted by the
largest joint posterior. The most telling questions at the known models' abilities are asked; the score on all is the
answers seen and, of the others, their chances at the ability that the seen ones show (p-IRT of "tinyBenchmarks",
arXiv 2402.14992; on merges by MERGE3, arXiv 2502.10436).

Those sources give every question a discrimination too. A search knows its parents and a few merges of them; from so few
models, and from models of one family even where there are twenty, discriminations are noise: merges simulated as
mixtures of two parents' margins are ranked worse with them. Knows answers as right or wrong; not models, nor questions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workspace.errors import DataError

Values = np.ndarray[Any, np.dtype[np.float64]]

_SPREAD = 1.5
"""Deviation of the prior of difficulties; that of abilities is one, which sets the scale."""
_NARROWEST = 0.25
"""Least spread of the abilities that are expected, where the known models are alike."""
_NODES = np.linspace(-4.0, 4.0, 81)
"""Abilities that are weighed for a model of which some answers are known."""


@dataclass(frozen=True)
class Items:
    """What is known of questions; made by `fit`.

    Attributes:
        difficulty: b of every question, on the scale of abilities.
        ability: theta of every known model.
        order: Places of all questions, the most telling first.
    """

    difficulty: Values
    ability: Values
    order: tuple[int, ...]

    @classmethod
    def fit(cls, right: Sequence[Sequence[bool]]) -> Items:
        """Fit questions to known models' answers.

        Args:
            right: A row a model: whether it answered each question right.

        Raises:
            DataError: There are fewer than two models, or they did not answer the same questions.
        """
        if len(right) < 2:
            raise DataError(f"questions are chosen by the answers of two models or more, and {len(right)} is given")
        if len({len(row) for row in right}) > 1 or not len(right[0]):
            raise DataError(f"models answered {', '.join(str(len(row)) for row in right)} questions, not the same")
        from scipy.optimize import minimize

        seen = np.asarray(right, dtype=np.float64)
        found = minimize(_posterior, np.zeros(sum(seen.shape)), (seen,), method="L-BFGS-B", jac=True)
        ability, difficulty = np.split(found.x, [len(seen)])
        return cls(difficulty, ability, _order(seen, _information(difficulty, ability)))

    def telling(self, count: int) -> tuple[int, ...]:
        """The places of the most telling questions, ascending.

        Args:
            count: How many are wanted.

        Raises:
            DataError: There are not so many.
        """
        if not 1 <= count <= len(self.order):
            raise DataError(f"{count} questions cannot be chosen of {len(self.order)}")
        return tuple(sorted(self.order[:count]))

    def estimate(self, places: Sequence[int], right: Sequence[float]) -> float:
        """The share right of all questions, from the answers to some.

        Args:
            places: Of the questions that were asked.
            right: Their answers, 1 right and 0 wrong.
        """
        chances, seen = _chances(_NODES, self.difficulty), np.asarray(right, dtype=np.float64)
        known = chances[:, list(places)]
        logs = np.log(known) @ seen + np.log1p(-known) @ (1 - seen) - 0.5 * _NODES**2
        weights = np.exp(logs - logs.max())
        others = np.ones(len(self.difficulty), dtype=bool)
        others[list(places)] = False
        expected = weights @ chances[:, others] / weights.sum()
        return float((seen.sum() + expected.sum()) / len(others))


def _chances(abilities: Values, difficulty: Values) -> Values:
    """The chances that models answer questions right: (abilities, questions)."""
    made: Values = 0.5 + 0.5 * np.tanh(0.5 * (abilities[:, None] - difficulty))
    return made


def _posterior(point: Values, seen: Values) -> tuple[float, Values]:
    """The negative log posterior of abilities and difficulties, and its gradient."""
    ability, difficulty = np.split(point, [len(seen)])
    logits = ability[:, None] - difficulty
    value = np.logaddexp(0.0, logits).sum() - (seen * logits).sum()
    value += 0.5 * (ability**2).sum() + 0.5 * (difficulty**2).sum() / _SPREAD**2
    beyond = _chances(ability, difficulty) - seen
    return float(value), np.concatenate([beyond.sum(1) + ability, difficulty / _SPREAD**2 - beyond.sum(0)])


def _information(difficulty: Values, ability: Values) -> Values:
    """Fisher's information P (1 - P) of every question, averaged over a normal like the known abilities."""
    spread = max(float(ability.std()), _NARROWEST)
    weights = np.exp(-0.5 * ((_NODES - ability.mean()) / spread) ** 2)
    chances = _chances(_NODES, difficulty)
    found: Values = weights @ (chances * (1 - chances)) / weights.sum()
    return found


def _order(seen: Values, information: Values) -> tuple[int, ...]:
    """Questions by information; alike ones mixed, so that each pattern of who is right has its share of any number."""
    patterns = [tuple(column) for column in seen.T]
    sizes, met = Counter(patterns), Counter[tuple[float, ...]]()
    keys: dict[int, tuple[float, float]] = {}
    for place in np.random.default_rng(0).permutation(len(patterns)).tolist():
        pattern = patterns[place]
        met[pattern] += 1
        keys[place] = (-round(float(information[place]), 4), (met[pattern] - 0.5) / sizes[pattern])
    return tuple(sorted(keys, key=lambda place: keys[place]))

"""A benchmark in two: what a search may see, and what measures it once. Knows questions by passage, kind and wording.

Questions on one passage stay together, and so do questions of one wording: a search that has seen one has seen all.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from training.evaluation.asking.questions import Question
from workspace.errors import DataError


class Split(NamedTuple):
    """Places of questions in their benchmark, ascending."""

    development: tuple[int, ...]
    test: tuple[int, ...]


def split(questions: Sequence[Question], development: float, seed: int) -> Split:
    """Divide a benchmark, every subset and kind of question alike as far as passages allow.

    The same questions are divided in the same way in whatever order they come. Groups of questions are dealt, the
    largest first and in an order drawn from the seed, each to the side that leaves the shares nearest to what they
    should be: least squares over subsets and kinds, and all questions.

    Args:
        questions: The benchmark's.
        development: Share that a search may see, 0 to 1.
        seed: Of the order.

    Raises:
        DataError: A side would be empty.
    """
    wordings = [_wording(question) for question in questions]
    groups = [(_drawn(seed, min(wordings[place] for place in group)), group) for group in _groups(questions, wordings)]
    groups.sort(key=lambda item: (-len(item[1]), item[0]))
    dealt, seen = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    sides: tuple[list[int], list[int]] = ([], [])
    for drawn, group in groups:
        more = Counter(stratum for place in group for stratum in _strata(questions[place]))
        dealt += more
        with_it = sum((seen[one] + more[one] - development * dealt[one]) ** 2 for one in dealt)
        without = sum((seen[one] - development * dealt[one]) ** 2 for one in dealt)
        here = int(drawn[0], 16) % 2 == 0 if abs(with_it - without) < 1e-9 else with_it < without
        sides[0 if here else 1].extend(group)
        if here:
            seen += more
    if not sides[0] or not sides[1]:
        raise DataError(
            f"{len(questions)} questions on {len(groups)} passages cannot be divided with a share of {development} for "
            f"development: the {'test' if sides[0] else 'development'} split would be empty"
        )
    return Split(tuple(sorted(sides[0])), tuple(sorted(sides[1])))


def _groups(questions: Sequence[Question], wordings: Sequence[str]) -> list[list[int]]:
    """Places of questions that share a passage or a wording, directly or through others."""
    owner: dict[tuple[str, str], int] = {}
    parent = list(range(len(questions)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for place, question in enumerate(questions):
        for key in (
            ("wording", wordings[place]),
            ("passage", question.passage) if question.passage else ("alone", str(place)),
        ):
            parent[root(place)] = root(owner.setdefault(key, place))
    groups: dict[int, list[int]] = {}
    for place in range(len(questions)):
        groups.setdefault(root(place), []).append(place)
    return list(groups.values())


def _wording(question: Question) -> str:
    """What a question says, without case, spacing and the order of its options."""
    options = sorted(" ".join(option.casefold().split()) for option in question.options)
    return "\n".join([question.kind, " ".join(question.question.casefold().split()), *options])


def _strata(question: Question) -> tuple[tuple[str, ...], ...]:
    """What a question counts to: all questions, and those of its subset and kind."""
    return (), (question.subset, question.kind)


def _drawn(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}\n{name}".encode()).hexdigest()

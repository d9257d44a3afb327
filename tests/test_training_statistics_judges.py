"""What a judge says, corrected by people's labels: by published formulas, and as often right as it claims."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.evaluation.statistics.judge_correction import corrected_score, corrected_share
from workspace.errors import DataError

Rows = NDArray[np.float64]
DRAWS = 2000


def test_a_share_is_corrected_for_the_judges_errors() -> None:
    labels = [0] * 50 + [1] * 40
    said = [0] * 40 + [1] * 10 + [1] * 36 + [0] * 4  # q0 = .8, q1 = .9
    found = corrected_share([1] * 100 + [0] * 100, labels, said)
    assert (found.told.value, found.q0.value, found.q1.value) == pytest.approx((0.5, 0.8, 0.9))
    # by the formulas of Lang and Reiczigel, worked out apart from this program
    assert found.corrected == pytest.approx((0.3 / 0.7, 0.272211, 0.578108), abs=1e-6)
    assert found.corrected.high - found.corrected.low > found.told.high - found.told.low
    more = corrected_share([1] * 100 + [0] * 100, labels * 20, said * 20)
    assert more.corrected.high - more.corrected.low < found.corrected.high - found.corrected.low


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_a_judge_that_never_errs_needs_no_correction(wrong: int, fine: int, yes: int, no: int) -> None:
    labels = [0] * wrong + [1] * fine
    found = corrected_share([1] * (yes + 1) + [0] * no, labels, labels)
    assert found.corrected.value == pytest.approx(found.told.value)
    assert 0 <= found.corrected.low <= found.corrected.value <= found.corrected.high <= 1


def test_a_score_is_corrected_by_reading_the_judge_backwards() -> None:
    rng = np.random.default_rng(1)
    people = rng.uniform(2, 9, 80)
    judge = np.clip(3 + 0.6 * people + rng.normal(0, 0.4, 80), 1, 10)
    given_scores = np.clip(3 + 0.6 * rng.normal(4, 1, 500) + rng.normal(0, 0.4, 500), 1, 10)
    found = corrected_score(given_scores, people, judge)
    assert found.corrected.low < 4 < found.corrected.high < found.told and found.slope == pytest.approx(0.6, abs=0.05)
    assert found.corrected.high - found.corrected.low < 0.6
    slope, intercept = np.polyfit(people, judge, 1)
    square = ((judge - intercept - slope * people) ** 2).sum() / 78
    of_scores, of_line = 1.964729390987681, 1.9908470688116908  # Student's t of 499 and of 78 degrees of freedom
    for end in found.corrected[1:]:  # Fieller's ends lie where the judge's mean is as far off as chance may bring it
        off = given_scores.mean() - intercept - slope * end
        about = (end - people.mean()) ** 2 / ((people - people.mean()) ** 2).sum()
        chance = of_scores**2 * given_scores.var(ddof=1) / 500 + of_line**2 * square * (1 / 80 + about)
        assert off**2 == pytest.approx(chance)
    for end in corrected_score([6.0, 6.0], people, judge, of_one=True).corrected[1:]:
        off, about = 6 - intercept - slope * end, (end - people.mean()) ** 2 / ((people - people.mean()) ** 2).sum()
        assert off**2 == pytest.approx(of_line**2 * square * (1 + 1 / 80 + about))  # as of a new point on a line
    exact = corrected_score([5.0, 5.0, 5.0], [2, 4, 8], [3, 4, 6])
    assert exact.corrected == pytest.approx((6, 6, 6)) and (exact.intercept, exact.slope) == pytest.approx((2, 0.5))
    assert corrected_score([5.0], [2, 4, 8], [3, 4, 6]).corrected == pytest.approx((6, 1, 10))
    assert corrected_score([5.0], [2, 4, 8], [3, 4, 6], of_one=True).corrected == pytest.approx((6, 6, 6))


def test_what_people_have_scored_themselves_stands_for_the_judges_score() -> None:
    people, judge = [2.0, 4.0, 5.0, 8.0], [4.0, 5.0, 5.0, 7.0]
    whole = corrected_score(judge, people, judge, known=people).corrected
    half = 3.182446305284263 * 2.5 / 2  # Student's t of people's own scores; what the judge says is of no matter
    assert whole == pytest.approx((4.75, max(1.0, 4.75 - half), 4.75 + half))
    one = corrected_score([6.0, 6.0], people, judge, known=[3.0, 3.0], of_one=True)
    assert one.corrected == pytest.approx((3, 3, 3)) and one.told == 6
    some = corrected_score([6.0, 6.0, 5.0], people, judge, known=[3.0, None, None])
    none = corrected_score([6.0, 6.0, 5.0], people, judge)
    line = some.intercept + some.slope * 3
    assert some.corrected.value == pytest.approx(((line + 11) / 3 - some.intercept) / some.slope)
    assert some.corrected.value < none.corrected.value and some.told == none.told


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: corrected_share([1], [0, 1], [1, 0]), "no better than chance .* 0.00 of the wrong ones and 0.00"),
        (lambda: corrected_share([1], [0, 1] * 4, [1, 1, 0, 0] * 2), "together not above 1"),
        (lambda: corrected_share([1], [1, 1], [1, 0]), "all 2 labelled items are right"),
        (lambda: corrected_share([0.5], [0, 1], [0, 1]), "judgements must be 0 or 1, not 0.5"),
        (lambda: corrected_share([1], [0, 1], [0]), "not about the same questions"),
        (lambda: corrected_score([11], [1, 2, 3], [1, 2, 3]), "scores: number 1 is 11; it must be 1 to 10"),
        (lambda: corrected_score([5, 6], [1, 2, 3], [1, 2, 3], known=[4]), "not about the same questions: 2 and 1"),
        (lambda: corrected_score([5], [5, 5, 5], [1, 2, 3]), "3 labelled items of 1 scores"),
        (lambda: corrected_score([5], [1, 2, 3, 4], [4, 2, 3, 1]), "do not follow the people's"),
        (lambda: corrected_score([5], [1, 2, 3, 4], [2, 2, 2, 2]), "do not follow the people's"),
    ],
)
def test_what_says_nothing_is_refused(call: Callable[[], object], says: str) -> None:
    with pytest.raises(DataError, match=says):
        call()


class Sitting:
    """Conversations that people and a judge score on four criteria; what errs on one of them errs on the others too."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def people(self, worth: float, count: int) -> Rows:
        """What people would give conversations of a model of this worth: [count, 4], all within the scale."""
        shared = self.rng.normal(0, 0.7, (count, 1))
        return np.clip(worth + shared + self.rng.normal(0, 0.5, (count, 4)), 1, 10)

    def judge(self, people: Rows) -> Rows:
        """Too kind, too little apart, and off by as much again for a whole conversation as for one criterion."""
        off = self.rng.normal(0, 0.5, (len(people), 1)) + self.rng.normal(0, 0.4, people.shape)
        return np.clip(2.0 + 0.7 * people + off, 1, 10)

    def labelled(self, count: int) -> tuple[Rows, Rows]:
        """People's and the judge's scores of conversations of many models."""
        people = np.concatenate([self.people(worth, 1) for worth in self.rng.uniform(3, 8, count)])
        return people, self.judge(people)


@pytest.mark.parametrize(("conversations", "others", "own"), [(12, 24, 0), (3, 40, 0), (12, 18, 6), (10, 10, 10)])
def test_a_corrected_total_is_held_as_often_as_it_says(conversations: int, others: int, own: int) -> None:
    """Of so many conversations ``own`` are labelled, beside ``others`` of many models."""
    sitting, held = Sitting(7), 0
    for _ in range(DRAWS):
        people, judge = sitting.labelled(others)
        mine = sitting.people(5.0, conversations)
        scores = sitting.judge(mine)
        people, judge = np.concatenate([people, mine[:own]]), np.concatenate([judge, scores[:own]])
        rows = scores.mean(1), people.mean(1), judge.mean(1)
        known = [*mine[:own].mean(1), *[None] * (conversations - own)]
        _, low, high = corrected_score(*rows, known=known).corrected
        held += low <= 5.0 <= high
    assert 0.93 <= held / DRAWS <= 0.97


def test_the_intervals_of_criteria_do_not_add_up_to_that_of_the_total() -> None:
    sitting, held, sums, wide = Sitting(8), 0, 0.0, 0.0
    draws = 400
    for _ in range(draws):
        people, judge = sitting.labelled(24)
        scores = sitting.judge(sitting.people(5.0, 12))
        each = [corrected_score(*(rows[:, at] for rows in (scores, people, judge))).corrected for at in range(4)]
        total = sum(one.value for one in each)
        half = math.sqrt(sum(((one.high - one.low) / 2) ** 2 for one in each))  # as if errors were independent
        held += abs(total - 20) <= half
        whole = corrected_score(scores.mean(1), people.mean(1), judge.mean(1)).corrected
        sums, wide = sums + sum(one.high - one.low for one in each), wide + 4 * (whole.high - whole.low)
    assert held / draws < 0.85
    assert wide < 0.95 * sums


def test_of_one_conversation_repeats_do_not_show_how_far_the_judge_is_off() -> None:
    sitting, held, blind = Sitting(9), 0, 0
    for _ in range(DRAWS):
        people, judge = sitting.labelled(24)
        one = sitting.people(5.0, 1)
        again = np.clip(sitting.judge(one).mean() + sitting.rng.normal(0, 0.05, 3), 1, 10)
        _, low, high = corrected_score(again, people.mean(1), judge.mean(1), of_one=True).corrected
        held += low <= one.mean() <= high
        _, low, high = corrected_score(again, people.mean(1), judge.mean(1)).corrected
        blind += low <= one.mean() <= high
    assert 0.93 <= held / DRAWS <= 0.97
    assert blind / DRAWS < 0.8

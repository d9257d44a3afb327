"""Intervals, paired tests, their correction and power: against published values, other programs, and themselves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.evaluation.statistics.clusters import Clusters
from training.evaluation.statistics.correction import corrected, holm
from training.evaluation.statistics.intervals import bootstrap, drawn, jackknife, share
from training.evaluation.statistics.paired import compared, contrasts, gain
from training.evaluation.statistics.power import (
    design_effect,
    detectable_paired,
    detectable_unpaired,
    fewest_passages,
    questions_paired,
    questions_unpaired,
)
from workspace.errors import DataError, UsageError

BITS = st.lists(st.integers(0, 1), min_size=1, max_size=60)


def row(right: int, wrong: int) -> list[int]:
    return [1] * right + [0] * wrong


def pair(one_only: int, other_only: int, both: int = 0, neither: int = 0) -> tuple[list[int], list[int]]:
    """Two models' answers with so many questions of each kind."""
    return (
        row(one_only + both, other_only + neither),
        [0] * one_only + [1] * both + [1] * other_only + [0] * neither,
    )


@st.composite
def asked(draw: st.DrawFn) -> tuple[list[int], list[int], list[int] | None]:
    """Two models' answers to the same questions, and passages or none."""
    count = draw(st.integers(1, 60))
    models = [draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)) for _ in range(2)]
    kinds = st.lists(st.integers(0, 8), min_size=count, max_size=count)
    return models[0], models[1], draw(st.one_of(st.none(), kinds))


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_that_of_newcombe_1998(right: int, of: int, low: float, high: float) -> None:
    assert share(row(right, of - right)) == pytest.approx((right / of, low, high), abs=5e-5)


def test_a_share_over_passages_counts_independent_questions() -> None:
    answers = [1, 1, 1, 0, 0, 1, 0, 1, 1, 1, 1, 0]
    twice = share(answers * 2, list(range(12)) * 2)
    # asked twice, questions are worth what they are worth asked once: Wilson's of 12, less one, by Student's t
    sums = np.array([answers], dtype=float)
    worth = (8 / 12) * (4 / 12) / float(jackknife(sums, Clusters.of(None, 12))[0])
    assert worth == pytest.approx(11)
    square = 2.200985160082949**2 / 11
    centre, half = (
        (8 / 12 + square / 2) / (1 + square),
        math.sqrt(square * 8 / 12 * 4 / 12 + square**2 / 4) / (1 + square),
    )
    assert twice == pytest.approx((8 / 12, centre - half, centre + half), abs=1e-9)
    alone = share(answers)
    assert twice.low < alone.low < alone.high < twice.high


def test_all_right_over_passages_is_as_sure_as_there_are_passages() -> None:
    found = share([1] * 60, [number // 6 for number in range(60)])
    t = 2.2621571627409915
    assert found == pytest.approx((1.0, 10 / (10 + t**2), 1.0))
    assert found.low < share([1] * 60).low


def test_of_one_passage_nothing_is_sure() -> None:
    assert share([1, 0, 1], ["a"] * 3) == (pytest.approx(2 / 3), 0.0, 1.0)
    assert share([0.25]) == (0.25, 0.0, 1.0)
    found = compared([1, 1, 1], [0, 0, 1], ["a"] * 3)
    assert (found.low, found.high, found.p, found.clusters) == (-1, 1, 1, 1)
    assert share([1]) == pytest.approx((1.0, 0.2065, 1.0), abs=1e-4)


@given(asked())
@settings(max_examples=60, deadline=None)
def test_a_share_lies_in_its_interval(case: tuple[list[int], list[int], list[int] | None]) -> None:
    answers, _, passages = case
    value, low, high = share(answers, passages)
    assert 0 <= low <= value <= high <= 1 and value == pytest.approx(sum(answers) / len(answers))
    flipped = share([1 - answer for answer in answers], passages)
    assert flipped == pytest.approx((1 - value, 1 - high, 1 - low), abs=1e-12)


def test_the_bootstraps_draws_are_whole_passages_and_the_same_again() -> None:
    found = drawn(7, draws=50, seed=3)
    assert found.shape == (50, 7) and (found.sum(1) == 7).all() and found.min() == 0
    assert np.array_equal(found, drawn(7, draws=50, seed=3)) and not np.array_equal(found, drawn(7, draws=50, seed=4))
    few, many = (bootstrap(0.0, np.linspace(-1, 1, 2001), count, -1.0, 1.0) for count in (5, 500))
    assert few.high - few.low > many.high - many.low == pytest.approx(1.9, abs=0.01)  # expanded as Student's t is
    assert bootstrap(0.5, np.array([]), 1, 0.0, 1.0) == (0.5, 0.0, 1.0)


@pytest.mark.parametrize(
    ("one", "other", "p"),
    [(9, 1, 22 / 1024), (8, 1, 20 / 512), (6, 0, 2 / 64), (5, 0, 2 / 32), (3, 3, 1.0), (0, 0, 1.0)],
)
def test_mcnemars_exact_test(one: int, other: int, p: float) -> None:
    found = compared(*pair(one, other, both=20, neither=10))
    assert found.p == pytest.approx(p, rel=1e-12)
    assert (found.one_only, found.other_only, found.n, found.clusters) == (
        one,
        other,
        30 + one + other,
        30 + one + other,
    )
    assert found.test == "McNemar exact" and found.difference == pytest.approx((one - other) / found.n)
    assert found.low <= found.difference <= found.high


def test_mcnemars_exact_test_is_scipys() -> None:
    from scipy.stats import binomtest

    for one, other in [(0, 1), (1, 12), (7, 13), (31, 12), (90, 60), (200, 260)]:
        assert compared(*pair(one, other, 5)).p == pytest.approx(binomtest(one, one + other).pvalue, rel=1e-9)


def test_the_interval_of_a_difference_is_nearly_bonett_and_prices() -> None:
    one, other, n = 40, 25, 359
    found = compared(*pair(one, other, 220, n - 220 - one - other))
    p, q = (one + 1) / (n + 2), (other + 1) / (n + 2)
    half = 1.959964 * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    assert (found.low, found.high) == pytest.approx((p - q - half, p - q + half), abs=0.001)


def test_models_that_answer_alike_may_still_differ() -> None:
    found = compared(row(300, 59), row(300, 59))
    assert (found.difference, found.p) == (0, 1) and found.low == -found.high and 0.005 < found.high < 0.012
    assert gain(row(300, 59), row(300, 59)) == (0, 0, 0)  # a model beside itself


def test_flips_of_few_passages_are_every_way() -> None:
    """Six passages, five won by one question and one lost: of 64 ways 14 lie as far from zero or farther."""
    one, other = pair(5, 1)
    found = compared(one * 2, other * 2, list(range(6)) * 2)
    assert found.test == "sign flips of passages" and found.p == pytest.approx(14 / 64)
    assert compared(*pair(5, 1)).p == pytest.approx(14 / 64)  # the same as of questions apart
    assert compared([1, 1, 0.5] * 4, [0, 0, 0] * 4).test == "sign flips of questions"
    assert compared([1, 0.5] * 5, [0.5, 0] * 5).p == pytest.approx(2 / 2**10)


def test_drawn_flips_come_near_every_way() -> None:
    from scipy.stats import binomtest

    one, other = pair(14, 5)
    found = compared(one * 2, other * 2, list(range(19)) * 2)
    assert found.p == pytest.approx(binomtest(14, 19).pvalue, abs=0.01)
    assert found == compared(one * 2, other * 2, list(range(19)) * 2)
    assert found.p != compared(one * 2, other * 2, list(range(19)) * 2, seed=1).p
    assert compared([1] * 60, [0] * 60, [number // 2 for number in range(60)]).p == 1 / 10_001  # never zero


def test_more_comparisons_draw_more_flips() -> None:
    """Else no p could be as small as the correction for so many asks."""
    one, other, passages = [1] * 60, [0] * 60, [number // 2 for number in range(60)]
    assert contrasts([one], [other], passages, family=1_000)[0].p == 1 / 40_001
    assert contrasts([one], [other], passages, family=200)[0].p == 1 / 10_001
    assert contrasts([one] * 300, [other] * 300, passages)[0].p == 1 / 12_001


def test_the_error_over_passages_leaves_one_out_at_a_time() -> None:
    rng = np.random.default_rng(6)
    for sizes in ([50] * 8, [20, 90, 40, 70, 30, 60, 10, 80]):
        passages = np.repeat(np.arange(8), sizes)
        chances = rng.uniform(0.2, 0.8, 8)[passages]
        one, other = (rng.random((2, 400)) < chances).astype(float)
        means = [(one - other)[passages != passage].mean() for passage in range(8)]
        error = math.sqrt(7 / 8 * float(((np.array(means) - (one - other).mean()) ** 2).sum()))
        [found] = contrasts([one], [other], passages.tolist())
        assert found.error == pytest.approx(error, rel=0.03)  # two questions added
        clusters = Clusters.of(passages.tolist(), 400)
        assert math.sqrt(float(jackknife(clusters.sums(one - other), clusters))) == pytest.approx(error, rel=1e-2)


def test_questions_on_one_passage_are_less_sure() -> None:
    one, other = pair(24, 4, 60, 12)
    apart, together = compared(one, other), compared(one, other, [number // 10 for number in range(100)])
    assert apart.p < 0.001 < 0.1 < together.p and apart.low > 0 > together.low


@given(asked(), st.sampled_from([0.05, 0.04, 0.0125, 0.002]))
@settings(max_examples=150, deadline=None)
def test_an_interval_excludes_zero_exactly_where_p_is_below_its_level(
    case: tuple[list[int], list[int], list[int] | None], level: float
) -> None:
    one, other, passages = case
    [found] = contrasts([one], [other], passages)
    low, high = found.interval(level)
    assert (low > 0 or high < 0) == (found.p < level) and -1 <= low <= high <= 1
    back = compared(other, one, passages)
    there = found.comparison()
    assert (back.difference, back.low, back.high, back.p) == pytest.approx(
        (-there.difference, -there.high, -there.low, there.p), abs=1e-12
    )
    assert (back.one_only, back.other_only) == (there.other_only, there.one_only)


def test_comparisons_made_together_are_those_made_alone() -> None:
    rng = np.random.default_rng(5)
    rows = (rng.random((9, 40)) < 0.6).astype(float)
    passages = [number // 2 for number in range(40)]
    together = contrasts(rows[:8], rows[1:], passages)
    for at, found in enumerate(together):
        assert found.comparison() == compared(rows[at], rows[at + 1], passages)


def test_holm_is_rs() -> None:
    assert [one.p for one in holm([0.01, 0.02, 0.03, 0.04, 0.05])] == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert [one.p for one in holm([0.02, 0.0003, 0.0001])] == pytest.approx([0.02, 0.0006, 0.0003])
    assert [one.level for one in holm([0.02, 0.0003, 0.0001])] == pytest.approx([0.05, 0.025, 0.05 / 3])
    assert [one.level for one in holm([0.04, 0.0001, 0.03])] == pytest.approx([0.025, 0.05 / 3, 0.025])
    assert holm([]) == [] and holm([0.3]) == [(0.3, 0.05)]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_holm_depends_on_no_order_and_its_levels_agree(chances: list[float], random: Any) -> None:
    found = holm(chances)
    for p, one in zip(chances, found, strict=True):
        assert p <= one.p <= 1 and (p < one.level) == (one.p < 0.05) and 0.05 / len(chances) <= one.level <= 0.05
    mixed = list(range(len(chances)))
    random.shuffle(mixed)
    again = holm([chances[place] for place in mixed])
    assert [one.p for one in again] == [found[place].p for place in mixed]


def test_a_corrected_interval_excludes_zero_exactly_where_the_corrected_p_does() -> None:
    rng = np.random.default_rng(8)
    strengths = rng.uniform(0.5, 0.8, 20)
    rows = (rng.random((20, 150)) < strengths[:, None]).astype(float)
    said = set()
    for passages in (None, [number // 3 for number in range(150)]):
        family = contrasts(rows[:-1], rows[1:], passages)
        found = corrected(family)
        for one, contrast in zip(found, family, strict=True):
            assert (one.better or one.worse) == (one.p < 0.05) and one.family == 19
            assert one.low <= one.alone.low and one.alone.high <= one.high and one.p >= one.alone.p
            assert not (one.better and one.alone.difference <= 0)
            said.add((one.p < 0.05, contrast.p < 0.05 / 19))
            if not (one.better or one.worse) or contrast.p < 0.05 / 19:
                assert (one.low, one.high) == contrast.interval(0.05 / 19)
    assert {(True, True), (False, False)} <= said
    [alone] = corrected(contrasts(rows[:1], rows[1:2]))
    assert (alone.low, alone.high, alone.p) == (alone.alone.low, alone.alone.high, alone.alone.p)


def test_holm_claims_what_bonferroni_does_not() -> None:
    answers = [pair(9, 0, 91), pair(9, 0, 91), pair(7, 0, 93)]  # p = .004, .004, .016
    first, _, third = corrected(contrasts([one for one, _ in answers], [other for _, other in answers]))
    assert third.alone.p == pytest.approx(2 / 128) and third.alone.p < 0.05 / 3 and first.better and third.better
    answers[2] = pair(11, 2, 87)  # p = .0225: above 5% / 3, below 5%
    *_, third = corrected(contrasts([one for one, _ in answers], [other for _, other in answers]))
    assert 0.05 / 3 < third.alone.p == third.p < 0.05
    assert third.better and third.low == pytest.approx(third.alone.low) and third.high > third.alone.high


def test_what_a_benchmark_of_359_questions_can_show() -> None:
    assert detectable_unpaired(359, share=0.8) == pytest.approx(0.084, abs=0.0005)
    assert detectable_paired(359, discordance=0.15) == pytest.approx(0.057, abs=0.0005)
    assert detectable_paired(359, 0.15, comparisons=40) > 1.4 * detectable_paired(359, 0.15)
    assert detectable_paired(359, 0.15, design_effect=2) == pytest.approx(math.sqrt(2) * detectable_paired(359, 0.15))
    assert detectable_unpaired(1, share=0.5) == 1
    for count in (40, 359, 2000):
        assert questions_unpaired(detectable_unpaired(count) * (1 + 1e-12)) == count
        assert questions_paired(detectable_paired(count) * (1 + 1e-12)) == count if count > 100 else True


def test_power_is_what_flips_find() -> None:
    rng = np.random.default_rng(2)
    gap = detectable_paired(359, 0.15)
    kinds = rng.choice(3, p=[0.075 + gap / 2, 0.075 - gap / 2, 0.85], size=(400, 359))
    rows = contrasts((kinds != 1).astype(float), (kinds != 0).astype(float))
    assert np.mean([one.p < 0.05 for one in rows]) == pytest.approx(0.8, abs=0.06)


def test_how_many_questions_count_as_one() -> None:
    rng = np.random.default_rng(4)
    answers = (rng.random(60) < 0.5).astype(float)
    fivefold, passages = np.repeat(answers, 5), np.repeat(np.arange(60), 5).tolist()
    assert design_effect(fivefold, passages) == pytest.approx(5, rel=0.03)
    assert design_effect(answers, None) == design_effect([1, 1, 1], ["a", "a", "b"]) == design_effect([1, 0], "aa") == 1
    assert fewest_passages() == 6 and compared([1] * 12, [0] * 12, list(range(6)) * 2).p < 0.05
    assert compared([1] * 10, [0] * 10, list(range(5)) * 2).p > 0.05 and fewest_passages(comparisons=160) == 13


@pytest.mark.parametrize(
    "call",
    [
        lambda: detectable_unpaired(0),
        lambda: detectable_unpaired(10, share=1.0),
        lambda: detectable_paired(10, discordance=math.nan),
        lambda: detectable_paired(10, design_effect=0),
        lambda: detectable_paired(10, comparisons=0),
        lambda: questions_unpaired(0.0),
        lambda: questions_paired(0.2, discordance=0.15),
    ],
)
def test_plans_that_cannot_be_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        call()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: share([]), "answers: no numbers"),
        (lambda: share([1, math.nan]), "number 2 is nan; it must be 0 to 1"),
        (lambda: share([1, 2]), "number 2 is 2; it must be 0 to 1"),
        (lambda: share([1, "x"]), "must be rows of numbers"),
        (lambda: share([1, 0], ["a"]), "1 passages are named for 2 questions"),
        (lambda: compared([1, 0], [1]), "not about the same questions: 2 and 1"),
        (lambda: compared([1, math.nan], [1, 0]), "number 2 is nan"),
        (lambda: contrasts([[1], [1, 0]], [[0], [1, 1]]), "not about the same questions: 1 and 2"),
        (lambda: holm([0.1, math.nan]), "p values: number 2 is nan"),
        (lambda: design_effect([math.inf], None), "number 1 is inf"),
    ],
)
def test_what_is_no_row_of_answers_is_refused(call: Callable[[], object], says: str) -> None:
    with pytest.raises(DataError, match=says):
        call()
    assert contrasts([], []) == [] and corrected([]) == []


def test_figures_are_those_of_evalconfidence() -> None:
    oracle = pytest.importorskip("evalconfidence")
    from evalconfidence.compare import _wilson

    rng = np.random.default_rng(1)
    for _ in range(5):
        one, other = ((rng.random(120) < chance).astype(float) for chance in (0.8, 0.75))
        value, low, high = share(one)
        assert (low, high) == pytest.approx(_wilson(value, 120, 1.959963984540054), abs=1e-9)
        apart = np.flatnonzero(one != other)[:24]  # the oracle is exact up to 25 that differ
        other = np.where(np.isin(np.arange(120), apart), other, one)
        items = [
            [oracle.ItemResult(str(at), name, score, cluster_id=str(at // 5)) for at, score in enumerate(scores)]
            for name, scores in (("one", one), ("other", other))
        ]
        theirs, ours = oracle.compare(*items), compared(one, other)
        assert theirs.method == "mcnemar" and theirs.n_discordant == ours.one_only + ours.other_only
        assert (ours.difference, ours.p) == pytest.approx((theirs.diff, theirs.p_value), abs=1e-9)
        clusters = Clusters.of([at // 5 for at in range(120)], 120)
        error = math.sqrt(float(jackknife(clusters.sums(one), clusters)))
        assert error == pytest.approx(oracle.standard_error(items[0]).se_clustered, abs=1e-9)
    for count in (50, 359):
        theirs = oracle.power(n=count, baseline_var=2 * 0.8 * 0.2).mde_detectable
        assert detectable_unpaired(count, 0.8) == pytest.approx(theirs, abs=1e-9)
        theirs = oracle.power(n=count, baseline_var=0.15).mde_detectable
        assert detectable_paired(count, 0.15) == pytest.approx(theirs, abs=1e-9)
        theirs = oracle.power(mde=0.05, baseline_var=0.15 * 1.5).n_required
        assert questions_paired(0.05, 0.15, design_effect=1.5) == theirs

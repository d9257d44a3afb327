"""Rankings, verdicts on merges, diversity, calibration and agreement: what they say, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from training.evaluation.statistics.agreement import cohen_kappa, krippendorff_alpha
from training.evaluation.statistics.calibration import calibration
from training.evaluation.statistics.diversity import diversity, improvement
from training.evaluation.statistics.intervals import share
from training.evaluation.statistics.ranking import leaderboard
from training.evaluation.statistics.synergy import RIVALS, Finding, Rival, Trial, verdicts
from workspace.errors import DataError

WIKIPEDIA = (  # three judges of fifteen units
    [None, None, None, None, None, 3, 4, 1, 2, 1, 1, 3, 3, None, 3],
    [1, None, 2, 1, 3, 3, 4, 3, None, None, None, None, None, None, None],
    [None, None, 2, 1, 3, 4, 4, None, 2, 1, 1, 3, 3, None, 4],
)


def right(count: int, of: int = 200) -> list[int]:
    """The first so many right: models that know more know all that the others know."""
    return [1] * count + [0] * (of - count)


def drawn(chance: float, seed: int, of: int = 359) -> list[int]:
    return (np.random.default_rng(seed).random(of) < chance).astype(int).tolist()


def test_a_leaderboard_groups_what_cannot_be_told_apart() -> None:
    models = {"b": right(150), "a": right(150), "c": right(147), "d": right(100), "e": right(98)}
    found = leaderboard(models)
    assert [(one.model, one.group, one.leads) for one in found.places] == [
        ("a", 1, True),
        ("b", 1, False),
        ("c", 1, False),
        ("d", 2, True),
        ("e", 2, False),
    ]
    assert found.comparisons == 10 and found.test == "McNemar exact" and found.questions == found.passages == 200
    assert found.places[0].p is None and found.places[1].p == 1 and found.places[0].score == share(right(150))
    assert leaderboard(dict(reversed(models.items()))) == found


def test_a_lower_score_may_stand_in_a_higher_group() -> None:
    """``like`` knows nothing that the leader does not, which shows; ``unlike`` scores less and knows other things."""
    models = {"leader": right(120), "like": right(106), "unlike": [0] * 60 + [1] * 105 + [0] * 35}
    places = {one.model: one for one in leaderboard(models).places}
    assert list(places) == ["leader", "like", "unlike"]
    assert (places["like"].group, places["like"].leads, places["unlike"].group) == (2, True, 1)


@pytest.mark.parametrize(("lost", "group"), [(5, 1), (6, 2)])
def test_apart_is_below_five_percent(lost: int, group: int) -> None:
    _, worse = leaderboard({"a": right(100), "b": right(100 - lost)}).places
    assert (worse.group, worse.leads) == (group, group == 2)
    *_, of_three = leaderboard({"a": right(100), "b": right(100), "c": right(100 - lost - 1)}).places
    assert of_three.group == group  # p of three pairs: .094 and .047


def test_models_that_are_the_same_are_one_group() -> None:
    """Forty of the same skill: picked after the fact, the best and the worst differ at 5% by McNemar's test alone."""
    for seed in range(3):
        models = {f"model {at}": drawn(0.7, 1000 + 100 * seed + at) for at in range(40)}
        found = leaderboard(models)
        assert {one.group for one in found.places} == {1}
        best, worst = (models[found.places[at].model] for at in (0, -1))
        assert sum(best) - sum(worst) > 25


def test_a_leaderboard_over_passages_is_the_same_again() -> None:
    models = {f"model {at}": drawn(0.5 + 0.04 * at, at, 120) for at in range(8)}
    passages = [number // 4 for number in range(120)]
    found = leaderboard(models, passages)
    assert found == leaderboard(models, passages) and found.test == "sign flips of passages" and found.passages == 30
    assert found.places[0].group == 1 and max(one.group for one in found.places) > 1
    alone = leaderboard({"one": [1, 0]})
    assert alone.test is None and alone.comparisons == 0 and alone.places[0].leads


def trial(answers: list[int], parent: list[int], rivals: dict[Rival, list[int]], merge: str = "merge") -> Trial:
    named = {kind: (f"the {kind}", row) for kind, row in rivals.items()}
    return Trial(merge, answers, {"weak": right(40), "strong": parent}, named)


def one(answers: list[int], parent: list[int], rivals: dict[Rival, list[int]]) -> Finding:
    return verdicts([trial(answers, parent, rivals)])[0]


def test_synergy_is_said_where_all_rivals_are_beaten() -> None:
    others: dict[Rival, list[int]] = {kind: right(120) for kind in RIVALS[1:]}
    found = one(right(150), right(110), others)
    assert found.verdict == found.words == "synergy" and found.missing == () and found.better_than == RIVALS
    assert [beside.model for beside in found.rivals] == ["strong", *(f"the {kind}" for kind in RIVALS[1:])]
    assert all(beside.comparison.low > 0 and beside.comparison.family == 4 for beside in found.rivals)
    found = one(right(150), right(110), {**others, "LERP at equal t": right(148)})
    assert found.verdict == "better" and "LERP at equal t" not in found.better_than
    found = one(right(150), right(110), {**others, "LERP at equal t": right(180)})
    assert found.verdict == "better" and found.rivals[1].verdict == "worse"


def test_synergy_is_not_said_where_a_rival_was_not_asked() -> None:
    others: dict[Rival, list[int]] = {kind: right(120) for kind in RIVALS[2:]}
    found = one(right(150), right(110), others)
    assert (found.verdict, found.words) == ("not tested", "not tested: no LERP at equal t")
    assert found.missing == ("LERP at equal t",) and found.better_than == ("best parent", *RIVALS[2:])
    assert one(right(150), right(110), {}).words.endswith("no task arithmetic, no soup of as much compute")
    assert one(right(111), right(110), {}).words == "cannot be told apart"
    assert one(right(80), right(110), others).words == "worse"


def test_the_best_parent_is_the_one_that_scored_higher() -> None:
    found = verdicts([Trial("merge", right(100), {"b": right(90), "a": right(90), "c": right(80)})])[0]
    assert [(beside.rival, beside.model) for beside in found.rivals] == [("best parent", "a")]


def test_more_merges_make_claims_harder() -> None:
    close = trial(right(107), right(100), {})
    [alone] = verdicts([close])
    assert alone.verdict == "not tested" and alone.better_than == ("best parent",)
    many = verdicts([close, *(trial(right(101), right(100), {}, f"merge {at}") for at in range(9))])
    assert many[0].verdict == "cannot be told apart" and many[0].rivals[0].comparison.family == 10
    assert [finding.merge for finding in many][:2] == ["merge", "merge 0"]
    assert verdicts([]) == []


def test_many_merges_over_passages_can_still_be_told_apart() -> None:
    """As many flips are drawn as the whole report's correction takes, not one merge's."""
    passages = [number // 5 for number in range(200)]
    trials = [Trial(f"merge {at}", right(200), {"p": right(20)}, passages=passages) for at in range(600)]
    found = verdicts(trials)
    assert {finding.better_than for finding in found} == {("best parent",)}
    assert found[0].rivals[0].comparison.alone.p == 1 / 24_001


def test_merges_over_passages_and_benchmarks_are_one_family() -> None:
    passages = [number // 5 for number in range(200)]
    trials = [
        Trial("merge", right(150), {"p": right(60)}, {"task arithmetic": ("t", right(70))}, passages, "silk"),
        Trial("merge", drawn(0.6, 1, 50), {"p": drawn(0.5, 2, 50)}, benchmark="bone"),
    ]
    silk, bone = verdicts(trials)
    assert (silk.benchmark, bone.benchmark) == ("silk", "bone") and silk.better_than == (
        "best parent",
        "task arithmetic",
    )
    assert {beside.comparison.family for beside in (*silk.rivals, *bone.rivals)} == {3}
    assert silk.rivals[0].comparison.alone.test == "sign flips of passages" and verdicts(trials) == [silk, bone]


def test_diversity_is_that_of_the_table() -> None:
    first = [1] * 30 + [1] * 10 + [0] * 20 + [0] * 40
    second = [1] * 30 + [0] * 10 + [1] * 20 + [0] * 40
    found = diversity(first, second)
    assert found.difference.value == pytest.approx(0.1) and found.disagreement.value == pytest.approx(0.3)
    assert found.double_fault.value == pytest.approx(0.4) and found.yule_q is not None
    assert found.yule_q.value == pytest.approx((30 * 40 - 10 * 20) / (30 * 40 + 10 * 20))
    for estimate in (found.disagreement, found.double_fault, found.yule_q):
        assert estimate.low < estimate.value < estimate.high
    assert found.disagreement.high - found.disagreement.low == pytest.approx(2 * 1.98 * math.sqrt(0.21 / 100), rel=0.1)
    assert found.difference.low == 0 and found == diversity(first, second) and diversity(second, first) == found
    assert diversity([1, 1], [1, 1]).yule_q is None
    apart = diversity([1] * 100, [0] * 100)
    assert apart.difference == (1, 1, 1) and apart.yule_q is None


def test_a_merge_beside_what_its_parents_let_expect() -> None:
    merge, first, second = right(150), right(100), right(80)
    found = improvement(merge, first, second)
    assert (found.score.value, found.expected.value) == pytest.approx((0.75, 0.45))
    assert (found.over_expected.value, found.over_best.value) == pytest.approx((0.3, 0.25))
    assert 0 < found.over_best.low < 0.25 < found.over_best.high < 0.35
    one_passage = improvement(merge, first, second, ["a"] * 200)
    assert (one_passage.over_best.low, one_passage.over_best.high) == (-1, 1)
    assert (one_passage.score.low, one_passage.score.high) == (0, 1)


def test_the_better_parent_is_picked_anew_in_every_draw() -> None:
    """Two parents of one score that know different things: the better of them lies higher in most draws."""
    first, second = [1, 0] * 100, [0, 1] * 100
    merge = [1] * 100 + [0] * 100
    found = improvement(merge, first, second)
    assert found.over_best.value == 0 and found.over_best.low < -0.1
    fixed = improvement(merge, first, first)
    assert found.over_best.low < fixed.over_best.low and found.over_best.high < fixed.over_best.high


def test_calibration_of_a_model_that_is_too_sure() -> None:
    sure = [0.9] * 50 + [0.6] * 50
    answers = [1] * 35 + [0] * 15 + [1] * 30 + [0] * 20
    found = calibration(sure, answers)
    assert found.error == pytest.approx(0.5 * 0.2 + 0.5 * 0.0) and found.overconfidence == pytest.approx(0.1)
    brier = (35 * 0.01 + 15 * 0.81 + 30 * 0.16 + 20 * 0.36) / 100
    assert found.brier.value == pytest.approx(brier) and found.brier.low < brier < found.brier.high
    assert [(point.confidence, point.right.value, point.answers) for point in found.points] == [
        (pytest.approx(0.6), 0.6, 50),
        (pytest.approx(0.9), 0.7, 50),
    ]
    assert found.unbiased.low <= found.unbiased.value < found.error < found.unbiased.high
    assert found == calibration(sure, answers)
    order = np.random.default_rng(0).permutation(100)
    assert calibration(np.array(sure)[order], np.array(answers)[order]).error == pytest.approx(found.error)


def test_a_gap_beyond_chance_is_told_as_it_is() -> None:
    found = calibration([0.9] * 1000, [1] * 700 + [0] * 300)
    assert found.error == pytest.approx(0.2) and found.unbiased.value == pytest.approx(0.2, abs=0.003)
    half = 1.96 * math.sqrt(0.21 / 1000)
    assert found.unbiased[1:] == pytest.approx((0.2 - half, 0.2 + half), abs=0.006)


def test_bins_hold_equally_many_and_like_with_like() -> None:
    found = calibration(np.linspace(0.5, 1, 200), [1] * 200)
    assert [point.answers for point in found.points] == [20] * 10
    assert len(calibration([0.7] * 40, [1, 0] * 20).points) == 1
    assert calibration([0.7], [1], ["a"]).unbiased == pytest.approx((0.3, 0, 1))


def test_a_calibrated_model_has_no_error_but_by_chance() -> None:
    rng = np.random.default_rng(3)
    sure = rng.uniform(0.4, 1, 300)
    found = calibration(sure, (rng.random(300) < sure).astype(int))
    assert found.error > 0.03 and found.unbiased.low == 0 and found.unbiased.value < found.error


def test_alpha_is_krippendorffs() -> None:
    assert krippendorff_alpha(WIKIPEDIA, "nominal").value == pytest.approx(0.691358, abs=1e-6)
    found = krippendorff_alpha(WIKIPEDIA)
    assert found.value == pytest.approx(0.810845, abs=1e-6) and found.low < found.value < found.high <= 1
    assert found == krippendorff_alpha(WIKIPEDIA)
    alike = krippendorff_alpha([[1, 5, 7, 9], [1, 5, 7, 9]], "ordinal")
    assert alike.value == alike.high == 1
    assert krippendorff_alpha([[1], [3]]).low == -1


def test_kappa_is_cohens() -> None:
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    found = cohen_kappa(first, second)
    assert found.value == pytest.approx(0.4) and found.low < 0.4 < found.high
    error = math.sqrt(0.7 * 0.3 / 50) / 0.5
    assert found.high - found.low == pytest.approx(2 * 2 * error, rel=0.15)
    assert cohen_kappa(first, first)[:2] == (1, 1) and cohen_kappa([1], [2]).low == -1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: leaderboard({}), "takes one model or more"),
        (
            lambda: leaderboard({"a": [1], "b": [1, 0]}),
            "answers of a and of b are not about the same questions: 1 and 2",
        ),
        (lambda: leaderboard({"a": [math.nan]}), "answers of a: number 1 is nan"),
        (lambda: verdicts([Trial("m", [1, 0], {"p": [1]})]), "not about the same questions: 2 and 1"),
        (lambda: verdicts([Trial("m", [1], {})]), "merge m has no parents"),
        (lambda: verdicts([Trial("m", [1], {"p": [1]}, {"lerp": ("l", [1])})]), "unknown rival 'lerp'"),  # type: ignore[dict-item]
        (lambda: diversity([1, 0], [1]), "not about the same questions"),
        (lambda: improvement([1, 0], [1, math.nan], [1, 1]), "number 2 is nan"),
        (lambda: calibration([0.5, 1.5], [1, 0]), "confidences: number 2 is 1.5"),
        (lambda: calibration([0.5], [1, 0]), "not about the same questions: 1 and 2"),
        (lambda: krippendorff_alpha([[1, 2]]), "two judges or more"),
        (lambda: krippendorff_alpha([[1, 2], [1]]), "not about the same questions: 2 and 1"),
        (lambda: krippendorff_alpha([[1, None], [None, 2]]), "no unit has the ratings of two judges"),
        (lambda: krippendorff_alpha([[1, math.nan], [1, 2]]), "a rating is no number"),
        (lambda: krippendorff_alpha([[4, 4], [4, 4]]), "is 4: agreement is undefined"),
        (lambda: cohen_kappa(["a"], ["a"]), "every label is 'a': agreement is undefined"),
        (lambda: cohen_kappa([], []), "none are given"),
        (lambda: cohen_kappa([1.0, math.nan], [1.0, 2.0]), "a label is no number"),
    ],
)
def test_what_says_nothing_is_refused(call: Callable[[], object], says: str) -> None:
    with pytest.raises(DataError, match=says):
        call()

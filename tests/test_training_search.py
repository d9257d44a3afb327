"""Searching t over depth: the benchmark in two, few questions for many, trials that survive a kill."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from training.evaluation.asking.questions import Question
from training.merging.config import PRESETS, MergeConfig, Vectors
from training.merging.search.config import SearchConfig, Vector
from training.merging.search.evolution import best, evolve
from training.merging.search.genome import vector_of, vectors_of, with_vector
from training.merging.search.items import Items
from training.merging.search.split import split
from training.merging.search.trials import Trial
from training.sample.rows import benchmark
from workspace.errors import DataError, StudioError, Unfinished
from workspace.files import claim
from workspace.progress import Progress, Remark

# The benchmark in two


def asked(passages: Sequence[str], kinds: Sequence[str]) -> list[Question]:
    return [
        Question(
            id=str(place),
            kind=kind,  # type: ignore[arg-type]
            question=f"Question {place}?",
            options=("a", "b") if kind == "choice" else (),
            answer="a" if kind == "choice" else "true",
            passage=passage,
        )
        for place, (passage, kind) in enumerate(zip(passages, kinds, strict=True))
    ]


def sample() -> list[Question]:
    return [Question(id=str(place), **{"options": (), **row}) for place, row in enumerate(benchmark())]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from(["", *"abcdefghij"]), st.sampled_from(["choice", "truth"])), max_size=60),
    share=st.floats(0.1, 0.9),
    seed=st.integers(0, 99),
    mixed=st.randoms(use_true_random=False),
)
def test_a_split_holds_every_question_once_and_no_passage_twice(
    rows: list[tuple[str, str]], share: float, seed: int, mixed: Any
) -> None:
    questions = asked([passage for passage, _ in rows], [kind for _, kind in rows])
    try:
        made = split(questions, share, seed)
    except DataError as fault:
        assert "would be empty" in str(fault)
        return
    assert made.development and made.test
    assert sorted(made.development + made.test) == list(range(len(questions)))
    passages = [{questions[place].passage for place in side} - {""} for side in made]
    assert not passages[0] & passages[1]
    order = list(range(len(questions)))
    mixed.shuffle(order)
    again = split([questions[place] for place in order], share, seed)
    assert {order[place] for place in again.development} == set(made.development)


def test_the_sample_benchmark_divides_evenly_and_by_the_seed() -> None:
    questions = sample()
    made = split(questions, 0.5, 42)
    assert made == split(questions, 0.5, 42) != split(questions, 0.5, 43)
    kinds = [Counter(questions[place].kind for place in side) for side in made]
    for kind in ("choice", "truth"):
        assert abs(kinds[0][kind] - kinds[1][kind]) <= 4
    few = split(questions, 0.2, 42)
    assert abs(len(few.development) - 0.2 * len(questions)) <= 4


def test_questions_of_one_wording_stay_together() -> None:
    rows = asked([f"p{place}" for place in range(12)], ["choice"] * 12)
    rows[7] = rows[7].model_copy(update={"question": "QUESTION  2?", "options": ("b", "A")})
    for seed in range(20):
        made = split(rows, 0.5, seed)
        assert (2 in made.development) == (7 in made.development)
    rows[7] = rows[7].model_copy(update={"options": ("a", "c")})
    assert any((2 in one.development) != (7 in one.development) for one in (split(rows, 0.5, n) for n in range(20)))


def test_one_passage_cannot_be_divided() -> None:
    with pytest.raises(DataError, match="5 questions on 1 passages cannot be divided"):
        split(asked(["a"] * 5, ["truth"] * 5), 0.5, 1)


# Few questions for many


def family(seed: int, merges: int = 40, known: int = 2, questions: int = 240) -> tuple[Any, Any]:
    """Right or wrong of known models and of merges of the first two, whose margins are mixed question by question."""
    draw = np.random.default_rng(seed)
    shared = draw.normal(0.3, 1.5, questions)
    own = draw.normal(0, 1, (known, questions))
    mixed = draw.random((merges, 4)) @ draw.dirichlet(np.ones(4), questions).T
    made = mixed * own[0] + (1 - mixed) * own[1] + draw.normal(0, 0.2, (merges, questions))
    return shared + own > 0, shared + made > 0


@pytest.mark.parametrize("known", [2, 8])
def test_telling_questions_rank_merges_better_than_random_ones(known: int) -> None:
    from scipy.stats import spearmanr

    found: dict[str, list[float]] = {"telling": [], "random": [], "error": [], "random error": []}
    for seed in range(12):
        right, merges = family(seed, known=known)
        items = Items.fit(right.tolist())
        places = items.telling(48)
        drawn = np.random.default_rng(seed).choice(right.shape[1], 48, replace=False)
        truth = merges.mean(1)
        told = [items.estimate(places, row[list(places)]) for row in merges]
        guess = merges[:, drawn].mean(1)
        found["telling"].append(spearmanr(told, truth)[0])
        found["random"].append(spearmanr(guess, truth)[0])
        found["error"].append(float(np.sqrt(((np.array(told) - truth) ** 2).mean())))
        found["random error"].append(float(np.sqrt(((guess - truth) ** 2).mean())))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    assert means["telling"] > means["random"] + 0.1
    assert means["error"] < means["random error"]


def test_questions_that_models_disagree_on_tell_most() -> None:
    right = [[True] * 6 + [False] * 6 + [True, False] * 2, [True] * 6 + [False] * 6 + [False, True] * 2]
    items = Items.fit(right)
    assert set(items.telling(4)) == {12, 13, 14, 15}
    two = items.telling(2)
    assert {right[0][place] for place in two} == {True, False}  # one of each pattern
    assert items.telling(16) == tuple(range(16))
    assert items.difficulty[0] < items.difficulty[12] < items.difficulty[6]


def test_all_questions_asked_are_no_estimate() -> None:
    right, merges = family(1, merges=1, questions=30)
    items = Items.fit(right.tolist())
    assert items.estimate(range(30), merges[0]) == pytest.approx(merges[0].mean())
    low, high = (items.estimate(items.telling(10), [value] * 10) for value in (0, 1))
    assert 0 < low < high < 1


def test_what_is_not_asked_counts_by_what_known_models_made_of_it() -> None:
    for easy in (True, False):
        items = Items.fit([[easy] * 90 + [True, False] * 5, [easy] * 90 + [False, True] * 5])
        places = items.telling(10)
        assert places == tuple(range(90, 100))
        found = items.estimate(places, [1, 0] * 5)
        assert found > 0.7 if easy else found < 0.3


@pytest.mark.parametrize(
    ("right", "words"),
    [([[True, False]], "two models or more, and 1"), ([[True], [True, False]], "1, 2 questions"), ([[], []], "0, 0")],
)
def test_what_cannot_be_fitted_is_refused(right: list[list[bool]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        Items.fit(right)


def test_more_questions_than_there_are_cannot_be_chosen() -> None:
    with pytest.raises(DataError, match="9 questions cannot be chosen of 3"):
        Items.fit([[True, False, True], [False, False, True]]).telling(9)


# Vectors


def test_presets_are_vectors_of_any_number_of_anchors() -> None:
    reference = PRESETS["reference"]
    assert reference is not None
    assert vector_of(reference, 5) == (0, 0.5, 0.3, 0.7, 1, 1, 0.5, 0.7, 0.3, 0, 0.5)
    assert vector_of(reference, 3) == (0, 0.3, 1, 1, 0.7, 0, 0.5)
    assert vector_of(reference, 1) == (0.3, 0.7, 0.5)
    assert vector_of(reference, 9)[:3] == (0, 0.25, 0.5)
    assert vectors_of(vector_of(reference, 5)) == reference
    assert vector_of(Vectors((0.25,), (0.75,), 0.1), 2) == (0.25, 0.25, 0.75, 0.75, 0.1)
    with pytest.raises(DataError, match=r"t is 1\.2 in place 2 of 3"):
        vectors_of([0.5, 1.2, 0.5])
    for wrong in (1, 4):
        with pytest.raises(DataError, match=f"{wrong} values are not as many"):
            vectors_of([0.5] * wrong)


@pytest.mark.parametrize("given", [{"t": 0.5}, {"preset": "reference"}, {"self_attn": (0.1,), "rest": 0.2}, {}])
def test_a_merge_takes_a_vector_in_place_of_its_curve(given: dict[str, Any]) -> None:
    merge = MergeConfig(name="m", method="norm_slerp", models=("a", "b"), base="c", **given)
    made = with_vector(merge, (0.1, 0.2, 0.3, 0.4, 0.5))
    assert made.vectors == Vectors((0.1, 0.2), (0.3, 0.4), 0.5)
    assert (made.name, made.method, made.models, made.base) == ("m", "norm_slerp", ("a", "b"), "c")


# The search

PEAK = (0.2, 0.4, 0.8, 0.9, 0.6, 0.1, 0.5)


def hill(vector: Vector) -> list[float]:
    """200 questions, the easier the nearer the vector is to a peak: right or wrong, nothing drawn."""
    near = math.exp(-sum((one - other) ** 2 for one, other in zip(vector, PEAK, strict=True)))
    return [float(place / 200 < 0.4 + 0.5 * near) for place in range(200)]


def looked(
    folder: Path, score: Any = hill, tell: Any = None, identity: Any = None, starts: Any = (), **config: Any
) -> tuple[Trial, ...]:
    given = SearchConfig(**{"anchors": 3, "trials": 60, "seed": 7} | config)
    heard = tell if tell is not None else [].append
    return evolve(score, given, folder / "trials.jsonl", identity or {"task": "t"}, starts, tell=heard)


@pytest.mark.parametrize("seed", [1, 7])
def test_a_better_vector_than_constant_is_found(seed: int, tmp_path: Path) -> None:
    constant = sum(hill((0.5,) * 7)) / 200
    told: list[Progress] = []
    trials = looked(tmp_path, seed=seed, tell=told.append)
    assert best(trials).score > constant + 0.05
    assert len(trials) == 60 == len(told)
    assert all(0 <= value <= 1 and round(value, 4) == value for trial in trials for value in trial.vector)
    generations = [np.mean([t.score for t in trials if t.generation == number]) for number in (1, 6)]
    assert generations[1] > generations[0]
    assert isinstance(told[-1], Remark) and told[-1].text.startswith("trial 60, 60 of 60 merges: 0.")


def test_starts_are_scored_first_and_may_win(tmp_path: Path) -> None:
    trials = looked(tmp_path, starts=[(0.5,) * 7, PEAK], trials=12)
    assert [(trial.generation, trial.vector) for trial in trials[:2]] == [(0, (0.5,) * 7), (0, PEAK)]
    assert best(trials) == trials[1] and len(trials) == 12


class Killed(Exception):
    pass


@pytest.mark.parametrize("after", [0, 1, 9, 10, 23])
def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(after: int, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    looked(tmp_path / "whole", trials=30)
    calls = 0

    def dying(vector: Vector) -> list[float]:
        nonlocal calls
        if calls == after:
            raise Killed
        calls += 1
        return hill(vector)

    with pytest.raises(Killed):
        looked(tmp_path / "parts", dying, trials=30)
    record = tmp_path / "parts" / "trials.jsonl"
    with record.open("ab") as file:
        file.write(b'{"number": 99, "vec')  # cut short
    counted: list[Vector] = []
    looked(tmp_path / "parts", lambda vector: counted.append(vector) or hill(vector), trials=30)
    assert record.read_bytes() == (tmp_path / "whole" / "trials.jsonl").read_bytes()
    assert len(counted) == 30 - after


def test_a_process_killed_midway_leaves_whole_lines(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from training.merging.search.config import SearchConfig\n"
        "from training.merging.search.evolution import evolve\n"
        "calls = []\n"
        "def score(vector):\n"
        "    calls.append(vector)\n"
        "    if len(calls) == 6: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return [float(vector[0] > place / 50) for place in range(50)]\n"
        "evolve(score, SearchConfig(anchors=1, trials=9, seed=3), Path(sys.argv[1]), {'task': 't'})\n"
    )
    root = Path(__file__).resolve().parent.parent
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "trials.jsonl")], cwd=root, check=False)
    assert ended.returncode == -9
    lines = (tmp_path / "trials.jsonl").read_text().splitlines()
    assert [json.loads(line).get("number") for line in lines] == [None, 1, 2, 3, 4, 5]

    def score(vector: Vector) -> list[float]:
        return [float(vector[0] > place / 50) for place in range(50)]

    given = SearchConfig(anchors=1, trials=9, seed=3)
    resumed = evolve(score, given, tmp_path / "trials.jsonl", {"task": "t"})
    assert resumed == evolve(score, given, tmp_path / "other.jsonl", {"task": "t"})


def test_more_trials_go_on_and_a_finished_search_scores_nothing(tmp_path: Path) -> None:
    first = looked(tmp_path, trials=15)
    more = looked(tmp_path, trials=25)
    assert more[:15] == first and len(more) == 25

    def never(vector: Vector) -> list[float]:
        raise AssertionError

    assert looked(tmp_path, never, trials=25) == more
    assert looked(tmp_path, never, trials=15) == first


def test_a_vector_that_comes_again_is_not_scored_again(tmp_path: Path) -> None:
    calls: list[Vector] = []

    def score(vector: Vector) -> list[float]:
        calls.append(vector)
        return hill(vector)

    trials = looked(tmp_path, score, starts=[PEAK, (0.5,) * 7, PEAK], trials=8)
    assert trials[2].repeats == 1 and trials[2].score == trials[0].score and trials[2].right == ()
    assert len(trials) == 9 and len(calls) == 8 == len(set(calls))  # what is repeated costs none of the budget


def test_a_search_that_has_settled_ends(tmp_path: Path) -> None:
    trials = looked(tmp_path, lambda vector: [1.0 - abs(vector[0] - 1.0)], anchors=1, trials=5000)
    assert 5 < len(trials) < 5000 and best(trials).score > 0.99


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([1.0, float("nan")], "trial 1: the score of question 2 is nan, which is no number from 0 to 1"),
        ([float("inf")], "question 1 is inf"),
        ([-0.5], "question 1 is -0.5"),
        ([], "no development question was asked"),
    ],
)
def test_a_score_that_is_no_share_is_refused_and_not_kept(scores: list[float], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        looked(tmp_path, lambda vector: scores)
    assert len((tmp_path / "trials.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 8}, "is of another search: seed is 7, not 8"),
        ({"anchors": 2}, "anchors is 3, not 2"),
        ({"identity": {"task": "other"}}, "task is t, not other"),
        ({"starts": [PEAK]}, "starts is"),
    ],
)
def test_a_record_of_another_search_is_refused(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    looked(tmp_path, trials=3)
    before = (tmp_path / "trials.jsonl").read_bytes()
    with pytest.raises(DataError, match=words):
        looked(tmp_path, **{"trials": 3} | change)
    assert (tmp_path / "trials.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("line", "put", "words"),
    [
        (0, "x", "line 1, does not say what was searched"),
        (0, '{"search": 3}', "line 1, does not say what was searched"),
        (2, '{"number": 2}', "line 3: "),
        (2, '{"number": 2, "generation": 1, "vector": [0.5], "score": NaN, "right": [1]}', "line 3: score"),
        (2, '{"number": 5, "generation": 1, "vector": [0.5], "score": 1, "right": [1]}', "is trial 5, not 2"),
    ],
)
def test_a_damaged_record_is_refused_with_its_line(line: int, put: str, words: str, tmp_path: Path) -> None:
    looked(tmp_path, trials=4)
    record = tmp_path / "trials.jsonl"
    lines = record.read_text().splitlines()
    lines[line] = put
    record.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=words):
        looked(tmp_path, trials=4)


def test_two_processes_do_not_search_together(tmp_path: Path) -> None:
    with claim(tmp_path / ".trials.jsonl.lock"), pytest.raises(Unfinished, match="is held by process"):
        looked(tmp_path, trials=3)


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"anchors": 0}, {"spread": math.nan}, {"development": 1}, {"t": 1}])
def test_options_out_of_bounds_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, StudioError)):
        SearchConfig(**wrong)

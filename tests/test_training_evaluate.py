"""Benchmarks and their statistics: answers by likelihood, honest intervals, the demonstration from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from tests.fixtures_local import sentences
from training import demo
from training.evaluation.asking.answering import RULES, Told, likelihoods, offered, right_by, with_letters
from training.evaluation.asking.blind import Trigrams, blind_answers
from training.evaluation.asking.scoring import Scorer
from training.evaluation.statistics.intervals import share as interval
from training.evaluation.statistics.paired import gain
from training.sample.rows import asked, benchmark
from workspace.progress import Progress, QuestionsAnswered

pytest_plugins = ["tests.fixtures_local"]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
CHOICE = {"kind": "choice", "question": "What holds?", "options": ["Wood", "Silk"], "answer": "Silk"}
TRUTH = {"kind": "truth", "question": "Silk holds.", "options": [], "answer": "true"}


def test_questions_are_put_with_all_their_answers() -> None:
    assert asked(CHOICE) == "What holds?" and offered(CHOICE) == ["Wood", "Silk"]
    assert asked(TRUTH) == "True or false? Silk holds." and offered(TRUTH) == ["true", "false"]
    for question in benchmark():
        assert question["answer"] in offered(question) and len(set(offered(question))) == len(offered(question))


def test_the_likelier_answer_counts(word_llama: Path) -> None:
    known = [
        {"kind": "choice", "question": "So?", "options": [line, "zq xk vj"], "answer": line} for line in sentences()[:4]
    ]
    seen: list[Progress] = []
    told = likelihoods(word_llama, known, tell=seen.append, name="tiny")
    assert [right_by("plain", question, row) for question, row in zip(known, told, strict=True)] == [True] * 4
    assert seen[-1] == QuestionsAnswered(model="tiny", answered=4, of=4)
    assert all(len(row.asked) == len(row.unasked) == len(row.letters) == 2 for row in told)
    [statement] = likelihoods(word_llama, [TRUTH])
    assert len(statement.asked) == 2 and statement.letters == ()


def test_answers_asked_together_are_as_likely_as_alone(word_llama: Path) -> None:
    lines = sentences()
    scorer = Scorer.load(word_llama)
    rows = [("", lines[:2]), (lines[0], [lines[1], lines[2][:9], ""]), (" ".join(lines[:5]), lines[3:4]), ("so", [])]
    together = scorer.likelihoods(rows)
    assert [len(row) for row in together] == [2, 3, 1, 0]
    for row, found in zip(rows, together, strict=True):
        [alone] = scorer.likelihoods([row])
        assert found == pytest.approx(alone, rel=0.03, abs=0.05)
        for answer, one in zip(row[1], found, strict=True):
            ids = scorer.tokens(row[0]) or [scorer._start()]
            [both] = scorer.model(torch.tensor([ids + scorer.tokens(answer)])).logits.float().log_softmax(-1)
            chances = [both[len(ids) - 1 + at, token] for at, token in enumerate(scorer.tokens(answer))]
            assert one == pytest.approx(float(sum(chances)), rel=0.03, abs=0.05)
    assert together[1][2] == 0.0


def test_every_rule_takes_its_own_likelihoods() -> None:
    question = {"kind": "choice", "question": "What?", "options": ["aa", "bbbb", "cc"], "answer": "bbbb"}
    told = Told(asked=(-4.0, -6.0, -5.0), unasked=(-4.5, -9.0, -5.0), letters=(-1.0, -0.5, -3.0))
    assert right_by("plain", question, told)  # -1.5 a byte beside -2 and -2.5
    assert right_by("pmi", question, told) and right_by("letters", question, told)
    assert not right_by("unasked", question, Told(told.asked, (-4.0, -9.0, -5.0), told.letters))
    plain = Told(asked=(-1.0, -2.0), unasked=(-0.1, -2.5), letters=())
    assert right_by("plain", TRUTH, plain) and not right_by("pmi", TRUTH, plain) and set(RULES) >= {"plain", "pmi"}
    assert with_letters(question).splitlines()[1:4] == ["A. aa", "B. bbbb", "C. cc"]


def test_one_who_sees_no_question_knows_what_sounds_like_the_text() -> None:
    texts = ["silk is spun from a dope in the gland", "the gland spins silk"]
    model = Trigrams(texts)
    assert model.likelihood("silk is spun") > model.likelihood("is silk spun") > model.likelihood("zq xk vj")
    question = {"kind": "choice", "question": "?", "options": ["silk is spun", "zq is xkqq"], "answer": "silk is spun"}
    assert blind_answers(texts, [question, {**question, "answer": "zq is xkqq"}]) == [True, False]


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (291, 359, 0.7669, 0.8478)],
)
def test_wilsons_interval(hits: int, count: int, low: float, high: float) -> None:
    told = interval([True] * hits + [False] * (count - hits))
    assert told == pytest.approx((hits / count, low, high), abs=2e-4)


def test_a_gain_is_paired() -> None:
    base = [True, False] * 50
    better = [True, True] * 25 + [True, False] * 25
    more, low, high = gain(better, base)
    assert more == 0.25 and 0.15 < low < 0.2 < 0.3 < high < 0.36
    assert gain(base, base) == (0.0, 0.0, 0.0)
    assert gain([True], [False]) == (1.0, -1.0, 1.0)
    assert gain(better, base) == (more, low, high)


def test_questions_on_one_passage_count_as_one() -> None:
    right = [1.0] * 40 + [0.0] * 40
    together, apart = (interval(right, passages) for passages in ([n // 10 for n in range(80)], range(80)))
    assert together.value == apart.value == 0.5
    assert together.high - together.low > 2 * (apart.high - apart.low)
    assert interval(right, ["one"] * 80) == (0.5, 0.0, 1.0)
    wide, thin = (gain(right, [0.0] * 80, passages) for passages in ([n // 10 for n in range(80)], None))
    assert wide.high - wide.low > thin.high - thin.low


def test_the_demonstration_measures_every_variant(
    word_llama: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in sentences()[:4]))
    args = {"max_steps": 2, "max_length": 64, "bf16": False, "logging_steps": 1}
    stages = [{"name": "cpt", "stage": "cpt", "data": [{"path": "rows.jsonl"}], "args": args}]
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({"name": "small", "base": str(word_llama), "stages": stages}))
    monkeypatch.setattr(demo, "benchmark", lambda: [{**CHOICE, "passage": "a"}, {**TRUTH, "passage": "b"}])
    events: list[Progress] = []
    made = demo.main(str(path), home, events.append)
    assert made.n == 2 and set(made.flat()) == {"minutes", "seeds", "n", "passages", "trigram", "base", "cpt"}
    apart = {f"{rule}{kind}" for rule in set(RULES) - {"letters"} for kind in ("", "_choices", "_statements")}
    assert set(made.models["cpt"]) == apart | {"letters_choices"} and made.models["base"]["pmi"].gain == 0
    assert [(one.model, one.answered) for one in events if one.type == "questions_answered"] == [
        ("base", 1), ("base", 2), ("cpt", 1), ("cpt", 2),
    ]  # fmt: skip
    for one in events:
        demo.show(one)
    lines = capsys.readouterr().err.splitlines()
    assert (
        "cpt: done" in lines
        and "questions: cpt answered 2 of 2" in lines
        and "questions: cpt answered 1 of 2" not in lines
    )
    [out] = (home / "training").glob("*-results")
    assert (out / "accuracy.png").read_bytes()[1:4] == b"PNG" and (out / "small-cpt-loss.png").is_file()
    with monkeypatch.context() as patch:
        patch.setattr(demo, "likelihoods", None)
        assert demo.main(str(path), home).models == made.models
    twice = demo.main(str(path), home, seeds=2)
    assert twice.seeds == 2 and set(twice.models) == {"base", "cpt"} and twice.models["base"] == made.models["base"]
    assert (out / "cpt-2.json").is_file() and (out / "small-seed-2-cpt-loss.png").is_file()

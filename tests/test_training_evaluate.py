"""Benchmarks and their statistics: answers by likelihood, honest intervals, the demonstration from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.fixtures_local import sentences
from training import demo
from training.evaluation.answering import answers, offered
from training.evaluation.statistics import gain, interval
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
    assert answers(word_llama, known) == [True] * 4
    wrong = [{**question, "answer": "zq xk vj"} for question in known]
    seen: list[Progress] = []
    assert answers(word_llama, wrong, tell=seen.append, name="tiny") == [False] * 4
    assert seen[-1] == QuestionsAnswered(model="tiny", answered=4, of=4)


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
    monkeypatch.setattr(demo, "benchmark", lambda: [CHOICE, TRUTH])
    events: list[Progress] = []
    made = demo.main(str(path), home, events.append)
    assert made.n == 2 and set(made.flat()) == {"minutes", "n", "base", "cpt"}
    assert made.flat()["cpt"] == made.models["cpt"].model_dump() and made.models["base"].gain == 0
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
    monkeypatch.setattr(demo, "answers", None)
    assert demo.main(str(path), home).models == made.models

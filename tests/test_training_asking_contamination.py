"""Test questions in training rows: found word for word, by a variant's card and its parents', and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures_local import sentences
from training.evaluation.asking import contamination
from training.evaluation.asking.config import EvaluateConfig
from training.evaluation.asking.contamination import contaminated, training_rows
from training.evaluation.asking.evaluate import evaluate
from training.evaluation.asking.questions import Question
from workspace.errors import DataError
from workspace.progress import Progress, Remark

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
LINES = sentences()


def benchmark(folder: Path) -> Path:
    rows = [
        {"id": f"c{number}", "question": f"So {number}?", "options": [line, "zq xk"], "answer": "A"}
        for number, line in enumerate(LINES[:7])
    ]
    path = folder / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def texts(events: list[Progress]) -> list[str]:
    return [event.text for event in events if isinstance(event, Remark)]


LONG = "In what way do the crystals of a silk thread that is pulled along its length share the load with chains around?"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (LONG.upper(), ["long"]),
        (f"Before. {' '.join(LONG.split()[4:18])} and after.", ["long"]),
        (" ".join(LONG.split()[:12]), []),
        ("what gives a web its   stickiness", ["short"]),
        ("gives a web its stickiness", []),
        ("Which is it? Glue!", ["tiny"]),
        ("Which is it? Silk!", []),
        ("Of these, which of the following is true of silk and bone and wood, then, as said", []),
        ("", []),
    ],
)
def test_test_questions_are_found_in_training_rows(text: str, found: list[str]) -> None:
    phrase = "Of these, which of the following is true of silk and bone and wood, then:"
    questions = [
        Question(id=name, kind="choice", question=words, options=("Glue", "Silk"), answer="Glue")
        for name, words in [
            ("long", LONG),
            ("short", "What gives a web its stickiness?"),
            ("tiny", "Which is it?"),
            *((f"phrase-{number}", f"{phrase} case {number}?") for number in range(3)),
        ]
    ]
    assert [hit.question for hit in contaminated(questions, [("a row", text)])] == found
    assert all(hit.where == "a row" for hit in contaminated(questions, [("a row", text)]))


def variant(home: Path, name: str, model: Path, **card: Any) -> Path:
    folder = home / "variants" / name
    shutil.copytree(model, folder)
    (folder / "variant.json").write_text(json.dumps({"name": name, **card}))
    return folder


def test_a_variants_rows_are_found_by_its_card_and_its_parents(word_llama: Path, home: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        json.dumps({"messages": [{"role": "user", "content": "So 0?"}, {"role": "x", "content": LINES[0]}]})
    )
    made = home / "training" / "r-distilled" / "data"
    made.mkdir(parents=True)
    (made / "messages.jsonl").write_text(json.dumps({"text": "from a paper"}) + "\n")
    first = {"recipe": "r", "stage": "sft", "data": {"files": f"sample, {rows}, distilled, gone.jsonl"}}
    variant(home, "r-sft", word_llama, parent="smollm-1.7b", **first)
    merged = variant(home, "r-merge", word_llama, recipe="r", stage="slerp", parents="r-sft, smollm")
    found = training_rows(merged, home)
    assert found.missing == ("what smollm was trained on", "gone.jsonl of r-sft")
    assert set(found.sources) == {"sft", rows, made / "messages.jsonl"}
    seen: list[Progress] = []
    config = EvaluateConfig(tasks=(str(benchmark(tmp_path)),))
    with pytest.raises(
        DataError, match=rf"own: 1 of 7 questions stand in training rows: c0 in {rows}, row 1"
    ) as refused:
        evaluate("r-merge", config, home, seen.append)
    assert refused.value.exit_code == 65 and "allow_contamination" in str(refused.value)
    assert any("gone.jsonl of r-sft cannot be looked at" in text for text in texts(seen))
    [allowed] = evaluate("r-merge", config.model_copy(update={"allow_contamination": True}), home, seen.append)
    assert allowed.model == "r-merge" and any("1 of 7 questions stand" in text for text in texts(seen))


def test_files_that_are_named_are_looked_into(word_llama: Path, home: Path, tmp_path: Path) -> None:
    path = benchmark(tmp_path)
    table = tmp_path / "rows.csv"
    table.write_text(f'text,more\n"It asks: So 3? {LINES[3]}",x\nnothing,y\n')
    with pytest.raises(DataError, match=r"1 of 7 questions stand in training rows: c3 in .*rows.csv, row 1"):
        evaluate(word_llama, EvaluateConfig(tasks=(str(path),), training=(table,)), home)
    with pytest.raises(DataError, match=r"cannot read .*absent.jsonl"):
        evaluate(word_llama, EvaluateConfig(tasks=(str(path),), training=(tmp_path / "absent.jsonl",)), home)


def test_rows_that_models_share_are_read_once_until_they_change(
    word_llama: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"text": f"So 1? {LINES[1]}"}))
    models = [variant(home, name, word_llama, stage="sft", data={"files": f"sample, {rows}"}) for name in ("a", "b")]
    read: list[Path] = []
    honest = contamination.texts_of

    def counted(path: Path) -> Any:
        read.append(path)
        return honest(path)

    monkeypatch.setattr(contamination, "texts_of", counted)
    config = EvaluateConfig(tasks=(str(benchmark(tmp_path)),), allow_contamination=True)
    assert [evaluate(model, config, home)[0].contaminated for model in models] == [1, 1]
    assert read == [rows]
    rows.write_text(rows.read_text() + "\n" + json.dumps({"text": f"So 2? {LINES[2]}"}))
    assert evaluate(models[0], config, home)[0].contaminated == 2
    few = config.model_copy(update={"limit": 2})
    assert evaluate(models[0], few, home)[0].contaminated == 1
    assert read == [rows] * 3


def test_of_several_places_the_first_is_told(word_llama: Path, home: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("z.jsonl", "a.jsonl")]
    for file in files:
        file.write_text(json.dumps({"text": f"So 1? {LINES[1]}"}))
    config = EvaluateConfig(tasks=(str(benchmark(tmp_path)),), training=tuple(files))
    with pytest.raises(DataError, match=r"1 of 7 questions stand in training rows: c1 in [^;]*z.jsonl, row 1 \("):
        evaluate(word_llama, config, home)

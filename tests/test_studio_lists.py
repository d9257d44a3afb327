"""What was made, trained and measured, looked at through the front door: variants, scores, data, rows, logs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import studio
from studio.batching.shapes import Item, Outcome
from studio.batching.store import open_store
from studio.runs.request import DesignOptions
from training.evaluation.results import Answer, Evaluation
from workspace.errors import DataError, UsageError
from workspace.ledger import Ledger

CURVE = (0.0, 0.4, 1.0)


def _variant(home: Path, name: str, **card: str) -> Path:
    folder = home / "variants" / name
    folder.mkdir(parents=True)
    (folder / "variant.json").write_text(json.dumps({"name": name} | card))
    (folder / "model.safetensors").write_bytes(b"0" * 1000)
    return folder


def test_variants_tell_what_they_were_made_of(home: Path) -> None:
    assert studio.list_variants().variants == ()
    _variant(home, "tuned", parent="smollm2-135m-instruct", stage="sft")
    folder = _variant(home, "merged", parents="smollm2-135m-instruct, tuned")
    record = {"name": "merged", "method": "slerp", "parents": ["smollm2-135m-instruct", "tuned"]}
    (folder / "merge.json").write_text(json.dumps(record | {"curve": {"mlp": CURVE}}))
    _variant(home, "damaged")
    (home / "variants" / "damaged" / "variant.json").write_text("{")
    rows = {row.name: row for row in studio.list_variants().variants}
    assert rows["tuned"].parents == ("smollm2-135m-instruct",) and rows["tuned"].stages == ("sft",)
    assert rows["merged"].method == "slerp" and rows["merged"].curve == {"mlp": CURVE}
    assert rows["tuned"].bytes > 1000 and "cannot read" in rows["damaged"].fault


def test_scores_are_read_anew_when_a_file_changes(home: Path) -> None:
    assert studio.list_scores().scores == ()
    folder = home / "evaluations" / "one"
    folder.mkdir(parents=True)
    for count in (3, 6):
        answers = tuple(
            Answer(id=str(n), kind="choice", wanted="A", given="A" if n < count else "B", right=n < count)
            for n in range(10)
        )
        made = Evaluation(
            model="tuned", fingerprint="f", task="sample", task_fingerprint="t", protocol="likelihood", rule="pmi",
            template=True, seconds=1, answers=answers,
        )  # fmt: skip
        (folder / f"{count}.json").write_text(made.model_dump_json())
        (folder / "3.json").unlink() if count == 6 else None
        [score] = studio.list_scores().scores
        assert score.right == count / 10 and score.low < score.right < score.high


def test_the_beginning_of_data_is_shown_bounded(home: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"q{n}", "chosen": "x" * 5000}) + "\n" for n in range(200)))
    found = studio.preview_data(str(rows), most=3)
    assert [row["prompt"] for row in found.rows] == ["q0", "q1", "q2"] and found.more
    assert len(found.rows[0]["chosen"]) < 2100
    table = tmp_path / "t.csv"
    table.write_text('brief,seed\n"a, b",1\n')
    assert studio.preview_data(str(table)).rows == ({"brief": "a, b", "seed": "1"},)
    assert "stages:" in studio.preview_data("tiny").text
    (tmp_path / "passages.jsonl").write_text('{"text": "one"}\n')
    assert studio.preview_data(str(tmp_path)).rows == ({"text": "one"},)
    papers = tmp_path / "papers"
    papers.mkdir()
    (papers / "a.pdf").write_bytes(b"%PDF")
    assert studio.preview_data(str(papers)).text == "a.pdf"


def test_what_is_no_data_is_not_shown(home: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("{\n")
    with pytest.raises(DataError, match="line 1: not JSON"):
        studio.preview_data(str(tmp_path / "bad.jsonl"))
    for name, mode in ((".hidden.txt", 0o644), ("keys.toml", 0o644), ("private.txt", 0o600), ("absent.txt", None)):
        if mode is not None:
            (tmp_path / name).write_text("secret")
            (tmp_path / name).chmod(mode)
        with pytest.raises(UsageError):
            studio.preview_data(str(tmp_path / name))


def _batch(home: Path) -> None:
    folder = home / "batches" / "tiles"
    options = DesignOptions(inspirations=("nacre",))
    with open_store(folder, 7) as store:
        store.fill(Item(id=f"tile-{n}", brief=f"a roof tile number {n}", options=options) for n in range(5))
        first, second = store.take(2)
        store.finish(first.seq, Outcome(seconds=2, pictures=1))
        store.finish(second.seq, Outcome(reason="the painter ran out of memory"))
    payload = {"cwd": str(home), "options": {"out": "batches/tiles"}}
    with Ledger(home / "ledger.db") as ledger:
        ledger.jobs.add("tiles", "batch", "tiles.txt", payload, state="interrupted")
        ledger.jobs.add("other", "fetch_models", "a model", payload, state="failed")


def test_a_batch_s_rows_are_listed_as_they_stand(home: Path) -> None:
    _batch(home)
    found = studio.batch_rows("tiles", limit=3)
    assert [row.state for row in found.rows] == ["done", "failed", "waiting"] and found.more
    assert (found.done, found.failed, found.waiting) == (1, 1, 3)
    assert found.rows[0].inspirations == ("nacre",) and "memory" in found.rows[1].reason
    rest = studio.batch_rows("tiles", after=found.rows[-1].number)
    assert len(rest.rows) == 2 and not rest.more
    assert [row.id for row in studio.batch_rows("tiles", states=("failed",)).rows] == ["tile-1"]
    with pytest.raises(UsageError, match="is no batch"):
        studio.batch_rows("other")


def test_jobs_are_listed_by_kind_and_their_logs_end_is_shown(home: Path) -> None:
    _batch(home)
    assert [one.job_id for one in studio.list_jobs(kinds=("batch",))] == ["tiles"]
    assert [one.job_id for one in studio.list_jobs(states=("failed",), kinds=("batch", "fetch_models"))] == ["other"]
    assert studio.job_log("other") == ""
    logs = home / "logs"
    logs.mkdir()
    (logs / "other.log").write_text("old\n" * 5000 + "10%\r20%\nhttps://me:pass@host/x \x1b[31mred\n")
    text = studio.job_log("other", most=2000)
    assert text.endswith("red") and "20%\n" in text and "pass" not in text and "\x1b" not in text
    assert len(text) <= 2100
    (logs / "tiles.log").symlink_to(home / "ledger.db")
    assert studio.job_log("tiles") == ""


def test_places_in_the_queue_are_a_lane_s_own(home: Path) -> None:
    with Ledger(home / "ledger.db") as ledger:
        for number, lane in enumerate(("heavy", "light", "heavy")):
            ledger.jobs.add(f"j{number}", "batch", "x", {}, lane="heavy" if lane == "heavy" else "light")
        ledger.jobs.put_first("j2")
        assert ledger.jobs.positions() == {"j2": 0, "j0": 1, "j1": 0}
        assert ledger.jobs.position("j0") == 1 and ledger.jobs.position("absent") is None

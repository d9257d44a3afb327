"""Training, batches and jobs from the page: plans, data, charts, rows live, logs, errors beside fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import studio
from studio.batching.shapes import Item, Outcome
from studio.batching.store import open_store
from ui.desk import queue
from ui.desk.door import FrontDoor
from ui.desk.forms import FieldFault, check, fields
from ui.desk.table import ACTIONS, READERS
from ui.desk.training.charts import depth_chart
from workspace.errors import UsageError
from workspace.event_log import EventLog
from workspace.events import JobStarted, JobStopped
from workspace.ledger import Ledger
from workspace.progress import Downloaded, Remark, TrainingStep

HOSTILE = "<script>alert(1)</script>"
PLAN = {
    "recipe": "tiny", "base": "small", "missing": f"{HOSTILE} is not here",
    "processes": 1, "spread": False, "command": "",
    "machine": {"name": "CPU", "gpus": 0, "memory_gb": 16.0, "tflops": None}, "faults": ["too long"],
    "stages": [
        {"name": "cpt", "stage": "cpt", "from": "base", "rows": 252, "tokens": 66109, "steps": 2, "memory_gb": 3.5,
         "fits": True, "hours": 0.25, "remarks": ["one row is cut"]},
        {"name": "mix", "stage": "slerp", "from": "cpt"},
    ],
}  # fmt: skip


@pytest.fixture
def door(home: Path) -> FrontDoor:
    return FrontDoor()


@pytest.fixture
def client(home: Path) -> Iterator[Any]:
    pytest.importorskip("gradio")
    from fastapi.testclient import TestClient

    from ui.app import application

    with TestClient(application(), base_url="http://localhost") as client:
        yield client


def _says(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[list[str]]:
    ran: list[list[str]] = []

    def command(self: FrontDoor, args: list[str], seconds: float) -> str:
        ran.append(list(args))
        return json.dumps(answer)

    monkeypatch.setattr(FrontDoor, "command", command)
    return ran


def test_a_recipe_s_plan_tells_memory_hours_and_the_command(door: FrontDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    _says(monkeypatch, PLAN)
    html = ACTIONS["training/plan"](door, {"stage": "run", "subject": "tiny"}).pieces["training-plan"]
    for words in ("66,109", "3.5 GB", "15 min", "yes", "too long", "studio train run tiny", "one row is cut"):
        assert words in html
    assert HOSTILE not in html and "--plan" not in html


def test_a_merge_s_plan_draws_its_curve(door: FrontDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    _says(monkeypatch, {
        "method": "slerp", "parents": ["a", "b"], "bytes": 10**9, "free_bytes": 10**10, "memory_bytes": 10**8,
        "free_memory_bytes": 10**9, "tensors": 272, "engine": "studio", "curve": {"mlp": [0, 0.5, 1]},
        "start": "t = 0 is a", "remarks": [],
    })  # fmt: skip
    html = ACTIONS["training/plan"](door, {"stage": "merge", "subject": "a, b", "name": "mix"}).pieces["training-plan"]
    assert "<polyline" in html and "t = 0 is a" in html and "1 GB; 10 GB free" in html


def test_a_wrong_option_is_told_beside_its_field(client: Any) -> None:
    for stage, values, at, why in (
        ("run", {"subject": ""}, "subject", "Recipe must be filled in"),
        ("run", {"subject": "tiny", "processes": "0"}, "processes", "Processes must be 1"),
        ("corpus", {"subject": "papers"}, "out", "Out must be filled in"),
        ("merge", {"subject": "a,b", "name": "a b"}, "name", "letters that it may not have"),
        ("merge", {"subject": "a,b", "name": "ab", "t": "2"}, "t", "t must be 0 to 1"),
    ):
        answer = client.post("/desk/training/plan", json={"stage": stage, **values})
        assert answer.status_code == 422
        assert answer.json()["at"] == at and why in answer.json()["error"]


def test_only_the_fields_of_a_form_are_checked() -> None:
    form = fields(studio.batch.kind)
    some = [one for one in form if one.name in ("images", "inspirations")]
    check(studio.batch.kind, some, {"images": "3", "inspirations": "nacre, silk", "workers": "0"})
    with pytest.raises(FieldFault, match="Images must be a whole number") as fault:
        check(studio.batch.kind, some, {"images": "3.5"})
    assert fault.value.at == "images"


def test_the_beginning_of_the_data_is_shown_escaped(door: FrontDoor, tmp_path: Path) -> None:
    (tmp_path / "passages.jsonl").write_text(json.dumps({"text": HOSTILE}) + "\n")
    reply = ACTIONS["training/preview"](door, {"stage": "distil", "subject": str(tmp_path)})
    html = reply.pieces["training-plan"]
    assert "&lt;script&gt;" in html and HOSTILE not in html
    with pytest.raises(FieldFault, match="no file or folder"):
        ACTIONS["training/preview"](door, {"stage": "distil", "subject": "nowhere"})


def _training(home: Path) -> None:
    with Ledger(home / "ledger.db") as ledger:
        ledger.jobs.add("tiny-1", "train_recipe", HOSTILE, {}, state="queued")
        ledger.jobs.set_state("tiny-1", "failed", "the loss is no number")
        ledger.jobs.add("lora-1", "train_image_lora", "leaf.yaml", {}, state="queued")
        ledger.jobs.set_state("lora-1", "finished", result={"adapter": "/home/x/leaf.safetensors", "trigger": "leafy"})
    with EventLog(home / "jobs" / "tiny-1" / "events.jsonl", "tiny-1") as log:
        log.emit(JobStarted(kind="train_recipe", attempt=2))
        log.emit(Remark(text=f"cut {HOSTILE}"))
        for step in range(1, 5):
            log.emit(TrainingStep(stage="sft", step=step, of=8, loss=2 / step, left_s=70))
        log.emit(TrainingStep(stage="sft", step=5, of=8, loss=float("1e300")))
        log.emit(JobStopped(status="failed", message="the loss is no number", exit_code=65))


def test_trainings_show_their_losses_and_what_came_of_them(door: FrontDoor, home: Path) -> None:
    _training(home)
    html = READERS["trained"](door, {"job": "tiny-1"})
    assert "<polyline" in html and "loss 0.5 after step 4 of 8, 4 steps left" in html and 'class="asked"' in html
    assert HOSTILE not in html and "about 1:10" not in html  # it is over
    assert "/compare?adapter=" in html and "/home/x/leaf.safetensors</" not in html and "leafy" in html
    assert READERS["trained"](door, {}) == READERS["trained"](door, {})


def test_a_merge_s_curve_is_drawn() -> None:
    html = depth_chart({"self_attn": [0, 0.5, 1], "rest": [0.5]}, HOSTILE)
    assert html.count("<polyline") == 2 and "attention 0 to 1" in html and HOSTILE not in html
    assert depth_chart({}) == "" and depth_chart({"mlp": []}) == ""


def test_variants_and_scores_stand_with_a_link_to_try_them(door: FrontDoor, home: Path) -> None:
    folder = home / "variants" / "tuned"
    folder.mkdir(parents=True)
    (folder / "variant.json").write_text(json.dumps({"name": "tuned", "parent": "base&model", "stage": "sft"}))
    html = READERS["variants"](door, {})
    assert "/compare?base=base%26model&amp;adapter=tuned" in html and "Nothing was measured yet" in html


def test_the_report_is_one_page_and_nothing_else_of_its_folder(client: Any, home: Path) -> None:
    assert client.get("/report").status_code == 404
    folder = home / "reports" / "report"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<h1>figures</h1>")
    assert "figures" in client.get("/report").text
    (folder / "report.html").unlink()
    (folder / "report.html").symlink_to(home / "ledger.db")
    assert client.get("/report").status_code == 404
    assert client.get("/report/report.json").status_code == 404


def test_a_job_s_log_is_shown_and_cleared_away(door: FrontDoor, home: Path) -> None:
    _training(home)
    (home / "logs").mkdir(exist_ok=True)
    (home / "logs" / "tiny-1.log").write_text(f"Traceback {HOSTILE}\n")
    html = ACTIONS["jobs/log"](door, {"job": "tiny-1"}).pieces["job-log"]
    assert "begun, attempt 2" in html and "failed: the loss is no number" in html
    assert "Traceback" in html and HOSTILE not in html
    assert ACTIONS["jobs/log"](door, {}).pieces["job-log"] == ""
    with pytest.raises(UsageError, match="unknown job"):
        ACTIONS["jobs/log"](door, {"job": "nobody"})


def test_jobs_are_filtered_by_kind_and_link_to_what_they_made(door: FrontDoor, home: Path) -> None:
    _training(home)
    with Ledger(home / "ledger.db") as ledger:
        ledger.jobs.add("run&1", "design", "a panel", {}, state="waiting")
    html = READERS["jobs"](door, {})
    assert 'href="/?run=run%261"' in html and 'href="/training?job=lora-1"' in html
    assert "leaf.yaml" not in READERS["jobs"](door, {"kind": "design"})
    assert "Nothing here" in READERS["jobs"](door, {"kind": "batch", "show": "open"})
    with pytest.raises(UsageError, match="unknown kind"):
        READERS["jobs"](door, {"kind": "nothing"})
    assert set(queue.KINDS) == set(studio.JOBS)


def test_a_job_that_is_over_costs_no_reading(door: FrontDoor, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _training(home)
    monkeypatch.setattr(studio, "job_progress", lambda *a, **k: pytest.fail("read"))
    monkeypatch.setattr(studio, "job_events", lambda *a, **k: pytest.fail("read"))
    assert "failed" in READERS["jobs"](door, {})


def test_a_cut_off_fetch_is_told_until_the_model_is_here(door: FrontDoor, home: Path) -> None:
    with Ledger(home / "ledger.db") as ledger:
        ledger.jobs.add("f1", "fetch_models", "flux.1-dev", {}, state="queued")
        ledger.jobs.set_state("f1", "failed", f"gated {HOSTILE}")
        ledger.jobs.add("f2", "fetch_models", "studio-micro-flux", {}, state="queued")
        ledger.jobs.set_state("f2", "failed", "no network")
    html = READERS["models"](door, {})
    assert "gated" in html and HOSTILE not in html and 'data-do="jobs/retry" data-job="f1"' in html
    assert "no network" not in html and "used by the painter" in html


def test_a_download_s_rate_is_that_of_its_events() -> None:
    from studio.queue.progress import read
    from ui.desk.measures import told

    events = [Downloaded(file="a", bytes=10_000_000 * n, of=100_000_000, at=float(n)) for n in range(1, 5)]
    assert told(read(events)) == "fetching a, 40 MB of 100 MB, 10 MB a second, about 0:06 left"


def test_a_grid_is_written_from_the_form(door: FrontDoor, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = _says(monkeypatch, {"job_id": "20260101-grid"})
    asked = {
        "name": "grid", "kind": "grid", "briefs": "A panel after {{ first }}", "first": "nacre, silk", "seeds": "1, 2"
    }  # fmt: skip
    reply = ACTIONS["batch/launch"](door, asked)
    assert reply.go == "/batch?job=20260101-grid" and ran[0][1] == str(home / "briefs" / "grid.yaml")
    held = json.loads((home / "briefs" / "grid.yaml").read_text())
    assert held == {"brief": ["A panel after {{ first }}"], "inspirations": [["nacre", "silk"]], "seed": [1, 2]}
    with pytest.raises(FieldFault, match="Seeds must be whole numbers") as fault:
        ACTIONS["batch/launch"](door, asked | {"seeds": "one"})
    assert fault.value.at == "seeds"


def test_a_plan_leaves_the_briefs_free_to_change(door: FrontDoor, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"waiting": 2, "done": 0, "faults": 1, "repeats": 0}
    made = {"counts": counts, "in_flight": 4, "engine": "here", "pictures": None, "tokens_out": None, "seconds": None}
    _says(monkeypatch, made)
    asked = {"name": "tiles", "kind": "lines", "briefs": "a roof tile\na floor tile"}
    html = ACTIONS["batch/plan"](door, asked).pieces["batch-plan"]
    assert "Lines that are no brief" in html and "not known before the first design" in html
    assert not (home / "briefs" / "tiles.txt").exists() and "/plans/" not in html
    ACTIONS["batch/plan"](door, asked | {"briefs": "others"})


def test_a_batch_s_rows_are_shown_live(door: FrontDoor, home: Path) -> None:
    with open_store(home / "batches" / "tiles", 7) as store:
        store.fill(Item(id=f"tile-{n}", brief=f"a roof tile {n} {HOSTILE}") for n in range(40))
        first, second = store.take(2)
        store.finish(first.seq, Outcome(reason=f"no room {HOSTILE}"))
        store.finish(second.seq, Outcome(seconds=38.2))
    with Ledger(home / "ledger.db") as ledger:
        payload = {"cwd": str(home), "options": {"out": "batches/tiles"}}
        ledger.jobs.add("tiles", "batch", "tiles.txt", payload, state="interrupted")
    assert READERS["batch/rows"](door, {}).strip().startswith("<div")
    html = READERS["batch/rows"](door, {"job": "tiles"})
    assert "no room" in html and "38 s" in html and HOSTILE not in html and "after=25" in html
    assert "a roof tile 30" in READERS["batch/rows"](door, {"job": "tiles", "after": "25"})
    assert "a roof tile 1 " not in READERS["batch/rows"](door, {"job": "tiles", "state": "failed"})
    assert "1 done, 1 failed, 38 to be made" in READERS["batches"](door, {"job": "tiles"})
    with pytest.raises(UsageError, match="unknown state"):
        READERS["batch/rows"](door, {"job": "tiles", "state": "odd"})

"""The pages beside the first, on a real front door: their pieces, their actions, the routes that bring them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import studio
from ui.desk import batching
from ui.desk.door import FrontDoor
from ui.desk.forms import arguments, fields
from ui.desk.fragments import Reply
from ui.desk.measures import percent, told
from ui.desk.table import ACTIONS, READERS
from ui.desk.training import launching
from ui.desk.training.charts import loss_chart
from workspace.errors import UsageError
from workspace.events import JobStarted, PictureProgress, StepStarted
from workspace.ledger import Ledger
from workspace.progress import Downloaded, TrainingStep

HOSTILE = "<script>alert(1)</script>"


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


def _made(brief: str, **options: Any) -> Any:
    return studio.design(brief, images=2, rounds=1, seed=7, **options)


OF_A_RUN = {"library/sheet", "library/why", "run/family", "run/step", "run/why"}


@pytest.mark.parametrize("name", sorted(set(READERS) - {"doctor", *OF_A_RUN}))
def test_every_piece_stands_in_an_empty_home(door: FrontDoor, name: str) -> None:
    assert "<" in READERS[name](door, {})


@pytest.mark.usefixtures("scripted_studio")
def test_designs_stand_side_by_side(door: FrontDoor) -> None:
    made, other = _made("a tough panel"), studio.design("a hinge", images=1, rounds=1, seed=8)
    html = READERS["compare"](door, {"runs": f"{made.run_id},{other.run_id}"})
    rows = dict(re.findall(r'<th scope="row">([^<]+)</th>(.*?)</tr>', html, re.DOTALL))
    assert "a tough panel" in rows["brief"] and "a hinge" in rows["brief"] and "flow.images" in rows
    assert "data-slider" in html and "flow.rounds" not in rows
    every = READERS["compare"](door, {"runs": f"{made.run_id},{other.run_id}", "every": "1"})
    assert "Risks" in every
    assert other.run_id in READERS["compare"](door, {})  # to choose from
    for wrong in (made.run_id, ",".join(f"r{n}" for n in range(5))):
        with pytest.raises(UsageError, match="2 to 4 designs"):
            READERS["compare"](door, {"runs": wrong})
    with pytest.raises(UsageError, match="unknown run"):
        READERS["compare"](door, {"runs": "one,two"})


@pytest.mark.usefixtures("scripted_studio")
def test_thumbnails_are_small_kept_and_of_pictures_alone(client: Any, home: Path) -> None:
    made = _made("a tough panel")
    name = made.images[0].path.name
    answer = client.get(f"/thumbnails/{made.run_id}/{name}?side=256")
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/webp"
    assert max(Image.open(io.BytesIO(answer.content)).size) <= 256
    assert len(list((home / "thumbnails").rglob("*.webp"))) == 1
    assert client.get(f"/thumbnails/{made.run_id}/{name}?side=256").content == answer.content
    for path in (f"{made.run_id}/99.png", "nobody/01.png", f"{made.run_id}/{name}?side=99999"):
        assert client.get(f"/thumbnails/{path}").status_code == 404
    made.images[1].path.write_bytes(b"another file")
    assert client.get(f"/thumbnails/{made.run_id}/{made.images[1].path.name}").status_code == 404


def test_the_queue_is_listed_and_worked_on(door: FrontDoor, home: Path) -> None:
    with Ledger(home / "ledger.db") as ledger:
        ledger.jobs.add("one", "train_recipe", HOSTILE, {}, state="failed")
        ledger.jobs.add("two", "fetch_models", "flux.1-dev", {}, state="waiting")
    html = READERS["jobs"](door, {})
    assert HOSTILE not in html and 'data-do="jobs/retry" data-job="one"' in html
    assert "one" not in READERS["jobs"](door, {"show": "finished"})
    with pytest.raises(UsageError, match="unknown list 'everything'"):
        READERS["jobs"](door, {"show": "everything"})
    assert "not at work" in ACTIONS["jobs/stop"](door, {"job": "one"}).say
    with pytest.raises(UsageError, match="unknown job"):
        ACTIONS["jobs/first"](door, {"job": "nobody"})


def test_how_far_a_job_is_is_what_it_told_last() -> None:
    from studio.queue.progress import read

    step = TrainingStep(stage="sft", step=3, of=12, loss=1.25, left_s=70)
    found = read([JobStarted(kind="train_recipe", attempt=1), step])
    assert (percent(found), told(found)) == (25, "sft, loss 1.25, 3 of 12 steps, about 1:10 left")
    found = read([StepStarted(role="painter", key="k", label="Painting picture 1 of 2")])
    assert (percent(found), told(found)) == (None, "Painting picture 1 of 2")
    assert told(read([PictureProgress(round=1, step=2, steps=8)])) == "painting, 2 of 8 steps"
    found = read([Downloaded(file="a.bin", bytes=1_500_000, of=3_000_000_000)])
    assert (percent(found), told(found)) == (0, "fetching a.bin, 1.5 MB of 3 GB")
    assert told(read([])) == ""


def test_a_loss_is_drawn() -> None:
    steps = [
        TrainingStep(stage="sft", step=n, of=40, loss=4 / n, held_out=5 / n if n % 2 else None) for n in range(1, 9)
    ]
    html = loss_chart(steps)
    assert html.count("<polyline") == 2 and "loss 0.5 after step 8 of 40" in html
    assert loss_chart([]) == "" and "<polyline" in loss_chart(steps[:1])


@pytest.mark.parametrize("stage", launching.STAGES)
def test_every_stage_has_a_form_and_its_options_are_the_command_lines(stage: str, door: FrontDoor) -> None:
    html = READERS["training"](door, {"stage": stage})
    form = launching.shown(launching.STAGES[stage])
    assert all(f'name="{one.name}"' in html for one in form)
    assert {one.name for one in form} <= set(getattr(studio, launching.STAGES[stage].verb).kind.model_fields)


def test_what_is_filled_in_is_what_a_terminal_would_say() -> None:
    form = fields(studio.batch.kind)
    given = {"images": "3", "retry_failed": "1", "inspirations": "nacre, spider silk", "seed": " ", "max_failures": "2"}
    made = arguments(form, given)
    assert made[:6] == ["--inspiration", "nacre", "--inspiration", "spider silk", "--images", "3"]
    assert made[6:] in (["--max-failures", "2", "--retry-failed"], ["--retry-failed", "--max-failures", "2"])
    by_name = {one.name: one for one in form}
    assert by_name["out"].needed and by_name["images"].kind == "number" and by_name["engine"].choices == ("auto", "ray")
    assert not {"ask", "choose"} & set(by_name)  # hidden


def test_a_stage_is_planned_and_launched_by_the_command_that_is_shown(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(FrontDoor, "command", lambda self, args, seconds: ran.append(list(args)) or "")
    asked = {"stage": "run", "subject": "demo", "launch": "accelerate"}
    reply: Reply = ACTIONS["training/plan"](door, asked)
    html = reply.pieces["training-plan"]
    assert ran[-1] == ["train", "run", "demo", "--launch", "accelerate", "--plan", "--json"]
    assert "studio train run demo --launch accelerate" in html
    ACTIONS["training/launch"](door, asked)
    assert ran[-1] == ["train", "run", "demo", "--launch", "accelerate", "--detach"]
    for wrong, why in (({"subject": ""}, "Recipe must be filled in"), ({"subject": "--plan"}, "begin with a dash")):
        with pytest.raises(UsageError, match=why):
            ACTIONS["training/launch"](door, asked | wrong)
    with pytest.raises(UsageError, match="unknown stage"):
        ACTIONS["training/launch"](door, asked | {"stage": "sudo"})
    with pytest.raises(UsageError, match="Out must be filled in"):
        ACTIONS["training/plan"](door, {"stage": "corpus", "subject": "papers"})


def test_a_command_of_its_own_process_says_its_fault_in_one_line(door: FrontDoor) -> None:
    assert "demo" in door.command(["programs"], 60) or door.command(["programs"], 60)
    with pytest.raises(UsageError, match="unknown program 'nothing'"):
        door.command(["programs", "nothing"], 60)


def test_a_batch_is_a_file_of_briefs_and_the_command(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(FrontDoor, "command", lambda self, args, seconds: ran.append(list(args)) or "")
    asked = {"name": "tiles", "kind": "lines", "briefs": "a roof tile\na floor tile", "images": "1"}
    ACTIONS["batch/launch"](door, asked)
    file = home / "briefs" / "tiles.txt"
    assert file.read_text() == "a roof tile\na floor tile\n"
    out = str(home / "batches" / "tiles")
    assert ran == [["batch", str(file), "--out", out, "--images", "1", "--detach", "--json"]]
    (home / "batches" / "tiles").mkdir(parents=True)
    (home / "batches" / "tiles" / "batch.db").touch()
    for wrong, why in (
        ({"name": "../x"}, "Name must be"),
        ({"briefs": " "}, "Briefs must be filled in"),
        ({"briefs": "another"}, "of other briefs already"),
        ({"kind": "exe"}, "unknown way"),
    ):
        with pytest.raises(UsageError, match=why):
            ACTIONS["batch/launch"](door, asked | wrong)


def test_a_contact_sheet_is_shown_and_nothing_else_of_its_folder(client: Any, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "thumbs").mkdir(parents=True)
    (out / "index.html").write_text("<h1>sheet</h1>")
    (out / "batch.db").write_text("secret")
    (out / "thumbs" / f"{'a' * 24}.webp").symlink_to(out / "batch.db")
    payload = {"cwd": str(tmp_path), "options": {"out": "out"}}
    with Ledger(home / "ledger.db") as ledger:
        ledger.jobs.add("sheet", "batch", "two briefs", payload, state="finished")
        ledger.jobs.add("fetch", "fetch_models", "a model", payload, state="finished")
    assert batching.sheet_of(FrontDoor(), "sheet") == out
    answer = client.get("/batches/sheet/index.html")
    assert answer.status_code == 200 and "sheet" in answer.text
    paths = (
        "sheet/batch.db",
        f"sheet/thumbs/{'a' * 24}.webp",
        "sheet/../index.html",
        "fetch/index.html",
        "none/index.html",
    )
    for path in paths:
        assert client.get(f"/batches/{path}").status_code == 404
    assert "/batches/sheet/index.html" in client.get("/desk/batches").text


def test_pieces_and_actions_over_http(client: Any) -> None:
    answer = client.get("/desk/jobs")
    assert answer.status_code == 200 and answer.headers["etag"]
    again = client.get("/desk/jobs", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304 and not again.content
    assert client.get("/desk/nothing").status_code == 404
    wrong = client.get("/desk/jobs?show=x")
    assert wrong.status_code == 422 and "Unknown list" in wrong.text
    reply = client.post("/desk/jobs/stop", json={"job": "nobody"})
    assert reply.status_code == 422 and "unknown job" in reply.json()["error"]
    assert client.post("/desk/nothing", json={}).status_code == 404
    for body in (b"[]", b"{", b""):
        sent = client.post("/desk/jobs/stop", content=body, headers={"content-type": "application/json"})
        assert sent.status_code == 400
    assert client.post("/desk/jobs/stop", json={}, headers={"origin": "http://elsewhere"}).status_code == 403
    for page in ("", "library", "compare", "models", "training", "batch", "jobs", "settings"):
        assert client.get(f"/{page}").status_code == 200


def test_the_pages_load_nothing_that_computes(home: Path) -> None:
    import subprocess
    import sys

    script = (
        "import sys, ui.app\nfrom ui.desk.table import READERS\nfrom ui.desk.door import FrontDoor\n"
        "[READERS[name](FrontDoor(), {'words': 'stops cracks'}) for name in READERS"
        " if name not in ('doctor', 'library/sheet', 'library/why', 'run/step', 'run/why')]\n"
        "print(sorted({'torch', 'transformers', 'diffusers', 'langgraph'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

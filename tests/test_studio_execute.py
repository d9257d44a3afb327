from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import studio
from studio.queue.claims import job_claimed
from studio.runs.execute import execute
from studio.runs.record import FILES, open_run
from studio.runs.request import DesignOptions, prepare
from workspace.errors import Interrupted, ServiceError, StorageError, Unfinished, UsageError
from workspace.event_log import read
from workspace.events import Event
from workspace.files import verify
from workspace.ledger import Ledger
from workspace.settings import resolved

pytestmark = pytest.mark.usefixtures("scripted_studio")


def stop_at(kind: str, number: int = 1, error: BaseException | None = None) -> Callable[[Event], None]:
    seen: Counter[str] = Counter()

    def listen(event: Event) -> None:
        seen[event.type] += 1
        if event.type == kind and seen[kind] == number:
            raise error or KeyboardInterrupt

    return listen


def essence(run: Any) -> tuple[Any, ...]:
    folder = run.folder
    files = [(folder / name).read_bytes() for name in ("design.json", "prompts.json", "conversation.md")]
    return (*files, [(image.path.name, image.seed, image.pixels_sha256) for image in run.images])


def test_a_design_leaves_a_whole_folder(home: Path) -> None:
    events: list[Event] = []
    run = studio.design("a tough panel", inspirations=["leaf"], seed=4, images=2, listener=events.append)
    assert run.status == "finished"
    assert sorted(path.name for path in run.folder.iterdir()) == sorted([*FILES, "images", "manifest.json"])
    assert verify(run.folder) == []
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert manifest["seed"] == 4
    assert manifest["image_seeds"] == [image.seed for image in run.images]
    assert {"scientist", "engineer", "painter"} <= set(manifest["models"])
    assert manifest["versions"]["torch"] != "not installed"
    assert manifest["settings"]["flow"]["images"] == 2
    assert events[0].type == "run_started"
    assert events[-1].type == "run_finished"
    assert {event.seq for event in read(run.folder / "events.jsonl")} == {event.seq for event in events}
    assert list((home / "locks").iterdir()) == []


def test_the_object_for_scripts_has_the_promised_keys(home: Path) -> None:
    told = studio.design("a tough panel", seed=4).to_json()
    promised = {"run_id", "status", "folder", "design", "prompt", "images", "critiques", "rounds", "seconds"}
    assert promised <= set(told)
    assert {"long", "short"} <= set(told["prompt"])
    assert {"path", "seed", "sha256", "pixels_sha256"} <= set(told["images"][0])
    json.dumps(told)


def test_the_same_brief_and_seed_give_the_same_files(home: Path) -> None:
    first, second, other = (studio.design("a tough panel", seed=seed) for seed in (5, 5, 6))
    assert first.run_id != second.run_id
    assert essence(first) == essence(second)
    assert essence(first) != essence(other)


@pytest.mark.parametrize(
    ("kind", "number"), [("token", 3), ("step_started", 2), ("step_finished", 3), ("picture_ready", 1)]
)
def test_a_stopped_run_goes_on_to_the_same_end(home: Path, kind: str, number: int) -> None:
    whole = studio.design("a tough panel", seed=5)
    with pytest.raises(Interrupted):
        studio.design("a tough panel", seed=5, listener=stop_at(kind, number))
    stopped = studio.list_runs()[0]
    assert stopped.status == "interrupted"
    run = studio.resume(stopped.run_id)
    assert (run.status, essence(run)) == ("finished", essence(whole))
    with Ledger(home / "ledger.db") as ledger:
        keys = [{row.key for row in ledger.keys(run_id)} for run_id in (whole.run_id, run.run_id)]
    assert keys[0] == keys[1]
    assert not list(home.rglob(".staging-*"))


def test_a_finished_run_is_read_again_and_left_alone(home: Path) -> None:
    run = studio.design("a tough panel", seed=5)
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    again = studio.resume(run.run_id)
    assert again.to_json() == run.to_json()
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


def test_a_run_cut_between_its_last_event_and_its_manifest_is_completed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr("studio.runs.execute.write_manifest", cut)
        studio.design("a tough panel", seed=5)
    run = studio.resume(studio.list_runs()[0].run_id)
    assert run.status == "finished"
    assert verify(run.folder) == []


def test_a_fault_is_told_and_can_be_got_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise ServiceError("the server does not answer")

    with monkeypatch.context() as patch, pytest.raises(ServiceError, match="does not answer"):
        patch.setattr("models.chat.structured.structured", refuse)
        studio.design("a tough panel", seed=5)
    row = studio.list_runs()[0]
    assert (row.status, row.message) == ("failed", "the server does not answer")
    last = read(row.folder / "events.jsonl")[-1]
    assert (last.type, last.exit_code) == ("run_stopped", 69)  # type: ignore[union-attr]
    run = studio.resume(row.run_id)
    assert run.status == "finished"
    assert run.message == ""


def test_an_unexpected_fault_is_not_hidden_and_not_left_running(home: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        studio.design("a tough panel", listener=stop_at("step_finished", 1, ZeroDivisionError()))
    assert studio.list_runs()[0].status == "failed"


def test_a_full_disk_is_told_and_nothing_is_lost(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise StorageError("no space is left on the disk")

    with monkeypatch.context() as patch, pytest.raises(StorageError):
        patch.setattr("pipelines.pictures.picture.publish", full)
        studio.design("a tough panel", seed=5)
    run = studio.resume(studio.list_runs()[0].run_id)
    assert essence(run) == essence(studio.design("a tough panel", seed=5))


def test_a_second_process_is_told_that_the_first_has_the_run(home: Path) -> None:
    made = prepare("a tough panel", DesignOptions())
    with job_claimed(home, made.run_id), pytest.raises(Unfinished, match="another process"):
        execute(made.run_id, home, made.settings.queue)
    assert execute(made.run_id, home, made.settings.queue).status == "finished"


def test_what_a_run_is_made_of_is_fixed_when_it_is_asked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Interrupted):
        studio.design("a tough panel", seed=5, images=3, listener=stop_at("token"))
    monkeypatch.setenv("STUDIO_FLOW__IMAGES", "1")
    assert len(studio.resume(studio.list_runs()[0].run_id).images) == 3


def test_a_run_waits_for_a_person_and_takes_the_answer(home: Path) -> None:
    run = studio.design("a tough panel", seed=5, ask=True)
    assert run.status == "waiting"
    assert run.question is not None
    assert run.question["kind"] == "before_painting"
    assert run.images == []
    assert studio.resume(run.run_id).status == "waiting"
    with pytest.raises(UsageError, match="not understood"):
        studio.resume(run.run_id, answers={"choice": "perhaps"})
    assert studio.open_run(run.run_id).status == "waiting"
    seen = studio.resume(run.run_id, answers={"prompt": "wavy thin green lines on a gold ground"})
    assert seen.question is not None and seen.question["kind"] == "after_critique"
    done = studio.resume(run.run_id, answers={"approve": True})
    assert done.status == "finished"
    assert done.prompt is not None
    assert "wavy thin green lines" in done.prompt.short
    with Ledger(home / "ledger.db") as ledger:
        assert ledger.count(run.run_id, "answer") == 2


def test_an_answer_given_before_a_crash_is_not_asked_for_again(home: Path) -> None:
    run = studio.design("a tough panel", seed=5, ask=True)
    with pytest.raises(Interrupted):
        studio.resume(run.run_id, answers={"approve": True}, listener=stop_at("run_started"))
    with pytest.raises(Interrupted):
        studio.resume(run.run_id, answers={"approve": True}, listener=stop_at("picture_ready"))
    again = studio.resume(run.run_id)
    assert again.question is not None and again.question["kind"] == "after_critique"
    assert studio.resume(run.run_id, answers={"approve": True}).status == "finished"


def test_an_answer_to_no_question_is_refused(home: Path) -> None:
    with pytest.raises(Interrupted):
        studio.design("a tough panel", listener=stop_at("token"))
    with pytest.raises(UsageError, match="asks nothing"):
        studio.resume(studio.list_runs()[0].run_id, answers={"approve": True})


def test_what_there_is_of_an_unfinished_run_can_be_shown(home: Path) -> None:
    with pytest.raises(Interrupted):
        studio.design("a tough panel", seed=5, listener=stop_at("picture_ready"))
    run = open_run(studio.list_runs()[0].run_id, home)
    assert run.design is not None
    assert run.prompt is not None
    assert len(run.images) == 1
    assert run.images[0].path.is_file()


@pytest.mark.parametrize(
    "text",
    ["薄" * 250, "浅色蜂窝状薄壁,孔洞由小到大。" * 20, "x" * 250, "الخلايا" * 60, "蜂窝状薄壁结构"],
)
def test_a_prompt_without_blanks_is_painted(home: Path, text: str) -> None:
    run_id = studio.design("a tough panel", seed=5, ask=True).run_id
    run = studio.resume(run_id, prompt=text)
    assert run.prompt is not None and run.prompt.short and text.startswith(run.prompt.short)
    assert run.images and run.question is not None and run.question["kind"] == "after_critique"


def test_a_prompt_that_the_painter_does_not_take_is_not_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = studio.design("a tough panel", seed=5, ask=True).run_id

    def refuse(*_: Any, **__: Any) -> Any:
        raise UsageError("the prompt is not for this painter")

    with monkeypatch.context() as patch, pytest.raises(UsageError, match="not for this painter"):
        patch.setattr("studio.runs.assemble.KitPainter.spec", refuse)
        studio.resume(run_id, prompt="a plain honeycomb of thin walls")
    waiting = studio.open_run(run_id)
    assert waiting.status == "waiting" and waiting.question is not None
    assert studio.resume(run_id, prompt="a plain honeycomb of thin walls").images


def test_a_server_is_read_anew_when_a_run_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def refuse(*_: Any, **__: Any) -> Any:
        raise ServiceError("too slow")

    monkeypatch.setenv("STUDIO_CHAT__TIMEOUT", "1")
    with monkeypatch.context() as patch, pytest.raises(ServiceError):
        patch.setattr("models.chat.structured.structured", refuse)
        studio.design("a tough panel", seed=5)
    monkeypatch.setenv("STUDIO_CHAT__TIMEOUT", "77")
    monkeypatch.setenv("STUDIO_FLOW__IMAGES", "9")

    def look(found: Any, role: str) -> Any:
        seen.append((found.chat.timeout, found.flow.images))
        return resolved(found, role)

    monkeypatch.setattr("workspace.settings.resolved", look)
    run = studio.resume(studio.list_runs()[0].run_id)
    assert run.status == "finished" and set(seen) == {(77.0, 2)}  # the pictures are the run's record

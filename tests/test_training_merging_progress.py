"""How far a merge is: told in bytes while its parents are measured and merged, sparingly, as a bar or in lines."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import studio
from training.merging import engine, plan, publishing, reading
from training.merging.config import MergeConfig
from training.merging.run import merge
from ui.terminal.live import Doing, Live, Plain
from workspace import event_log, progress
from workspace.events import EVENT
from workspace.progress import Progress, Waiting, progress_to, waiting

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
FAR = Waiting(doing="merging 3 tensors", bytes=1_500_000, of=2_000_000, left_s=12.4)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is told, of small pieces."""
    monkeypatch.setattr(progress, "OFTEN", 0)
    for module in (reading, engine):
        monkeypatch.setattr(module, "BLOCK", 500)


def counts(events: list[Any], words: str) -> list[Waiting]:
    return [event for event in events if isinstance(event, Waiting) and words in event.doing and event.of]


def config(family: Path, **given: Any) -> MergeConfig:
    models = tuple(str(family / name) for name in ("one", "two"))
    return MergeConfig.model_validate({"name": "merged", "models": models} | given)


def test_a_wait_tells_how_far_it_is_and_no_more_often_than_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr(progress, "monotonic", lambda: clock)
    told: list[Progress] = []
    with progress_to(told.append), waiting("copying", of=1000) as done:
        for _ in range(10):
            clock += 0.2
            done(100)
    far = counts(told, "copying")
    assert [(event.bytes, event.of) for event in far] == [(300, 1000), (600, 1000), (900, 1000)]
    assert [event.left_s for event in far] == pytest.approx([1.4, 0.8, 0.2])
    assert told == [Waiting(doing="copying"), *far, Waiting(doing="copying", done=True)]
    told.clear()
    with progress_to(told.append), waiting("copying", of=1000) as done:
        clock += 1
        done(0)
        done(3000)
    assert told[1:-1] == [Waiting(doing="copying", bytes=1000, of=1000, left_s=0)]
    told.clear()
    with progress_to(told.append), waiting("of unknown length") as done:
        clock += 1
        done(100)
    assert told == [Waiting(doing="of unknown length"), Waiting(doing="of unknown length", done=True)]


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("base", [None, "base"])
def test_a_merge_tells_the_bytes_that_are_measured_and_written(base: str | None, family: Path, home: Path) -> None:
    told: list[Any] = []
    record = merge(config(family, **({"base": str(family / base)} if base else {})), home, told.append)
    written = sum(file.stat().st_size for file in (home / "variants" / "merged").glob("*.safetensors"))
    for words, parts in (
        ("measuring how far apart one and two lie", 3 if base else 2),
        (f"{record.tensors} tensors", 1),
    ):
        far = counts(told, words)
        assert [one.bytes for one in far] == sorted({one.bytes for one in far}) and len(far) > record.tensors
        assert {one.of for one in far} == {far[-1].bytes} and far[-1].left_s == 0
        assert 0 < written - far[-1].of / parts < 10_000  # the file's header is beside
        assert [event.done for event in told if isinstance(event, Waiting) and words in event.doing][-1]
        assert all(EVENT.validate_json(one.model_dump_json()) == one for one in far)


def test_a_short_merge_tells_nothing_between_begin_and_end(family: Path, home: Path) -> None:
    told: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "monotonic", lambda: 1.0)
        merge(config(family), home, told.append)
    waits = [event for event in told if isinstance(event, Waiting) and " tensors" in event.doing]
    assert [event.done for event in waits] == [False, True]


@pytest.mark.usefixtures("often")
def test_the_files_that_mergekit_writes_are_watched(family: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "OFTEN", 0.001)
    told: list[Any] = []
    seen = threading.Event()
    honest = publishing.run

    def slow(document: Mapping[str, Any], folder: Path) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model-1.safetensors").write_bytes(bytes(1000))
        assert seen.wait(30)
        (folder / "model-1.safetensors").unlink()
        return honest(document, folder)

    def heard(event: Any) -> None:
        told.append(event)
        if counts([event], "with mergekit"):
            seen.set()

    monkeypatch.setattr(publishing, "run", slow)
    merge(config(family, method="karcher"), home, heard)
    first = counts(told, "merging 2 models with mergekit")[0]
    assert (first.bytes, first.of) == (1000, plan.plan(config(family, method="karcher"), home).bytes)


@pytest.mark.usefixtures("often")
def test_who_watches_a_job_sees_how_far_its_merge_is(family: Path, home: Path) -> None:
    studio.train_merge([str(family / "one"), str(family / "two")], name="merged")
    [log] = (home / "jobs").glob("*/events.jsonl")
    far = counts(list(event_log.read(log)), " tensors")
    assert far and far[-1].bytes == far[-1].of
    shown = screen(terminal=False)
    show = Plain(shown, lambda: 0.0)
    for event in event_log.read(log):
        show(event)
    assert isinstance(shown.file, io.StringIO)
    assert any(
        line.startswith("merging ") and line.endswith(" 0 s left") for line in shown.file.getvalue().splitlines()
    )


def screen(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=80, highlight=False)


def test_lines_say_how_far_a_wait_is() -> None:
    console = screen(terminal=False)
    show = Plain(console, lambda: 0.0)
    show(Waiting(doing=FAR.doing))
    show(FAR)
    show(FAR.model_copy(update={"stage": "slerp", "left_s": None}))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "merging 3 tensors ...",
        "merging 3 tensors  2 MB of 2 MB  12 s left",
        "slerp: merging 3 tensors  2 MB of 2 MB",
    ]


def test_a_bar_shows_how_far_a_wait_is_until_it_ends() -> None:
    show = Live(screen(terminal=True), lambda: 0.0)
    try:
        show.doing.add(Waiting(doing=FAR.doing))
        show.show(Waiting(doing=FAR.doing))
        assert show.progress is not None and show.progress.tasks[0].total is None
        show.doing.add(FAR)
        show.show(FAR)
        task = show.progress.tasks[0]
        assert (task.description, task.completed, task.total) == (FAR.doing, FAR.bytes, FAR.of)
        assert task.fields == {"number": "", "words": "2 MB of 2 MB  12 s left"}
        show(Waiting(doing=FAR.doing, done=True))
        assert (show.progress.tasks[0].description, show.progress.tasks[0].total) == ("starting", None)
    finally:
        show.close()


def test_a_wait_that_goes_on_does_not_begin_again() -> None:
    doing = Doing()
    for event in (Waiting(doing="looking at the models"), Waiting(doing=FAR.doing), FAR, FAR):
        doing.add(event)
    assert doing.words == FAR.doing
    doing.add(Waiting(doing=FAR.doing, done=True))
    assert doing.words == "looking at the models"

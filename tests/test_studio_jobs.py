from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

import studio
from benchmarks.scripted_server import serving
from studio import jobs
from studio.runs.claims import lock_of
from studio.runs.record import folder_of
from studio.runs.request import Request, prepare
from workspace.errors import Interrupted, Unfinished, UsageError
from workspace.event_log import EventLog
from workspace.events import Notice, RunStopped
from workspace.files import claim
from workspace.settings import load_settings


def stop_at_picture(event: Any) -> None:
    if event.type == "picture_ready":
        raise KeyboardInterrupt


@pytest.mark.usefixtures("scripted_studio")
class TestWatching:
    def test_a_finished_run_is_told_from_the_first_event(self, home: Path) -> None:
        run = studio.design("a tough panel", seed=5)
        seen = list(studio.watch(run.run_id))
        assert [seen[0].type, seen[-1].type] == ["run_started", "run_finished"]
        rest = list(studio.watch(run.run_id, after_seq=seen[2].seq))
        assert rest == seen[3:]

    def test_a_stopped_run_ends_with_its_own_last_word(self, home: Path) -> None:
        with pytest.raises(Interrupted):
            studio.design("a tough panel", listener=stop_at_picture)
        seen = list(studio.watch(studio.list_runs()[0].run_id))
        assert [event.type for event in seen].count("run_stopped") == 1
        assert isinstance(seen[-1], RunStopped)
        assert (seen[-1].status, seen[-1].exit_code) == ("interrupted", 130)

    def test_a_worker_that_died_is_told_of(self, home: Path) -> None:
        made = prepare(Request("a tough panel"))
        with EventLog(folder_of(home, made.run_id) / "events.jsonl", made.run_id) as log:
            log.emit(Notice(text="here"))
        lock_of(home, made.run_id).parent.mkdir()
        lock_of(home, made.run_id).write_text("1234567")
        seen = list(studio.watch(made.run_id))
        assert [event.type for event in seen] == ["notice", "run_stopped"]
        assert f"studio resume {made.run_id}" in seen[-1].message  # type: ignore[union-attr]
        assert studio.open_run(made.run_id).status == "interrupted"
        assert studio.resume(made.run_id).status == "finished"

    def test_events_come_while_the_run_goes_on(self, home: Path) -> None:
        made = prepare(Request("a tough panel"))
        seen: list[str] = []
        with jobs.claim_run(home, made.run_id):
            watcher = threading.Thread(target=lambda: seen.extend(e.type for e in studio.watch(made.run_id)))
            watcher.start()
            with EventLog(folder_of(home, made.run_id) / "events.jsonl", made.run_id) as log:
                log.emit(Notice(text="one"))
                until = time.monotonic() + 10
                while not seen and time.monotonic() < until:
                    time.sleep(0.01)
                assert seen == ["notice"]
        studio.resume(made.run_id)
        watcher.join(20)
        assert seen[-1] == "run_finished"

    def test_an_unknown_run_is_refused_at_once(self, home: Path) -> None:
        with pytest.raises(UsageError, match="unknown run"):
            next(studio.watch("nothing"))

    def test_one_design_is_made_at_a_time(self, home: Path) -> None:
        told: list[str] = []
        free = threading.Event()

        def wait() -> None:
            told.append("waiting")
            free.set()

        def hold() -> None:
            with claim(home / "locks" / "slot.lock"):
                ready.set()
                free.wait(10)

        ready = threading.Event()
        holder = threading.Thread(target=hold)
        holder.start()
        ready.wait(10)
        with jobs.claim_slot(home, wait):
            assert told == ["waiting"]
        holder.join()

    def test_a_run_is_queued_again_as_if_nobody_had_died(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        made = prepare(Request("a tough panel"))
        lock = lock_of(home, made.run_id)
        lock.parent.mkdir()
        lock.write_text("1234567")
        started: list[str] = []
        monkeypatch.setattr("studio.jobs.start", lambda run_id, *_: started.append(run_id))
        jobs.queue_again(made.run_id, load_settings())
        assert started == [made.run_id]
        assert studio.open_run(made.run_id).status == "queued"

    def test_stopping_what_does_not_run_says_so(self, home: Path) -> None:
        run = studio.design("a tough panel")
        assert jobs.stop(run.run_id, load_settings()) is False

    def test_a_run_that_is_held_is_not_claimed_twice(self, home: Path) -> None:
        with (
            jobs.claim_run(home, "x"),
            pytest.raises(Unfinished, match="by another process"),
            jobs.claim_run(home, "x"),
        ):
            pass


@pytest.fixture
def remote(home: Path, flux_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The remote profile on a scripted server and a tiny FLUX, for processes of their own; gives the delay a word."""
    monkeypatch.setenv("STUDIO_PROFILE", "remote")
    monkeypatch.setenv("STUDIO_CHAT__MODEL", "scripted")
    monkeypatch.setenv("STUDIO_CHAT__API_KEY_ENV", "SCRIPTED_KEY")
    monkeypatch.setenv("SCRIPTED_KEY", "none")
    monkeypatch.setenv("STUDIO_VISION__MODEL", "none")
    monkeypatch.setenv("STUDIO_PAINTER__MODEL", str(flux_folder))
    monkeypatch.setenv("STUDIO_PAINTER__SIZE", "64")
    monkeypatch.setenv("STUDIO_PAINTER__STEPS", "2")

    def serve(delay: float = 0.0) -> Any:
        server = serving(delay)
        monkeypatch.setenv("STUDIO_CHAT__SERVER", server.__enter__())
        opened.append(server)

    opened: list[Any] = []
    yield serve
    for server in opened:
        server.__exit__(None, None, None)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(900)
class TestWorkers:
    def test_a_job_runs_in_a_process_of_its_own(self, home: Path, remote: Any) -> None:
        remote()
        run_id = studio.submit("a tough panel", inspirations=["leaf"], seed=5)
        assert studio.list_runs()[0].status in ("queued", "running")
        seen = [event.type for event in studio.watch(run_id)]
        assert seen[-1] == "run_finished", (home / "logs" / f"{run_id}.log").read_text()
        assert "token" in seen
        run = studio.open_run(run_id)
        assert run.status == "finished"
        assert len(run.images) == 2

    def test_a_killed_worker_is_seen_and_its_run_goes_on(self, home: Path, remote: Any) -> None:
        remote(0.05)
        run_id = studio.submit("a tough panel", inspirations=["leaf"], seed=5)
        seen = []
        for event in studio.watch(run_id):
            seen.append(event)
            if event.type == "token":
                jobs._children[run_id].kill()
        assert isinstance(seen[-1], RunStopped)
        assert studio.open_run(run_id).status == "interrupted"
        jobs.queue_again(run_id, load_settings())
        assert [event.type for event in studio.watch(run_id, after_seq=seen[-1].seq)][-1] == "run_finished"

    def test_a_job_is_stopped_as_ctrl_c_would(self, home: Path, remote: Any) -> None:
        remote(0.05)
        run_id = studio.submit("a tough panel", inspirations=["leaf"], seed=5)
        last = None
        for event in studio.watch(run_id):
            last = event
            if event.type == "token":
                jobs.stop(run_id, load_settings())
        assert isinstance(last, RunStopped)
        assert last.status == "interrupted"

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import studio
from benchmarks.scripted_server import serving
from studio.queue.claims import holder, job_claimed, ledger_of, lock_of, place_claimed
from studio.queue.workers import start_workers
from studio.runs.record import folder_of
from studio.runs.request import DesignOptions, prepare
from workspace.errors import DataError, Interrupted, Unfinished, UsageError
from workspace.event_log import EventLog, read
from workspace.events import JobStopped, Notice, RunStopped
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
        run_id = begun("a tough panel", home)
        with EventLog(folder_of(home, run_id) / "events.jsonl", run_id) as log:
            log.emit(Notice(text="here"))
        lock_of(home, run_id).write_text("1234567")
        seen = list(studio.watch(run_id))
        assert [event.type for event in seen] == ["notice", "run_stopped"]
        assert f"studio resume {run_id}" in seen[-1].message  # type: ignore[union-attr]
        assert studio.open_run(run_id).status == "interrupted"
        assert studio.resume(run_id).status == "finished"

    def test_events_come_while_the_run_goes_on(self, home: Path) -> None:
        run_id = begun("a tough panel", home)
        seen: list[str] = []
        with job_claimed(home, run_id):
            watcher = threading.Thread(target=lambda: seen.extend(e.type for e in studio.watch(run_id)))
            watcher.start()
            with EventLog(folder_of(home, run_id) / "events.jsonl", run_id) as log:
                log.emit(Notice(text="one"))
                until = time.monotonic() + 10
                while not seen and time.monotonic() < until:
                    time.sleep(0.01)
                assert seen == ["notice"]
        watcher.join(20)
        assert seen[-1] == "run_stopped"  # nobody holds it any more
        assert studio.resume(run_id).status == "finished"

    def test_a_run_taken_up_again_is_told_as_running_not_as_stopped(self, home: Path) -> None:
        with pytest.raises(Interrupted):
            studio.design("a tough panel", listener=stop_at_picture)
        run_id = studio.list_runs()[0].run_id
        studio.retry_job(run_id)
        kinds = [event.type for event in studio.watch(run_id)]
        assert kinds.count("run_stopped") == 1
        assert kinds[-1] == "run_finished"

    def test_an_unknown_run_is_refused_at_once(self, home: Path) -> None:
        with pytest.raises(UsageError, match="unknown job"):
            next(studio.watch("nothing"))

    def test_stopping_what_does_not_run_says_so(self, home: Path) -> None:
        run = studio.design("a tough panel")
        assert studio.stop_job(run.run_id) is False

    def test_a_run_that_is_held_is_not_claimed_twice(self, home: Path) -> None:
        with job_claimed(home, "x"), pytest.raises(Unfinished, match="by another process"), job_claimed(home, "x", 1):
            pass


@pytest.mark.usefixtures("scripted_studio")
class TestQueue:
    def test_a_submitted_design_is_made_by_a_worker(self, home: Path) -> None:
        run_id = studio.submit("a tough panel", seed=5)
        assert [event.type for event in studio.watch(run_id)][-1] == "run_finished"
        job = studio.open_job(run_id)
        assert (job.kind, job.state, job.attempts, job.before) == ("design", "finished", 1, None)

    def test_jobs_are_done_in_order_and_one_can_be_put_first(self, home: Path) -> None:
        with place_claimed(home, "heavy", 1):  # nobody can begin
            first, second, third = (studio.submit(f"panel number {number}", seed=5) for number in range(3))
            assert [studio.open_job(one).before for one in (first, second, third)] == [0, 1, 2]
            studio.put_first(third)
            assert [studio.open_job(one).before for one in (first, second, third)] == [1, 2, 0]
            assert next(studio.watch(first)).type == "queued"
        for one in (first, second, third):
            assert list(studio.watch(one))[-1].type == "run_finished"
        began = [read(folder_of(home, one) / "events.jsonl")[0].at for one in (third, first, second)]
        assert began == sorted(began)

    def test_a_queued_job_is_stopped_before_it_begins_and_taken_up_again(self, home: Path) -> None:
        with place_claimed(home, "heavy", 1):
            run_id = studio.submit("a tough panel", seed=5)
            assert studio.stop_job(run_id)
            assert studio.open_job(run_id).state == "interrupted"
            assert list(studio.watch(run_id)) == []
            with pytest.raises(UsageError, match="only a queued one can be put first"):
                studio.put_first(run_id)
        studio.retry_job(run_id)
        assert list(studio.watch(run_id))[-1].type == "run_finished"
        with pytest.raises(UsageError, match="finished"):
            studio.retry_job(run_id)

    def test_a_design_in_this_process_waits_for_its_turn(self, home: Path) -> None:
        made: list[Any] = []
        with place_claimed(home, "heavy", 1):
            before = studio.submit("the one before", seed=5)
            thread = threading.Thread(target=lambda: made.append(studio.design("the one after", seed=5)))
            thread.start()
            until = time.monotonic() + 10
            while len(studio.list_jobs()) < 2 and time.monotonic() < until:
                time.sleep(0.01)
            assert {job.state for job in studio.list_jobs()} == {"queued"}
        thread.join(60)
        assert list(studio.watch(before))[-1].type == "run_finished"
        assert made[0].status == "finished"

    def test_no_more_wait_than_may(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUDIO_QUEUE__MOST_WAITING", "2")
        with place_claimed(home, "heavy", 1):
            made = [studio.submit(f"panel number {number}", seed=5) for number in range(2)]
            with pytest.raises(Unfinished, match=r"2 jobs wait already, and 2 may \(queue.most_waiting\)"):
                studio.submit("one too many", seed=5)
        assert len(studio.list_jobs()) == 2
        for run_id in made:
            assert list(studio.watch(run_id))[-1].type == "run_finished"

    def test_a_fault_of_a_job_is_in_its_row_and_its_events(self, home: Path) -> None:
        (home / "sample.txt").write_text("Too short.")
        with pytest.raises(DataError, match="no passage is left"):
            studio.train_corpus([home / "sample.txt"], out=home / "corpus")
        [job] = studio.list_jobs()
        assert (job.kind, job.state) == ("train_corpus", "failed")
        last = list(studio.watch(job.job_id))[-1]
        assert isinstance(last, JobStopped)
        assert last.exit_code == 65
        assert "no passage is left" in job.message

    def test_a_job_runs_in_the_folder_in_which_it_was_asked_for(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "here").mkdir()
        (tmp_path / "elsewhere").mkdir()
        text = (
            "Nacre is made of flat tablets of aragonite that lie in thin layers of protein, as bricks do. A crack "
            "that enters it has to wind its way around one tablet after another, which costs most of its energy. "
            "The layers of protein stretch and hold the tablets together even after they have begun to slide."
        )
        (tmp_path / "here" / "paper.md").write_text(f"# On nacre\n\n{text}\n")
        monkeypatch.chdir(tmp_path / "here")
        with place_claimed(home, "heavy", 1):
            job_id = studio.train_corpus.submit(["paper.md"], out=Path("corpus"), languages=("en",))
            monkeypatch.chdir(tmp_path / "elsewhere")
        start_workers(home, load_settings().queue)
        events = list(studio.watch(job_id))
        assert events[-1].type == "job_finished", events
        assert studio.open_job(job_id).result["documents"] == 1
        assert (tmp_path / "here" / "corpus" / "passages.jsonl").is_file()

    def test_no_module_of_the_working_folder_is_run(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "here").mkdir()
        names = ("studio", "workspace", "models", "torch", "pydantic", "sqlite3", "multiprocessing", "sitecustomize")
        for name in names:
            (tmp_path / "here" / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})")
        (tmp_path / "here" / "paper.pdf").write_bytes(b"%PDF-1.4 no pages")
        monkeypatch.chdir(tmp_path / "here")
        list(studio.watch(studio.train_corpus.submit(["paper.pdf"], out=Path("corpus"))))
        with pytest.raises(DataError):
            studio.train_corpus(["paper.pdf"], out=Path("corpus"))
        assert not (tmp_path / "ran").exists()

    def test_a_kind_that_is_unknown_fails_with_a_word(self, home: Path) -> None:
        with ledger_of(home) as ledger:
            ledger.jobs.add("odd-1", "odd", "from a newer Studio", {})
        assert list(studio.watch("odd-1"))[-1].type == "job_stopped"
        assert "unknown kind of job 'odd'" in studio.open_job("odd-1").message


def begun(brief: str, home: Path) -> str:
    """A run that some process has begun."""
    run_id = prepare(brief, DesignOptions()).run_id
    with ledger_of(home) as ledger:
        assert ledger.jobs.begin(run_id, "here:1")
    lock_of(home, run_id).parent.mkdir(exist_ok=True)
    return run_id


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
                os.kill(holder(lock_of(home, run_id)) or 0, signal.SIGKILL)
        assert isinstance(seen[-1], RunStopped)
        assert studio.open_run(run_id).status == "interrupted"
        studio.retry_job(run_id)
        assert [event.type for event in studio.watch(run_id, after_seq=seen[-1].seq)][-1] == "run_finished"

    def test_a_job_is_stopped_as_ctrl_c_would(self, home: Path, remote: Any) -> None:
        remote(0.05)
        run_id = studio.submit("a tough panel", inspirations=["leaf"], seed=5)
        last = None
        for event in studio.watch(run_id):
            last = event
            if event.type == "token":
                studio.stop_job(run_id)
        assert isinstance(last, RunStopped)
        assert last.status == "interrupted"

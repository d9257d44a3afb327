"""Odd homes, folders, clocks and file systems: the right thing, or one line."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import studio
from studio.queue import watch
from studio.runs.record import seconds_of
from workspace.errors import StorageError, UsageError
from workspace.event_log import EventLog, read
from workspace.events import Notice, RunStarted, StepFinished, Token
from workspace.files import probe, publish
from workspace.letters import harmless
from workspace.settings import load_settings


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
@pytest.mark.usefixtures("scripted_studio", "home")
def test_a_file_system_without_locks_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match=r"cannot be locked.*local disk"):
        studio.design("a tough panel", seed=5)
    assert publish(tmp_path / "report.md", "text").size == 4  # what is not shared needs no lock


def test_a_home_whose_name_is_no_text_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STUDIO_HOME", os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    with pytest.raises(UsageError, match=r"not UTF-8.*STUDIO_HOME"):
        load_settings()


@pytest.mark.parametrize("arguments", [["list"], ["doctor"], ["show", "RUN"], ["export", "RUN"]])
def test_a_working_folder_that_was_removed_is_one_line(home: Path, tmp_path: Path, arguments: list[str]) -> None:
    gone = tmp_path / "gone"
    make = f"os.mkdir({str(gone)!r}); os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})"
    code = f"import os, sys; {make}; from ui.cli import main; sys.exit(main({arguments}))"
    environment = {**os.environ, "STUDIO_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[1])}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 2 and told.stderr.count("\n") == 1
    assert "the working folder has been removed" in told.stderr


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    times = [
        (RunStarted(brief={}, profile="p"), 100.0),
        *((StepFinished(role="a", key="k", text=""), at) for at in (110.0, 5.0, 9.0)),
    ]
    events = [event.model_copy(update={"at": at}) for event, at in times]
    later = [event.model_copy(update={"at": at}) for event, at in ((times[0][0], 500.0), (times[1][0], 503.0))]
    assert seconds_of([*events, *later]) == 10.0 + 4.0 + 3.0


def test_halves_of_letters_are_written_as_such(tmp_path: Path) -> None:
    path = tmp_path / "run-1" / "events.jsonl"
    with EventLog(path, "run-1") as log:
        log.emit(Notice(text="a\udce9b"))
        log.emit(Token(role="scientist", key="k", text="\ud83d"))
        log.emit(StepFinished(role="scientist", key="k", text="\ud83d\ude00"))
    found: list[Any] = read(path)
    assert [event.text for event in found] == ["a\ufffdb", "\ufffd", "😀"]


@pytest.mark.usefixtures("scripted_studio", "home")
def test_an_answer_with_half_a_letter_makes_a_design(monkeypatch: pytest.MonkeyPatch) -> None:
    import agents.roles.scientist as role

    whole = role._answer
    monkeypatch.setattr(role, "_answer", lambda *given: whole(*given) + " \ud83d.")
    run = studio.design("a tough panel", seed=5)
    assert run.status == "finished"
    assert "The material joins" in (run.folder / "conversation.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("scripted_studio")
def test_a_full_disk_is_told_in_the_runs_state(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = EventLog._append

    def full(log: EventLog, event: Any) -> None:
        if event.type in ("design_ready", "run_stopped"):
            raise StorageError(f"cannot write {log.path}: no space is left on the disk")
        append(log, event)

    with monkeypatch.context() as patch:
        patch.setattr(EventLog, "_append", full)
        with pytest.raises(StorageError, match="no space is left"):
            studio.design("a tough panel", seed=5)
    [row] = studio.list_runs()
    assert row.status == "failed" and "no space is left on the disk" in row.message
    assert not list((home / "locks").iterdir())
    assert studio.resume(row.run_id).status == "finished"


@pytest.mark.parametrize(("free", "words"), [(1000, ", and no space is left on the disk;"), (10**9, "a word; go on")])
def test_a_process_that_died_on_a_full_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, words: str
) -> None:
    monkeypatch.setattr(watch, "disk_usage", lambda path: SimpleNamespace(free=free))
    told: Any = watch._died(tmp_path, "run-1", "design", 1)
    assert words in told.message


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="this system has no /proc")
def test_a_file_system_that_takes_no_folders_is_one_line() -> None:
    with pytest.raises(StorageError, match="cannot write /proc/nothing: it is not permitted"):
        probe(Path("/proc/nothing"))


def test_control_characters_are_shown_not_sent() -> None:
    assert harmless("a\u202eb\u2066c\u200fd") == "a\ufffdb\ufffdc\u200fd"  # a direction is turned for no line
    assert harmless("a\x1b[31mb\x00\x9b\udc9b\r\u0007\n\tc") == "a\ufffd[31mb\ufffd\ufffd\ufffd\ufffd\ufffd\n\tc"

"""A person skips the pictures that a run paints: asked of a run in the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.runs.record import folder_of
from studio.runs.skipping import skip, skipping
from workspace.errors import UsageError
from workspace.event_log import EventLog
from workspace.events import StepFinished, StepStarted
from workspace.ledger import Ledger


def _at_work(home: Path, run_id: str) -> EventLog:
    with Ledger(home / "ledger.db") as ledger:
        ledger.create_run(run_id, {"text": "a panel"}, {}, 7, run_id)
        ledger.jobs.set_state(run_id, "waiting")
    return EventLog(folder_of(home, run_id) / "events.jsonl", run_id)


def test_a_run_that_paints_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = _at_work(tmp_path, "one")
    with pytest.raises(UsageError, match="paints nothing just now: it is waiting"):
        skip("one", tmp_path)
    monkeypatch.setattr("studio.runs.skipping.state_of", lambda home, row: "running")
    log.emit(StepStarted(role="engineer", key="engineer/design-1", label="Writing"))
    with pytest.raises(UsageError, match="paints nothing just now"):
        skip("one", tmp_path)
    log.emit(StepFinished(role="engineer", key="engineer/design-1", text="", seconds=1))
    log.emit(StepStarted(role="painter", key="picture/round-1/00", label="Painting"))
    taken = skipping(folder_of(tmp_path, "one"))
    assert not taken()
    skip("one", tmp_path)
    assert taken() and not taken()
    with pytest.raises(UsageError, match="unknown run"):
        skip("two", tmp_path)
    log.close()

"""Watching a job: its events as they come, until it ends, waits, or its process dies. Changes nothing but who works."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from shutil import disk_usage
from typing import TYPE_CHECKING

from studio.queue.claims import POLL, held, ledger_of, lock_of, true_state
from studio.queue.post import folder_of
from studio.queue.workers import start_workers
from workspace.errors import Unfinished
from workspace.event_log import Tail
from workspace.events import FINAL, JobStopped, Queued, RunStopped
from workspace.jobs import SETTLED

if TYPE_CHECKING:
    from workspace.events import Event
    from workspace.jobs import JobRow
    from workspace.ledger import Ledger
    from workspace.settings import QueueSettings

_ROOM = 1_000_000  # bytes without which nothing goes on
TEND = 1.0  # seconds between two looks whether a queued job has somebody to work on it
FAR, FAR_TEND = 1, 10.0  # with more jobs than that before it, it is looked at as seldom as `TEND`, and tended so


def watch(job_id: str, home: Path, queue: QueueSettings, *, after_seq: int = 0) -> Iterator[Event]:
    """Yield a job's events from ``after_seq`` on, live, until nothing more comes of itself.

    The event with which the work ends is yielded once the ledger's row says the same. While the job waits for its turn
    a ``queued`` event says so whenever its place changes. A process that died cannot say so: an event in its place
    does. Neither of the two stands in the log.

    Raises:
        UsageError: There is no such job.
    """
    with ledger_of(home, reading=True) as ledger:
        row = ledger.jobs.job(job_id)
        tail = Tail(folder_of(home, row.kind, job_id) / "events.jsonl", after_seq)
        final: Event | None = None
        tended, place = 0.0, -1
        while True:
            row = ledger.jobs.job(job_id)
            state = true_state(home, ledger, job_id, row.state)
            for event in tail.new():
                if final is not None:
                    yield final
                final = event if event.type in FINAL else None
                if final is None:
                    yield event
            if final is not None and row.state != "running":
                yield final
                final = None
            if row.state in SETTLED:
                return
            if state == "interrupted":
                if final is not None and final.type in ("run_stopped", "job_stopped"):
                    yield final
                yield _died(home, job_id, row.kind, tail.seq)
                return
            if state == "queued":
                if (before := _before(home, ledger, row)) != place:
                    place = before
                    yield Queued(run_id=job_id, seq=tail.seq, at=time.time(), before=before)
                if time.monotonic() - tended > (FAR_TEND if place > FAR else TEND):
                    start_workers(home, queue)
                    tended = time.monotonic()
            time.sleep(TEND if state == "queued" and place > FAR else POLL)


def _before(home: Path, ledger: Ledger, row: JobRow) -> int:
    """How many go before a queued job, those that are being carried out counted."""
    working = ledger.jobs.jobs(limit=-1, states=("running",))
    alive = sum(one.lane == row.lane and held(lock_of(home, one.job_id)) for one in working)
    return (ledger.jobs.position(row.job_id) or 0) + alive


def _died(home: Path, job_id: str, kind: str, seq: int) -> Event:
    full = ", and no space is left on the disk" if disk_usage(home).free < _ROOM else ""
    message = f"its process ended without a word{full}; go on with: studio resume {job_id}"
    event = RunStopped if kind == "design" else JobStopped
    return event(
        run_id=job_id,
        seq=seq,
        at=time.time(),
        status="interrupted",
        message=message,
        exit_code=Unfinished.exit_code,
    )

"""What a person does to the queue: submit, list, stop, take up again, put first. Knows rows; no kind of job."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.queue.claims import elsewhere, has_ledger, in_bin, job_claimed, ledger_of, true_state
from studio.queue.workers import interrupt, start_workers
from workspace.errors import Unfinished
from workspace.jobs import STATES

if TYPE_CHECKING:
    from workspace.jobs import JobRow, Lane
    from workspace.settings import QueueSettings

SLUG = 32  # letters of a title in an id
AT_WORK = 256  # rows that say running and may stand otherwise, at most


@dataclass(frozen=True)
class JobSummary:
    """One job as it stands.

    Attributes:
        job_id: Its name.
        kind: What is done.
        title: For people.
        state: How it stands, seen through a process that died.
        message: Why, in one line.
        before: How many queued jobs go first; ``None`` unless it is queued.
        attempts: How often it was begun.
        worker: ``HOST:PID`` of who works or last worked on it.
        created: Unix seconds.
        updated: Unix seconds.
        result: What came of it.
    """

    job_id: str
    kind: str
    title: str
    state: str
    message: str
    before: int | None
    attempts: int
    worker: str
    created: float
    updated: float
    result: Any = None


def new_id(title: str, fallback: str) -> str:
    """Make an id from the time, a title's first words and four random hex digits."""
    words = "-".join(re.findall(r"[a-z0-9]+", title.lower()))
    slug = words[:SLUG].rsplit("-", 1)[0] if len(words) > SLUG else words
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{slug or fallback}-{secrets.token_hex(2)}"


def check_room(home: Path, queue: QueueSettings) -> None:
    """Raise where as many jobs wait as may.

    Raises:
        Unfinished: The queue is full.
    """
    if not has_ledger(home):
        return
    with ledger_of(home, reading=True) as ledger:
        waiting = ledger.jobs.waiting()
    if waiting >= queue.most_waiting:
        raise Unfinished(
            f"{waiting} jobs wait already, and {queue.most_waiting} may (queue.most_waiting)",
            hint="studio jobs list --state queued",
        )


def enter(home: Path, kind: str, title: str, payload: Mapping[str, Any], lane: Lane, hold: ExitStack) -> str:
    """Put a job into the queue and return its id; nobody is started to work on it.

    Args:
        home: STUDIO_HOME.
        kind: The verb's name.
        title: What it is about, for people.
        payload: What was asked, as plain JSON.
        lane: Which places it takes.
        hold: Takes the job's lock before anybody can see the job.
    """
    job_id = new_id(f"{kind} {title}", kind)
    hold.enter_context(job_claimed(home, job_id))
    with ledger_of(home) as ledger:
        ledger.jobs.add(job_id, kind, title, payload, lane=lane)
    return job_id


def summary(home: Path, job_id: str) -> JobSummary:
    """How one job stands.

    Raises:
        UsageError: There is none of that id.
    """
    with ledger_of(home, reading=True) as ledger:
        row = ledger.jobs.job(job_id)
        state = true_state(home, ledger, job_id, row.state)
        return _summary(row, state, ledger.jobs.position(job_id))


def summaries(
    home: Path, limit: int = 50, states: frozenset[str] = frozenset(STATES), kinds: tuple[str, ...] = ()
) -> list[JobSummary]:
    """How the newest jobs stand, newest first; those of runs in the bin are left out.

    Args:
        home: STUDIO_HOME.
        limit: How many at most.
        states: Only those that stand so.
        kinds: Only of these kinds; of all if none is named.
    """
    if not has_ledger(home):
        return []
    found: list[JobSummary] = []
    rows = states | {"running"} if "interrupted" in states else states  # a row whose process died still says running
    with ledger_of(home, reading=True) as ledger:
        before = ledger.jobs.positions() if "queued" in states else {}
        hidden = in_bin(ledger)
        for row in ledger.jobs.listed(limit + AT_WORK + len(hidden), rows, kinds):
            if row.job_id in hidden:
                continue
            state = true_state(home, ledger, row.job_id, row.state)
            if state in states:
                found.append(_summary(row, state, before.get(row.job_id) if state == "queued" else None))
            if len(found) == limit:
                break
    return found


def _summary(row: JobRow, state: str, before: int | None) -> JobSummary:
    return JobSummary(
        job_id=row.job_id,
        kind=row.kind,
        title=row.title,
        state=state,
        message=row.message if state == row.state else "its process ended without a word",
        before=before,
        attempts=row.attempts,
        worker=row.worker,
        created=row.created,
        updated=row.updated,
        result=row.result,
    )


def stop(home: Path, job_id: str) -> bool:
    """Stop a job, queued or being carried out; say whether there was anything to stop. It can be taken up again.

    Raises:
        UsageError: There is no such job.
        Unfinished: It is carried out on another machine.
    """
    with ledger_of(home) as ledger:
        row = ledger.jobs.job(job_id)
        if row.state == "queued" and ledger.jobs.cancel(job_id, "stopped before it began"):
            return True
        if there := elsewhere(home, ledger, job_id):
            host = there.rpartition(":")[0]
            raise Unfinished(f"{job_id} is carried out on {host}", hint=f"stop it there: studio jobs stop {job_id}")
        return interrupt(home, job_id, ledger.jobs.job(job_id).worker)


def retry(
    home: Path,
    job_id: str,
    queue: QueueSettings,
    changes: Mapping[str, Any] | None = None,
    connection: Mapping[str, Any] | None = None,
) -> None:
    """Put a job that ended without its result, or waits, into the queue again; one that is queued stays where it is.

    Args:
        home: STUDIO_HOME.
        job_id: Which job.
        queue: How many jobs are carried out at once.
        changes: What to put into its payload, such as an answer.
        connection: Settings of servers as they are now, by dotted key.

    Raises:
        UsageError: It is finished.
        Unfinished: Another process is carrying it out.
    """
    with ledger_of(home) as ledger:
        if ledger.jobs.job(job_id).state != "queued":
            with job_claimed(home, job_id):  # nobody works on it, and a dead process's lock goes away
                ledger.jobs.queue_again(job_id, changes, connection)
    start_workers(home, queue)


def put_first(home: Path, job_id: str) -> None:
    """Let a queued job go before all others of its lane."""
    with ledger_of(home) as ledger:
        ledger.jobs.put_first(job_id)

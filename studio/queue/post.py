"""A job in the hands of this process: claimed, placed, begun, and settled whatever ends it. Knows no kind of job."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.queue.claims import POLL, elsewhere, job_claimed, ledger_of, name, place_claimed
from studio.queue.workers import places, start_workers
from workspace.errors import Interrupted, StudioError, Unfinished
from workspace.event_log import EventLog
from workspace.events import JobFinished, JobStarted, JobStopped, RunStopped
from workspace.files import sweep
from workspace.progress import progress_to

if TYPE_CHECKING:
    from workspace.events import Event
    from workspace.jobs import JobRow, Lane, State
    from workspace.ledger import Ledger
    from workspace.settings import QueueSettings

Listener = Callable[["Event"], None]
ROOM = 1_000_000
"""Bytes that a job at work keeps free for its last words."""


@dataclass(frozen=True)
class Post:
    """What a job's work has: its row, the home, the open ledger, and the log that it tells its events."""

    home: Path
    row: JobRow
    ledger: Ledger
    log: EventLog


def folder_of(home: Path, kind: str, job_id: str) -> Path:
    """Say where a job's events lie, and a design's files."""
    return home / ("runs" if kind == "design" else "jobs") / job_id


@contextmanager
def next_job(home: Path, lane: Lane, queue: QueueSettings) -> Iterator[JobRow | None]:
    """Take the next job of a lane, for a worker, and hold it and a place within the block; ``None`` if there is none.

    Where the next one is in the hands of a process that waits for a place itself, that one goes first; where that
    process is on another machine it waits for a place there, and is passed over.
    """
    with place_claimed(home, lane, places(lane, queue)) as free, ledger_of(home) as ledger:
        for row in ledger.jobs.queued(lane) if free else []:
            try:
                lock = job_claimed(home, row.job_id, 3)
                lock.__enter__()
            except Unfinished:
                if elsewhere(home, ledger, row.job_id):
                    continue
                break
            try:
                if ledger.jobs.begin(row.job_id, name()):
                    yield ledger.jobs.job(row.job_id)
                    return
            finally:
                lock.__exit__(None, None, None)
        yield None


@contextmanager
def in_turn(home: Path, job_id: str, queue: QueueSettings) -> Iterator[JobRow]:
    """Begin a queued job whose lock this process holds, when its turn comes, and hold a place within the block.

    Raises:
        Interrupted: It was taken out of the queue meanwhile.
    """
    with ledger_of(home) as ledger:
        try:
            while True:
                row = ledger.jobs.job(job_id)
                if row.state != "queued":
                    raise Interrupted(f"{job_id} was taken out of the queue", hint=f"studio jobs retry {job_id}")
                if not _before(home, ledger, row):
                    with place_claimed(home, row.lane, places(row.lane, queue)) as free:
                        if free and ledger.jobs.begin(job_id, name()):
                            yield ledger.jobs.job(job_id)
                            return
                else:
                    start_workers(home, queue)
                time.sleep(POLL)
        except KeyboardInterrupt:
            ledger.jobs.cancel(job_id, "stopped by the user")
            raise
        finally:
            start_workers(home, queue)


def _before(home: Path, ledger: Ledger, row: JobRow) -> bool:
    """Whether a queued job of the lane goes before one, for this machine."""
    first = itertools.takewhile(lambda one: one.job_id != row.job_id, ledger.jobs.queued(row.lane))
    return any(not elsewhere(home, ledger, one.job_id) for one in first)


@contextmanager
def at_work(home: Path, row: JobRow, listener: Listener | None = None) -> Iterator[Post]:
    """Work on a job that was begun; whatever ends the block, the log and then the row say so.

    The block itself says that the job is finished or waits, see `finish` and `pause`.
    """
    sweep(home)
    folder = folder_of(home, row.kind, row.job_id)
    with (
        ledger_of(home, work=row) as ledger,
        EventLog(folder / "events.jsonl", row.job_id, filter(None, [listener])) as log,
    ):
        post = Post(home, row, ledger, log)
        room = _reserve(home, row.job_id)
        state: State = "failed"
        message, code = "an unexpected fault; the traceback has the details", 1
        try:
            with progress_to(log.emit):
                yield post
            return
        except KeyboardInterrupt:
            state, message, code = "interrupted", "stopped by the user", Interrupted.exit_code
            with suppress(StudioError):
                stopped(post, state, message, code)
            raise Interrupted("stopped; what was made is kept") from None
        except StudioError as error:
            room.unlink(missing_ok=True)
            state = "interrupted" if isinstance(error, (Interrupted, Unfinished)) else "failed"
            with suppress(StudioError):
                stopped(post, state, str(error), error.exit_code)
            raise
        except BaseException:
            room.unlink(missing_ok=True)
            with suppress(StudioError):
                stopped(post, state, message, code)
            raise
        finally:
            room.unlink(missing_ok=True)


def _reserve(home: Path, job_id: str) -> Path:
    """Keep a little room on the disk, so that a job which fills it can still say that it did."""
    path = home / "locks" / f"{job_id}.room"
    with suppress(OSError), path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, ROOM)
    return path


def stopped(post: Post, state: State, message: str, exit_code: int) -> None:
    """Say that a job ended without its result, or waits: in the log first, so that who reads the row finds it there.

    One that is finished, or that waits already, stays so.
    """
    if post.ledger.jobs.job(post.row.job_id).state != "running":
        return
    event = RunStopped if post.row.kind == "design" else JobStopped
    try:
        post.log.emit(event(status=state, message=message, exit_code=exit_code))
    finally:  # a disk too full for the log may still have room for a word in the row
        post.ledger.jobs.set_state(post.row.job_id, state, message)


def carry_out(home: Path, row: JobRow, work: Callable[[Post], Any], listener: Listener | None = None) -> Any:
    """Do a job that is no design: its work's result, as plain data, goes into the log and the row."""
    began = time.monotonic()
    with at_work(home, row, listener) as post:
        post.log.emit(JobStarted(kind=row.kind, attempt=row.attempts))
        result = work(post)
        plain = result.model_dump(mode="json") if hasattr(result, "model_dump") else result
        post.log.emit(JobFinished(result=plain, seconds=round(time.monotonic() - began, 3)))
        post.ledger.jobs.set_state(row.job_id, "finished", result=plain)
    return result

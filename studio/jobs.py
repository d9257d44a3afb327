"""The queue as the front door offers it: jobs of every kind listed, watched, stopped, taken up again, put first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from studio.queue import submit as queue
from studio.queue.post import folder_of
from studio.queue.progress import Progress, progress
from studio.queue.submit import JobSummary
from studio.queue.watch import watch
from studio.queue.workers import start_workers
from studio.runs.request import connection
from studio.verb import Call, query, verb
from workspace.errors import masked
from workspace.event_log import latest
from workspace.jobs import STATES, State
from workspace.letters import harmless

if TYPE_CHECKING:
    from workspace.events import Event


class JobsCall(Call):
    """Which jobs are listed."""

    limit: int = Field(20, ge=1, le=10_000, description="How many, newest first")
    states: tuple[State, ...] = Field(
        (), description="Only those that stand so; may be given again", json_schema_extra={"option": "--state"}
    )
    kinds: tuple[str, ...] = Field(
        (), description="Only of this kind, such as design; may be given again", json_schema_extra={"option": "--kind"}
    )


@query(JobsCall)
def list_jobs(options: JobsCall) -> list[JobSummary]:
    """List the jobs, newest first, and start a worker where a queued one has none."""
    settings = options.using
    found = queue.summaries(settings.home, options.limit, frozenset(options.states or STATES), options.kinds)
    if any(one.state == "queued" for one in found):
        start_workers(settings.home, settings.queue)
    return found


@verb(Call)
def open_job(job_id: str, options: Call) -> JobSummary:
    """Show how a job stands."""
    return queue.summary(options.home, job_id)


@verb(Call)
def job_progress(job_id: str, options: Call) -> Progress:
    """Say how far a job is, and how long it may still take."""
    row = queue.summary(options.home, job_id)
    return progress(options.home, row.kind, job_id)


@verb(Call)
def job_events(job_id: str, options: Call) -> list[Event]:
    """What a job told last, as much of it as is kept near at hand."""
    row = queue.summary(options.home, job_id)
    return latest(folder_of(options.home, row.kind, job_id) / "events.jsonl", 1_000_000)


class LogCall(Call):
    """How much of a log is shown."""

    most: int = Field(16_000, ge=1_000, le=1_000_000, description="Bytes at most, the last ones")


@verb(LogCall)
def job_log(job_id: str, options: LogCall) -> str:
    """The end of what the libraries of a job printed; empty where they printed nothing."""
    row = queue.summary(options.home, job_id)
    path = options.home / "logs" / f"{row.job_id}.log"
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - options.most))
        text = file.read(options.most).decode("utf-8", "replace")
    lines = text.replace("\r", "\n").split("\n")
    return masked(harmless("\n".join(lines[1 if size > options.most else 0 :]))).strip()


@verb(Call)
def watch_job(job_id: str, options: Call) -> Iterator[Event]:
    """Follow a job until it ends, waits, or its worker dies."""
    settings = options.using
    return watch(job_id, settings.home, settings.queue)


@verb(Call)
def stop_job(job_id: str, options: Call) -> bool:
    """Stop a job, queued or at work; it can be taken up again. Say whether there was anything to stop."""
    return queue.stop(options.home, job_id)


@verb(Call)
def retry_job(job_id: str, options: Call) -> None:
    """Queue a job again that stopped, failed or waits; it goes on from what was made."""
    settings = options.using
    design = queue.summary(settings.home, job_id).kind == "design"
    changes = {"answers": None} if design else None  # what a person said the time before is not said again
    queue.retry(settings.home, job_id, settings.queue, changes, connection=connection(settings))


@verb(Call)
def put_first(job_id: str, options: Call) -> None:
    """Let a queued job go before all others."""
    queue.put_first(options.home, job_id)

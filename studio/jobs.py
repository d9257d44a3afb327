"""The queue as the front door offers it: jobs of every kind listed, watched, stopped, taken up again, put first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from studio.queue import submit as queue
from studio.queue.submit import JobSummary
from studio.queue.watch import watch
from studio.queue.workers import start_workers
from studio.runs.request import connection
from studio.verb import Call, query, verb
from workspace.jobs import STATES, State

if TYPE_CHECKING:
    from workspace.events import Event


class JobsCall(Call):
    """Which jobs are listed."""

    limit: int = Field(20, ge=1, le=10_000, description="How many, newest first")
    states: tuple[State, ...] = Field(
        (), description="Only those that stand so; may be given again", json_schema_extra={"option": "--state"}
    )


@query(JobsCall)
def list_jobs(options: JobsCall) -> list[JobSummary]:
    """List the jobs, newest first, and start a worker where a queued one has none."""
    settings = options.using
    found = queue.summaries(settings.home, options.limit, frozenset(options.states or STATES))
    if any(one.state == "queued" for one in found):
        start_workers(settings.home, settings.queue)
    return found


@verb(Call)
def open_job(job_id: str, options: Call) -> JobSummary:
    """Show how a job stands."""
    return queue.summary(options.home, job_id)


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
    queue.retry(settings.home, job_id, settings.queue, connection=connection(settings))


@verb(Call)
def put_first(job_id: str, options: Call) -> None:
    """Let a queued job go before all others."""
    queue.put_first(options.home, job_id)

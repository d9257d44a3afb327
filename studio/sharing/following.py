"""A job's events from a cursor on, a bounded number at a time; nobody waits for them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from studio.queue.post import folder_of
from studio.queue.submit import summary
from studio.verb import Call, verb
from workspace.event_log import read_good
from workspace.events import Event
from workspace.jobs import SETTLED


class EventsCall(Call):
    """Which of a job's events are given."""

    after: int = Field(0, ge=0, le=2**53, description="The number of the last event already known")
    limit: int = Field(500, ge=1, le=5_000, description="How many at most")


class Events(BaseModel):
    """Events of a job, in their order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: tuple[Event, ...]
    next: int = Field(description="The number to ask after next time")
    more: bool = Field(description="Whether there are more already")
    state: str = Field(description="How the job stands")
    over: bool = Field(description="Whether nothing happens any more until somebody goes on with it")


@verb(EventsCall)
def events_after(job_id: str, options: EventsCall) -> Events:
    """Give the events of a job that came after one, at once.

    Raises:
        UsageError: There is no such job.
        DataError: Its file of events is none.
    """
    row = summary(options.home, job_id)
    path = folder_of(options.home, row.kind, job_id) / "events.jsonl"
    found = read_good(path)[0] if path.is_symlink() or path.is_file() else []
    fresh = [one for one in found if one.seq > options.after]
    given = tuple(fresh[: options.limit])
    more = len(fresh) > len(given)
    return Events(
        events=given,
        next=given[-1].seq if given else options.after,
        more=more,
        state=row.state,
        over=row.state in SETTLED and not more,
    )

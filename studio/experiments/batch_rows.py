"""A batch looked at while it is made: its folder, its items as they stand. Makes nothing."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from studio.verb import Call, verb
from workspace.errors import UsageError, one_line
from workspace.letters import harmless

RowState = Literal["waiting", "running", "done", "failed"]


class BatchRow(BaseModel):
    """An item of a batch as it stands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    id: str
    brief: str
    inspirations: tuple[str, ...] = ()
    state: RowState
    reason: str = Field("", description="Why it failed")
    seconds: float = 0.0
    pictures: int = 0


class BatchRows(BaseModel):
    """A page of a batch's items, and how many there are of each state."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    faults: tuple[str, ...] = Field((), description="Lines of the input that gave no item, the first of them, with why")
    rows: tuple[BatchRow, ...] = ()
    more: bool = Field(False, description="Whether items follow")


class RowsCall(Call):
    """Which items are listed."""

    states: tuple[RowState, ...] = Field(
        (), description="Only those that stand so; may be given again", json_schema_extra={"option": "--state"}
    )
    after: int = Field(0, ge=0, description="Only those with a higher number")
    limit: int = Field(50, ge=1, le=500, description="How many")


@verb(Call)
def batch_folder(job_id: str, options: Call) -> Path | None:
    """Say where the designs of a batch's job lie; nothing for a job of another kind."""
    from studio.queue.claims import ledger_of

    with ledger_of(options.home, reading=True) as ledger:
        row = ledger.jobs.job(job_id)
    if row.kind != "batch":
        return None
    asked = row.payload
    return Path(asked["cwd"], asked["options"]["out"])


@verb(RowsCall)
def batch_rows(job_id: str, options: RowsCall) -> BatchRows:
    """List a batch's items as they stand, whoever works on them.

    Args:
        job_id: The batch's job.
        options: Which items.

    Raises:
        UsageError: The job is no batch, or there is none of its items in its folder.
    """
    from studio.batching.store import read_store

    folder = batch_folder.run(job_id, options)
    if folder is None:
        raise UsageError(f"{job_id[:80]!r} is no batch")
    with read_store(folder) as store:
        counts = store.counts()
        found = list(islice(store.rows(*options.states, after=options.after), options.limit + 1))
        faults = [f"{Path(one.source).name}, line {one.line}: {one.reason}" for one in islice(store.faults(), 20)]
    rows = [
        BatchRow(
            number=row.seq,
            id=row.item.id,
            brief=harmless(one_line(row.item.brief, 200)),
            inspirations=tuple(harmless(one) for one in row.item.options.inspirations),
            state=row.state,
            reason=row.outcome.reason if row.state == "failed" else "",
            seconds=row.outcome.seconds,
            pictures=row.outcome.pictures,
        )
        for row in found[: options.limit]
    ]
    return BatchRows(
        waiting=counts.waiting,
        running=counts.running,
        done=counts.done,
        failed=counts.failed,
        faults=tuple(map(harmless, faults)),
        rows=tuple(rows),
        more=len(found) > options.limit,
    )

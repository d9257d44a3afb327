"""The family of a run: the one that all go back to, and every branch. Reads only."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from studio.queue.claims import in_bin, ledger_of, true_state
from studio.runs.branching.entering import branch_of
from studio.runs.record import open_run, row_of
from workspace.errors import StudioError, UsageError, one_line

if TYPE_CHECKING:
    from workspace.ledger import RunRow


class Member(BaseModel):
    """A run of a family, as it stands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    parent: str = Field("", description="The run that it goes on from; empty for the root")
    at: str = Field("", description="The step of its parent that is another here, by its key")
    how: Literal["root", "edited", "redirected", "retried"] = Field("root", description="How it came to be")
    title: str = Field(description="Its design's title, or else its brief")
    status: str
    seed: int
    created: float = Field(description="Unix seconds")
    score: float | None = Field(None, description="The best score that its critic gave, 0 to 1")
    rounds: int = Field(0, description="Rounds of pictures so far")
    problem: str = Field("", description="Why it could not be read, in a line")


def family(run_id: str, home: Path) -> list[Member]:
    """The family of a run, the root first, if it is there still, then the branches, oldest first.

    Of one that was never branched, it is the run alone. Runs made again to compare are left out, and those in the bin.

    Raises:
        UsageError: There is none of that id.
    """
    told = branch_of(row_of(home, run_id).settings)
    root = told.root if told else run_id
    with ledger_of(home, reading=True) as ledger:
        rows = ledger.runs_of(root)
        with suppress(UsageError):  # it may be gone; its branches stand without it
            rows.insert(0, ledger.run(root))
        hidden = in_bin(ledger) - {run_id}
        rows = [row for row in rows if row.run_id not in hidden]
        states = {row.run_id: true_state(home, ledger, row.run_id, row.status) for row in rows}
    counted = [row for row in rows if row.run_id == run_id or not row.settings.get("replay_of") or row.run_id == root]
    return [_member(home, row, states[row.run_id]) for row in counted]


def _member(home: Path, row: RunRow, status: str) -> Member:
    from agents.roles.scores import score

    told = branch_of(row.settings)
    lineage = {} if told is None else {"parent": told.parent, "at": told.at, "how": told.how}
    known: dict[str, Any] = {
        "run_id": row.run_id,
        "status": status,
        "seed": row.seed,
        "created": row.created,
        **lineage,
    }
    brief = str(row.brief.get("text", ""))
    try:
        run = open_run(row.run_id, home)
    except StudioError as error:
        return Member(**known, title=brief, problem=one_line(error))
    scores = [score(one.model_dump(mode="json")) for one in run.critiques]
    return Member(
        **known,
        title=run.design.title if run.design else brief,
        score=round(max(scores), 4) if scores else None,
        rounds=run.rounds,
    )

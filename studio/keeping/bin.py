"""The bin as the front door offers it: a run goes there first, comes back whole, and is deleted when it is emptied.

Files go before rows, so that whatever ends an emptying midway, the next one finishes it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from studio.keeping.finding import FoundRuns, find_runs
from studio.keeping.marking import opened
from studio.keeping.narrowing import FindCall
from studio.keeping.rows import put
from studio.queue.claims import checkpoints_of, has_ledger, job_claimed, ledger_of, true_state
from studio.runs.record import folder_of
from studio.thumbnails import forget
from studio.verb import Call, query, verb
from workspace.errors import DataError, Unfinished, UsageError
from workspace.files import disk
from workspace.ledger import Ledger
from workspace.postgres.address import Address, database_of

DAY = 86_400.0
_BUSY = ("queued", "running")


@verb(Call)
def bin_run(run_id: str, options: Call) -> None:
    """Put a run into the bin: it is no longer listed, and can be restored until the bin is emptied.

    Raises:
        UsageError: There is no such run, or it is at work or in the queue.
    """
    with opened(options.home, run_id) as ledger:
        state = true_state(options.home, ledger, run_id, ledger.jobs.job(run_id).state)
        if state in _BUSY:
            raise UsageError(f"run {run_id} is {state}; stop it first", hint=f"studio jobs stop {run_id}")
        if not ledger.shelf.has(run_id):
            put(options.home, ledger, run_id)
        ledger.shelf.bin(run_id, time.time())


@verb(Call)
def restore_run(run_id: str, options: Call) -> None:
    """Take a run out of the bin again, with its marks and opinions.

    Raises:
        UsageError: It is not in the bin.
    """
    with opened(options.home, run_id) as ledger:
        if not ledger.shelf.bin(run_id, 0.0):
            there = ledger.run(run_id).run_id in ledger.shelf.binned()
            if not there:
                raise UsageError(f"run {run_id} is not in the bin", hint="studio bin list")


@query(FindCall)
def list_bin(options: FindCall) -> FoundRuns:
    """List what is in the bin."""
    given = {name: getattr(options, name) for name in options.model_fields_set}
    return find_runs(**given | {"binned": True})


class EmptyCall(Call):
    """What of the bin is deleted."""

    days: float = Field(0.0, ge=0, le=36_500, description="Only what has been in the bin for so many days")


class Emptied(BaseModel):
    """What was deleted for good."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deleted: tuple[str, ...]
    left: tuple[str, ...] = Field(description="Runs that another process holds just now")
    bytes: int = Field(description="What their files took")


@verb(EmptyCall)
def empty_bin(runs: Sequence[str], options: EmptyCall) -> Emptied:
    """Delete what is in the bin for good: files, checkpoints, rows, opinions; all of it, or the runs that are named.

    Raises:
        UsageError: A run that is named is not in the bin.
    """
    home = options.home
    if not has_ledger(home):
        if runs:
            raise UsageError(f"run {runs[0]} is not in the bin", hint="studio bin list")
        return Emptied(deleted=(), left=(), bytes=0)
    deleted, left, freed = [], [], 0
    with ledger_of(home) as ledger:
        there = ledger.shelf.binned(time.time() - options.days * DAY if options.days else None)
        for name in runs:
            if name not in there:
                raise UsageError(f"run {name} is not in the bin", hint="studio bin list")
        for run_id in dict.fromkeys(runs) if runs else there:
            try:
                with job_claimed(home, run_id, 1):
                    freed += _deleted(home, ledger, run_id)
                deleted.append(run_id)
            except Unfinished:
                left.append(run_id)
    return Emptied(deleted=tuple(deleted), left=tuple(left), bytes=freed)


def _deleted(home: Path, ledger: Ledger, run_id: str) -> int:
    """Delete a run's files, then its rows; return how many bytes the files took."""
    if Path(run_id).name != run_id or run_id in ("", ".", ".."):
        raise DataError(f"the ledger lists a run {run_id!r}, which is no folder's name")
    folder = folder_of(home, run_id)
    log = home / "logs" / f"{run_id}.log"
    with disk(folder):
        freed = sum(one.lstat().st_size for one in folder.rglob("*") if not one.is_dir()) if folder.is_dir() else 0
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():
            shutil.rmtree(folder)
        log.unlink(missing_ok=True)
    place = database_of(home, "checkpoints.db")
    if isinstance(place, Address) or place.is_file():
        saver = checkpoints_of(home)
        try:
            saver.delete_thread(run_id)
        finally:
            saver.close()
    hashes = ledger.shelf.hashes(run_id)
    if ledger.shelf.take_out(run_id):
        for sha256 in hashes:
            if ledger.shelf.made_by(sha256) is None:
                forget(sha256, home)
    return freed

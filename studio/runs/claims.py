"""Who holds a run: locks of runs and of the home's one working place, and what a lock says of a status."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from workspace.errors import Unfinished
from workspace.files import claim

if TYPE_CHECKING:
    from workspace.ledger import RunRow


CLAIM_TRIES = 5


POLL = 0.1


SLOT_POLL = 0.5


@contextmanager
def claim_run(home: Path, run_id: str) -> Iterator[None]:
    """Hold a run's lock; a second process is told that the first has it."""
    lock = lock_of(home, run_id)
    for attempt in range(CLAIM_TRIES):
        try:
            context = claim(lock)
            context.__enter__()
            break
        except Unfinished as error:
            if attempt == CLAIM_TRIES - 1:
                raise Unfinished(
                    f"run {run_id} is being made by another process: {error.message}", hint=f"studio show {run_id}"
                ) from error
            time.sleep(POLL)
    try:
        yield
    finally:
        context.__exit__(None, None, None)


@contextmanager
def claim_slot(home: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the home's one working place; ``waiting`` is called once if it is taken at first."""
    told = False
    while True:
        try:
            context = claim(home / "locks" / "slot.lock")
            context.__enter__()
            break
        except Unfinished:
            if not told:
                waiting()
            told = True
            time.sleep(SLOT_POLL)
    try:
        yield
    finally:
        context.__exit__(None, None, None)


START_GRACE = 60.0


def lock_of(home: Path, run_id: str) -> Path:
    """Say which lock a process holds while it executes a run."""
    return home / "locks" / f"{run_id}.lock"


def held(home: Path, run_id: str) -> bool:
    """Say whether a living process is executing the run just now; the lock is looked at and left as it is."""
    try:
        handle = os.open(lock_of(home, run_id), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def true_status(home: Path, row: RunRow) -> str:
    """Return a run's status, seeing through a process that died: then it is ``interrupted``."""
    if row.status not in ("running", "queued") or held(home, row.run_id):
        return row.status
    starting = time.time() - row.updated < START_GRACE and not lock_of(home, row.run_id).exists()
    return row.status if starting else "interrupted"

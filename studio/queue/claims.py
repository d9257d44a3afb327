"""Who holds a job, and the places of a lane: locks that are freed when a process dies. Knows files; not what is done.

A job's lock is the sign of life: whoever carries it out holds it. A place's lock bounds how many are carried out at
once. Where machines share the ledger, a lease in it is a job's sign of life for the others, and places are a machine's.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from workspace.errors import StorageError, Unfinished
from workspace.extras import require
from workspace.files import claim
from workspace.files import lock as lock_file
from workspace.ledger import Ledger
from workspace.postgres import leases
from workspace.postgres.address import Address, database_of

if TYPE_CHECKING:
    from workspace.checkpoints import Checkpoints
    from workspace.jobs import JobRow
    from workspace.postgres.saver import ServerCheckpoints

TRIES = 10  # somebody who looks holds a lock for a moment too
POLL = 0.1


def ledger_of(home: Path, *, reading: bool = False, work: JobRow | None = None) -> Ledger:
    """Open the home's ledger; close it or use it in a ``with``.

    Args:
        home: STUDIO_HOME.
        reading: Whether nothing will be written.
        work: The job whose work alone will be written; where machines share the ledger, another may take it over.
    """
    place = database_of(home, "ledger.db")
    shared = isinstance(place, Address)
    return Ledger(place, reading=reading, work=(work.job_id, work.worker) if work is not None and shared else None)


def has_ledger(home: Path) -> bool:
    """Whether there is a ledger to look into."""
    place = database_of(home, "ledger.db")
    return isinstance(place, Address) or place.is_file()


def in_bin(ledger: Ledger) -> frozenset[str]:
    """The runs that lie in the bin and are not listed; none in a ledger that is too old to have one."""
    try:
        return frozenset(ledger.shelf.binned())
    except StorageError:
        return frozenset()


def checkpoints_of(home: Path) -> Checkpoints | ServerCheckpoints:
    """Open the home's checkpoints; close them."""
    from workspace.checkpoints import Checkpoints  # before the graph: it makes LangGraph strict

    place = database_of(home, "checkpoints.db")
    if isinstance(place, Address):
        require("psycopg", "langgraph.checkpoint.postgres", extra="postgres")
        from workspace.postgres.saver import ServerCheckpoints

        return ServerCheckpoints(place)
    return Checkpoints(place)


def lock_of(home: Path, job_id: str) -> Path:
    """Say which lock a process holds while it carries a job out."""
    return home / "locks" / f"{job_id}.lock"


def place_of(home: Path, lane: str, number: int) -> Path:
    """Say which lock stands for a place of a lane, counted from 0."""
    shared = isinstance(database_of(home, "ledger.db"), Address)
    return home / "locks" / f"{f'{socket.gethostname()}-' if shared else ''}{lane}-{number}.lock"


def held(lock: Path) -> bool:
    """Say whether a living process has a lock; it is looked at and left as it is."""
    try:
        handle = os.open(lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        lock_file(handle, fcntl.LOCK_SH | fcntl.LOCK_NB, lock)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def holder(lock: Path) -> int | None:
    """The process that has a lock, as it wrote itself down."""
    try:
        text = lock.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None


@contextmanager
def claimed(lock: Path, tries: int = TRIES) -> Iterator[None]:
    """Hold a lock within the block.

    Raises:
        Unfinished: Another process has it.
    """
    for attempt in range(tries):
        context = claim(lock)
        try:
            context.__enter__()
            break
        except Unfinished:
            if attempt == tries - 1:
                raise
            time.sleep(POLL)
    try:
        yield
    finally:
        context.__exit__(None, None, None)


@contextmanager
def job_claimed(home: Path, job_id: str, tries: int = TRIES) -> Iterator[None]:
    """Hold a job's lock; a second process is told that the first has it."""
    with ExitStack() as hold:
        try:
            hold.enter_context(claimed(lock_of(home, job_id), tries))
            place = database_of(home, "ledger.db")
            if isinstance(place, Address):
                hold.enter_context(leases.leased(place, job_id, name(), home / "locks"))
        except Unfinished as error:
            raise Unfinished(
                f"{job_id} is being carried out by another process: {error.message}", hint=f"studio jobs watch {job_id}"
            ) from error
        yield


def name() -> str:
    """What a process is called in the ledger: ``HOST:PID``."""
    return f"{socket.gethostname()}:{os.getpid()}"


def elsewhere(home: Path, ledger: Ledger, job_id: str) -> str | None:
    """Who holds a job on another machine that shares the ledger, as ``HOST:PID``."""
    return leases.elsewhere(ledger, job_id, home / "locks") if isinstance(ledger.path, Address) else None


def in_hand(home: Path, ledger: Ledger, job_id: str) -> bool:
    """Say whether a living process has a job, here or on a machine that shares the ledger."""
    return held(lock_of(home, job_id)) or elsewhere(home, ledger, job_id) is not None


@contextmanager
def place_claimed(home: Path, lane: str, places: int) -> Iterator[bool]:
    """Hold one of a lane's places within the block, which is told whether there was a free one."""
    for number in range(places):
        try:
            context = claimed(place_of(home, lane, number), 2)
            context.__enter__()
        except Unfinished:
            continue
        try:
            yield True
        finally:
            context.__exit__(None, None, None)
        return
    yield False


def free_place(home: Path, lane: str, places: int) -> bool:
    """Say whether a lane has a place that nobody holds."""
    return not all(held(place_of(home, lane, number)) for number in range(places))


def true_state(home: Path, ledger: Ledger, job_id: str, state: str) -> str:
    """How a job stands whose row says ``state``, seen through a process that died: then it is ``interrupted``."""
    if state != "running" or in_hand(home, ledger, job_id):
        return state
    now = ledger.jobs.job(job_id).state  # it may have ended between the two looks
    return "interrupted" if now == "running" and not in_hand(home, ledger, job_id) else now

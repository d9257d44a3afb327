"""Who holds a job, and the places of a lane: locks that are freed when a process dies. Knows files; not what is done.

A job's lock is the sign of life: whoever carries it out holds it. A place's lock bounds how many are carried out at
once.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workspace.errors import Unfinished
from workspace.files import claim
from workspace.files import lock as lock_file
from workspace.ledger import Ledger

TRIES = 10  # somebody who looks holds a lock for a moment too
POLL = 0.1


def ledger_of(home: Path, *, reading: bool = False) -> Ledger:
    """Open the home's ledger, perhaps for reading alone; close it or use it in a ``with``."""
    return Ledger(home / "ledger.db", reading=reading)


def lock_of(home: Path, job_id: str) -> Path:
    """Say which lock a process holds while it carries a job out."""
    return home / "locks" / f"{job_id}.lock"


def place_of(home: Path, lane: str, number: int) -> Path:
    """Say which lock stands for a place of a lane, counted from 0."""
    return home / "locks" / f"{lane}-{number}.lock"


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
    try:
        lock = claimed(lock_of(home, job_id), tries)
        lock.__enter__()
    except Unfinished as error:
        raise Unfinished(
            f"{job_id} is being carried out by another process: {error.message}", hint=f"studio jobs watch {job_id}"
        ) from error
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


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
    if state != "running" or held(lock_of(home, job_id)):
        return state
    now = ledger.jobs.job(job_id).state  # it may have ended between the two looks
    return "interrupted" if now == "running" and not held(lock_of(home, job_id)) else now

"""Worker processes: started where a job waits and a place is free. Knows processes and places; not what a job is.

A worker takes one job, and starts the next worker when it ends. Whoever submits, lists or watches starts one too where
one is missing, so a queue goes on whichever process was killed.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from studio.queue.claims import free_place, held, holder, in_hand, ledger_of, lock_of
from workspace.errors import StorageError, Unfinished
from workspace.extras import surroundings
from workspace.jobs import Lane

if TYPE_CHECKING:
    from workspace.settings import QueueSettings

LANES: tuple[Lane, ...] = get_args(Lane)
_children: set[int] = set()


def places(lane: str, queue: QueueSettings) -> int:
    """How many jobs of a lane are carried out at once."""
    return queue.jobs_at_once if lane == "heavy" else queue.light_at_once


def start_workers(home: Path, queue: QueueSettings) -> None:
    """Start a worker for each lane in which a job waits and a place is free."""
    _reap()
    with ledger_of(home, reading=True) as ledger:
        wanted = [
            lane
            for lane in LANES
            if any(not in_hand(home, ledger, row.job_id) for row in ledger.jobs.queued(lane))
            and free_place(home, lane, places(lane, queue))
        ]
    for lane in wanted:
        _start(home, lane)


def _start(home: Path, lane: str) -> None:
    """Start a worker that lives on when this process ends."""
    logs = home / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "studio.worker", lane],
            os.environ | surroundings(home),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(logs / "worker.log"), flags, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
    except OSError as error:
        raise StorageError(f"a worker could not be started: {error}") from error
    _children.add(pid)


def _reap() -> None:
    """Let the system forget workers of this process that have ended."""
    for pid in tuple(_children):
        with suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                continue
        _children.discard(pid)


def interrupt(home: Path, job_id: str, worker: str) -> bool:
    """Ask the process that carries a job out to stop, as Ctrl-C would; say whether there was one.

    Raises:
        Unfinished: It works on another machine.
    """
    lock = lock_of(home, job_id)
    pid = holder(lock)
    if not held(lock) or pid is None:
        return False
    host = worker.rpartition(":")[0]
    if host and host != socket.gethostname():
        raise Unfinished(f"{job_id} is carried out on {host}", hint=f"stop it there: studio jobs stop {job_id}")
    try:
        os.kill(pid, signal.SIGINT)
    except ProcessLookupError:
        return False
    return True

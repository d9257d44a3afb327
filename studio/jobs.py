"""Jobs: a design in a worker process of its own, which lives on when the one who asked for it goes away.

The ledger's row is the queue, a lock is the sign of life, and ``events.jsonl`` is what a watcher sees. Knows processes
and locks; not what a design is made of.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.runs.claims import POLL, claim_run, held, lock_of, true_status
from studio.runs.record import folder_of, ledger_of, row_of
from workspace.errors import StorageError, Unfinished
from workspace.events import RunStopped

if TYPE_CHECKING:
    from workspace.events import Event
    from workspace.ledger import Ledger
    from workspace.settings import Settings

SETTLE_SECONDS = 5.0
SETTLED = ("finished", "failed", "interrupted", "waiting")


def start(run_id: str, settings: Settings, answers: Mapping[str, Any] | None = None) -> int:
    """Start the worker process of a queued run and return its process id."""
    logs = settings.home / "logs"
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"STUDIO_HOME": str(settings.home), "PYTHONPATH": path}
    given = [] if answers is None else [json.dumps(dict(answers))]
    try:
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"{run_id}.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "studio.worker", run_id, *given],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        raise StorageError(f"the worker of {run_id} could not be started: {error}") from error
    _children[run_id] = worker
    return worker.pid


_children: dict[str, subprocess.Popen[bytes]] = {}


def _worker_died(run_id: str) -> bool:
    """Say whether a worker that this very process started has ended (and reap it)."""
    worker = _children.get(run_id)
    return worker is not None and worker.poll() is not None


def stop(run_id: str, settings: Settings) -> bool:
    """Ask a run's process to stop as Ctrl-C would; say whether there was one. The run stays resumable."""
    worker = _children.get(run_id)
    if worker is not None and worker.poll() is None:
        worker.terminate()
        return True
    if not held(settings.home, run_id):
        return False
    pid = _holder(lock_of(settings.home, run_id))
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    return True


def _holder(lock: Path) -> int | None:
    try:
        text = lock.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def watch(run_id: str, settings: Settings, *, after_seq: int = 0) -> Iterator[Event]:
    """Yield a run's events from ``after_seq`` on, live, until it ends, waits, or its process dies.

    A process that died cannot say so, so a ``run_stopped`` event with status ``interrupted`` is yielded in its place;
    it is not written to the log.
    """
    from workspace.event_log import follow

    home = settings.home
    row_of(home, run_id)
    with ledger_of(home) as ledger:
        look = _Look(home, ledger, run_id)
        last: Event | None = None
        for event in follow(folder_of(home, run_id) / "events.jsonl", after_seq=after_seq, stop=look.over, poll=POLL):
            last = event
            if event.type in ("run_finished", "run_stopped"):
                look.settle()
            yield event
        said = last is not None and last.type in ("run_finished", "run_stopped")
        if not said and look.died():
            yield RunStopped(
                run_id=run_id,
                seq=after_seq if last is None else last.seq,
                at=time.time(),
                status="interrupted",
                message=f"its process ended without a word; go on with: studio resume {run_id}",
                exit_code=Unfinished.exit_code,
            )


class _Look:
    """How a watched run stands, asked again and again on one open ledger."""

    def __init__(self, home: Path, ledger: Ledger, run_id: str) -> None:
        self.home, self.ledger, self.run_id = home, ledger, run_id

    def died(self) -> bool:
        """Say whether the row claims that somebody works on the run and nobody does."""
        row = self.ledger.run(self.run_id)
        if row.status not in ("running", "queued") or held(self.home, self.run_id):
            return False
        return _worker_died(self.run_id) or true_status(self.home, row) == "interrupted"

    def over(self) -> bool:
        """Say whether nothing more will come of itself."""
        return self.ledger.run(self.run_id).status in SETTLED or self.died()

    def settle(self) -> None:
        """Wait until the ledger says what the last event said: the row is written just after it."""
        until = time.monotonic() + SETTLE_SECONDS
        while not self.over() and time.monotonic() < until:
            time.sleep(POLL)


def queue_again(run_id: str, settings: Settings, answers: Mapping[str, Any] | None = None) -> None:
    """Start a worker that goes on with a stopped run, as ``resume`` does in this process."""
    with claim_run(settings.home, run_id), ledger_of(settings.home) as ledger:  # and a dead process's lock goes away
        ledger.set_status(run_id, "queued")
    start(run_id, settings, answers)

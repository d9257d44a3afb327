"""A person's wish for no more pictures of the round that is painted: left in the run's folder, taken by its painter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from studio.runs.record import folder_of, row_of, state_of
from workspace.errors import UsageError
from workspace.event_log import read_good
from workspace.files import publish

SKIP = "skip"


def skip(run_id: str, home: Path) -> None:
    """Ask a run to leave out the rest of the round that it paints, and to go on with the pictures there are.

    Raises:
        UsageError: There is no such run, or it paints nothing just now.
    """
    state, folder = state_of(home, row_of(home, run_id)), folder_of(home, run_id)
    log = folder / "events.jsonl"
    events = read_good(log)[0] if state == "running" and log.is_file() else []
    steps = [event for event in events if event.type in ("step_started", "step_finished")]
    if not steps or steps[-1].type == "step_finished" or steps[-1].role != "painter":
        raise UsageError(f"run {run_id} paints nothing just now: it is {state}", hint=f"studio show {run_id}")
    publish(folder / SKIP, b"")


def skipping(folder: Path) -> Callable[[], bool]:
    """What says, once for each wish, that a person wants to skip."""

    def taken() -> bool:
        try:
            (folder / SKIP).unlink()
        except FileNotFoundError:
            return False
        return True

    return taken

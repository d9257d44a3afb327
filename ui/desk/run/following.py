"""A run as it stands: what its events made, in the state that the queue says. Knows the door; nothing of HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ui.desk.door import Door
from ui.desk.run.observing import Observer
from ui.desk.run.view import View
from workspace.errors import UsageError
from workspace.jobs import SETTLED

if TYPE_CHECKING:
    from studio import Design, JobSummary

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
SETTLE, MOMENT = 1.5, 0.2
"""Seconds in which the first answer waits for the events of a run that stands still, and of one that goes on."""

_observers: WeakKeyDictionary[Any, Observer] = WeakKeyDictionary()


def run_id_of(values: Mapping[str, Any]) -> str:
    """The run that an address or a press names.

    Raises:
        UsageError: It is no run's id.
    """
    run_id = str(values.get("run", "")).strip()
    if not RUN_ID.fullmatch(run_id):
        raise UsageError(f"unknown run {run_id[:60]!r}; pick one from the past designs")
    return run_id


def known(door: Door, run_id: str) -> Design:
    """Read a run whole.

    Raises:
        UsageError: There is none of that id.
    """
    return door.open_run(run_id_of({"run": run_id}))


def observer_of(door: Door) -> Observer:
    """What follows the runs of a door for all pages."""
    if door not in _observers:
        _observers[door] = Observer(door.watch)
    return _observers[door]


def followed(door: Door, run_id: str) -> View:
    """A run as it stands: what its events made, in the state that the queue says.

    Raises:
        UsageError: There is none of that id.
    """
    job, observer = door.job(run_id), observer_of(door)
    stamp = (job.state, job.attempts, job.updated)
    if not observer.follows(run_id):
        observer.attach(run_id, stamp)
        observer.settle(run_id, SETTLE if job.state in SETTLED else MOMENT)
    elif observer.attach_anew(run_id, stamp):  # somebody went on with it, here or elsewhere
        observer.settle(run_id, MOMENT)
    view = observer.view(run_id)
    _as_queued(view, job, live=observer.watches(run_id))
    return view


def _as_queued(view: View, job: JobSummary, *, live: bool) -> None:
    """Put a view into the state that the queue says; what it says last may be of a session before."""
    if job.state == "queued" and not (view.status == "queued" and view.waits_for):
        view.waits_for = job.before or 0
    if job.state in SETTLED and not view.over and live:
        return  # its last events are being read
    if view.status != job.state:
        view.status, view.message = job.state, "" if job.state in ("queued", "running") else job.message

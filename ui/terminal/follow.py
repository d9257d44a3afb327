"""A job followed in a terminal: submitted, watched, stopped by Ctrl-C, its questions answered. Knows no kind of job."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

import studio
from ui.terminal.console import Session, consoles, print_json
from ui.terminal.generate import Asked
from ui.terminal.live import view
from workspace import errors
from workspace.errors import Interrupted, StudioError, UsageError

if TYPE_CHECKING:
    from workspace.events import Event


def interactive(as_json: bool) -> bool:
    """Whether a person is there to answer."""
    return not as_json and sys.stdin.isatty() and sys.stdout.isatty()


def submitted(job_id: str, as_json: bool) -> None:
    """Say which job was queued, and how it is followed."""
    if as_json:
        print_json({"job_id": job_id})
        return
    out, err = consoles()
    out.print(job_id, markup=False)
    err.print(f"follow it with: studio jobs watch {job_id}", markup=False)


def follow(job_id: str, *, again: str | None = None) -> Event:
    """Show a job's events until it ends or waits, and return the last one; Ctrl-C stops the job.

    Args:
        job_id: Which job.
        again: How it is gone on with, where not by ``studio resume``.

    Raises:
        Interrupted: It was stopped; a second Ctrl-C leaves at once.
        StudioError: It failed; as its worker said.
    """
    Session.run_id = "" if again else job_id
    last: Event | None = None
    stopping = False
    with view(consoles()[1]) as show:
        while True:
            try:
                for event in studio.watch(job_id, after_seq=0 if last is None else last.seq):
                    last = event
                    show(event)
                break
            except KeyboardInterrupt:
                if stopping:
                    raise
                stopping = True
                if not studio.stop_job(job_id):
                    raise
    if last is None or last.type not in ("run_stopped", "job_stopped", "run_finished", "job_finished"):
        raise Interrupted(
            "stopped", hint=again or f"studio jobs retry {job_id}"
        )  # taken out of the queue before it began
    if last.type in ("run_stopped", "job_stopped") and last.status != "waiting":
        if again and last.exit_code == Interrupted.exit_code:
            raise Interrupted("stopped", hint=again)
        raise fault_of(last.exit_code, last.message)
    if last.type == "run_stopped" and last.exit_code == UsageError.exit_code:
        raise UsageError(studio.open_run(job_id).message or last.message)
    return last


def at_once(asked: Asked, *subject: Any) -> Any:
    """Do in this process what a command asks for, and show meanwhile what it waits for."""
    with view(consoles()[1]) as show:
        return asked.verb(*subject, **asked.given, listener=show)


def queued(asked: Asked, subject: Any) -> str:
    """Queue what a command asks for, show meanwhile what its check waits for, and return the job's id."""
    from workspace.progress import progress_to

    with view(consoles()[1]) as show, progress_to(show):
        job_id: str = asked.verb.queue(subject, asked.options)
    return job_id


def fault_of(code: int, message: str) -> StudioError:
    """The error with which a job's worker ended, by its exit code."""
    kinds = {kind.exit_code: kind for kind in StudioError.__subclasses__()}
    return kinds.get(code, errors.StudioError)(message)


def finished(job_id: str) -> Any:
    """What came of a job that is done, as plain data."""
    return studio.open_job(job_id).result


def leave(lines: list[str]) -> None:
    """End with what a run waits for."""
    err = consoles()[1]
    for line in lines:
        err.print(line, soft_wrap=True, markup=False)
    raise typer.Exit(errors.Unfinished.exit_code)


def shown(data: Any, as_json: bool, show: Callable[[Any], None]) -> None:
    """Print a result: as one JSON object, or as the command shows it."""
    if as_json:
        print_json(data.model_dump(mode="json") if hasattr(data, "model_dump") else data)
    else:
        show(data)

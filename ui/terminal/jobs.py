"""How the commands about jobs are carried out and shown. Their options are those of `studio.jobs`."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

import studio
from ui.terminal.card import STATUS_STYLE
from ui.terminal.console import Session, consoles, lines, print_json
from ui.terminal.follow import follow
from ui.terminal.generate import Asked, Command
from workspace.errors import UsageError

JOB = "A job's id, as `studio jobs list` shows it; a design's is its run's."
COMMANDS = {
    "list": Command(
        "list_jobs",
        "Examples:\n\n  studio jobs list\n\n  studio jobs list --state queued --state running",
        "jobs:listed",
    ),
    "show": Command("open_job", "Examples:\n\n  studio jobs show JOB --json", "jobs:show", subject="JOB", about=JOB),
    "log": Command("job_log", "Examples:\n\n  studio jobs log JOB", "jobs:log", subject="JOB", about=JOB, json=False),
    "watch": Command("watch_job", "Examples:\n\n  studio jobs watch JOB", "jobs:watch", subject="JOB", about=JOB),
    "stop": Command("stop_job", "Examples:\n\n  studio jobs stop JOB", "jobs:stop", subject="JOB", about=JOB),
    "retry": Command("retry_job", "Examples:\n\n  studio jobs retry JOB", "jobs:retry", subject="JOB", about=JOB),
    "first": Command("put_first", "Examples:\n\n  studio jobs first JOB", "jobs:first", subject="JOB", about=JOB),
}

EPILOG = "Examples:\n\n  studio jobs list\n\n  studio jobs watch JOB\n\n  studio jobs stop JOB"


def listed(asked: Asked) -> None:
    """Show the list of jobs."""
    rows = asked.verb(**asked.given)
    if asked.as_json:
        print_json({"jobs": [asdict(row) for row in rows]})
        return
    if not rows:
        consoles()[1].print("no jobs")
        return
    cells = [_cells(row) for row in rows]
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(("job", "state", "kind", "changed")):
        widest = max(len(column), *(len(line[number]) for line in cells))
        made.add_column(column, header_style="dim", no_wrap=True, min_width=widest)
    made.add_column("about", header_style="dim", no_wrap=True, overflow="ellipsis")
    for row, line in zip(rows, cells, strict=True):
        style = STATUS_STYLE.get(row.state, "")
        made.add_row(*(Text(cell, style=style if number == 1 else "") for number, cell in enumerate(line)))
    consoles()[0].print(made)


def _cells(row: studio.JobSummary) -> tuple[str, ...]:
    """A job's line: id, how it stands, kind, when that changed, what it is about and why it stands so."""
    state = row.state if row.before is None else f"queued, {row.before} before"
    about = " ".join((row.title if not row.message else f"{row.title}: {row.message}").split())
    return (row.job_id, state, row.kind.removeprefix("train_"), _ago(row.updated), about)


def _ago(when: float) -> str:
    seconds = max(0.0, time.time() - when)
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _day(when: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))
    except (ValueError, OverflowError, OSError):  # no time at all stands in the row
        return str(when)


def log(asked: Asked) -> None:
    """Show the end of what a job's libraries printed."""
    text = asked.verb(asked.subject, **asked.given)
    consoles()[0].print(Text(text or "its libraries printed nothing"), soft_wrap=True)


def show(asked: Asked) -> None:
    """Show one job."""
    row = asdict(asked.verb(asked.subject))
    if asked.as_json:
        print_json(row)
        return
    for name in ("created", "updated"):
        row[name] = _day(row[name])
    result: Any = row.pop("result")
    result = result if isinstance(result, dict) else {} if result is None else {"result": result}
    lines(((name, value) for name, value in row.items() if value not in (None, "")), 12)
    lines(((f"  {name}", value) for name, value in result.items()), 12)


def watch(asked: Asked) -> None:
    """Follow a job; Ctrl-C stops it."""
    job = studio.open_job(asked.subject)
    follow(job.job_id)
    row = asdict(studio.open_job(job.job_id))
    if asked.as_json:
        print_json(row)
    else:
        consoles()[0].print(f"{job.job_id}  {row['state']}", markup=False, soft_wrap=True)


def stop(asked: Asked) -> None:
    """Stop a job."""
    Session.run_id = asked.subject
    state = studio.open_job(asked.subject).state
    if not asked.verb(asked.subject):
        raise UsageError(f"{asked.subject} is {state}; there is nothing to stop")
    _say(asked, "stopping" if state == "running" else "stopped")


def retry(asked: Asked) -> None:
    """Queue a job again."""
    asked.verb(asked.subject)
    _say(asked, "queued")


def first(asked: Asked) -> None:
    """Put a job first."""
    asked.verb(asked.subject)
    _say(asked, "first in the queue")


def _say(asked: Asked, words: str) -> None:
    if asked.as_json:
        print_json({"job_id": asked.subject, "state": words})
    else:
        consoles()[0].print(f"{asked.subject}  {words}", markup=False, soft_wrap=True)

"""The jobs' page: what is queued, at work and over; stopped, put first, tried again. Knows the queue's verbs alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import studio
from ui.desk.door import Door
from ui.desk.fragments import Action, Reader, Reply
from ui.desk.measures import percent, told
from ui.desk.render import render
from ui.desk.status import age
from workspace.errors import UsageError, unknown
from workspace.jobs import State

PAGE = 100
MOST_SAID = 60
GROUPS: Mapping[str, tuple[State, ...]] = {
    "": (),
    "open": ("queued", "running", "waiting"),
    "stopped": ("interrupted", "failed"),
    "finished": ("finished",),
}
"""What may be listed, and the states that each stands for; all of them for the first."""

KINDS = {
    "design": "Design",
    "batch": "Batch",
    "fetch_models": "Fetch models",
    "library_add": "Add papers",
    "library_update": "Update the library",
    "train_corpus": "Papers to text",
    "train_distil": "Text to rows",
    "train_image_lora": "Train a picture style",
    "train_recipe": "Train a language model",
    "train_merge": "Merge variants",
    "train_evaluate": "Measure variants",
    "train_judge": "Judge designs",
}
STATES = {
    "queued": "waits its turn",
    "running": "at work",
    "waiting": "waits for you",
    "interrupted": "stopped",
    "failed": "failed",
    "finished": "finished",
}
"""How a job may stand, in words."""


@dataclass(frozen=True)
class Line:
    """A job as it is listed; ``percent`` is how far one at work is, where that is known, ``link`` what it makes."""

    job_id: str
    kind: str
    title: str
    state: str
    stands: str
    words: str
    age: str
    percent: int | None
    open: bool
    first: bool
    again: bool
    link: str


def jobs(door: Door, query: Mapping[str, str]) -> str:
    """The queue, newest first."""
    group, kind = query.get("show", ""), query.get("kind", "")
    if group not in GROUPS:
        raise UsageError(unknown("list", group, [name for name in GROUPS if name]))
    if kind and kind not in KINDS:
        raise UsageError(unknown("kind of job", kind, KINDS))
    of = (kind,) if kind else ()
    found = studio.list_jobs(limit=PAGE, states=GROUPS[group], kinds=of, settings=door.settings)
    now = time.time()
    lines = [line(door, one, now) for one in found]
    return render("jobs", jobs=lines, show=group, groups=list(GROUPS), kind=kind, kinds=KINDS, most=PAGE)


def line(door: Door, one: Any, now: float) -> Line:
    """A job as it is listed; only of one at work a file is read."""
    words, far = one.message, None
    if one.state == "running":
        found = studio.job_progress(one.job_id, settings=door.settings)
        words, far = told(found), percent(found)
    elif one.state == "queued":
        words = "next" if not one.before else f"{one.before} before it"
    elif one.state == "waiting":
        words = "answer it to go on"
    return Line(
        job_id=one.job_id,
        kind=KINDS.get(one.kind, one.kind),
        title=one.title or KINDS.get(one.kind, one.kind),
        state=one.state,
        stands=STATES.get(one.state, one.state),
        words=words,
        age=age(one.created, now),
        percent=far,
        open=one.state in ("queued", "running"),
        first=one.state == "queued" and bool(one.before),
        again=one.state in ("interrupted", "failed"),
        link=_link(one),
    )


def _link(one: Any) -> str:
    """Where what a job makes is shown; empty where no page shows it."""
    name = quote(one.job_id, safe="")
    if one.kind == "design":
        return f"/?run={name}"
    if one.kind == "batch":
        return f"/batch?job={name}"
    if one.kind == "fetch_models":
        return "/models"
    return f"/training?job={name}" if one.kind.startswith("train_") else ""


def _job(values: Mapping[str, Any]) -> str:
    return str(values.get("job", ""))[:200]


def stop(door: Door, values: Mapping[str, Any]) -> Reply:
    """Ask a job's worker to stop."""
    asked = studio.stop_job(_job(values), settings=door.settings)
    words = "It stops at its next safe place; what was made is kept." if asked else "It was not at work any more."
    return Reply(say=words, refresh=LISTS)


def retry(door: Door, values: Mapping[str, Any]) -> Reply:
    """Queue a job again."""
    studio.retry_job(_job(values), settings=door.settings)
    return Reply(say="It is queued again and goes on from what was made.", refresh=LISTS)


def first(door: Door, values: Mapping[str, Any]) -> Reply:
    """Put a waiting job at the head of the queue."""
    studio.put_first(_job(values), settings=door.settings)
    return Reply(say="It is next.", refresh=LISTS)


LISTS = ("jobs", "models", "trained", "batches")
"""The pieces that list jobs."""


def log(door: Door, values: Mapping[str, Any]) -> Reply:
    """Bring what a job said and what its libraries printed, the end of each; none clears it away."""
    if not _job(values):
        return Reply(pieces={"job-log": ""})
    one = studio.open_job(_job(values), settings=door.settings)
    events = studio.job_events(one.job_id, settings=door.settings)
    said = list(filter(None, map(_said, events)))[-MOST_SAID:]
    printed = studio.job_log(one.job_id, settings=door.settings)
    html = render("job_log", job=line(door, one, time.time()), said=said, printed=printed)
    return Reply(pieces={"job-log": html})


def _said(event: Any) -> str:
    """What an event says to people beside how far the job is; mostly nothing."""
    match event.type:
        case "remark" | "notice":
            return str(event.text)
        case "stage_started":
            return " ".join(filter(None, [event.stage, event.doing]))
        case "step_started":
            return str(event.label)
        case "job_started":
            return "begun" if event.attempt == 1 else f"begun, attempt {event.attempt}"
        case "job_stopped" | "run_stopped":
            return f"{event.status}: {event.message}"
        case "job_finished" | "run_finished":
            return f"finished in {event.seconds:,.0f} s"
    return ""


READERS: Mapping[str, Reader] = {"jobs": jobs}
ACTIONS: Mapping[str, Action] = {"jobs/stop": stop, "jobs/retry": retry, "jobs/first": first, "jobs/log": log}

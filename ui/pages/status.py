"""What a run says: status, conversation, past runs, as what their templates show. Knows views; nothing of Gradio."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ui.pages.render import render
from ui.pages.view import PHASES, Turn, View

if TYPE_CHECKING:
    from studio import RunSummary

STATUS_WORDS = {
    "queued": "Starting",
    "running": "Designing",
    "waiting": "Waiting for you",
    "finished": "Finished",
    "failed": "Failed",
    "interrupted": "Interrupted",
}


@dataclass(frozen=True)
class Phase:
    """A phase of a run; ``state`` is ``done``, ``now`` or ``ahead``."""

    name: str
    state: str


@dataclass(frozen=True)
class Bubble:
    """A turn as it is shown: its prose, or ``data`` if a role wrote JSON; ``live`` while it is being written."""

    role: str
    label: str
    seconds: float
    text: str
    data: str
    live: bool


@dataclass(frozen=True)
class PastRun:
    """A line of the past designs; ``picture`` is the name of its first picture, if it made one."""

    run_id: str
    brief: str
    status: str
    word: str
    age: str
    picture: str


def clock(seconds: float) -> str:
    """Write a duration as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def empty() -> str:
    """What stands on the page before there is a run."""
    return render("empty")


def error(message: str) -> str:
    """One clear line about what went wrong."""
    line = " ".join(message.split())
    return render("error", line=line[:1].upper() + line[1:])


def _phases(view: View) -> list[Phase]:
    names = [name for name in PHASES if name != "Critique" or view.critiques or view.phase == name]
    at = len(names) if view.status == "finished" else names.index(view.phase) if view.phase in names else -1
    return [Phase(name, "done" if i < at else "now" if i == at else "ahead") for i, name in enumerate(names)]


def _doing(view: View) -> str:
    step, steps = view.progress
    if view.status == "queued":
        return "starting"
    if view.status == "running" and view.wait:
        return view.wait
    if view.status == "running" and view.phase == "Pictures":
        return f"painting, step {step} of {steps}" if steps else "painting"
    if view.status == "running" and view.current:
        turn = view.turns[view.current]
        return f"{turn.role.capitalize()} · {turn.label}"
    if view.status == "finished":
        count = len(view.pictures)
        return f"{count} picture{'' if count == 1 else 's'} in {clock(view.seconds)}"
    return {"running": "getting ready", "waiting": view.question}.get(view.status, view.message)


def status(view: View, now: float | None = None) -> str:
    """The status line: what the run is doing, how far it is, and what stopped it."""
    moment = time.time() if now is None else now
    step, steps = (0, 0) if view.over else view.progress
    return render(
        "status",
        run_id=view.run_id,
        status=view.status,
        word=STATUS_WORDS[view.status],
        doing=_doing(view),
        time="" if view.over or not view.started else clock(view.before + moment - view.started),
        phases=_phases(view),
        step=step,
        steps=steps,
        over=view.over,
        notices=view.notices if view.over or not view.turns else [],
    )


def _data(text: str) -> str:
    """A text that is JSON, laid out; empty for prose."""
    if not text.lstrip().startswith(("{", "[")):
        return ""
    with suppress(ValueError):
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return text


def _bubble(turn: Turn, over: bool) -> Bubble:
    return Bubble(turn.role, turn.label, turn.seconds, turn.text, _data(turn.text), not (turn.done or over))


def conversation(view: View) -> str:
    """The roles' talk, one titled bubble a step, the one being written last."""
    if not view.brief:
        return ""
    bubbles = [_bubble(turn, view.over) for turn in view.turns.values()]
    return render(
        "talk",
        brief=str(view.brief.get("text", "")),
        inspirations=view.brief.get("inspirations", []),
        turns=[bubble for bubble in bubbles if bubble.text or bubble.live],
    )


def _age(created: float, now: float) -> str:
    gone = max(0, int(now - created))
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if gone >= size:
            return f"{gone // size} {word}{'' if gone < 2 * size else 's'} ago"
    return "just now"


def _past_run(run: RunSummary, now: float) -> PastRun:
    made = sorted((run.folder / "images").glob("*.png")) if run.status == "finished" else []
    word = STATUS_WORDS.get(run.status, run.status)
    age = _age(run.created, now)
    return PastRun(run.run_id, run.brief[:120], run.status, word, age, made[0].name if made else "")


def past(runs: Iterable[RunSummary], current: str = "", now: float | None = None) -> str:
    """The past designs, newest first, each a link that opens it."""
    moment = time.time() if now is None else now
    return render("past", runs=[_past_run(run, moment) for run in runs], current=current)

"""What a run says: its state in a line, its conversation, the past runs. Knows views; nothing of Gradio."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.runs.record import best_picture
from ui.desk.render import render
from ui.desk.run.drafts import last_written
from ui.desk.run.estimate import about, place
from ui.desk.run.offers import NOTHING, Can
from ui.desk.run.view import PHASE_OF, PHASES, Turn, View
from ui.desk.status import STATUS_WORDS, age, clock

if TYPE_CHECKING:
    from studio import RunSummary

SIGNS = {"waiting": "?", "finished": "✓", "failed": "!", "interrupted": "‖"}
"""What the title of the browser's tab begins with."""


@dataclass(frozen=True)
class Phase:
    """A phase of a run; ``state`` is ``done``, ``now`` or ``ahead``."""

    name: str
    state: str


@dataclass(frozen=True)
class Bubble:
    """A turn as it is shown: its prose, or ``data`` if a role wrote JSON; ``state`` is ``done``, ``now`` or ``still``.

    ``still`` is one that was broken off. ``aside`` are those that are folded away: their matter stands elsewhere on the
    page.
    """

    key: str
    role: str
    label: str
    state: str
    seconds: float
    began: float
    words: int
    text: str
    data: str
    aside: bool


@dataclass(frozen=True)
class PastRun:
    """A line of the past designs; ``picture`` is the name of its best picture, if it made one."""

    run_id: str
    brief: str
    status: str
    word: str
    age: str
    picture: str


def _phases(view: View) -> list[Phase]:
    names = [name for name in PHASES if name != "Critique" or view.critiques or view.phase == name]
    at = len(names) if view.status == "finished" else names.index(view.phase) if view.phase in names else -1
    return [Phase(name, "done" if i < at else "now" if i == at else "ahead") for i, name in enumerate(names)]


def doing(view: View) -> str:
    """What a run does just now, or why it does not."""
    step, steps = view.progress
    if view.status == "queued":
        return f"it is {place(view.waits_for)}" if view.waits_for else "its worker is starting"
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
    asked = view.question.text if view.question is not None else ""
    return {"running": "getting ready", "waiting": asked or view.message}.get(view.status, view.message)


def far(view: View) -> int:
    """How far a run is, in percent, by its phases and the steps of its pictures."""
    names = list(PHASES)
    if view.status == "finished":
        return 100
    at = names.index(view.phase) if view.phase in names else 0
    step, steps = view.progress
    return round(100 * (at + (step / steps if steps else 0.0)) / len(names))


def title(view: View) -> str:
    """What the browser's tab is called: how far the run is, and what it is about."""
    about_what = str((view.design or {}).get("title") or view.brief.get("text") or view.run_id)[:60]
    sign = f"{far(view)}%" if view.status == "running" else SIGNS.get(view.status, "…")
    return f"{sign} {about_what} · Studio"


def status(view: View, left: float | None = None, *, skipping: bool = False) -> str:
    """The status line: what the run is doing, how far it is, how long it may still take, what stopped it.

    Args:
        view: The run.
        left: Seconds that it may still take, if that is known.
        skipping: Whether the rest of a round's pictures can be left out just now.
    """
    step, steps = (0, 0) if view.over else view.progress
    running = view.status == "running"
    return render(
        "status",
        run_id=view.run_id,
        status=view.status,
        word=STATUS_WORDS.get(view.status, view.status),
        doing=doing(view),
        since=view.started if running else 0.0,
        before=view.before,
        left=about(left) if running and left is not None else "",
        phases=_phases(view),
        step=step,
        steps=steps,
        over=view.over,
        skipping=skipping,
        notices=view.notices,
    )


def _data(text: str) -> str:
    """A text that is JSON, laid out; empty for prose."""
    if not text.lstrip().startswith(("{", "[")):
        return ""
    with suppress(ValueError):
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return text


def bubble(turn: Turn, over: bool) -> Bubble:
    """A turn as it is shown.

    Args:
        turn: The turn.
        over: Whether the run stands still.
    """
    state = "done" if turn.done else "still" if over else "now"
    text, data = turn.text, _data(turn.text)
    if turn.role == "engineer" and not turn.done and not data:
        count = turn.text.count("\n")
        last = last_written(turn.text)
        text = f"{count} fields are written{f', the last: {last}' if last else ''}." if count else ""
    elif turn.role == "painter":
        text = "" if turn.done else text
    words = len(turn.text.split()) if turn.role != "painter" else 0
    aside = turn.role in ("painter", "critic") or bool(data) or "/evidence" in turn.key
    return Bubble(turn.key, turn.role, turn.label, state, turn.seconds, turn.began, words, text, data, aside)


def spoken(turn: Turn, over: bool, *, can: Can = NOTHING) -> str:
    """One step of the conversation."""
    return render("turn", turn=bubble(turn, over), phase=PHASE_OF.get(turn.role, ""), can=can)


def wish(view: View) -> str:
    """What the person said, as the conversation begins."""
    return render(
        "wish", brief=str(view.brief.get("text", "")), inspirations=[str(one) for one in view.brief["inspirations"]]
    )


def _past_run(run: RunSummary, now: float) -> PastRun:
    made = {path.name for path in (run.folder / "images").glob("*.png")} if run.status == "finished" else set()
    best = best_picture(run.folder) if made else ""
    word = STATUS_WORDS.get(run.status, run.status)
    gone = age(run.created, now)
    return PastRun(run.run_id, run.brief[:120], run.status, word, gone, best if best in made else min(made, default=""))


def past(runs: Iterable[RunSummary], current: str = "", now: float | None = None) -> str:
    """The past designs, newest first, each a link that opens it."""
    moment = time.time() if now is None else now
    return render("past", runs=[_past_run(run, moment) for run in runs], current=current)

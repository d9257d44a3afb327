"""Other lines of a run, and what people think of what was made: branches, a person's best picture, thumbs.

Knows the front door's verbs for these; nothing of the page's layout.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

import studio
from studio.runs.request import SEED_LIMIT
from ui.desk.door import Door
from ui.desk.fragments import Action, Reader, Reply
from ui.desk.render import render
from ui.desk.run.following import followed, run_id_of
from ui.desk.run.offers import Can
from ui.desk.run.view import Turn, View
from workspace.errors import StudioError, UsageError, unknown

RATED = ("turn", "design", "picture")
HOW = ("edit", "redirect", "seed")
SEED_LETTERS = 18


def offered() -> Can:
    """What can be done with what a run made."""
    return Can(branch="branch" in studio.VERBS, keep=True, rate="feedback_add" in studio.VERBS)


def again(door: Door, values: Mapping[str, Any]) -> Reply:
    """Ask for the same design with another seed."""
    return Reply(say="The same again, with another seed.", go=f"/?run={door.again(run_id_of(values))}")


def keep(door: Door, values: Mapping[str, Any]) -> Reply:
    """Hold a picture for the best in place of the Director's choice, or leave it to the Director again."""
    text = str(values.get("picture", ""))
    picture = int(text) if text.isdecimal() and len(text) < 6 else None
    door.keep(run_id_of(values), picture)
    said = "The Director's choice holds again." if picture is None else "This picture is held for the best now."
    return Reply(say=said, refresh=("run", "run/past"))


def step(door: Door, query: Mapping[str, str]) -> str:
    """The sheet in which a step is edited, redirected or tried again."""
    how, at = query.get("how", ""), query.get("at", "")
    if how not in HOW:
        raise UsageError(unknown("way to branch", how, HOW))
    view = followed(door, run_id_of(query))
    if at not in view.turns:
        raise UsageError(unknown("step", at[:100], view.turns))
    words = query.get("words", "")[:2000]
    turn = view.turns[at]
    label = f"{turn.role.capitalize()}: {turn.label}"
    return render("step", run_id=view.run_id, at=at, how=how, label=label, text=editable(view, turn), words=words)


def editable(view: View, turn: Turn) -> str:
    """What a person edits of a step: the words that were said, or the document that was written."""
    if turn.role == "engineer" and view.design is not None:
        return json.dumps(view.design, indent=2, ensure_ascii=False)
    return turn.text


def branch(door: Door, values: Mapping[str, Any]) -> Reply:
    """Begin another line of a run at a step, and go there."""
    changes: dict[str, Any] = {}
    for name, label in (("edit", "What it says"), ("redirect", "What should be otherwise")):
        if name in values:
            changes[name] = str(values[name]).strip()
            if not changes[name]:
                return Reply(error=f"{label} is empty; say something, or cancel", at=name)
    seed = str(values.get("seed", "")).strip()
    if seed and not (seed.isdecimal() and len(seed) < SEED_LETTERS and int(seed) < SEED_LIMIT):
        return Reply(error=f"Seed must be a whole number from 0 to {SEED_LIMIT - 1}, not {seed[:40]!r}", at="seed")
    if seed or not changes:
        changes["seed"] = int(seed) if seed else secrets.randbelow(SEED_LIMIT)
    made = door.branch(run_id_of(values), str(values.get("at", "")), **changes)
    return Reply(say="The branch is queued.", go=f"/?run={made}")


def thumb(door: Door, values: Mapping[str, Any]) -> Reply:
    """Leave an opinion on a turn, the design or a picture; without a value, take it back."""
    about, at, value = (str(values.get(name, ""))[:200] for name in ("about", "at", "value"))
    if about not in RATED or value not in ("up", "down", ""):
        raise UsageError(unknown("opinion", f"{about} {value}"[:60], [f"{one} up" for one in RATED]))
    reason = " ".join(str(values.get("reason", "")).split())[:1000]
    door.rate(run_id_of(values), f"{about}:{at}" if at else about, value, reason)
    return Reply(say="Thank you; it is kept." if value else "It is taken back.")


def thumbs(door: Door, query: Mapping[str, str]) -> str:
    """The thumbs that were left on a run, for the buttons to show; nothing where no run is named."""
    run_id = query.get("run", "")
    try:
        found = door.thumbs(run_id_of(query)) if run_id else {}
    except StudioError:
        found = {}
    return render("thumbs_left", thumbs=[(*subject.partition(":")[::2], value[0]) for subject, value in found.items()])


def why(door: Door, query: Mapping[str, str]) -> str:
    """The sheet that asks for an opinion's reason."""
    asked = {name: query.get(name, "")[:200] for name in ("about", "at", "value")}
    return render("why", run_id=run_id_of(query), **asked)


def family(door: Door, query: Mapping[str, str]) -> str:
    """The lines of a run, to go from one to another; nothing where there is but one."""
    run_id = query.get("run", "")
    try:
        members = door.family(run_id) if run_id else []
    except StudioError:
        members = []
    return render("family", members=members if len(members) > 1 else [], current=run_id)


READERS: Mapping[str, Reader] = {"run/family": family, "run/step": step, "run/thumbs": thumbs, "run/why": why}
ACTIONS: Mapping[str, Action] = {"run/again": again, "run/keep": keep, "run/branch": branch, "run/thumb": thumb}

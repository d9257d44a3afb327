"""The Studio page's run: read with a cursor, stopped, gone on with, answered. Knows the door and views; no Gradio.

The browser names the last event that it knows (``/desk/run?run=RUN&after=N``) and is given the parts that changed since
and no others. How a run stands is what the queue says of it; its events say what was made. The server holds nothing
that matters, so a refresh, a second tab or a restarted server shows the same.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ui.desk.door import Door
from ui.desk.fragments import Action, Reader, Reply
from ui.desk.render import render
from ui.desk.run import results
from ui.desk.run import status as parts
from ui.desk.run.asking import IDEAS
from ui.desk.run.branching import offered
from ui.desk.run.estimate import left
from ui.desk.run.following import followed, known, observer_of, run_id_of
from ui.desk.run.view import PHASE_OF, View
from workspace.errors import StudioError
from workspace.files import read_inside
from workspace.jobs import SETTLED

OFTEN, SELDOM, HARDLY = 800, 4000, 12_000
"""Milliseconds to the next look: while a run goes on, while somebody may go on with it, once it is finished."""
PREVIEW_BYTES = 60_000


class Desk:
    """What pictures are served; kept for the route that serves them."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def picture(self, run_id: str, name: str) -> bytes | None:
        """Read a picture that the ledger lists for a run, if it is still what was made."""
        try:
            images = known(self._door, run_id).images
            image = next((image for image in images if image.path.name == name), None)
            return None if image is None else read_inside(image.path.parent, name, sha256=image.sha256)
        except StudioError:
            return None


def run(door: Door, query: Mapping[str, str]) -> str:
    """What changed of a run since the event that the browser knows; the newest finished one where none is named."""
    if not query.get("run", "").strip():
        found = None if "new" in query else _first_shown(door)
        if found is None:
            return _nothing(door)
        query = {"run": found, "after": query.get("after", "")}
    run_id, after = run_id_of(query), _number(query.get("after", ""))
    view = followed(door, run_id)
    if after > view.seq:  # another log than the browser knows
        after = 0
    chosen = door.chosen(run_id)
    wait = HARDLY if view.status == "finished" else SELDOM if view.status in SETTLED else OFTEN
    return render(
        "run",
        run_id=run_id,
        seq=view.seq,
        state=view.status,
        title=parts.title(view),
        wait=wait,
        mood="over" if view.over else "open",
        chosen=chosen,
        now=time.time(),
        parts=[*_parts(door, view, after, chosen, query.get("chosen", ""))],
        steps=list(_steps(door, view, after)),
    )


def _first_shown(door: Door) -> str | None:
    """What a visitor sees who names no run: the newest finished one, or the sample."""
    try:
        return next((one.run_id for one in door.runs() if one.status == "finished"), None) or door.sample()
    except StudioError:
        return None


def _nothing(door: Door) -> str:
    empty = render("empty", ideas=IDEAS, any=bool(door.runs()))
    return render(
        "run",
        run_id="",
        seq=0,
        state="empty",
        title="Studio",
        wait=0,
        mood="over",
        chosen=None,
        now=time.time(),
        parts=[("status", empty)],
        steps=[],
    )


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0


def _parts(door: Door, view: View, after: int, chosen: int | None, was: str) -> Iterator[tuple[str, str]]:
    """The parts that changed after an event, by the place that takes them; the status is short and always there."""
    observer, marks, can = observer_of(door), view.marks, offered()
    skipping = view.status == "running" and bool(view.progress[1]) and view.progress[0] < view.progress[1]
    yield "status", parts.status(view, _left(door, view), skipping=skipping)
    if view.brief and marks.get("brief", 0) > after:
        yield "wish", parts.wish(view)
    if marks.get("card", 0) > after:
        draw = partial(results.card, view, can=can)
        yield "card", observer.drawn(view.run_id, "card", (marks["card"], view.over), draw)
    if marks.get("painting", 0) > after:
        yield "painting", painting(door, view)
    if marks.get("question", 0) > after or view.status == "waiting":
        yield "question", question(view)
    rounds = {number: marks.get(f"round {number}", 0) for number in view.rounds()}
    if max(rounds.values(), default=0) > after:
        yield "strip", results.strip(view)
    for number, last in rounds.items():
        if last > after or was != ("" if chosen is None else str(chosen)):
            draw = partial(results.round_of, view, number, chosen, can=can)
            yield f"round-{number}", observer.drawn(view.run_id, f"round {number}", (last, chosen), draw)


def _steps(door: Door, view: View, after: int) -> Iterator[tuple[str, str, str]]:
    observer, can = observer_of(door), offered()
    for turn in view.turns.values():
        if turn.mark > after:
            draw = partial(parts.spoken, turn, view.over, can=can)
            html = observer.drawn(view.run_id, f"step {turn.key}", (turn.mark, view.over), draw)
            yield turn.key, PHASE_OF.get(turn.role, ""), html


def _left(door: Door, view: View) -> float | None:
    if view.status != "running":
        return None
    try:
        asked, pace = door.asked_for(view.run_id), door.pace()
    except StudioError:
        return None
    flow = asked.settings.get("flow", {})
    return left(view, pace, asked.turns, int(flow.get("images", 1)), int(flow.get("rounds", 1)), time.time())


def painting(door: Door, view: View) -> str:
    """How far the painting is, and how the pictures look by now."""
    step, steps = view.progress
    if not steps or view.over or step >= steps:
        return ""
    shown = [
        (index + 1, image) for index, path in sorted(view.previews.items()) if (image := _preview(door, view, path))
    ]
    return render("painting", previews=shown, step=step, steps=steps)


def _preview(door: Door, view: View, path: str) -> str:
    """A preview as an address that holds it; it is small, and gone when its picture is there."""
    try:
        content = read_inside(door.folder(view.run_id), path)
    except StudioError:
        return ""
    if not content.startswith(b"\xff\xd8") or len(content) > PREVIEW_BYTES:
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def question(view: View) -> str:
    """What a waiting run asks, as a form; nothing where none is asked."""
    asked = view.question
    if asked is None or view.status != "waiting":
        return ""
    payload = asked.payload
    prompt = payload.get("prompt") or {}
    best = payload.get("best")
    return render(
        "question",
        run_id=view.run_id,
        kind=asked.kind,
        text=asked.text,
        problem=str(payload.get("problem") or ""),
        candidates=payload.get("candidates") or [],
        prompt=str(prompt.get("short") or prompt.get("long") or ""),
        best=None if best is None else int(best) + 1,
    )


def stop(door: Door, values: Mapping[str, Any]) -> Reply:
    """Ask a run's worker to stop."""
    asked = door.stop(run_id_of(values))
    return Reply(say="It stops at its next safe place." if asked else "It was not at work any more.", refresh=("run",))


def skip(door: Door, values: Mapping[str, Any]) -> Reply:
    """Leave out the rest of the pictures of the round that is painted."""
    door.skip(run_id_of(values))
    return Reply(say="The rest of this round's pictures is left out.", refresh=("run",))


def resume(door: Door, values: Mapping[str, Any]) -> Reply:
    """Go on with a run that stopped."""
    door.go_on(run_id_of(values))
    return Reply(say="It goes on.", refresh=("run", "run/past"))


def answer(door: Door, values: Mapping[str, Any]) -> Reply:
    """Answer what a run waits with."""
    run_id, choice = run_id_of(values), str(values.get("choice", ""))
    if choice == "approve":
        given: dict[str, Any] = {"approve": True}
    elif choice == "prompt":
        text = str(values.get("prompt", "")).strip()
        if len(text) < 10:
            return Reply(error="Picture prompt must have ten letters or more", at="prompt")
        given = {"prompt": text}
    elif choice == "sources":
        own = [one.strip() for one in re.split(r"[,;\n]", str(values.get("own", ""))) if one.strip()]
        picked = values.get("sources", [])
        sources = [*([picked] if isinstance(picked, str) else map(str, picked)), *own]
        if not sources:
            return Reply(error="Choose at least one source, or name one of your own", at="own")
        given = {"source": tuple(sources)}
    else:
        given = {"choice": choice}
    if not door.answer(run_id, **given):
        return Reply(say="This design is finished already.", refresh=("run",))
    return Reply(say="It goes on with your answer.", refresh=("run", "run/past"))


def past(door: Door, query: Mapping[str, str]) -> str:
    """The newest designs, each a link that opens it."""
    return parts.past(door.runs()[:MOST_PAST], query.get("run", ""))


MOST_PAST = 10
READERS: Mapping[str, Reader] = {"run": run, "run/past": past}
ACTIONS: Mapping[str, Action] = {
    "run/stop": stop,
    "run/skip": skip,
    "run/resume": resume,
    "run/answer": answer,
}

"""What a run says, as HTML: status, conversation, past runs. Knows views; nothing of Gradio.

Whatever a model or a person wrote is escaped here; Markdown is rendered with raw HTML, links and images switched off.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from ui.pages.view import PHASES, Turn, View

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

    from studio.runs.record import RunSummary

STATUS_WORDS = {
    "queued": "Starting",
    "running": "Designing",
    "waiting": "Waiting for you",
    "finished": "Finished",
    "failed": "Failed",
    "interrupted": "Interrupted",
}
EMPTY = """
<div class="empty">
  <h2>No design on the table yet</h2>
  <p>Say what you need in the brief and name the living materials it should learn from. The roles then talk it through
  in front of you, write the design down as a structured card, and paint it. The work goes on when you close this
  page: it is kept under past designs.</p>
</div>"""


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    rules = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table")
    return rules.disable(["image", "link", "autolink", "reference", "html_block", "html_inline"])


def prose(text: str) -> str:
    """Render a model's text: its Markdown as HTML, everything else escaped."""
    return str(_markdown().render(text))


def clock(seconds: float) -> str:
    """Write a duration as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def error(message: str) -> str:
    """One clear line about what went wrong."""
    line = " ".join(message.split())
    return f'<p class="error" role="alert">{escape(line[:1].upper() + line[1:])}.</p>'


def _phases(view: View) -> str:
    names = [name for name in PHASES if name != "Critique" or view.critiques or view.phase == name]
    at = len(names) if view.status == "finished" else names.index(view.phase) if view.phase in names else -1
    items = []
    for i, name in enumerate(names):
        state = "done" if i < at else "now" if i == at else "ahead"
        current = ' aria-current="step"' if state == "now" else ""
        items.append(f'<li class="{state}"{current}><span></span>{name}</li>')
    return f'<ol class="phases" aria-label="Progress">{"".join(items)}</ol>'


def _doing(view: View) -> str:
    step, steps = view.progress
    if view.status == "queued":
        return "loading the models"
    if view.status == "running" and view.phase == "Pictures":
        return f"painting, step {step} of {steps}" if steps else "painting"
    if view.status == "running" and view.current:
        turn = view.turns[view.current]
        return f"{turn.role.capitalize()} · {turn.label}"
    if view.status == "finished":
        count = len(view.pictures)
        return f"{count} picture{'' if count == 1 else 's'} in {clock(view.seconds)}"
    return {"running": "getting ready", "waiting": view.question}.get(view.status, view.message)


def _time(view: View, now: float) -> str:
    if view.over or not view.started:
        return ""
    return f'<span class="clock" aria-label="Time so far">{clock(view.before + now - view.started)}</span>'


def _bar(view: View) -> str:
    step, steps = view.progress
    if view.over or not steps:
        return ""
    return (
        f'<div class="bar" role="progressbar" aria-label="Painting" aria-valuemin="0" aria-valuemax="{steps}" '
        f'aria-valuenow="{step}"><i style="width:{100 * step / steps:.0f}%"></i></div>'
    )


def status(view: View, now: float | None = None) -> str:
    """The status line: what the run is doing, how far it is, and what stopped it."""
    moment = time.time() if now is None else now
    notes = "".join(f"<li>{escape(text)}</li>" for text in view.notices[-3:])
    hint = f'<p class="hint">{_hint(view)}</p>' if _hint(view) else ""
    listed = f"<ul class=notes>{notes}</ul>" if notes else ""
    words = f"<b>{STATUS_WORDS[view.status]}</b> <span>{escape(_doing(view))}</span>"
    return (
        f'<section class="status is-{escape(view.status)}" aria-label="Status">'
        f'<p class="line"><span class="dot"></span><span class="words" role="status">{words}</span>'
        f"{_time(view, moment)}</p>{_phases(view)}{_bar(view)}{hint}{listed}</section>"
    )


def _hint(view: View) -> str:
    if view.status == "waiting":
        return f"Answer in a terminal: <code>studio resume {escape(view.run_id)}</code>"
    stopped = view.status in ("failed", "interrupted")
    return "Nothing is lost. Resume goes on from the last finished step." if stopped else ""


def _words(text: str) -> str:
    if not text.lstrip().startswith(("{", "[")):
        return prose(text)
    with suppress(ValueError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return f"<pre>{escape(text)}</pre>"


def _turn(turn: Turn, over: bool) -> str:
    name = escape(turn.role)
    took = f'<span class="took">{turn.seconds:.0f} s</span>' if turn.seconds >= 1 else ""
    live = not turn.done and not over
    writing = "" if not live else '<span class="writing" role="img" aria-label="writing"><i></i><i></i><i></i></span>'
    return (
        f'<article class="turn {name}{" live" if live else ""}"><header>'
        f'<span class="badge" aria-hidden="true">{name[:1].upper()}</span><b>{name.capitalize()}</b>'
        f'<span class="label">{escape(turn.label)}</span>{took}</header>'
        f'<div class="text">{_words(turn.text)}{writing}</div></article>'
    )


def conversation(view: View) -> str:
    """The roles' talk, one titled bubble a step, the one being written last."""
    if not view.brief:
        return ""
    sources = ", ".join(view.brief.get("inspirations", []))
    asked = escape(str(view.brief.get("text", "")))
    drawn = f'<p class="sources">Inspired by {escape(sources)}</p>' if sources else ""
    you = (
        '<article class="turn you"><header><span class="badge" aria-hidden="true">Y</span><b>You</b>'
        f'<span class="label">The brief</span></header><div class="text"><p>{asked}</p>{drawn}</div></article>'
    )
    turns = "".join(_turn(turn, view.over) for turn in view.turns.values() if turn.text or not (turn.done or view.over))
    return (
        '<section class="talk"><h2>Conversation</h2>'
        f'<div class="scroll" role="log" tabindex="0" aria-label="Conversation">{you}{turns}</div></section>'
    )


def _age(created: float, now: float) -> str:
    gone = max(0, int(now - created))
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if gone >= size:
            return f"{gone // size} {word}{'' if gone < 2 * size else 's'} ago"
    return "just now"


def past(runs: Iterable[RunSummary], current: str = "", now: float | None = None) -> str:
    """The past designs, newest first, each a link that opens it."""
    moment = time.time() if now is None else now
    items = []
    for run in runs:
        made = sorted((run.folder / "images").glob("*.png")) if run.status == "finished" else []
        name = quote(run.run_id, safe="")
        seen = f'<img src="pictures/{name}/{quote(made[0].name)}" alt="" loading="lazy">' if made else "<i></i>"
        here = ' aria-current="page"' if run.run_id == current else ""
        words = STATUS_WORDS.get(run.status, escape(run.status))
        items.append(
            f'<li><a href="?run={name}"{here} title="{escape(run.run_id)}">{seen}<span><b>{escape(run.brief[:120])}</b>'
            f'<small><span class="dot is-{escape(run.status)}"></span>{words} · {_age(run.created, moment)}</small>'
            "</span></a></li>"
        )
    body = f"<ul>{''.join(items)}</ul>" if items else "<p>Your designs will be listed here, newest first.</p>"
    return f'<nav class="past" aria-label="Past designs"><h2>Past designs</h2>{body}</nav>'

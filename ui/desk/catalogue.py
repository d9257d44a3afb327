"""The models: what there is, what is here, fetched and verified. Knows the front door alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import studio
from ui.desk.door import Door
from ui.desk.fragments import Action, Reader, Reply
from ui.desk.measures import count, percent, size, told
from ui.desk.queue import LISTS
from ui.desk.render import render
from workspace.errors import UsageError
from workspace.jobs import State

if TYPE_CHECKING:
    from workspace.settings import Settings

KINDS = {
    "chat": "Writes and reasons",
    "vision": "Looks at pictures",
    "embedding": "Says how near texts are",
    "painter": "Paints",
    "adapter": "Adapts a painter",
}
"""The kinds of model, in the order they are listed, in words."""

MOST_STOPPED = 4


@dataclass(frozen=True)
class Download:
    """A fetch that is under way or was cut off: what, how it stands, how far in percent, in words."""

    job_id: str
    title: str
    state: str
    percent: int | None
    words: str


def _downloads(door: Door, absent: set[str]) -> list[Download]:
    """Fetches under way, and those that were cut off and whose models are still not here, the newest of each."""
    states: tuple[State, ...] = ("queued", "running", "failed", "interrupted")
    found = studio.list_jobs(states=states, kinds=("fetch_models",), limit=50, settings=door.settings)
    made: dict[str, Download] = {}
    for one in found:
        if one.title not in made and (one.state in ("queued", "running") or set(one.title.split()) & absent):
            made[one.title] = _download(door, one)
    under_way = [one for one in made.values() if one.state in ("queued", "running")]
    return [*under_way, *[one for one in made.values() if one not in under_way][:MOST_STOPPED]]


def _download(door: Door, one: Any) -> Download:
    if one.state == "running":
        found = studio.job_progress(one.job_id, settings=door.settings)
        return Download(one.job_id, one.title, one.state, percent(found), told(found) or "begins")
    words = f"waits, {one.before or 0} before it" if one.state == "queued" else one.message
    return Download(one.job_id, one.title, one.state, None, words)


def _used(settings: Settings) -> dict[str, str]:
    """What the settings use each model for."""
    found: dict[str, list[str]] = {}
    named = [("the roles", settings.chat.model), ("the critic", settings.vision.model)]
    named += [("the painter", settings.painter.model), ("the painter's adapter", settings.painter.adapter)]
    named += [(f"the {name}", role.model) for name, role in settings.roles.items()]
    for what, model in named:
        if model:
            found.setdefault(model, []).append(what)
    return {model: ", ".join(whats) for model, whats in found.items()}


def models(door: Door, query: Mapping[str, str]) -> str:
    """The catalogue by kind, what is fetched just now, and the room on the disk."""
    found = studio.list_models(settings=door.settings)
    rows = [(kind, words, [one for one in found.models if one.kind == kind]) for kind, words in KINDS.items()]
    home = door.settings.home
    free = shutil.disk_usage(home if home.is_dir() else home.parent).free
    here = sum(one.size_bytes for one in found.models if one.here)
    downloads = _downloads(door, {one.id for one in found.models if not one.here})
    busy = {word for one in downloads if one.state in ("queued", "running") for word in one.title.split()}
    return render(
        "models",
        kinds=[row for row in rows if row[2]],
        variants=found.variants,
        downloads=downloads,
        busy=busy,
        inuse=_used(door.settings),
        used=size(here),
        count_here=sum(one.here for one in found.models),
        room=free,
        free=size(free),
        size=size,
        count=count,
    )


def fetch(door: Door, values: Mapping[str, Any]) -> Reply:
    """Queue the fetching of a model."""
    name = _named(values)
    studio.fetch_models.submit([name], settings=door.settings)
    return Reply(say=f"{name} is fetched; its progress stands above.", refresh=LISTS)


def verify(door: Door, values: Mapping[str, Any]) -> Reply:
    """Read every byte of a model and say what is wrong with it."""
    name = _named(values)
    problems: Sequence[str] = studio.verify_models([name], settings=door.settings).problems[name]
    if problems:
        raise UsageError(f"{name}: {'; '.join(problems)}", hint="fetch it again")
    return Reply(say=f"{name} is whole: every byte is as it was recorded")


def _named(values: Mapping[str, Any]) -> str:
    return str(values.get("model", ""))[:200]


READERS: Mapping[str, Reader] = {"models": models}
ACTIONS: Mapping[str, Action] = {"models/fetch": fetch, "models/verify": verify}

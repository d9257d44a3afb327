"""The sheet of a design or of one of its pictures: how it is marked, and what can be done with it. Knows verbs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import studio
from ui.desk.door import Door
from ui.desk.fragments import Reader
from ui.desk.library.seeking import Tile, number, of_picture, of_run
from ui.desk.render import render
from ui.desk.run.following import run_id_of
from workspace.errors import StudioError, UsageError, unknown

if TYPE_CHECKING:
    from studio.keeping.finding import PictureOnShelf, RunOnShelf

MOST_PICTURES = 200
RATINGS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Again:
    """The steps at which a branch begins that makes a picture anew, or lets the critic look again; empty: none."""

    picture: str = ""
    critic: str = ""


def on_shelf(door: Door, run_id: str) -> RunOnShelf:
    """A run as it is listed.

    Raises:
        UsageError: It is not listed: there is none, or it lies in the bin.
    """
    found = studio.find_runs(run=run_id, count=1, settings=door.settings).runs
    if not found:
        raise UsageError(f"design {run_id} is not in the library", hint="look into the bin")
    return found[0]


def tile_of(door: Door, run_id: str, picture: str = "") -> Tile:
    """A design, or one of its pictures, as it is listed.

    Raises:
        UsageError: It is not listed.
    """
    if not picture:
        return of_run(on_shelf(door, run_id), time.time())
    return of_picture(_picture(_pictures(door, run_id), picture), time.time())


def _pictures(door: Door, run_id: str) -> list[PictureOnShelf]:
    found = studio.find_pictures(run=run_id, count=MOST_PICTURES, settings=door.settings).pictures
    return sorted(found, key=lambda one: one.name)


def _picture(there: list[PictureOnShelf], name: str) -> PictureOnShelf:
    found = next((one for one in there if one.name == name), None)
    if found is None:
        raise UsageError(unknown("picture", name[:40], [one.name for one in there]))
    return found


def sheet(door: Door, query: Mapping[str, str]) -> str:
    """The sheet of the design, or the picture, that an address names."""
    run_id, name = run_id_of(query), query.get("picture", "")
    run, there = on_shelf(door, run_id), _pictures(door, run_id)
    picture = _picture(there, name) if name else None
    tile = of_run(run, time.time()) if picture is None else of_picture(picture, time.time())
    subject = f"picture:{name}" if name else "design"
    thumb, reason = door.thumbs(run_id).get(subject, ("", ""))
    return render(
        "library_sheet",
        tile=tile,
        run=run,
        picture=picture,
        number=number(name),
        names=[(one.name, number(one.name)) for one in there],
        thumb=thumb,
        reason=reason,
        ratings=RATINGS,
        boards=studio.find_choices(settings=door.settings).boards,
        links=links(run_id, name),
        branched=len(studio.find_runs(family=run.family, count=2, settings=door.settings).runs) > 1,
        again=_again(door, picture) if picture else Again(),
        designed=run.title != run.brief,
    )


def links(run_id: str, picture: str) -> list[tuple[str, str, str]]:
    """Ways to begin a new design with what is known of one: what each is called, what it takes, where it leads."""
    ways = [
        ("all", "Use all", "Brief, sources and settings, with the same seed"),
        ("remix", "Remix", "All but the seed"),
        *([("prompt", "Use prompt", "The picture's prompt as the brief of a new design")] if picture else []),
        ("seed", "Use seed", "The design's seed alone"),
    ]
    named = {"picture": picture} if picture else {}
    return [
        (label, about, "/?" + urlencode({"new": "1", "from": run_id, **named, "take": way}))
        for way, label, about in ways
    ]


def _again(door: Door, picture: PictureOnShelf) -> Again:
    """Where a branch begins that makes a picture anew; nowhere where the run does not tell."""
    try:
        there = {one.key for one in studio.steps(picture.run_id, settings=door.settings) if one.done}
        a_round = int(door.asked_for(picture.run_id).settings.get("flow", {}).get("images") or 1)
    except StudioError:
        return Again()
    place = (number(picture.name) - 1) % max(1, a_round)
    keys = (f"{kind}/round-{picture.round}/{place:02d}" for kind in ("picture", "critic"))
    return Again(*(key if key in there else "" for key in keys))


def why(door: Door, query: Mapping[str, str]) -> str:
    """Where a design, or one of its pictures, comes from, back to passages and papers."""
    run_id, name = run_id_of(query), query.get("picture", "")
    asked = f"picture-{number(name)}" if name else "all"
    told = studio.explain(run_id, why=asked, settings=door.settings)
    return render("library_why", title=f"Picture {number(name)}" if name else "This design", lines=_levels(told.lines))


def _levels(lines: tuple[str, ...]) -> list[tuple[int, str]]:
    """Lines with how far in each stands."""
    return [((len(line) - len(line.lstrip())) // 2, line.strip()) for line in lines if line.strip()]


READERS: Mapping[str, Reader] = {"library/sheet": sheet, "library/why": why}

"""What of the library an address asks for, and a page of it as tiles. Knows the front door; not the layout."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

import studio
from ui.desk.door import Door
from ui.desk.fragments import Reader
from ui.desk.render import render
from ui.desk.status import STATUS_WORDS, age

if TYPE_CHECKING:
    from studio.keeping.finding import PictureOnShelf, RunOnShelf

PAGE = 48
MOST_SHOWN = 4  # pictures of a design on its tile
MOST_LETTERS = 300
View = Literal["", "pictures", "bin"]
VIEWS: Mapping[View, str] = {"": "Designs", "pictures": "Pictures", "bin": "Bin"}
"""What the page shows, by the word in its address."""

CHOSEN = ("program", "model", "adapter", "board")
"""What is chosen from what there is."""

WORDS = (*CHOSEN, "search", "family", "since", "until", "sort", "after")
NUMBERS = ("min_score", "max_score", "rating")
LABELS = {
    "search": "words",
    "program": "program",
    "model": "model",
    "adapter": "adapter",
    "board": "board",
    "family": "family of",
    "min_score": "score from",
    "max_score": "score to",
    "rating": "rated from",
    "since": "since",
    "until": "until",
    "star": "starred",
}
"""What narrows the page, as it is called beside what was found."""


@dataclass(frozen=True)
class Tile:
    """A design, or one picture of it, as it is listed; ``picture`` is empty for a design.

    Attributes:
        face: The file of the picture that is shown; empty where there is none.
        others: Files of a design's other pictures.
        fault: Why it cannot be read whole.
    """

    run_id: str
    picture: str
    face: str
    title: str
    brief: str
    status: str
    word: str
    age: str
    score: float | None
    star: bool
    rating: int
    boards: tuple[str, ...]
    others: tuple[str, ...] = ()
    pictures: int = 0
    fault: str = ""

    @property
    def label(self) -> str:
        """What it is called where it cannot be seen."""
        return f"{self.title}, picture {number(self.picture)}" if self.picture else self.title


def number(picture: str) -> int:
    """A picture's number among those of its run, by its file's name."""
    stem = picture.partition(".")[0]
    return int(stem) if stem.isdecimal() else 0


def view_of(query: Mapping[str, str]) -> View:
    """What an address shows: designs where it names nothing that there is."""
    named = query.get("view", "")
    return next((view for view in VIEWS if view == named), "")


def wanted(query: Mapping[str, str]) -> dict[str, Any]:
    """What an address looks for, as the options of `studio.find_runs`.

    Raises:
        FieldFault: A field is wrong; the line calls it as the page does.
    """
    from studio.keeping.narrowing import FindCall
    from ui.desk.forms import check, fields

    given: dict[str, Any] = {name: text for name in WORDS if (text := query.get(name, "").strip())}
    given |= {name: text for name in NUMBERS if (text := query.get(name, "").strip())}
    named = [one for one in fields(FindCall) if one.name in given]
    shown = [replace(one, label=LABELS.get(one.name, one.name).capitalize()) for one in named]
    check(FindCall, shown, given)
    given |= {name: float(given[name]) if name != "rating" else int(given[name]) for name in NUMBERS if name in given}
    return given | ({"star": True} if query.get("star") else {})


def narrowed(query: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """What narrows the page: what it is called, its value, the page's query without it."""
    kept = {name: value for name, value in query.items() if value and name != "after"}
    return [
        (label, "" if name == "star" else kept[name], urlencode({key: one for key, one in kept.items() if key != name}))
        for name, label in LABELS.items()
        if kept.get(name, "").strip()
    ]


def of_run(one: RunOnShelf, now: float) -> Tile:
    """A design as it is listed."""
    face = one.names[0] if one.names else ""
    return Tile(
        run_id=one.run_id,
        picture="",
        face=face,
        title=one.title,
        brief=one.brief if one.brief != one.title else "",
        status=one.status,
        word=STATUS_WORDS.get(one.status, one.status),
        age=f"put here {age(one.binned, now)}" if one.binned else age(one.created, now),
        score=one.score,
        star=one.star,
        rating=one.rating,
        boards=one.boards,
        others=one.names[1:MOST_SHOWN],
        pictures=one.pictures,
        fault=one.fault,
    )


def of_picture(one: PictureOnShelf, now: float) -> Tile:
    """A picture as it is listed."""
    return Tile(
        run_id=one.run_id,
        picture=one.name,
        face=one.name,
        title=one.title,
        brief="",
        status=one.status,
        word="Best" if one.best else f"Round {one.round}",
        age=age(one.created, now),
        score=one.score,
        star=one.star,
        rating=one.rating,
        boards=one.boards,
    )


def found(door: Door, query: Mapping[str, str]) -> dict[str, Any]:
    """A page of what an address looks for: tiles, where the next page begins, what is still to be entered."""
    view, asked, now = view_of(query), wanted(query), time.time()
    if view == "pictures":
        pictures = studio.find_pictures(**asked, count=PAGE, settings=door.settings)
        tiles, after, pending = [of_picture(one, now) for one in pictures.pictures], pictures.next, pictures.pending
    else:
        find = studio.list_bin if view == "bin" else studio.find_runs
        runs = find(**asked, count=PAGE, settings=door.settings)
        tiles, after, pending = [of_run(one, now) for one in runs.runs], runs.next, runs.pending
    kept = {name: value for name, value in query.items() if value and name != "after"}
    more = urlencode({**kept, "after": after}) if after else ""
    return {"view": view, "tiles": tiles, "more": more, "pending": pending, "first": not query.get("after")}


def library(door: Door, query: Mapping[str, str]) -> str:
    """What was found, newest or best first."""
    made = found(door, query)
    kept = {name: value for name, value in query.items() if value and name != "after"}
    return render("library", **made, narrowed=narrowed(query), begin=urlencode(kept), board=query.get("board", ""))


def more(door: Door, query: Mapping[str, str]) -> str:
    """The next page of what was found, to stand behind what is there."""
    return render("library_more", **found(door, query))


def filters(door: Door, query: Mapping[str, str]) -> str:
    """The form that narrows the page, with what there is to choose from."""
    there = studio.find_choices(settings=door.settings)
    offered = {"program": there.programs, "model": there.models, "adapter": there.adapters, "board": there.boards}
    values = {name: query.get(name, "")[:MOST_LETTERS] for name in (*WORDS, *NUMBERS, "star")}
    lists = [
        (name, tuple(dict.fromkeys([*offered[name], *filter(None, [values[name]])])), values[name]) for name in CHOSEN
    ]
    names = (*CHOSEN, *NUMBERS, "since", "until", "star")
    return render(
        "library_filters",
        view=view_of(query),
        views=VIEWS,
        values=values,
        lists=[one for one in lists if one[1]],
        narrow=sum(bool(values[name]) for name in names),
    )


READERS: Mapping[str, Reader] = {"library": library, "library/more": more, "library/filters": filters}

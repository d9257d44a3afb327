"""What a press does to what is kept: stars, ratings, boards, thumbs, the bin. Knows the front door's verbs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import studio
from ui.desk.door import Door
from ui.desk.fragments import Action, Reply
from ui.desk.library.seeking import Tile
from ui.desk.library.sheet import tile_of
from ui.desk.render import render
from ui.desk.run import branching
from ui.desk.run.following import run_id_of
from workspace.errors import UsageError

MOST_BOARD = 80
SHEET, LIST, FILTERS = "library/sheet", "library", "library/filters"


def _subject(values: Mapping[str, Any]) -> tuple[str, str]:
    return run_id_of(values), str(values.get("picture", ""))[:40]


def _mark(door: Door, values: Mapping[str, Any], **marks: Any) -> None:
    run_id, picture = _subject(values)
    if picture:
        studio.mark_picture(run_id, picture=picture, settings=door.settings, **marks)
    else:
        studio.mark_run(run_id, settings=door.settings, **marks)


def marks_id(tile: Tile) -> str:
    """The id of the place on a tile that shows its marks."""
    return f"marks-{tile.run_id}-{tile.picture or 'design'}"


def _shown(door: Door, values: Mapping[str, Any]) -> dict[str, str]:
    """The marks of what was pressed, for its tile."""
    tile = tile_of(door, *_subject(values))
    return {marks_id(tile): render("library_marks", tile=tile)}


def star(door: Door, values: Mapping[str, Any]) -> Reply:
    """Give a design or a picture a star, or take it away."""
    given = str(values.get("star", "")) == "1"
    _mark(door, values, star=given)
    return Reply(say="Starred." if given else "The star is gone.", pieces=_shown(door, values), refresh=(SHEET,))


def rate(door: Door, values: Mapping[str, Any]) -> Reply:
    """Rate a design or a picture from 1 to 5; 0 takes that back."""
    text = str(values.get("rating", ""))
    if not text.isdecimal() or len(text) > 1:
        raise UsageError(f"a rating is 1 to 5, not {text[:20]!r}")
    _mark(door, values, rating=int(text))
    said = f"Rated {text} of 5." if int(text) else "The rating is gone."
    return Reply(say=said, pieces=_shown(door, values), refresh=(SHEET,))


def board(door: Door, values: Mapping[str, Any]) -> Reply:
    """Put a design or a picture on a board, which is made with it, or take it off."""
    name = " ".join(str(values.get("board", "")).split())
    if not name or len(name) > MOST_BOARD:
        return Reply(error=f"Give the board a name of 1 to {MOST_BOARD} letters", at="board")
    off = bool(values.get("off"))
    _mark(door, values, **{"off" if off else "board": (name,)})
    said = f"It is off the board {name}." if off else f"It is on the board {name}."
    return Reply(say=said, pieces=_shown(door, values), refresh=(SHEET, FILTERS))


def unboard(door: Door, values: Mapping[str, Any]) -> Reply:
    """Remove a board; what was on it stays in the library."""
    name = str(values.get("board", ""))
    count = studio.remove_board(name, settings=door.settings)
    return Reply(say=f"The board {name} is gone; what was on it, {count}, stays.", go="/library")


def thumb(door: Door, values: Mapping[str, Any]) -> Reply:
    """Leave an opinion on a design or a picture, with a reason if one is given; without a value, take it back."""
    return replace(branching.thumb(door, values), refresh=(SHEET,))


def put_away(door: Door, values: Mapping[str, Any]) -> Reply:
    """Put a design into the bin."""
    studio.bin_run(run_id_of(values), settings=door.settings)
    return Reply(say="It is in the bin, and can be restored there.")


def restore(door: Door, values: Mapping[str, Any]) -> Reply:
    """Take a design out of the bin."""
    studio.restore_run(run_id_of(values), settings=door.settings)
    return Reply(say="It is back in the library, with its marks.")


def delete(door: Door, values: Mapping[str, Any]) -> Reply:
    """Delete a design that lies in the bin for good."""
    return _deleted(door, [run_id_of(values)])


def empty(door: Door, values: Mapping[str, Any]) -> Reply:
    """Delete all that lies in the bin for good."""
    return replace(_deleted(door, []), refresh=(LIST,))


def _deleted(door: Door, runs: list[str]) -> Reply:
    made = studio.empty_bin(runs, settings=door.settings)
    if made.left and not made.deleted:
        return Reply(error="It is held by a process just now; try again when that is done.")
    count = len(made.deleted)
    said = f"{count} design{'' if count == 1 else 's'} deleted for good, {made.bytes / 1e6:.1f} MB."
    return Reply(say=said + (f" {len(made.left)} held by a process stayed." if made.left else ""))


_DOES: Mapping[str, Callable[[Door, Mapping[str, Any]], Reply]] = {
    "star": star,
    "rate": rate,
    "board": board,
    "unboard": unboard,
    "thumb": thumb,
    "bin": put_away,
    "restore": restore,
    "delete": delete,
    "empty": empty,
}
ACTIONS: Mapping[str, Action] = {f"library/{name}": does for name, does in _DOES.items()}

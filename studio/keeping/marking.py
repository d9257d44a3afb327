"""Marks as the front door offers them: stars, ratings, boards, of runs and of pictures. Knows the shelf's rows."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from studio.keeping.rows import put
from studio.queue.claims import has_ledger, ledger_of
from studio.verb import Call, query, verb
from workspace.errors import UsageError, unknown
from workspace.keeping.shelf import RATING, STAR
from workspace.ledger import Ledger
from workspace.letters import visible

MOST_RATING = 5
MOST_NAME = 80


class MarkCall(Call):
    """How a run is marked; what is not given stays."""

    star: bool | None = Field(
        None, description="Give it a star, or take it away", json_schema_extra={"option": "--star/--no-star"}
    )
    rating: int | None = Field(None, ge=0, le=MOST_RATING, description="From 1 to 5; 0 takes it away")
    board: tuple[str, ...] = Field((), max_length=50, description="Put it on this board")
    off: tuple[str, ...] = Field((), max_length=50, description="Take it off this board")


class MarkPictureCall(MarkCall):
    """How a picture is marked."""

    picture: str = Field(max_length=40, description="The picture's file, such as 01.png")


class Marks(BaseModel):
    """How a run or a picture is marked now."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    picture: str = Field(description="Empty for the run itself")
    star: bool
    rating: int = Field(description="1 to 5; 0 for none")
    boards: tuple[str, ...]


@verb(MarkCall)
def mark_run(run_id: str, options: MarkCall) -> Marks:
    """Mark a run: star, rating, boards.

    Raises:
        UsageError: There is no such run, or a board's name is none.
    """
    return _marked(run_id, "", options)


@verb(MarkPictureCall)
def mark_picture(run_id: str, options: MarkPictureCall) -> Marks:
    """Mark a picture of a run: star, rating, boards.

    Raises:
        UsageError: There is no such run or picture, or a board's name is none.
    """
    return _marked(run_id, options.picture, options)


def _marked(run_id: str, picture: str, options: MarkCall) -> Marks:
    pin, unpin = [board_name(one) for one in options.board], [board_name(one) for one in options.off]
    with opened(options.home, run_id) as ledger:
        _check_there(options.home, ledger, run_id, picture)
        with ledger.write():
            if options.star is not None:
                ledger.shelf.mark(run_id, picture, STAR, int(options.star))
            if options.rating is not None:
                ledger.shelf.mark(run_id, picture, RATING, options.rating)
            for name in unpin:
                ledger.shelf.unpin(name, run_id, picture)
            for name in pin:
                ledger.shelf.pin(name, run_id, picture)
        star, rating = ledger.shelf.marks(run_id, picture)
        boards = ledger.shelf.boards_of([run_id]).get((run_id, picture), ())
    return Marks(run_id=run_id, picture=picture, star=bool(star), rating=rating, boards=boards)


def opened(home: Path, run_id: str) -> Ledger:
    """The home's ledger, to be written; where there is none, there is no such run.

    Args:
        home: STUDIO_HOME.
        run_id: The run that is looked for.

    Raises:
        UsageError: There is no ledger.
    """
    if not has_ledger(home):
        raise UsageError(unknown("run", run_id, []))
    return ledger_of(home)


def _check_there(home: Path, ledger: Ledger, run_id: str, picture: str) -> None:
    """Make a run's row if it has none, or not this picture's.

    Raises:
        UsageError: There is no such run or picture.
    """
    if not ledger.shelf.has(run_id) or (picture and picture not in ledger.shelf.pictures(run_id)):
        put(home, ledger, run_id)
        if picture and picture not in (there := ledger.shelf.pictures(run_id)):
            raise UsageError(unknown("picture", picture, there))


def board_name(text: str) -> str:
    """A board's name without blanks around it.

    Args:
        text: What was given.

    Raises:
        UsageError: Nothing of it can be seen, or it is too long.
    """
    name = " ".join(text.split())
    if not visible(name) or len(name) > MOST_NAME:
        raise UsageError(f"a board's name has 1 to {MOST_NAME} letters, not {len(name)}")
    return name


class Board(BaseModel):
    """A board: a name under which runs and pictures are kept together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    runs: int
    pictures: int


@query(Call)
def boards(options: Call) -> tuple[Board, ...]:
    """List the boards, with how much is on each."""
    if not has_ledger(options.home):
        return ()
    with ledger_of(options.home, reading=True) as ledger:
        return tuple(Board(name=name, runs=runs, pictures=held) for name, runs, held in ledger.shelf.boards())


@verb(Call)
def remove_board(name: str, options: Call) -> int:
    """Remove a board, and return how much was on it; runs and pictures stay.

    Raises:
        UsageError: There is no such board.
    """
    if not has_ledger(options.home):
        raise UsageError(unknown("board", name, []))
    with ledger_of(options.home) as ledger:
        taken = ledger.shelf.unpin(board_name(name))
        if not taken:
            raise UsageError(unknown("board", name, [one for one, _, _ in ledger.shelf.boards()]))
        return taken

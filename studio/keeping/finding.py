"""Runs and pictures found on the shelf: by words, by what made them, by marks; newest or best first, a page at a time.

A page costs the same however many there are: it is read off an index. No run's folder is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from studio.keeping.narrowing import FindCall, conditions, page
from studio.keeping.rows import refresh
from studio.queue.claims import has_ledger, ledger_of, true_state
from studio.verb import Call, query
from workspace.ledger import Ledger

MOST_SHOWN = 8
"""Names of pictures that come with a run."""


class RunOnShelf(BaseModel):
    """A run as it is listed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    title: str
    brief: str
    status: str
    message: str = Field(description="Why it stands so")
    created: float
    program: str
    models: tuple[str, ...]
    adapter: str
    family: str = Field(description="The run that its family of branches begins with")
    score: float | None = Field(description="What the critic gave its best picture, of 10")
    best: str = Field(description="The best picture's file")
    pictures: int
    names: tuple[str, ...] = Field(description="Files of its first pictures, the best one first")
    star: bool
    rating: int = Field(description="1 to 5; 0 for none")
    boards: tuple[str, ...]
    binned: float = Field(description="When it was put into the bin; 0 if it was not")
    fault: str = Field(description="Why it cannot be read whole")


class PictureOnShelf(BaseModel):
    """A picture as it is listed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    name: str
    title: str = Field(description="Of its run's design")
    status: str
    created: float
    seed: int
    round: int
    score: float | None
    prompt: str
    width: int
    height: int
    star: bool
    rating: int
    boards: tuple[str, ...]
    best: bool = Field(description="Whether it is its run's best")


class FoundRuns(BaseModel):
    """A page of runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runs: tuple[RunOnShelf, ...]
    next: str = Field(description="Give it as ``after`` for the next page; empty on the last")
    pending: int = Field(description="Runs that are still to be entered on the shelf: look again for them")


class FoundPictures(BaseModel):
    """A page of pictures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pictures: tuple[PictureOnShelf, ...]
    next: str
    pending: int


class Choices(BaseModel):
    """What the filters can be set to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    programs: tuple[str, ...]
    models: tuple[str, ...]
    adapters: tuple[str, ...]
    boards: tuple[str, ...]


_DISTINCT = "SELECT DISTINCT {0} FROM shelf_runs WHERE binned = 0 ORDER BY {0}"
_RUNS = (
    "SELECT r.run_id, r.title, r.brief, j.state, j.message, r.created, r.program, r.models, r.adapter, r.family, "
    "r.score, r.best, r.pictures, r.star, r.rating, r.binned, r.fault "
    "FROM shelf_runs r CROSS JOIN jobs j WHERE j.job_id = r.run_id"
)
_PICTURES = (
    "SELECT p.run_id, p.name, r.title, j.state, p.created, p.seed, p.round, p.score, p.prompt, p.width, p.height, "
    "p.star, p.rating, r.best FROM shelf_pictures p CROSS JOIN shelf_runs r CROSS JOIN jobs j "
    "WHERE r.run_id = p.run_id AND j.job_id = p.run_id"
)


@query(FindCall)
def find_runs(options: FindCall) -> FoundRuns:
    """Find runs on the shelf: a page, newest or best first.

    Raises:
        UsageError: A day is none, or ``after`` is from another search.
    """
    home = options.home
    pending = refresh(home)
    if not has_ledger(home):
        return FoundRuns(runs=(), next="", pending=0)
    where, values = conditions(options, "r")
    with ledger_of(home, reading=True) as ledger:
        keys = ["created", "run_id"] if options.sort == "newest" else ["score", "created", "run_id"]
        rows, following = page(ledger, _RUNS, where, values, [f"r.{key}" for key in keys], options)
        ids = [str(row[0]) for row in rows]
        boards, names = ledger.shelf.boards_of(ids), _names(ledger, ids)
        found = []
        for row in rows:
            run_id, title, brief, state, message, created, program, models, adapter, family, *rest = row
            score, best, pictures, star, rating, binned, fault = rest
            own = sorted(names.get(run_id, ()), key=lambda name, best=best: name != best)
            found.append(
                RunOnShelf(
                    run_id=run_id,
                    title=title,
                    brief=brief,
                    status=true_state(home, ledger, run_id, state),
                    message=message,
                    created=created,
                    program=program,
                    models=tuple(filter(None, models.split("\n"))),
                    adapter=adapter,
                    family=family,
                    score=score,
                    best=best,
                    pictures=pictures,
                    names=tuple(own[:MOST_SHOWN]),
                    star=bool(star),
                    rating=rating,
                    boards=boards.get((run_id, ""), ()),
                    binned=binned,
                    fault=fault,
                )
            )
    wanted = [one for one in found if not options.status or one.status in options.status]
    return FoundRuns(runs=tuple(wanted), next=following, pending=pending)


@query(FindCall)
def find_pictures(options: FindCall) -> FoundPictures:
    """Find pictures on the shelf: a page, newest or best first.

    Raises:
        UsageError: A day is none, or ``after`` is from another search.
    """
    home = options.home
    pending = refresh(home)
    if not has_ledger(home):
        return FoundPictures(pictures=(), next="", pending=0)
    where, values = conditions(options, "p")
    with ledger_of(home, reading=True) as ledger:
        keys = ["created", "run_id", "name"] if options.sort == "newest" else ["score", "created", "run_id", "name"]
        rows, following = page(ledger, _PICTURES, where, values, [f"p.{key}" for key in keys], options)
        boards = ledger.shelf.boards_of(sorted({str(row[0]) for row in rows}))
        found = [_picture(row, boards) for row in rows]
    return FoundPictures(pictures=tuple(found), next=following, pending=pending)


@query(Call)
def find_choices(options: Call) -> Choices:
    """Say what the shelf can be narrowed to: programs, models, adapters and boards that there are."""
    if not has_ledger(options.home):
        return Choices(programs=(), models=(), adapters=(), boards=())
    refresh(options.home)
    with ledger_of(options.home, reading=True) as ledger:
        programs, models, adapters = (
            [str(one) for (one,) in ledger.read(_DISTINCT.format(name))] for name in ("program", "models", "adapter")
        )
        boards = [name for name, _, _ in ledger.shelf.boards()]
    each = {name for line in models for name in line.split("\n")}
    return Choices(
        programs=tuple(filter(None, programs)),
        models=tuple(sorted(filter(None, each))),
        adapters=tuple(filter(None, adapters)),
        boards=tuple(boards),
    )


def _picture(row: tuple[Any, ...], boards: dict[tuple[str, str], tuple[str, ...]]) -> PictureOnShelf:
    run_id, name, title, state, created, seed, painted, score, prompt, width, height, star, rating, best = row
    return PictureOnShelf(
        run_id=run_id,
        name=name,
        title=title,
        status=state,
        created=created,
        seed=seed,
        round=painted,
        score=score,
        prompt=prompt,
        width=width,
        height=height,
        star=bool(star),
        rating=rating,
        boards=boards.get((run_id, name), ()),
        best=name == best,
    )


def _names(ledger: Ledger, run_ids: Sequence[str]) -> dict[str, list[str]]:
    """The files of runs' pictures, in order."""
    found: dict[str, list[str]] = {}
    if run_ids:
        marks = ", ".join("?" * len(run_ids))
        rows = ledger.read(
            f"SELECT run_id, name FROM shelf_pictures WHERE run_id IN ({marks}) ORDER BY run_id, name", *run_ids
        )
        for run_id, name in rows:
            found.setdefault(run_id, []).append(name)
    return found

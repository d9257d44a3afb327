"""What of the shelf is looked for, as conditions on its rows, and a page of them. Knows columns; shows nothing.

A page begins where a cursor says: at values of the columns that it is ordered by, which an index finds at once.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from studio.verb import Call
from workspace.errors import UsageError
from workspace.jobs import STATES, State
from workspace.ledger import Ledger
from workspace.letters import folded

Sort = Literal["newest", "best"]
_STATES = ", ".join(STATES)
_PICTURES_OF = "EXISTS (SELECT 1 FROM shelf_pictures q WHERE q.run_id = r.run_id AND q.{})"


class FindCall(Call):
    """What is looked for; all of what is given holds of what is found."""

    search: str = Field("", max_length=300, description="Words of the brief, the title, the design or the prompts")
    program: str = Field("", max_length=200, description="Only of this program")
    model: str = Field("", max_length=500, description="Only where this model took part")
    adapter: str = Field("", max_length=500, description="Only of this painter's adapter")
    family: str = Field("", max_length=200, description="Only this run and what was branched from it")
    run: str = Field("", max_length=200, description="Only this run")
    min_score: float | None = Field(None, ge=0, le=10, description="The critic gave at least this, of 10")
    max_score: float | None = Field(None, ge=0, le=10, description="The critic gave at most this, of 10")
    since: str = Field("", max_length=40, description="Made on this day or later, such as 2026-11-30")
    until: str = Field("", max_length=40, description="Made on this day or earlier")
    status: tuple[State, ...] = Field((), description=f"Only runs that stand so: {_STATES}")
    star: bool | None = Field(
        None, description="Only those with a star", json_schema_extra={"option": "--star/--no-star"}
    )
    rating: int | None = Field(None, ge=1, le=5, description="Rated at least so by a person")
    board: str = Field("", max_length=80, description="Only what is on this board")
    binned: bool = Field(False, description="What is in the bin instead", json_schema_extra={"hidden": True})
    sort: Sort = Field("newest", description="What comes first")
    count: int = Field(48, ge=1, le=200, description="How many at most")
    after: str = Field("", max_length=1000, description="Go on behind the page that gave this")


def conditions(options: FindCall, marked: str) -> tuple[list[str], list[Any]]:
    """Conditions on rows of the shelf, and their values.

    Args:
        options: What is looked for.
        marked: ``r``, where runs are looked for, or ``p`` for pictures, which join their run as ``r``.
    """
    where, values = ["r.binned > 0" if options.binned else "r.binned = 0"], list[Any]()

    def holds(condition: str, *given: Any) -> None:
        where.append(condition)
        values.extend(given)

    for word in dict.fromkeys(folded(options.search).split()):
        holds("r.words LIKE ? ESCAPE '!'", f"%{_plain(word)}%")
    for name in ("program", "adapter", "family"):
        if value := getattr(options, name):
            holds(f"r.{name} = ?", value)
    if options.run:
        holds(f"{marked}.run_id = ?", options.run)
    if options.model:
        holds("r.models LIKE ? ESCAPE '!'", f"%\n{_plain(options.model)}\n%")
    if options.min_score is not None:
        holds(f"{marked}.score >= ?", options.min_score)
    if options.max_score is not None:
        holds(f"{marked}.score <= ?", options.max_score)
    if options.since:
        holds(f"{marked}.created >= ?", moment(options.since))
    if options.until:
        holds(f"{marked}.created < ?", moment(options.until, last=True))
    if options.status:
        asked = sorted({*options.status, *(["running"] if "interrupted" in options.status else [])})
        holds(f"j.state IN ({', '.join('?' * len(asked))})", *asked)
    _marks(options, marked, holds)
    return where, values


def _marks(options: FindCall, marked: str, holds: Any) -> None:
    """Conditions on marks; a run is found by its pictures' marks too."""
    if options.star is not None:
        if marked == "p":
            holds("p.star = ?", int(options.star))
        else:
            starred = f"(r.star = 1 OR {_PICTURES_OF.format('star = 1')})"
            holds(starred if options.star else f"NOT {starred}")
    if options.rating is not None:
        if marked == "p":
            holds("p.rating >= ?", options.rating)
        else:
            rated = f"(r.rating >= ? OR {_PICTURES_OF.format('rating >= ?')})"
            holds(rated, options.rating, options.rating)
    if options.board:
        its = " AND b.picture IN (p.name, '')" if marked == "p" else ""
        holds(f"EXISTS (SELECT 1 FROM boards b WHERE b.name = ? AND b.run_id = r.run_id{its})", options.board)


def page(
    ledger: Ledger, select: str, where: list[str], values: list[Any], keys: list[str], options: FindCall
) -> tuple[list[tuple[Any, ...]], str]:
    """A page of rows, and where the next one begins; empty on the last.

    Args:
        ledger: Where they stand.
        select: The statement up to its first condition.
        where: More conditions.
        values: Theirs.
        keys: The columns that rows are ordered by, the greatest first.
        options: How many, and behind which place.

    Raises:
        UsageError: The place is none.
    """
    terms = [f"coalesce({key}, -1.0)" if key.endswith(".score") else key for key in keys]
    if options.after:
        where = [*where, f"({', '.join(terms)}) < ({', '.join('?' * len(terms))})"]
        values = [*values, *_place(options.after, terms)]
    order = ", ".join(f"{term} DESC" for term in terms)
    picked = f"{select} AND {' AND '.join(where)} ORDER BY {order} LIMIT ?"
    columns = ", ".join(terms)
    head, _, rest = picked.partition(" FROM ")
    rows = ledger.read(f"{head}, {columns} FROM {rest}", *values, options.count + 1)
    shown = rows[: options.count]
    following = _cursor(shown[-1][-len(terms) :]) if len(rows) > options.count else ""
    return [row[: -len(terms)] for row in shown], following


def _cursor(place: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(list(place)).encode()).decode()


def _place(text: str, terms: Sequence[str]) -> list[Any]:
    """The place that a cursor names.

    Raises:
        UsageError: It is none, or of another order.
    """
    try:
        found = json.loads(base64.urlsafe_b64decode(text.encode()))
    except (ValueError, RecursionError):
        found = None
    kinds = [str if term.endswith((".run_id", ".name")) else float for term in terms]
    good = isinstance(found, list) and len(found) == len(kinds)
    if not good or not all(isinstance(one, kind) for one, kind in zip(found, kinds, strict=True)):
        raise UsageError("after is none that a page of this search gave", hint="begin at the first page")
    return list(found)


def _plain(word: str) -> str:
    """A word as LIKE finds it, nothing in it standing for others."""
    return word.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def moment(text: str, *, last: bool = False) -> float:
    """A day or a moment, in Unix seconds.

    Args:
        text: Such as 2026-11-30 (in this machine's time), 2026-11-30T12:00, or Unix seconds.
        last: Whether the end of a day is meant.

    Raises:
        UsageError: It is none.
    """
    try:
        if text.replace(".", "", 1).isdecimal() and "-" not in text:
            return float(text)
        day = datetime.fromisoformat(text)
        made = (day if day.tzinfo else day.astimezone()).astimezone(UTC).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{text[:40]!r} is no day, such as {time.strftime('%Y-%m-%d')}") from None
    return made + 86_400.0 if last and len(text) <= 10 else made

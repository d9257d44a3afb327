"""A vote on designs without their names: two at a time, in an order that nobody chose; each answer is kept as feedback.

What is shown of a pair is its best pictures, or what the designs say without their titles. All stands in the address:
which runs, what is shown, how many pairs were answered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import quote

import studio
from ui.desk.door import Door
from ui.desk.fragments import Reply
from ui.desk.render import render
from workspace.errors import UsageError, unknown

if TYPE_CHECKING:
    from studio import Design

What = Literal["pictures", "designs"]
Pair = tuple[str, str]
MOST_REASON = 500
_FIELDS = ("Summary", "Components", "Architecture", "Mechanisms", "Properties", "Fabrication")


def pairs(names: Sequence[str], what: What) -> list[Pair]:
    """Every two of the runs, each pair and all pairs in an order drawn from their names.

    Args:
        names: The runs.
        what: What is voted on; another order is drawn for it.
    """

    def drawn(words: str) -> str:
        return hashlib.sha256(f"{what} {words}".encode()).hexdigest()

    found = []
    for first, second in combinations(sorted(names), 2):
        turned = drawn(f"{first} {second}") < drawn(f"{second} {first}")
        found.append((second, first) if turned else (first, second))
    return sorted(found, key=lambda pair: drawn(" ".join(pair)))


def ballot(door: Door, names: Sequence[str], query: Mapping[str, str], written: Any) -> str:
    """The next pair, or where the comparison with names is when all are answered.

    Args:
        door: The front door.
        names: The runs that are compared.
        query: ``vote`` says what is shown, ``done`` how many pairs were answered.
        written: What two designs say, field by field.

    Raises:
        UsageError: There is no such vote, or a run has nothing to vote on.
    """
    what = _what(query.get("vote", ""))
    found, done = pairs(names, what), _done(query.get("done", ""))
    runs = [door.open_run(name) for name in found[done]] if done < len(found) else []
    rows = [row for row in written(runs) if row.name in _FIELDS and row.differs] if runs and what == "designs" else []
    return render(
        "vote",
        what=what,
        runs=",".join(names),
        done=done,
        of=len(found),
        shown=[(run.run_id, _best(run)) for run in runs] if what == "pictures" else [],
        rows=rows,
    )


def vote(door: Door, values: Mapping[str, Any]) -> Reply:
    """Keep which of a pair somebody likes better, or that they cannot tell, and go on to the next."""
    names = [name for name in str(values.get("runs", "")).split(",") if name]
    what, done = _what(str(values.get("vote", ""))), _done(str(values.get("done", "")))
    found = pairs(names, what)
    if not done < len(found):
        raise UsageError("all pairs are answered", hint="read the page again")
    better = str(values.get("better", ""))
    if better not in ("1", "2", "0"):
        raise UsageError(unknown("answer", better[:20], ["1", "2", "0"]))
    if better != "0":
        pair = found[done]
        more, less = (door.open_run(name) for name in (pair if better == "1" else pair[::-1]))
        studio.feedback_add(
            more.run_id,
            about=_about(more, what),
            kind="vote",
            over=_about(less, what),
            over_run=less.run_id,
            blind=True,
            reason=" ".join(str(values.get("reason", "")).split())[:MOST_REASON],
            settings=door.settings,
        )
    said = "Left open." if better == "0" else "Your vote is kept."
    more_to_come = f"&vote={what}&done={done + 1}" if done + 1 < len(found) else ""
    return Reply(say=said, go=f"/compare?runs={quote(','.join(names))}{more_to_come}")


def tally(door: Door, names: Sequence[str]) -> dict[str, int]:
    """How many votes each of the runs has had over another of them."""
    counts = dict.fromkeys(names, 0)
    for name in names:
        for one in studio.feedback_list(run=name, kind=("vote",), settings=door.settings):
            counts[name] += one.data.get("rejected", {}).get("run") in counts
    return counts


def _about(run: Design, what: What) -> str:
    return f"picture:{_best(run)}" if what == "pictures" else "design"


def _best(run: Design) -> str:
    """The file of the picture that is held for the best."""
    if not run.images:
        raise UsageError(f"{run.run_id} has no pictures to vote on", hint="vote on what the designs say")
    return next((one for one in run.images if one.index == run.best), run.images[0]).path.name


def _what(text: str) -> What:
    for one in get_args(What):
        if one == text:
            return one  # type: ignore[no-any-return]
    raise UsageError(unknown("vote", text[:20], get_args(What)))


def _done(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 4 else 0

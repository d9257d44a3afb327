"""What people think of what was made, in the ledger: thumbs, ratings, votes, edits, redirects. Knows rows alone."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from workspace.errors import DataError
from workspace.jobs import Tables
from workspace.letters import whole_data, whole_letters

Kind = Literal["thumb", "rating", "vote", "edit", "redirect", "retry"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ONE_EACH: frozenset[str] = frozenset({"thumb", "rating"})
"""Of which a person has one on a subject: a later one takes the earlier one's place."""
_COLUMNS = "feedback_id, run_id, subject, kind, value, reason, who, at, data, provenance"
_PAGE = 500


@dataclass(frozen=True)
class Opinion:
    """What somebody thinks of a turn, a design, a picture or a run.

    Attributes:
        feedback_id: Its name.
        run_id: The run.
        subject: ``run``, ``design``, ``turn:KEY`` or ``picture:NAME``.
        kind: What was said, see `Kind`.
        value: ``up`` or ``down``, a rating's number, ``blind`` or ``seen`` for a vote.
        reason: Why, in the person's words.
        who: Who said so; empty where nobody is asked.
        at: When, in Unix seconds.
        data: What it is about, as it was then: prompt and completion, the two of a vote, before and after an edit.
        provenance: What made it: model, adapter, seed, step.
    """

    feedback_id: str
    run_id: str
    subject: str
    kind: str
    value: str
    reason: str
    who: str
    at: float
    data: dict[str, Any]
    provenance: dict[str, Any]


class Opinions:
    """The opinions of a ledger; every call is one short transaction."""

    def __init__(self, ledger: Tables) -> None:
        self._ledger = ledger

    def add(
        self,
        run_id: str,
        subject: str,
        kind: Kind,
        value: str,
        *,
        reason: str = "",
        who: str = "",
        data: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
        name: str = "",
        at: float | None = None,
    ) -> str:
        """Enter an opinion and return its id.

        Args:
            run_id: The run.
            subject: See `Opinion`; so are the others.
            kind: What is said.
            value: What is said.
            reason: Why.
            who: By whom.
            data: What it is about.
            provenance: What made it.
            name: Its id, if it is entered once for all; an opinion of that id stays as it is.
            at: When; now by default.
        """
        made = name or secrets.token_hex(8)
        texts = [made, run_id, subject, kind, value, reason, who]
        moment = time.time() if at is None else at
        row = (*map(whole_letters, texts), moment, _json(data or {}), _json(provenance or {}))
        with self._ledger.write() as connection:
            if kind in ONE_EACH:
                self._remove(connection, run_id, subject, kind, who)
            marks = ", ".join("?" * len(row))
            insert = f"INSERT INTO feedback ({_COLUMNS}) VALUES ({marks}) ON CONFLICT (feedback_id) DO NOTHING"
            connection.execute(insert, row)
        return made

    def take_back(self, run_id: str, subject: str, kind: Kind, who: str = "") -> bool:
        """Remove what a person said of a subject; say whether there was anything."""
        with self._ledger.write() as connection:
            return bool(self._remove(connection, run_id, subject, kind, who))

    def _remove(self, connection: Any, run_id: str, subject: str, kind: str, who: str) -> int:
        delete = "DELETE FROM feedback WHERE run_id = ? AND subject = ? AND kind = ? AND who = ?"
        return int(connection.execute(delete, (run_id, subject, kind, who)).rowcount)

    def of_run(self, run_id: str) -> list[Opinion]:
        """The opinions on a run and what it made, the oldest first; damaged ones are left out."""
        rows = self._ledger.read(f"SELECT {_COLUMNS} FROM feedback WHERE run_id = ? ORDER BY at, feedback_id", run_id)
        return [one for row in rows if (one := self._read(row)) is not None]

    def each(self, *, newest: bool = False) -> Iterator[Opinion]:
        """All opinions on runs that are not in the bin, the oldest first, read a page at a time."""
        way, less = ("DESC", "<") if newest else ("ASC", ">")
        place = (float("inf"), "") if newest else (float("-inf"), "")
        while True:
            query = (
                f"SELECT {_COLUMNS} FROM feedback WHERE (at, feedback_id) {less} (?, ?) AND run_id NOT IN (SELECT "
                f"run_id FROM shelf_runs WHERE binned > 0) ORDER BY at {way}, feedback_id {way} LIMIT {_PAGE}"
            )
            rows = self._ledger.read(query, *place)
            yield from (one for row in rows if (one := self._read(row)) is not None)
            if len(rows) < _PAGE:
                return
            place = (rows[-1][7], rows[-1][0])

    def _read(self, row: tuple[Any, ...]) -> Opinion | None:
        *plain, data, provenance = row
        try:
            read = [self._ledger.parsed(text, f"feedback {row[0]}") for text in (data, provenance)]
        except (DataError, RecursionError):
            return None
        return Opinion(*plain, *read) if all(isinstance(one, dict) for one in read) else None


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(whole_data(dict(data)), allow_nan=False)

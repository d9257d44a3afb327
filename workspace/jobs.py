"""The queue in the ledger: jobs of any kind, what each was asked, how it stands, and what came of it.

queued -> running -> finished
            |-> waiting      for a person's answer
            |-> interrupted  stopped, killed, or given up for now
            |-> failed       a fault that is told
Whoever waits, was interrupted or failed can be queued again. What is finished stays so.

Knows rows and their order; not who works on them, and not what a kind does.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from pysqlite3 import dbapi2

from workspace.errors import UsageError, unknown
from workspace.letters import whole_letters

State = Literal["queued", "running", "waiting", "interrupted", "failed", "finished"]
STATES: tuple[State, ...] = get_args(State)
SETTLED: frozenset[str] = frozenset({"waiting", "interrupted", "failed", "finished"})
"""Nothing more comes of itself."""
RESUMABLE: frozenset[str] = frozenset({"waiting", "interrupted", "failed"})
"""May be queued again."""
STOPPED: frozenset[str] = frozenset({"interrupted", "failed"})
"""Ended without its result, and asks nothing."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    job_id TEXT PRIMARY KEY, kind TEXT NOT NULL, lane TEXT NOT NULL DEFAULT 'heavy', title TEXT NOT NULL,
    payload TEXT NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '',
    priority INTEGER NOT NULL DEFAULT 0, worker TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0,
    result TEXT NOT NULL DEFAULT 'null',
    created REAL NOT NULL, queued REAL NOT NULL, updated REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, lane, priority, queued)
"""
COLUMNS = (
    "job_id, kind, lane, title, payload, state, message, priority, worker, attempts, result, created, queued, updated"
)
ORDER = "ORDER BY priority DESC, queued, rowid"


Lane = Literal["heavy", "light"]
"""Heavy: designs, trainings and the like, one a machine by default. Light: downloads."""


@dataclass(frozen=True)
class JobRow:
    """One job as the ledger knows it.

    Attributes:
        job_id: Its name; a design's is its run's id.
        kind: What is done, the name of a verb.
        lane: ``heavy`` or ``light``; each has places of its own.
        title: For people.
        payload: What was asked, as plain JSON.
        state: How it stands, see `State`.
        message: Why it stands so, in one line.
        priority: Higher goes first; 0 is usual.
        worker: ``HOST:PID`` of who works or last worked on it.
        attempts: How often it was begun.
        result: What came of it, once it is finished.
        created: Unix seconds, as the two that follow.
        queued: When it was last put into the queue.
        updated: When the row last changed.
    """

    job_id: str
    kind: str
    lane: str
    title: str
    payload: dict[str, Any]
    state: str
    message: str
    priority: int
    worker: str
    attempts: int
    result: Any
    created: float
    queued: float
    updated: float


class Tables(Protocol):
    """What the jobs need of the ledger that they stand in."""

    def write(self) -> AbstractContextManager[Any]:
        """One short transaction on the connection."""

    def read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""

    def parsed(self, text: str, what: str) -> Any:
        """Plain JSON of a column."""


class Jobs:
    """The jobs of a ledger; every call is one short transaction."""

    def __init__(self, ledger: Tables) -> None:
        self._ledger = ledger

    def add(
        self,
        job_id: str,
        kind: str,
        title: str,
        payload: Mapping[str, Any],
        *,
        lane: Lane = "heavy",
        state: State = "queued",
    ) -> None:
        """Enter a new job.

        Raises:
            UsageError: The id is taken.
        """
        with self._ledger.write() as connection:
            self.insert(connection, job_id, kind, title, payload, lane=lane, state=state)

    def insert(
        self,
        connection: Any,
        job_id: str,
        kind: str,
        title: str,
        payload: Mapping[str, Any],
        *,
        lane: Lane = "heavy",
        state: State = "queued",
    ) -> None:
        """Enter a new job within a transaction that is open."""
        now = time.time()
        row = (
            job_id,
            kind,
            lane,
            whole_letters(title),
            json.dumps(payload, allow_nan=False),
            _state(state),
            now,
            now,
            now,
        )
        names = "job_id, kind, lane, title, payload, state, created, queued, updated"
        try:
            connection.execute(f"INSERT INTO jobs ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        except dbapi2.IntegrityError:
            raise UsageError(f"there is a job {job_id!r} already") from None

    def job(self, job_id: str) -> JobRow:
        """Return one job.

        Raises:
            UsageError: There is none; the nearest name is told.
        """
        rows = self._rows("WHERE job_id = ?", job_id)
        if not rows:
            names = [str(name) for (name,) in self._ledger.read("SELECT job_id FROM jobs")]
            raise UsageError(unknown("job", job_id, names))
        return rows[0]

    def jobs(self, limit: int = 100, states: Iterable[str] = STATES) -> list[JobRow]:
        """Return the latest jobs, newest first."""
        wanted = list(states)
        marks = ", ".join("?" * len(wanted))
        return self._rows(f"WHERE state IN ({marks}) ORDER BY created DESC, rowid DESC LIMIT ?", *wanted, _most(limit))

    def designs(self, limit: int = 100) -> list[JobRow]:
        """Return the latest designs, newest first (payload and result left out, as by `listed`)."""
        rest = "WHERE kind = 'design' ORDER BY created DESC, rowid DESC LIMIT ?"
        return self._rows(rest, _most(limit), whole=False)

    def found(
        self, kind: str, words: Iterable[str] = (), *, before: float | None = None, limit: int = 100
    ) -> list[JobRow]:
        """Return the latest jobs of a kind whose titles hold every word, newest first, without payload and result.

        Args:
            kind: The verb's name.
            words: What a title holds, in letters of any case.
            before: Only those that are older, in Unix seconds.
            limit: How many at most.
        """
        rest, values = "WHERE kind = ?", list[Any]([kind])
        for word in words:
            rest += " AND lower(title) LIKE ? ESCAPE '!'"
            values.append(f"%{re.sub('([!%_])', '!' + chr(92) + '1', word.lower())}%")
        if before is not None:
            rest += " AND created < ?"
            values.append(before)
        return self._rows(f"{rest} ORDER BY created DESC, rowid DESC LIMIT ?", *values, _most(limit), whole=False)

    def listed(self, limit: int = 100, states: Iterable[str] = STATES, kinds: Iterable[str] = ()) -> list[JobRow]:
        """Return the latest jobs, newest first, without payload and result: damage to one row's does not end a list.

        Args:
            limit: How many at most; all for a negative number.
            states: Only those whose row says so.
            kinds: Only of these kinds; of all if none is named.
        """
        wanted, of = list(states), list(kinds)
        rest = f"WHERE state IN ({', '.join('?' * len(wanted))})"
        rest += f" AND kind IN ({', '.join('?' * len(of))})" if of else ""
        return self._rows(f"{rest} ORDER BY created DESC, rowid DESC LIMIT ?", *wanted, *of, _most(limit), whole=False)

    def queued(self, lane: str) -> list[JobRow]:
        """Return what waits for a worker in a lane, the next one first."""
        return self._rows(f"WHERE state = 'queued' AND lane = ? {ORDER}", lane)

    def waiting(self) -> int:
        """How many jobs wait for a worker, in all lanes."""
        return int(self._ledger.read("SELECT count(*) FROM jobs WHERE state = 'queued'")[0][0])

    def begin(self, job_id: str, worker: str) -> bool:
        """Take a queued job for a worker; say whether it was still there to be taken."""
        update = (
            "UPDATE jobs SET state = 'running', message = '', worker = ?, attempts = attempts + 1, updated = ? "
            "WHERE job_id = ? AND state = 'queued'"
        )
        with self._ledger.write() as connection:
            return bool(connection.execute(update, (worker, time.time(), job_id)).rowcount)

    def queue_again(
        self, job_id: str, changes: Mapping[str, Any] | None = None, servers: Mapping[str, Any] | None = None
    ) -> None:
        """Put a job that ended without its result, or waits, back into the queue.

        Args:
            job_id: Which job.
            changes: What to put into its payload, such as an answer.
            servers: Settings of servers as they are now, by dotted key; what was said at an earlier time stays.

        Raises:
            UsageError: It is finished.
        """
        with self._ledger.write() as connection:
            row = self.job(job_id)
            if row.state == "finished":
                raise UsageError(f"job {job_id!r} is finished and cannot be queued again")
            now_said = row.payload.get("connection", {}) | dict(servers or {})
            added = dict(changes or {}) | ({"connection": now_said} if now_said else {})
            payload = json.dumps(row.payload | added, allow_nan=False)
            now = time.time()
            update = (
                "UPDATE jobs SET state = 'queued', message = '', payload = ?, queued = ?, updated = ? WHERE job_id = ?"
            )
            connection.execute(update, (payload, now, now, job_id))

    def put_first(self, job_id: str) -> None:
        """Let a queued job go before all others.

        Raises:
            UsageError: It does not wait in the queue.
        """
        update = (
            "UPDATE jobs SET priority = (SELECT max(priority) + 1 FROM jobs WHERE state = 'queued'), updated = ? "
            "WHERE job_id = ? AND state = 'queued'"
        )
        with self._ledger.write() as connection:
            done = connection.execute(update, (time.time(), job_id)).rowcount
        if not done:
            raise UsageError(f"job {job_id!r} is {self.job(job_id).state}; only a queued one can be put first")

    def cancel(self, job_id: str, message: str) -> bool:
        """Take a job out of the queue, as interrupted; say whether it was still in it."""
        update = "UPDATE jobs SET state = 'interrupted', message = ?, updated = ? WHERE job_id = ? AND state = 'queued'"
        with self._ledger.write() as connection:
            return bool(connection.execute(update, (whole_letters(message), time.time(), job_id)).rowcount)

    def set_state(self, job_id: str, state: State, message: str = "", result: Any = None) -> None:
        """Say how a job stands, and what came of it. A finished one stays finished.

        Raises:
            UsageError: There is no such job or state, or the job is finished.
        """
        update = "UPDATE jobs SET state = ?, message = ?, result = ?, updated = ? WHERE job_id = ? AND state != ?"
        never = "" if state == "finished" else "finished"
        told = whole_letters(message)
        row = (_state(state), told, json.dumps(result, allow_nan=False), time.time(), job_id, never)
        with self._ledger.write() as connection:
            done = connection.execute(update, row)
        if not done.rowcount:
            raise UsageError(f"job {self.job(job_id).job_id!r} is finished and cannot become {state}")

    def position(self, job_id: str) -> int | None:
        """How many queued jobs of its lane go before a queued one; ``None`` for one that is not queued."""
        return self.positions().get(job_id)

    def positions(self) -> dict[str, int]:
        """How many queued jobs of its lane go before each queued job."""
        found: dict[str, int] = {}
        lanes: dict[str, int] = {}
        for job_id, lane in self._ledger.read(f"SELECT job_id, lane FROM jobs WHERE state = 'queued' {ORDER}"):
            found[str(job_id)] = lanes.get(lane, 0)
            lanes[lane] = found[str(job_id)] + 1
        return found

    def _rows(self, rest: str, *values: Any, whole: bool = True) -> list[JobRow]:
        columns = COLUMNS if whole else COLUMNS.replace("payload", "'{}'").replace("result", "'null'")
        rows = self._ledger.read(f"SELECT {columns} FROM jobs {rest}", *values)
        return [self._row(row) for row in rows]

    def _row(self, row: tuple[Any, ...]) -> JobRow:
        named = dict(zip(COLUMNS.split(", "), row, strict=True))
        for column in ("payload", "result"):
            named[column] = self._ledger.parsed(named[column], named["job_id"])
        return JobRow(**named)


def _most(limit: int) -> int:
    """A bound that SQLite and PostgreSQL understand alike; a negative one stands for all."""
    return limit if limit >= 0 else sys.maxsize


def _state(state: str) -> str:
    if state not in STATES:
        raise UsageError(unknown("state", state, STATES))
    return state

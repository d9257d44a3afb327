"""The ledger: the jobs there are, the runs among them, what each run did exactly once, the files it made."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pysqlite3 import dbapi2

from workspace.database import connect, connect_reading, faults, transaction
from workspace.errors import DataError, StorageError, Unfinished, UsageError, unknown
from workspace.jobs import SCHEMA as JOBS
from workspace.jobs import Jobs, State
from workspace.keeping.opinions import Opinions
from workspace.keeping.shelf import Shelf
from workspace.keeping.tables import SCHEMA as KEEPING
from workspace.letters import whole_data
from workspace.postgres.address import Address

T = TypeVar("T")

VERSION = 2
"""Of the tables, kept in the file: 0 had a run's state in its own row and knew no other jobs, 1 no shelf."""

_SCHEMA = f"""
{JOBS};
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, brief TEXT NOT NULL, settings TEXT NOT NULL, seed INTEGER NOT NULL, folder TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS onces (
    run_id TEXT NOT NULL REFERENCES runs, key TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL,
    at REAL NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (run_id, key)
) STRICT;
CREATE TABLE IF NOT EXISTS artifacts (
    run_id TEXT NOT NULL REFERENCES runs, path TEXT NOT NULL, sha256 TEXT NOT NULL, kind TEXT NOT NULL,
    meta TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (run_id, path)
) STRICT;
{KEEPING}
"""
_ARTIFACT = """
INSERT INTO artifacts (run_id, path, sha256, kind, meta, at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (run_id, path)
DO UPDATE SET sha256 = excluded.sha256, kind = excluded.kind, meta = excluded.meta, at = excluded.at
"""
_RUN = (
    "SELECT run_id, state, message, brief, settings, seed, folder, created, updated "
    "FROM runs JOIN jobs ON jobs.job_id = runs.run_id"
)
_FROM_0 = """
INSERT INTO jobs (job_id, kind, title, payload, state, message, created, queued, updated)
    SELECT run_id, 'design', coalesce(json_extract(brief, '$.text'), ''), '{}', status, message, created, created,
    updated FROM runs ORDER BY created, run_id;
ALTER TABLE runs DROP COLUMN status;
ALTER TABLE runs DROP COLUMN message;
ALTER TABLE runs DROP COLUMN created;
ALTER TABLE runs DROP COLUMN updated
"""


@dataclass(frozen=True)
class RunRow:
    """One run as the ledger knows it; times are Unix seconds."""

    run_id: str
    status: str
    message: str
    brief: dict[str, Any]
    settings: dict[str, Any]
    seed: int
    folder: str
    created: float
    updated: float


@dataclass(frozen=True)
class OnceRow:
    """One effect that happened; ``seconds`` is how long it took."""

    key: str
    kind: str
    at: float
    seconds: float


@dataclass(frozen=True)
class Effect(OnceRow):
    """One effect that happened, with the value that was stored."""

    value: Any


@dataclass(frozen=True)
class ArtifactRow:
    """One file a run made; ``path`` is relative to the run's folder."""

    path: str
    sha256: str
    kind: str
    meta: dict[str, Any]
    at: float


class Ledger:
    """The ledger in one SQLite file, or in PostgreSQL. May be used from several threads and processes at once.

    Args:
        path: The database file, made if it is not there; or where PostgreSQL has it.
        reading: Whether nothing will be written: then a full disk, a folder that cannot be written to, or another
            who writes is no hindrance.
        work: The id of a job and its worker, if nothing but that worker's work will be written: none of it is once
            another has taken the job over.
    """

    def __init__(self, path: Path | Address, *, reading: bool = False, work: tuple[str, str] | None = None) -> None:
        self.path = path
        self._work = work
        self._lock = threading.RLock()
        self._connection: Any = None
        if reading and isinstance(path, Path):
            self._connection = connect_reading(path, version=VERSION)
        if self._connection is None:
            self._connection = self._opened(reading)
        self.jobs = Jobs(self)
        self.shelf = Shelf(self)
        self.opinions = Opinions(self)
        self._keys: dict[tuple[str, str], tuple[threading.RLock, list[int]]] = {}
        self._pending: ContextVar[list[tuple[Any, ...]] | None] = ContextVar("pending", default=None)

    def _opened(self, reading: bool) -> Any:
        """The ledger with today's tables; an older one that cannot be written is read as it is."""
        try:
            return connect(self.path, schema=_SCHEMA, version=VERSION, upgrades={0: _FROM_0, 1: KEEPING})
        except (StorageError, Unfinished):
            older = connect_reading(self.path, version=1) if reading and isinstance(self.path, Path) else None
            if older is None:
                raise
            return older

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; a second call does nothing."""
        with self._lock:
            self._connection.close()

    def create_run(
        self,
        run_id: str,
        brief: Mapping[str, Any],
        settings: Mapping[str, Any],
        seed: int,
        folder: str,
        state: State = "queued",
        *,
        effects: Sequence[Effect] = (),
        artifacts: Sequence[ArtifactRow] = (),
    ) -> None:
        """Enter a new run, and the job that makes it, with what it begins with: all of it, or nothing.

        Args:
            run_id: The run.
            brief: What is asked for, as plain JSON.
            settings: How it is made, as plain JSON.
            seed: The one number all its randomness comes from.
            folder: Where its files lie.
            state: How its job stands.
            effects: What need not be done any more, in order, such as the steps of the run that it branches from.
            artifacts: The files that these made.

        Raises:
            UsageError: If the id is taken.
        """
        row = (run_id, _json(brief, run_id), _json(settings, run_id), seed, folder)
        done = [(run_id, one.key, one.kind, _json(one.value, one.key), one.at, one.seconds) for one in effects]
        files = [(run_id, one.path, one.sha256, one.kind, _json(one.meta, one.path), one.at) for one in artifacts]
        title = str(brief.get("text", ""))
        with self.write() as connection:
            self.jobs.insert(connection, run_id, "design", title, {}, state=state)
            connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", row)
            connection.executemany("INSERT INTO onces VALUES (?, ?, ?, ?, ?, ?)", done)
            connection.executemany(_ARTIFACT, files)

    def run(self, run_id: str) -> RunRow:
        """Return one run.

        Raises:
            UsageError: If there is none; the nearest name is told.
        """
        rows = self.read(f"{_RUN} WHERE run_id = ?", run_id)
        if not rows:
            raise self._unknown(run_id)
        return self._run_row(rows[0])

    def runs(self, limit: int = 100) -> list[RunRow]:
        """Return the latest runs, newest first."""
        return [self._run_row(row) for row in self.read(f"{_RUN} ORDER BY created DESC, run_id DESC LIMIT ?", limit)]

    def once(self, run_id: str, key: str, compute: Callable[[], T], *, kind: str) -> tuple[T, bool]:
        """Return the value stored for ``key``, computing and storing it if there is none.

        The value and the artifacts that ``compute`` registers from its thread are stored in one transaction. Of several
        threads only one computes; of several processes one stores and the others return what it stored.

        Args:
            run_id: The run.
            key: Names the effect within the run.
            compute: Makes the value, which must be plain JSON. If it raises, nothing is stored.
            kind: What is counted, such as ``"completion"``.

        Returns:
            The value as JSON gives it back, and whether it was there before.
        """
        with self._alone(run_id, key):
            stored = self._stored(run_id, key)
            if stored is not None:
                return self._value(run_id, key, stored), True
            began = time.monotonic()
            pending: list[tuple[Any, ...]] = []
            token = self._pending.set(pending)
            try:
                text = _json(compute(), key)
            finally:
                self._pending.reset(token)
            row = (run_id, key, kind, text, time.time(), time.monotonic() - began)
            if self._store(row, pending):
                return json.loads(text), False
            return self._value(run_id, key, self._stored(run_id, key) or text), True

    def count(self, run_id: str, kind: str) -> int:
        """Return how many effects of ``kind`` a run has had."""
        return int(self.read("SELECT count(*) FROM onces WHERE run_id = ? AND kind = ?", run_id, kind)[0][0])

    def keys(self, run_id: str) -> list[OnceRow]:
        """Return the effects a run has had, in order."""
        query = "SELECT key, kind, at, seconds FROM onces WHERE run_id = ? ORDER BY rowid"
        return [OnceRow(*row) for row in self.read(query, run_id)]

    def effects(self, run_id: str) -> list[Effect]:
        """Return the effects a run has had with their values, in order."""
        query = "SELECT key, kind, at, seconds, value FROM onces WHERE run_id = ? ORDER BY rowid"
        rows = self.read(query, run_id)
        return [Effect(key, kind, at, took, self._value(run_id, key, value)) for key, kind, at, took, value in rows]

    def runs_of(self, root: str) -> list[RunRow]:
        """Return the runs whose settings name a run as their root, oldest first."""
        query = f"{_RUN} WHERE settings LIKE ? ORDER BY created, run_id"
        found = [self._run_row(row) for row in self.read(query, f'%"root": {json.dumps(root)}%')]
        return [row for row in found if (row.settings.get("branch") or {}).get("root") == root]

    def artifact(self, run_id: str, path: str, sha256: str, kind: str, meta: Mapping[str, Any] | None = None) -> None:
        """Enter a file that a run made; the same path again replaces the entry.

        Inside the ``compute`` of :meth:`once` the entry waits for that transaction.
        """
        row = (run_id, path, sha256, kind, _json(meta or {}, path), time.time())
        pending = self._pending.get()
        if pending is not None:
            pending.append(row)
            return
        try:
            with self.write():
                self._connection.execute(_ARTIFACT, row)
        except dbapi2.IntegrityError:
            raise self._unknown(run_id) from None

    def artifacts(self, run_id: str) -> list[ArtifactRow]:
        """Return the files a run made, in order."""
        query = "SELECT path, sha256, kind, meta, at FROM artifacts WHERE run_id = ? ORDER BY rowid"
        rows = self.read(query, run_id)
        return [ArtifactRow(path, digest, kind, self.parsed(meta, path), at) for path, digest, kind, meta, at in rows]

    def _stored(self, run_id: str, key: str) -> str | None:
        query = "SELECT value FROM runs LEFT JOIN onces ON onces.run_id = runs.run_id AND key = ? WHERE runs.run_id = ?"
        rows = self.read(query, key, run_id)
        if not rows:
            raise self._unknown(run_id)
        return rows[0][0] if rows[0][0] is None else str(rows[0][0])

    def _store(self, row: tuple[Any, ...], artifacts: list[tuple[Any, ...]]) -> bool:
        insert = "INSERT INTO onces VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (run_id, key) DO NOTHING"
        with self.write():
            if not self._connection.execute(insert, row).rowcount:
                return False
            self._connection.executemany(_ARTIFACT, artifacts)
        return True

    @contextmanager
    def _alone(self, run_id: str, key: str) -> Iterator[None]:
        """Let one thread at a time work on a key."""
        with self._lock:
            lock, users = self._keys.setdefault((run_id, key), (threading.RLock(), [0]))
            users[0] += 1
        try:
            with lock:
                yield
        finally:
            with self._lock:
                users[0] -= 1
                if not users[0]:
                    self._keys.pop((run_id, key), None)

    @contextmanager
    def write(self) -> Iterator[Any]:
        """One short transaction, undone whole when the block raises; a thread may open it within itself."""
        with self._lock, faults(self.path):
            if self._connection.in_transaction:
                yield self._connection
            else:
                with transaction(self._connection):
                    self._check_work()
                    yield self._connection

    def _check_work(self) -> None:
        if self._work is None:
            return
        job_id, worker = self._work
        query = "SELECT state, worker FROM jobs WHERE job_id = ?"
        found = self._connection.execute(query, (job_id,)).fetchone()
        if found is None or tuple(found) != ("running", worker):
            raise Unfinished(f"{job_id} is no longer {worker}'s: it was taken over", hint=f"studio jobs show {job_id}")

    def read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query; a value with half a letter, which no row has, finds none."""
        whole = [whole_data(value) for value in values]
        with self._lock, faults(self.path):
            return list(self._connection.execute(query, whole))

    def _run_row(self, row: tuple[Any, ...]) -> RunRow:
        run_id, status, message, brief, settings, *rest = row
        return RunRow(run_id, status, message, self.parsed(brief, run_id), self.parsed(settings, run_id), *rest)

    def _value(self, run_id: str, key: str, text: str) -> Any:
        return self.parsed(text, f"{run_id} {key}")

    def parsed(self, text: str, what: str) -> Any:
        """Plain JSON of a column; damage is a ``DataError`` that names the entry."""
        try:
            return json.loads(text)
        except ValueError as error:
            raise DataError(f"{self.path} is damaged: the entry of {what} is not JSON") from error

    def _unknown(self, run_id: str) -> UsageError:
        return UsageError(unknown("run", run_id, [str(name) for (name,) in self.read("SELECT run_id FROM runs")]))


def _json(value: Any, what: str) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"what {what} made is not plain JSON: {error}") from error

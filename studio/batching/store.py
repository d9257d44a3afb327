"""A batch's items in one SQLite file: what there is to do, how each stands, what came of it.

One process writes, the one that holds the folder's lock; others may read. Filled again from the same input, items keep
what came of them; one whose content has changed since it was begun is refused. Knows rows and states; not how an item
is made, and not what it leaves in its folder.

    waiting -> running -> done
                 |----> failed     may be put back to waiting
                 |----> waiting    given back, or its process died
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from studio.batching.filling import Filled, Filling
from studio.batching.shapes import (
    DATABASE,
    LOCK,
    STATES,
    WRITTEN,
    Counts,
    Fault,
    Item,
    ItemRow,
    Outcome,
    Repeat,
    State,
)
from studio.queue.claims import claimed
from studio.runs.request import SEED_LIMIT
from workspace.database import connect, connect_reading, faults, transaction
from workspace.errors import DataError, Unfinished, UsageError, one_line, unknown
from workspace.letters import harmless, whole_letters
from workspace.progress import Tell, silent, waiting

VERSION = 1
CHUNK = 1000
"""Items that are entered in one transaction."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, hash TEXT NOT NULL, filling INTEGER NOT NULL,
    source TEXT NOT NULL, line INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
    attempts INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '', retryable INTEGER NOT NULL DEFAULT 0,
    run_id TEXT NOT NULL DEFAULT '', seconds REAL NOT NULL DEFAULT 0, tokens_in INTEGER NOT NULL DEFAULT 0,
    tokens_out INTEGER NOT NULL DEFAULT 0, pictures INTEGER NOT NULL DEFAULT 0, updated REAL NOT NULL,
    item TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS items_by_state ON items (state, seq);
CREATE TABLE IF NOT EXISTS notes (
    kind TEXT NOT NULL, source TEXT NOT NULL, line INTEGER NOT NULL, id TEXT NOT NULL, reason TEXT NOT NULL
) STRICT
"""
_COLUMNS = (
    "seq, hash, state, attempts, reason, retryable, run_id, seconds, tokens_in, tokens_out, pictures, updated, "
    "source, line, item"
)
_PRESENT = "filling >= (SELECT value FROM batch WHERE name = 'whole')"
_PAGE = 200
_PRAGMAS = ("PRAGMA cache_size = -32000", "PRAGMA wal_autocheckpoint = 8000")
"""Room for the index of a million ids while they are entered."""


class BatchStore:
    """A batch's items; see `open_store` and `read_store`. May be used from several threads.

    Attributes:
        folder: The batch's.
        seed: What the seeds of items are drawn from that give none.
        recovered: Items that were being made when the last process ended without a word; they wait again.
    """

    def __init__(self, folder: Path, connection: Any, *, seed: int | None = None, writes: bool = False) -> None:
        self.folder = folder
        self.path = folder / DATABASE
        self._connection = connection
        self._lock = threading.RLock()
        self.recovered = 0
        if writes:
            self._begin(seed)
        self.seed = self._value("seed")

    @property
    def whole(self) -> bool:
        """Whether the last input was read to its end."""
        return self._value("whole") == self._value("filling") > 0

    def fill(self, found: Iterable[Item | Fault], tell: Tell = silent) -> Filled:
        """Enter an input's items in its order, in transactions of `CHUNK`; what stands there already stays as it is.

        Of items that give no seed it is drawn from the batch's seed and the item's id. Lines that say the same under
        the same id, as lines do that give no id, are one item.

        Args:
            found: The items, and lines that gave none.
            tell: Takes remarks.

        Raises:
            DataError: An item has another content than when it was begun. What was entered before it stays.
        """
        filling = Filling(self.write, self.seed, self.folder, tell)
        stream = iter(found)
        with waiting("entering the items"):
            while chunk := list(islice(stream, CHUNK)):
                with self.write() as connection:
                    for one in chunk:
                        filling.enter(connection, one)
            return filling.end()

    def take(self, count: int = 1) -> list[ItemRow]:
        """The next items that wait, in order, which are running from now on."""
        query = f"SELECT {_COLUMNS} FROM items WHERE state = 'waiting' AND {_PRESENT} ORDER BY seq LIMIT ?"
        with self.write() as connection:
            rows = [self._row(row) for row in connection.execute(query, (count,)).fetchall()]
            now = time.time()
            connection.executemany(
                "UPDATE items SET state = 'running', attempts = attempts + 1, updated = ? WHERE seq = ?",
                [(now, row.seq) for row in rows],
            )
        return [ItemRow(row.seq, row.item, row.hash, "running", row.attempts + 1, row.outcome, now) for row in rows]

    def retrying(self, seq: int, reason: str) -> None:
        """Note that an item that runs is begun once more, and why."""
        update = "UPDATE items SET attempts = attempts + 1, reason = ?, updated = ? WHERE seq = ? AND state = 'running'"
        self._change(update, _line(reason), time.time(), seq)

    def finish(self, seq: int, outcome: Outcome) -> None:
        """Say what came of an item that runs: it is done, or has failed if there is a reason."""
        update = (
            "UPDATE items SET state = ?, reason = ?, retryable = ?, run_id = ?, seconds = ?, tokens_in = ?, "
            "tokens_out = ?, pictures = ?, updated = ? WHERE seq = ? AND state = 'running'"
        )
        state: State = "failed" if outcome.reason else "done"
        told = (_line(outcome.reason), int(outcome.retryable), outcome.run_id, outcome.seconds)
        made = (outcome.tokens_in, outcome.tokens_out, outcome.pictures)
        self._change(update, state, *told, *made, time.time(), seq)

    def give_back(self, seq: int) -> None:
        """Let an item that runs wait again."""
        self._change(
            "UPDATE items SET state = 'waiting', updated = ? WHERE seq = ? AND state = 'running'", time.time(), seq
        )

    def retry_failed(self) -> int:
        """Let all items of the input that failed wait again; say how many."""
        update = f"UPDATE items SET state = 'waiting', updated = ? WHERE state = 'failed' AND {_PRESENT}"
        with self.write() as connection:
            return int(connection.execute(update, (time.time(),)).rowcount)

    def counts(self) -> Counts:
        """How the batch stands."""
        sums = "sum(seconds), sum(tokens_in), sum(tokens_out), sum(pictures)"
        query = f"SELECT {_PRESENT} AS present, state, count(*), {sums} FROM items GROUP BY present, state"
        found: dict[str, Any] = dict.fromkeys(("seconds", "tokens_in", "tokens_out", "pictures", "absent"), 0)
        for present, state, count, *made in self.read(query):
            found[state if present else "absent"] = count if present else found["absent"] + count
            if present and state in ("done", "failed"):
                for name, value in zip(("seconds", "tokens_in", "tokens_out", "pictures"), made, strict=True):
                    found[name] += value
        notes = dict(self.read("SELECT kind, count(*) FROM notes GROUP BY kind"))
        return Counts(**found, faults=notes.get("fault", 0), repeats=notes.get("repeat", 0))

    def rows(self, *states: State, absent: bool = False, after: int = 0) -> Iterator[ItemRow]:
        """Items in the order in which they came, a page at a time, so that as many may follow as there are.

        Args:
            states: Those that stand so; all if none is named.
            after: The place of an item behind which they begin.
            absent: Whether to take in those of earlier inputs that are not in the present one.
            after: Only those with a higher number.
        """
        wanted = states or STATES
        marks = ", ".join("?" * len(wanted))
        present = "" if absent else f"AND {_PRESENT}"
        query = f"SELECT {_COLUMNS} FROM items WHERE seq > ? AND state IN ({marks}) {present} ORDER BY seq LIMIT ?"
        last = after
        while page := self.read(query, last, *wanted, _PAGE):
            last = page[-1][0]
            yield from map(self._row, page)

    def row(self, name: str) -> ItemRow:
        """The item of an id.

        Raises:
            UsageError: There is none; the nearest of those that begin alike is told.
        """
        found = self.read(f"SELECT {_COLUMNS} FROM items WHERE id = ?", whole_letters(name))
        if found:
            return self._row(found[0])
        near = self.read("SELECT id FROM items WHERE id >= ? ORDER BY id LIMIT 50", whole_letters(name[:3]))
        raise UsageError(unknown("item", name[:60], [str(one) for (one,) in near]))

    def faults(self) -> Iterator[Fault]:
        """The lines of the input that gave no item, in order."""
        for source, line, name, reason in self._notes("fault"):
            yield Fault(source=source, line=line, id=name, reason=reason)

    def repeats(self) -> Iterator[Repeat]:
        """The lines of the input that say what another says, in order."""
        for source, line, name, _ in self._notes("repeat"):
            yield Repeat(source=source, line=line, id=name)

    @contextmanager
    def write(self) -> Iterator[Any]:
        """One short transaction, undone whole when the block raises."""
        with self._lock, faults(self.path), transaction(self._connection):
            yield self._connection

    def read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self._lock, faults(self.path):
            return list(self._connection.execute(query, values))

    def _begin(self, seed: int | None) -> None:
        with self.write() as connection:
            known = dict(connection.execute("SELECT name, value FROM batch").fetchall())
            if known and seed is not None and seed != known["seed"]:
                raise UsageError(
                    f"the batch in {self.folder} has the seed {known['seed']}; {seed} would make other designs",
                    hint="leave the seed out, or choose another folder",
                )
            if not known:
                drawn = secrets.randbelow(SEED_LIMIT) if seed is None else seed
                first = [("seed", drawn), ("filling", 0), ("whole", 0)]
                connection.executemany("INSERT INTO batch VALUES (?, ?)", first)
            back = "UPDATE items SET state = 'waiting', updated = ? WHERE state = 'running'"
            self.recovered = int(connection.execute(back, (time.time(),)).rowcount)

    def _value(self, name: str) -> int:
        found = self.read("SELECT value FROM batch WHERE name = ?", name)
        return int(found[0][0]) if found else 0

    def _change(self, update: str, *values: Any) -> None:
        with self.write() as connection:
            if not connection.execute(update, values).rowcount:
                raise UsageError(f"item {values[-1]} of {self.folder} is not running")

    def _notes(self, kind: str) -> Iterator[tuple[Any, ...]]:
        last = 0
        query = "SELECT rowid, source, line, id, reason FROM notes WHERE kind = ? AND rowid > ? ORDER BY rowid LIMIT ?"
        while page := self.read(query, kind, last, _PAGE):
            last = page[-1][0]
            yield from (tuple(row[1:]) for row in page)

    def _row(self, row: tuple[Any, ...]) -> ItemRow:
        seq, hashed, state, attempts, *made, updated, source, line, item = row
        reason, retryable, *rest = made
        outcome = Outcome(reason, bool(retryable), *rest)
        try:
            held = Item(**json.loads(item), source=source, line=line)
        except ValueError as fault:
            raise DataError(f"{self.path} is damaged: item {seq} is none ({one_line(fault, 80)})") from None
        return ItemRow(seq, held, hashed, state, attempts, outcome, updated)


@contextmanager
def open_store(folder: Path, seed: int | None = None) -> Iterator[BatchStore]:
    """A batch's items to be worked on, by one process at a time; the folder is made if it is not there.

    Args:
        folder: The batch's.
        seed: What items' seeds are drawn from; drawn itself if a new batch gives none.

    Raises:
        Unfinished: Another process works on it.
        UsageError: The batch has another seed.
        DataError: The folder holds files of a batch's names and no batch, or the database is damaged or newer.
        StorageError: The disk refuses.
    """
    path = folder / DATABASE
    foreign = [name for name in WRITTEN if (folder / name).exists()] if not path.exists() else []
    if foreign:
        raise DataError(f"{folder} holds {foreign[0]} and no batch", hint="choose another folder, or move it away")
    with ExitStack() as hold:
        try:
            hold.enter_context(claimed(folder.absolute() / LOCK))
        except Unfinished as held:
            raise Unfinished(
                f"another batch works here: {held.message}", hint="wait for it, stop it, or choose another folder"
            ) from None
        connection = connect(path, schema=_SCHEMA, version=VERSION)
        hold.callback(connection.close)
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        yield BatchStore(folder, connection, seed=seed, writes=True)


@contextmanager
def read_store(folder: Path) -> Iterator[BatchStore]:
    """A batch's items to be looked at, whoever works on them.

    Raises:
        UsageError: There is no batch in the folder.
        DataError: It cannot be read.
    """
    path = folder / DATABASE
    if not path.is_file():
        raise UsageError(f"there is no batch in {folder}: it holds no {DATABASE}")
    connection = connect_reading(path, version=VERSION)
    if connection is None:
        raise DataError(f"{path} cannot be read, or is another Studio's", hint="update Studio")
    with ExitStack() as hold:
        hold.callback(connection.close)
        yield BatchStore(folder, connection)


def _line(reason: str) -> str:
    return harmless(one_line(reason, 300)) if reason else ""

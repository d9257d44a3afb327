"""The shelf in the ledger: a row for each run and each picture, with what is listed, searched and marked.

A row is made from a run's folder by whoever reads it; here it is kept, marked, hidden in the bin, and taken out. Knows
rows; nothing of folders.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from workspace.jobs import Tables
from workspace.letters import whole_letters

SLACK_SECONDS = 600.0
"""How much the clocks of machines that share a ledger may differ."""
STAR, RATING = "star", "rating"


@dataclass(frozen=True)
class ShelfRun:
    """What is listed of a run.

    Attributes:
        run_id: The run.
        created: When it was asked for, in Unix seconds.
        seen: When its job had changed last, when this row was made.
        title: Of its design; the brief where there is none yet.
        brief: What was asked for.
        words: All that is searched, in small letters.
        program: Its program's name.
        models: The names of the models that took part, a line each, with a line end before and after.
        adapter: The painter's adapter.
        family: The run from which it was branched, as far back as that goes; its own id where it was not.
        score: What the critic gave its best picture, of 10.
        best: The file's name of its best picture.
        pictures: How many it has.
        fault: Why it cannot be read whole.
    """

    run_id: str
    created: float
    seen: float
    title: str
    brief: str
    words: str
    program: str
    models: str
    adapter: str
    family: str
    score: float | None
    best: str
    pictures: int
    fault: str


@dataclass(frozen=True)
class ShelfPicture:
    """What is listed of a picture; ``name`` is its file's, ``score`` the critic's, of 10."""

    run_id: str
    name: str
    created: float
    seed: int
    round: int
    score: float | None
    width: int
    height: int
    sha256: str
    prompt: str


def _upsert(table: str, kind: type, keys: Sequence[str]) -> str:
    names = [one.name for one in fields(kind)]
    changed = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    marks = ", ".join("?" * len(names))
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) "
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changed}"
    )


_RUN = _upsert("shelf_runs", ShelfRun, ["run_id"])
_PICTURE = _upsert("shelf_pictures", ShelfPicture, ["run_id", "name"])
_OF_A_RUN = ("shelf_pictures", "boards", "feedback", "shelf_runs", "artifacts", "onces", "runs")
_STALE = (
    "FROM jobs LEFT JOIN shelf_runs ON shelf_runs.run_id = jobs.job_id WHERE jobs.kind = 'design' "
    "AND jobs.updated >= ? AND (shelf_runs.run_id IS NULL OR shelf_runs.seen <> jobs.updated)"
)


class Shelf:
    """The shelf of a ledger; every call is one short transaction."""

    def __init__(self, ledger: Tables) -> None:
        self._ledger = ledger

    def put(self, run: ShelfRun, pictures: Iterable[ShelfPicture]) -> None:
        """Enter what is listed of a run and its pictures, or renew it; marks stay as they are."""
        rows = [_whole(astuple(run)), *(_whole(astuple(one)) for one in pictures)]
        with self._ledger.write() as connection:
            connection.execute(_RUN, rows[0])
            connection.executemany(_PICTURE, rows[1:])

    def stale(self, limit: int) -> list[str]:
        """The designs whose rows are missing or older than their jobs, the newest first."""
        query = f"SELECT jobs.job_id {_STALE} ORDER BY jobs.updated DESC LIMIT ?"
        return [str(name) for (name,) in self._ledger.read(query, self._filled(), limit)]

    def pending(self) -> int:
        """How many designs' rows are missing or older than their jobs."""
        return int(self._ledger.read(f"SELECT count(*) {_STALE}", self._filled())[0][0])

    def growing(self) -> list[str]:
        """The designs that are carried out just now and have pictures which the shelf has not.

        The few that run are found by their state: the index of kinds holds all designs.
        """
        query = (
            "SELECT jobs.job_id FROM jobs JOIN shelf_runs ON shelf_runs.run_id = jobs.job_id "
            "WHERE jobs.state = 'running' AND jobs.kind || '' = 'design' AND shelf_runs.pictures < (SELECT count(*) "
            "FROM artifacts WHERE artifacts.run_id = jobs.job_id AND artifacts.kind = 'picture')"
        )
        return [str(name) for (name,) in self._ledger.read(query)]

    def filled(self, at: float) -> None:
        """Say that all rows were made for designs that had changed before a moment."""
        with self._ledger.write() as connection:
            connection.execute(
                "INSERT INTO shelf_filled (name, at) VALUES ('runs', ?) "
                "ON CONFLICT (name) DO UPDATE SET at = excluded.at",
                (at - SLACK_SECONDS,),
            )

    def _filled(self) -> float:
        rows = self._ledger.read("SELECT at FROM shelf_filled WHERE name = 'runs'")
        return float(rows[0][0]) if rows else 0.0

    def has(self, run_id: str) -> bool:
        """Whether a run has a row."""
        return bool(self._ledger.read("SELECT 1 FROM shelf_runs WHERE run_id = ?", run_id))

    def pictures(self, run_id: str) -> list[str]:
        """The names of a run's pictures."""
        rows = self._ledger.read("SELECT name FROM shelf_pictures WHERE run_id = ? ORDER BY name", run_id)
        return [str(name) for (name,) in rows]

    def mark(self, run_id: str, picture: str, column: str, value: int) -> bool:
        """Set a mark (`STAR` or `RATING`) of a picture, or of the run for an empty name; say whether it is there."""
        assert column in (STAR, RATING)
        with self._ledger.write() as connection:
            if picture:
                update = f"UPDATE shelf_pictures SET {column} = ? WHERE run_id = ? AND name = ?"
                return bool(connection.execute(update, (value, run_id, picture)).rowcount)
            update = f"UPDATE shelf_runs SET {column} = ? WHERE run_id = ?"
            return bool(connection.execute(update, (value, run_id)).rowcount)

    def marks(self, run_id: str, picture: str) -> tuple[int, int]:
        """The star and the rating of a picture, or of the run for an empty name; none where it is not there."""
        if picture:
            query = "SELECT star, rating FROM shelf_pictures WHERE run_id = ? AND name = ?"
            rows = self._ledger.read(query, run_id, picture)
        else:
            rows = self._ledger.read("SELECT star, rating FROM shelf_runs WHERE run_id = ?", run_id)
        return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)

    def pin(self, name: str, run_id: str, picture: str) -> None:
        """Put a picture, or a run for an empty name, on a board."""
        with self._ledger.write() as connection:
            connection.execute(
                "INSERT INTO boards (name, run_id, picture, at) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (name, run_id, picture) DO NOTHING",
                (whole_letters(name), run_id, picture, time.time()),
            )

    def unpin(self, name: str, run_id: str | None = None, picture: str = "") -> int:
        """Take a picture or a run off a board, or remove the whole board; return how many were on it."""
        with self._ledger.write() as connection:
            if run_id is None:
                return int(connection.execute("DELETE FROM boards WHERE name = ?", (name,)).rowcount)
            delete = "DELETE FROM boards WHERE name = ? AND run_id = ? AND picture = ?"
            return int(connection.execute(delete, (name, run_id, picture)).rowcount)

    def boards(self) -> list[tuple[str, int, int]]:
        """Each board with how many runs and how many pictures are on it; what is in the bin is not counted."""
        query = (
            "SELECT boards.name, sum(CASE WHEN picture = '' THEN 1 ELSE 0 END), "
            "sum(CASE WHEN picture <> '' THEN 1 ELSE 0 END) FROM boards JOIN shelf_runs "
            "ON shelf_runs.run_id = boards.run_id WHERE shelf_runs.binned = 0 GROUP BY boards.name ORDER BY boards.name"
        )
        return [(str(name), int(runs), int(pictures)) for name, runs, pictures in self._ledger.read(query)]

    def boards_of(self, run_ids: Sequence[str]) -> dict[tuple[str, str], tuple[str, ...]]:
        """The boards that runs and their pictures are on, by run and picture (empty for the run itself)."""
        if not run_ids:
            return {}
        marks = ", ".join("?" * len(run_ids))
        query = f"SELECT run_id, picture, name FROM boards WHERE run_id IN ({marks}) ORDER BY name"
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for run_id, picture, name in self._ledger.read(query, *run_ids):
            found[run_id, picture] = (*found.get((run_id, picture), ()), str(name))
        return found

    def bin(self, run_id: str, at: float) -> bool:
        """Put a run into the bin, or back for moment 0; say whether that changed anything."""
        there = "binned = 0" if at > 0 else "binned > 0"
        with self._ledger.write() as connection:
            update = f"UPDATE shelf_runs SET binned = ? WHERE run_id = ? AND {there}"
            return bool(connection.execute(update, (at, run_id)).rowcount)

    def binned(self, before: float | None = None) -> list[str]:
        """The runs in the bin, the latest first; those put there before a moment, if one is named."""
        query = "SELECT run_id FROM shelf_runs WHERE binned > 0 AND binned <= ? ORDER BY binned DESC, run_id"
        moment = float("inf") if before is None else before
        return [str(name) for (name,) in self._ledger.read(query, moment)]

    def take_out(self, run_id: str) -> bool:
        """Delete every row of a run that is in the bin; say whether it still was."""
        with self._ledger.write() as connection:
            found = connection.execute("SELECT 1 FROM shelf_runs WHERE run_id = ? AND binned > 0", (run_id,))
            if found.fetchone() is None:
                return False
            for table in _OF_A_RUN:
                connection.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))
            connection.execute("DELETE FROM jobs WHERE job_id = ?", (run_id,))
        return True

    def hash_of(self, run_id: str, name: str) -> str | None:
        """The sha256 of a picture's file, as the ledger knows it."""
        query = "SELECT sha256 FROM artifacts WHERE run_id = ? AND path = ? AND kind = 'picture'"
        rows = self._ledger.read(query, run_id, f"images/{name}")
        return str(rows[0][0]) if rows else None

    def hashes(self, run_id: str) -> list[str]:
        """The sha256 of a run's pictures."""
        query = "SELECT sha256 FROM artifacts WHERE run_id = ? AND kind = 'picture'"
        return [str(one) for (one,) in self._ledger.read(query, run_id)]

    def made_by(self, sha256: str) -> tuple[str, str] | None:
        """The run and the name of the picture whose file has a sha256."""
        query = "SELECT run_id, name FROM shelf_pictures WHERE sha256 = ? ORDER BY created LIMIT 1"
        rows = self._ledger.read(query, sha256)
        return (str(rows[0][0]), str(rows[0][1])) if rows else None


def _whole(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(whole_letters(value) if isinstance(value, str) else value for value in row)

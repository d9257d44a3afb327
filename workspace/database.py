"""Opening a database so that it keeps its promises, and wording its faults: an SQLite file, or one of PostgreSQL's.

Knows no table.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pysqlite3 import dbapi2

from workspace.errors import DataError, ServiceError, StorageError, StudioError, Unfinished
from workspace.files import disk, probe
from workspace.postgres.address import Address

# Builds from 3.7.0 up to 3.51.2 can corrupt a database when two processes reset the write-ahead log at once.
SAFE_VERSION = (3, 51, 3)
BUSY_SECONDS = 30.0


def connect(path: Path | Address, *, schema: str, version: int = 0, upgrades: Mapping[int, str] | None = None) -> Any:
    """Open ``path`` durably (write-ahead log, every commit synced) and make its tables if they are not there.

    A file that is made is for its owner alone: addresses of servers may stand in it with a password.

    The connection may be used from any thread, one at a time, and is in autocommit mode: say BEGIN IMMEDIATE.

    Args:
        path: The database file, whose folder is made; or where PostgreSQL has it.
        schema: ``CREATE TABLE IF NOT EXISTS`` statements, in SQLite's words.
        version: Of the tables that this program knows.
        upgrades: Statements that make tables of a version into those of the next, after ``schema``.

    Raises:
        DataError: The file is damaged, or a newer program made it.
        ServiceError: PostgreSQL does not answer.
    """
    if isinstance(path, Address):
        return _connect_server(path, schema, version, upgrades or {})
    if dbapi2.sqlite_version_info < SAFE_VERSION:
        raise ServiceError(
            f"SQLite {dbapi2.sqlite_version} can corrupt a shared database; 3.51.3 or later is needed",
            hint="pip install --upgrade pysqlite3",
        )
    probe(path.parent)
    with faults(path):
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        connection = dbapi2.connect(str(path), timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            with transaction(connection):
                _upgrade(connection, path, schema, version, upgrades or {})
        except BaseException:
            connection.close()
            raise
    return connection


def _connect_server(address: Address, schema: str, version: int, upgrades: Mapping[int, str]) -> Any:
    from workspace.postgres.connection import open_server

    connection = open_server(address)
    try:
        with faults(address):
            if connection.version() != version:
                with transaction(connection):
                    connection.make(schema, version, upgrades)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reading(path: Path, *, version: int) -> Any | None:
    """Open ``path`` for reading alone, which neither a full disk nor a writer hinders; nothing is made or changed.

    Returns:
        The connection, or ``None`` where the tables are of another version, or it cannot be read so.
    """
    for mode in ("mode=ro", "mode=ro&immutable=1"):  # where even the shared memory beside it cannot be made
        connection = None
        try:
            uri = f"{path.absolute().as_uri()}?{mode}"
            connection = dbapi2.connect(
                uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            if int(connection.execute("PRAGMA user_version").fetchone()[0]) == version:
                return connection
            connection.close()
            return None
        except (dbapi2.DatabaseError, OSError):
            if connection is not None:
                connection.close()
    return None


def _upgrade(connection: Any, path: Path, schema: str, version: int, upgrades: Mapping[int, str]) -> None:
    """Make the tables that are missing, and those of an older version into today's; within a transaction."""
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found > version:
        raise DataError(
            f"{path} was made by a newer Studio (tables {found}, known are {version})", hint="update Studio"
        )
    empty = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    steps = [] if empty else [upgrades[number] for number in range(found, version) if number in upgrades]
    for statement in filter(str.strip, ";".join([schema, *steps]).split(";")):
        connection.execute(statement)
    if found != version:
        connection.execute(f"PRAGMA user_version = {version}")


@contextmanager
def transaction(connection: Any) -> Iterator[None]:
    """Run the block as one short write transaction, undone whole when the block raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def faults(path: Path | Address) -> Iterator[None]:
    """Turn what SQLite and the disk, or PostgreSQL, raise inside the block into one line that names where it is."""
    if isinstance(path, Address):
        from workspace.postgres.connection import faults as faults_of_server

        with faults_of_server(path):
            yield
        return
    with disk(path):
        try:
            yield
        except (dbapi2.DatabaseError, sqlite3.DatabaseError) as error:
            worded = _worded(path, error)
            if worded is None:
                raise
            raise worded from error


def _worded(path: Path, error: Exception) -> StudioError | None:
    text = str(error)
    if "locked" in text or "busy" in text:
        return Unfinished(f"{path} is held by another process for more than {BUSY_SECONDS:.0f} s")
    if "malformed" in text or "not a database" in text:
        return DataError(f"{path} is damaged: {text}", hint="restore it from a copy or move it away")
    if isinstance(error, (dbapi2.OperationalError, sqlite3.OperationalError)):
        return StorageError(f"cannot use {path}: {text}")
    return None

"""A connection to PostgreSQL with the few methods that the ledger uses of SQLite's, and the same promises.

One writer at a time, as ``BEGIN IMMEDIATE`` gives: a transaction begins by taking the one lock of its schema, and each
of its statements sees all that was committed before. A connection that was lost while nothing was under way is opened
anew; a transaction that was under way is lost whole, and says so. Knows no table but its own two: the tables' version,
and who holds what (`workspace.postgres.leases`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pysqlite3 import dbapi2

from workspace.errors import DataError, ServiceError, StorageError, StudioError, Unfinished, UsageError, one_line
from workspace.extras import require
from workspace.postgres.address import Address
from workspace.postgres.text import adapters

if TYPE_CHECKING:
    import psycopg

    Raw = psycopg.Connection[Any]

T = TypeVar("T")

LOCK_SECONDS = 30.0
"""How long a transaction waits for the one before it."""
RETURN_SECONDS = 30.0
"""How long a server that answered before is waited for: it may be restarting."""
_AGAIN_SECONDS = 0.2
_IDLE_SECONDS = 20.0
"""After which the server ends the transaction of a machine that is gone, so that those who wait for it go on."""

_USUAL = {
    "application_name": "studio",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""What an address may say otherwise: a machine that is gone is noticed within a minute."""
_BEGIN = """
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL lock_timeout = {lock};
SET LOCAL idle_in_transaction_session_timeout = {idle};
SELECT pg_advisory_xact_lock(hashtextextended('studio ' || current_schema(), 0))
"""
_OWN = """
CREATE TABLE studio_version (version INTEGER NOT NULL);
CREATE TABLE leases (
    name TEXT PRIMARY KEY, token TEXT NOT NULL, holder TEXT NOT NULL, machine TEXT NOT NULL, until REAL NOT NULL
) STRICT, WITHOUT ROWID
"""
_TYPES = {"INTEGER": "BIGINT", "REAL": "DOUBLE PRECISION", "BLOB": "BYTEA", "TEXT": 'TEXT COLLATE "C"'}
_NUMBERED = ", rowid BIGINT GENERATED ALWAYS AS IDENTITY)"
_ELSEWHERE = {"42P01", "42P07", "42703", "42804", "42883"}  # there are tables, columns, types, but not ours


def statements(text: str) -> Iterator[str]:
    """Statements that make SQLite's tables as ones that make PostgreSQL's: same types, same order of rows and letters.

    SQLite numbers the rows of each table that is not ``WITHOUT ROWID``; here a column does.
    """
    for statement in filter(None, map(str.strip, text.split(";"))):
        typed = re.sub(rf"\b({'|'.join(_TYPES)})\b", lambda found: _TYPES[found[1]], statement)
        plain = re.sub(r"\)\s*STRICT,\s*WITHOUT ROWID$", ")", typed)
        yield re.sub(r"\)\s*STRICT$", _NUMBERED, plain)


class Connection:
    """A connection in autocommit mode; may be used from any thread, one at a time. Errors are psycopg's, see `faults`.

    A statement outside a transaction may be sent twice, where the connection is lost under it: let it change nothing.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._parameters = _parameters(address)
        self._raw = self._opened(0.0)
        self._begun = self._closed = False

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and not ended, even one that is lost."""
        return self._begun

    def live(self) -> Raw:
        """The connection of psycopg's, proven to answer."""
        self.execute("SELECT 1")
        return self._raw

    def close(self) -> None:
        """Close it for good; a second call does nothing."""
        self._closed = True
        self._raw.close()

    def execute(self, query: str, values: Sequence[Any] = ()) -> Any:
        """Run a statement with ``?`` for values, and return its cursor; a transaction's bounds have none.

        Raises:
            pysqlite3.dbapi2.IntegrityError: A key stands there already, or points to nothing, as with SQLite.
        """
        import psycopg

        if query in _BOUNDS:
            _BOUNDS[query](self)
            return None
        sent = query.replace("%", "%%").replace("?", "%s").encode()
        try:
            if self._begun:
                return self._still().execute(sent, values)
            return self._steadily(lambda raw: raw.execute(sent, values))
        except psycopg.IntegrityError as error:
            raise dbapi2.IntegrityError(one_line(error)) from error

    def executemany(self, query: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each of some rows."""
        for row in rows:
            self.execute(query, row)

    def has(self, table: str) -> bool:
        """Whether there is a table, as far as was committed by now; ``to_regclass`` would tell from a cache."""
        query = "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = ?"
        return self.execute(query, (table,)).fetchone() is not None

    def version(self) -> int | None:
        """Of the ledger's tables; ``None`` where there are none."""
        if not self.has("studio_version"):
            return None
        return int(self.execute("SELECT version FROM studio_version").fetchone()[0])

    def make(self, schema: str, version: int, upgrades: Mapping[int, str]) -> None:
        """Make the tables, or those of an older version into today's; within a transaction (see `database.connect`)."""
        found = self.version()
        if found is None:
            self._check_free(schema)
            for statement in [*statements(schema), *statements(_OWN)]:
                self.execute(statement)
            self.execute("INSERT INTO studio_version VALUES (?)", (version,))
            return
        if found > version:
            raise DataError(
                f"{self.address} was made by a newer Studio (tables {found}, known are {version})", hint="update Studio"
            )
        for number in range(found, version):
            for statement in statements(upgrades.get(number, "")):
                self.execute(statement)
        self.execute("UPDATE studio_version SET version = ?", (version,))

    def _check_free(self, schema: str) -> None:
        encoding = self.execute("SHOW server_encoding").fetchone()[0]
        if encoding != "UTF8":
            raise DataError(
                f"{self.address} holds text as {encoding}", hint="createdb --encoding UTF8 --template template0"
            )
        names = re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", f"{schema};{_OWN}")
        query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename = ANY (?)"
        taken = sorted(str(name) for (name,) in self.execute(query, (names,)))
        if taken:
            raise DataError(
                f"{self.address} holds tables of something else: {', '.join(taken)}",
                hint="give Studio a database of its own",
            )

    def _begin(self) -> None:
        begin = _BEGIN.format(lock=round(LOCK_SECONDS * 1000), idle=round(_IDLE_SECONDS * 1000)).encode()
        try:
            self._steadily(lambda raw: raw.execute(begin))
            self._begun = True
        except BaseException:
            self._undo()
            raise

    def _commit(self) -> None:
        import psycopg

        done = self._still().execute("COMMIT")
        self._begun = False
        if done.statusmessage != "COMMIT":  # one of its statements had failed, and all of it was undone
            raise psycopg.InternalError(f"a transaction could not be kept: {done.statusmessage}")

    def _undo(self) -> None:
        """Be in no transaction, whatever happened; a connection that cannot be brought there is given up."""
        import psycopg

        self._begun = False
        try:
            if not self._raw.closed and self._raw.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                self._raw.execute("ROLLBACK")
        except psycopg.Error:
            self._raw.close()

    def _still(self) -> Raw:
        """The connection on which the transaction was begun."""
        import psycopg

        if self._raw.closed:
            raise psycopg.OperationalError("the connection was lost within a transaction, of which nothing is kept")
        return self._raw

    def _steadily(self, run: Callable[[Raw], T]) -> T:
        """Run what stands for itself; where the connection was lost before or under it, once more on a new one."""
        import psycopg

        if self._closed:
            raise psycopg.OperationalError("the connection was closed")
        try:
            return run(self._raw)
        except psycopg.OperationalError:
            if not self._raw.closed:
                raise
        self._raw = self._opened(RETURN_SECONDS)
        return run(self._raw)

    def _opened(self, patience: float) -> Raw:
        import psycopg

        end = time.monotonic() + patience
        while True:
            try:
                # Statements are not prepared: a pool of connections between here and there may not know them again.
                return psycopg.connect(**self._parameters, autocommit=True, prepare_threshold=None, context=adapters())
            except psycopg.OperationalError:
                if time.monotonic() >= end:
                    raise
            time.sleep(_AGAIN_SECONDS)


_BOUNDS: dict[str, Callable[[Connection], None]] = {
    "BEGIN IMMEDIATE": Connection._begin,
    "COMMIT": Connection._commit,
    "ROLLBACK": Connection._undo,
}


def _parameters(address: Address) -> dict[str, Any]:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        said = conninfo_to_dict(address.url)
    except psycopg.ProgrammingError:  # which may hold what stands for the password
        raise UsageError(
            "ledger.url cannot be read as an address of PostgreSQL",
            hint="it is postgresql://HOST/DATABASE, or with NAME:PASSWORD@ before HOST, / @ : in them as %2F %40 %3A",
        ) from None
    return _USUAL | said | {"client_encoding": "UTF8"}


def open_server(address: Address) -> Connection:
    """Open a connection; no table is looked at.

    Raises:
        ServiceError: psycopg is not installed, or the server does not answer or let us in.
        UsageError: libpq cannot read the address.
    """
    require("psycopg", extra="postgres")
    try:
        import psycopg  # noqa: F401
    except ImportError as error:  # it has no libpq
        raise ServiceError(
            f"psycopg cannot be used: {one_line(error)}", hint="pip install 'psycopg[binary]'"
        ) from error
    with faults(address):
        return Connection(address)


def look(address: Address) -> str:
    """What answers at an address, in words; nothing is made there.

    Raises:
        StudioError: As `open_server`.
    """
    connection = open_server(address)
    try:
        with faults(address):
            server = str(connection.execute("SHOW server_version").fetchone()[0]).partition(" ")[0]
            version = connection.version()
    finally:
        connection.close()
    return f"answers: PostgreSQL {server}, {'no tables yet' if version is None else f'tables {version}'}"


@contextmanager
def faults(address: Address) -> Iterator[None]:
    """Turn what psycopg raises inside the block into one line that names the address."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        worded = _worded(address, error)
        if worded is None:
            raise
        raise worded from error


def _worded(address: Address, error: psycopg.Error) -> StudioError | None:
    import psycopg

    state, told = error.sqlstate or "", one_line(error)
    if state == "55P03":
        return Unfinished(f"{address} is held by another process for more than {LOCK_SECONDS:.0f} s")
    if state in ("40001", "40P01"):
        return Unfinished(f"{address} is busy: {told}")
    if state in ("XX001", "XX002"):
        return DataError(f"{address} is damaged: {told}", hint="restore it from a copy")
    if state in ("53100", "58030"):
        return StorageError(f"cannot use {address}: {told}")
    if state in _ELSEWHERE:
        return DataError(f"{address} holds other tables than Studio's: {told}")
    if isinstance(error, psycopg.DataError) or state == "54000":
        return DataError(f"{address} cannot hold that: {told}")
    if isinstance(error, psycopg.OperationalError | psycopg.InternalError) or state in ("42501", "3F000", "25006"):
        return ServiceError(f"{address} does not answer as it should: {told}", hint="studio doctor")
    return None

"""The graph's checkpoints in PostgreSQL, read back as strictly as from SQLite (`workspace.checkpoints`).

Importing this module imports LangGraph and psycopg: import it where a graph is built.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg import Cursor
from psycopg.rows import DictRow, dict_row

from workspace import database
from workspace.checkpoints import InThreads, StrictSerializer
from workspace.errors import DataError, one_line
from workspace.postgres.address import Address
from workspace.postgres.connection import Connection, faults, open_server


class ServerCheckpoints(InThreads, PostgresSaver):
    """LangGraph's PostgreSQL checkpointer on a connection that is opened anew where it is lost.

    What a step wrote is kept whole or not at all. Values other than texts, numbers and truth values are kept with a
    checksum; those are JSON, which PostgreSQL itself reads.

    Args:
        address: The database; its tables are made if they are not there.
    """

    def __init__(self, address: Address) -> None:
        self.path = address
        self._connection = open_server(address)
        try:
            with faults(address):
                super().__init__(self._connection.live(), serde=StrictSerializer(address))
                self._make()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        with self.lock:
            self._connection.close()

    def __enter__(self) -> ServerCheckpoints:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def setup(self) -> None:
        """Do nothing: the tables are made when the database is opened."""

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return one checkpoint."""
        with _whole(self.path):
            return super().get_tuple(config)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Return matching checkpoints, newest first, without holding the connection meanwhile."""
        with _whole(self.path):
            return iter([*super().list(config, filter=filter, before=before, limit=limit)])

    @contextmanager
    def _cursor(self, *, pipeline: bool = False) -> Iterator[Cursor[DictRow]]:
        """Give a cursor; for what LangGraph would send as one pipeline, within one transaction."""
        with self.lock, faults(self.path):
            raw = self._connection.live()
            with raw.transaction() if pipeline else nullcontext(), raw.cursor(binary=True, row_factory=dict_row) as one:
                yield one

    def _make(self) -> None:
        newest = len(self.MIGRATIONS) - 1
        if _version(self._connection) == newest:
            return
        with database.transaction(self._connection):  # one process makes them, the others find them made
            found = _version(self._connection)
            if found > newest:
                raise DataError(f"{self.path} holds checkpoints of a newer LangGraph", hint="update Studio")
            for number in range(found + 1, newest + 1):
                self._connection.execute(self.MIGRATIONS[number].replace("CONCURRENTLY", ""))
                self._connection.execute("INSERT INTO checkpoint_migrations (v) VALUES (?)", (number,))


def _version(connection: Connection) -> int:
    """The number of the last of LangGraph's migrations that was done; -1 before the first."""
    if not connection.has("checkpoint_migrations"):
        return -1
    return int(connection.execute("SELECT coalesce(max(v), -1) FROM checkpoint_migrations").fetchone()[0])


@contextmanager
def _whole(address: Address) -> Iterator[None]:
    """Word what LangGraph stumbles over in rows that it did not write."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{address} is damaged: a checkpoint cannot be read: {one_line(error)}") from error

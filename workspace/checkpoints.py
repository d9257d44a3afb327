"""The graph's checkpoints in SQLite, read back strictly. Knows LangGraph's format; nothing of the graph.

Importing this module imports LangGraph, which takes a moment: import it where a graph is built.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"

import ormsgpack
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from workspace import database
from workspace.errors import DataError, one_line
from workspace.postgres.address import Address

if TYPE_CHECKING:
    from langgraph.checkpoint.base import DeltaChannelHistory

_SCHEMA = """
CREATE TABLE IF NOT EXISTS checkpoints (
    thread_id TEXT NOT NULL, checkpoint_ns TEXT NOT NULL DEFAULT '', checkpoint_id TEXT NOT NULL,
    parent_checkpoint_id TEXT, type TEXT, checkpoint BLOB, metadata BLOB,
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
);
CREATE TABLE IF NOT EXISTS writes (
    thread_id TEXT NOT NULL, checkpoint_ns TEXT NOT NULL DEFAULT '', checkpoint_id TEXT NOT NULL,
    task_id TEXT NOT NULL, task_path TEXT NOT NULL DEFAULT '', idx INTEGER NOT NULL, channel TEXT NOT NULL,
    type TEXT, value BLOB, PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
)
"""
_MARK = "+crc32"
_blocked = threading.local()


def checkpoints(path: Path) -> Checkpoints:
    """Open (or make) the checkpoint database at ``path``."""
    return Checkpoints(path)


class StrictSerializer(JsonPlusSerializer):
    """LangGraph's msgpack with a checksum, which raises where LangGraph would hand out something unproven.

    LangGraph answers a type that is not on its safe list with the raw payload and a log line; here it is an error. The
    checksum finds damage that still parses. Other formats LangGraph can read (JSON with constructors) are refused.
    """

    def __init__(self, path: Path | Address) -> None:
        super().__init__(allowed_msgpack_modules=None)
        self._path = path

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Return the type mark and the bytes with their checksum."""
        kind, data = super().dumps_typed(obj)
        return kind + _MARK, zlib.crc32(data).to_bytes(4, "big") + data

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Return the value, or raise DataError if it is damaged or of a type that is not allowed."""
        kind, body = data
        if not isinstance(kind, str) or not kind.endswith(_MARK) or not isinstance(body, bytes):
            raise DataError(f"{self._path} holds a checkpoint of the unknown format {kind!r}")
        if zlib.crc32(body[4:]).to_bytes(4, "big") != body[:4]:
            raise DataError(f"{self._path} is damaged: a checkpoint does not match its checksum")
        _blocked.names = []
        try:
            value = super().loads_typed((kind.removesuffix(_MARK), body[4:]))
        except (ormsgpack.MsgpackDecodeError, NotImplementedError, ValueError) as error:
            raise DataError(f"{self._path} is damaged: a checkpoint cannot be read: {one_line(error)}") from error
        finally:
            names, _blocked.names = _blocked.names, None
        if names:
            raise DataError(f"{self._path} holds a checkpoint with the type {names[0]}, which is not allowed")
        return value


def _note_blocked(event: SerdeEvent) -> None:
    names = getattr(_blocked, "names", None)
    if names is not None and "blocked" in event["kind"]:
        names.append(f"{event['module']}.{event['name']}")


register_serde_event_listener(_note_blocked)


class InThreads(BaseCheckpointSaver[str]):
    """The async methods of a checkpointer, each by its sync one in a thread."""

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return one checkpoint."""
        return await asyncio.to_thread(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield matching checkpoints, newest first."""
        for found in await asyncio.to_thread(self.list, config, filter=filter, before=before, limit=limit):
            yield found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint."""
        return await asyncio.to_thread(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote."""
        await asyncio.to_thread(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete everything of one thread."""
        await asyncio.to_thread(self.delete_thread, thread_id)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return the writes of delta channels."""
        return await asyncio.to_thread(self.get_delta_channel_history, config=config, channels=channels)


class Checkpoints(InThreads, SqliteSaver):
    """LangGraph's SQLite checkpointer on a durable database.

    Args:
        path: The database file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(database.connect(path, schema=_SCHEMA), serde=StrictSerializer(path))
        self.path = path
        self.is_setup = True

    def close(self) -> None:
        """Close the database; a second call does nothing."""
        with self.lock:
            self.conn.close()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def setup(self) -> None:
        """Do nothing: the tables are made when the database is opened."""

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[Any]:
        """Give a cursor, by default within one short write transaction that is undone whole on an error."""
        with self.lock, _worded(self.path):
            cursor = self.conn.cursor()
            try:
                if transaction:
                    with database.transaction(self.conn):
                        yield cursor
                else:
                    yield cursor
            finally:
                cursor.close()

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Return matching checkpoints, newest first, without holding the database meanwhile."""
        return iter([*super().list(config, filter=filter, before=before, limit=limit)])


@contextmanager
def _worded(path: Path) -> Iterator[None]:
    try:
        with database.faults(path):
            yield
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged: a checkpoint's metadata cannot be read") from error

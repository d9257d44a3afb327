import asyncio
import dataclasses
import threading
from collections import defaultdict

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from pysqlite3 import dbapi2
from typing_extensions import TypedDict

from workspace.checkpoints import StrictSerializer, checkpoints
from workspace.errors import DataError, StorageError


class State(TypedDict):
    words: list[str]


def _graph(saver, fail_at=None):
    def first(state):
        return {"words": [*state["words"], "first"]}

    def ask(state):
        return {"words": [*state["words"], interrupt({"question": "go on?"})]}

    def last(state):
        if fail_at == "last":
            raise RuntimeError("stopped")
        return {"words": [*state["words"], "last"]}

    graph = StateGraph(State)
    graph.add_node("first", first)
    graph.add_node("ask", ask)
    graph.add_node("last", last)
    graph.add_edge(START, "first")
    graph.add_edge("first", "ask")
    graph.add_edge("ask", "last")
    graph.add_edge("last", END)
    return graph.compile(checkpointer=saver)


def _config(thread="run"):
    return {"configurable": {"thread_id": thread}}


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request, tmp_path):
    """Opens a checkpointer, by number: a file's, and PostgreSQL's."""
    if request.param == "sqlite":
        return lambda number=0: checkpoints(tmp_path / f"{number}.db")
    addresses = defaultdict(request.getfixturevalue("new_address"))
    from workspace.postgres.saver import ServerCheckpoints

    return lambda number=0: ServerCheckpoints(addresses[number])


def test_conformance_suite_as_configured(opened):
    numbers = iter(range(100))

    @checkpointer_test(name="Checkpoints")
    async def factory():
        saver = opened(next(numbers))
        yield saver
        saver.close()

    report = asyncio.run(validate(factory))
    assert report.passed_all_base(), report.to_dict()
    assert report.passed_all(), report.to_dict()
    assert sum(result.tests_passed for result in report.results.values()) > 40


def test_database_is_durable_and_safe(tmp_path):
    with checkpoints(tmp_path / "c.db") as saver:
        assert saver.conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert saver.conn.execute("PRAGMA synchronous").fetchone() == (2,)
        assert saver.conn.execute("PRAGMA busy_timeout").fetchone() == (30_000,)
        assert dbapi2.sqlite_version_info >= (3, 51, 3)


def test_a_graph_goes_on_in_another_process_opening_and_after_a_question(opened):
    with opened() as saver:
        out = _graph(saver).invoke({"words": []}, _config(), durability="sync")
        assert out["__interrupt__"][0].value == {"question": "go on?"}
    with opened() as saver, pytest.raises(RuntimeError):
        _graph(saver, fail_at="last").invoke(Command(resume="yes"), _config(), durability="sync")
    with opened() as saver:
        assert _graph(saver).invoke(None, _config())["words"] == ["first", "yes", "last"]
        assert len(list(_graph(saver).get_state_history(_config()))) == 5


def test_async_graph(opened):
    async def run():
        with opened() as saver:
            graph = _graph(saver)
            await graph.ainvoke({"words": []}, _config())
            await graph.ainvoke(Command(resume="yes"), _config())
            return (await graph.aget_state(_config())).values

    assert asyncio.run(run()) == {"words": ["first", "yes", "last"]}


def test_listing_does_not_hold_the_database(opened):
    with opened() as saver:
        _graph(saver).invoke({"words": []}, _config())
        assert all(saver.get_tuple(each.config) for each in saver.list(_config()))


def test_threads_share_one_checkpointer(opened):
    with opened() as saver:
        graph = _graph(saver)
        threads = [threading.Thread(target=graph.invoke, args=({"words": [str(n)]}, _config(str(n)))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [graph.get_state(_config(str(n))).values["words"] for n in range(8)] == [
            [str(n), "first"] for n in range(8)
        ]


@dataclasses.dataclass
class Foreign:
    command: str


def test_a_type_that_is_not_allowed_is_an_error_not_a_payload(tmp_path):
    serializer = StrictSerializer(tmp_path / "c.db")
    kind, data = serializer.dumps_typed({"nested": [Foreign("rm")]})
    with pytest.raises(DataError, match=r"c\.db holds a checkpoint with the type .*Foreign"):
        serializer.loads_typed((kind, data))
    assert serializer.loads_typed(serializer.dumps_typed({"a": [1, None, "x"]})) == {"a": [1, None, "x"]}


def test_the_allowlist_of_a_compiled_graph_keeps_the_serializer_strict(opened):
    with opened() as saver:
        assert isinstance(_graph(saver).checkpointer.serde, StrictSerializer)
        assert type(_graph(saver).checkpointer) is type(saver)


@pytest.mark.parametrize("kind", ["json", "msgpack", "pickle", "pickle+crc32", None])
def test_a_crafted_row_is_refused(tmp_path, kind):
    body = JsonPlusSerializer().dumps_typed(Foreign("rm"))[1] if kind == "msgpack" else b'{"lc": 2}'
    with checkpoints(tmp_path / "c.db") as saver:
        graph = _graph(saver)
        graph.invoke({"words": []}, _config())
        saver.conn.execute("UPDATE checkpoints SET type = ?, checkpoint = ?", (kind, body))
        with pytest.raises(DataError, match=r"c\.db"):
            graph.invoke(None, _config())


@pytest.mark.parametrize("table, column", [("checkpoints", "checkpoint"), ("writes", "value")])
def test_one_changed_byte_in_a_blob_is_found(tmp_path, table, column):
    with checkpoints(tmp_path / "c.db") as saver:
        graph = _graph(saver)
        graph.invoke({"words": ["a long enough word"]}, _config())
        for rowid, blob in saver.conn.execute(f"SELECT rowid, {column} FROM {table}").fetchall():
            changed = bytes(blob[:-1]) + bytes([blob[-1] ^ 1])
            saver.conn.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (changed, rowid))
        with pytest.raises(DataError, match="checksum"):
            graph.get_state(_config())


def test_damaged_metadata_is_found(tmp_path):
    with checkpoints(tmp_path / "c.db") as saver:
        graph = _graph(saver)
        graph.invoke({"words": []}, _config())
        saver.conn.execute("UPDATE checkpoints SET metadata = ?", (b'{"half',))
        with pytest.raises(DataError, match="metadata"):
            graph.get_state(_config())


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "c.db"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(DataError, match=r"c\.db is damaged"):
        checkpoints(path)


def test_a_database_with_an_overwritten_middle(tmp_path):
    path = tmp_path / "c.db"
    with checkpoints(path) as saver:
        for number in range(40):
            _graph(saver).invoke({"words": ["word" * 50]}, _config(str(number)))
    data = bytearray(path.read_bytes())
    data[4096:-4096] = b"\xff" * (len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"c\.db"):
        saver = checkpoints(path)
        try:
            _graph(saver).get_state(_config("20"))
        finally:
            saver.close()


def test_a_closed_or_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="a file, not a folder"):
        checkpoints(tmp_path / "file" / "c.db")

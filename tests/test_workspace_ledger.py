import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from workspace import database
from workspace.errors import DataError, ServiceError, StorageError, Unfinished, UsageError
from workspace.ledger import Ledger

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}


@contextmanager
def _opened(place):
    with Ledger(place) as opened:
        opened.create_run("run-1", {"text": "a leaf"}, {"flow": {"images": 2}}, 7, "runs/run-1")
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request, tmp_path):
    """A ledger in a file, and one in PostgreSQL."""
    file = tmp_path / "home" / "ledger.db"
    with _opened(file if request.param == "sqlite" else request.getfixturevalue("address")) as opened:
        yield opened


@pytest.fixture
def in_file(tmp_path):
    """A ledger in a file."""
    with _opened(tmp_path / "home" / "ledger.db") as opened:
        yield opened


def _named(ledger):
    """What a process of a test is given to open the same ledger."""
    return getattr(ledger.path, "url", str(ledger.path))


def test_a_run_is_kept_with_all_it_was_given(ledger):
    row = ledger.run("run-1")
    assert (row.status, row.brief, row.settings, row.seed) == (
        "queued",
        {"text": "a leaf"},
        {"flow": {"images": 2}},
        7,
    )
    with Ledger(ledger.path) as again:
        assert again.run("run-1") == row
        again.create_run("run-2", {}, {}, 1, "runs/run-2")
        assert [each.run_id for each in again.runs()] == ["run-2", "run-1"]
        assert [each.run_id for each in again.runs(1)] == ["run-2"]
    with pytest.raises(UsageError, match="a job 'run-1' already"):
        ledger.create_run("run-1", {}, {}, 1, "")


def test_statuses(ledger):
    for status in ("queued", "waiting", "interrupted", "running", "failed", "running", "finished", "finished"):
        ledger.jobs.set_state("run-1", status, f"now {status}")
        assert (ledger.run("run-1").status, ledger.run("run-1").message) == (status, f"now {status}")
    with pytest.raises(UsageError, match="'run-1' is finished and cannot become interrupted"):
        ledger.jobs.set_state("run-1", "interrupted")
    with pytest.raises(UsageError, match="unknown state 'done'"):
        ledger.jobs.set_state("run-1", "done")


def test_an_unknown_run_names_the_nearest(ledger):
    for use in (
        lambda: ledger.run("run-l"),
        lambda: ledger.once("run-l", "key", lambda: 1, kind="turn"),
        lambda: ledger.artifact("run-l", "a.png", "00", "picture", {}),
    ):
        with pytest.raises(UsageError, match=r"unknown run 'run-l'; did you mean 'run-1'\?"):
            use()


def test_once_happens_once_and_gives_back_what_json_gives_back(ledger):
    calls = []

    def compute():
        calls.append(1)
        return {"text": "größer", "pair": (1, 2), "lone": "\ud800"}

    expected = {"text": "größer", "pair": [1, 2], "lone": "\ud800"}
    assert ledger.once("run-1", "turn/1", compute, kind="completion") == (expected, False)
    assert ledger.once("run-1", "turn/1", compute, kind="completion") == (expected, True)
    assert ledger.once("run-1", "turn/2", lambda: None, kind="completion") == (None, False)
    assert ledger.once("run-1", "turn/2", lambda: 5, kind="completion") == (None, True)
    assert len(calls) == 1
    assert ledger.count("run-1", "completion") == 2
    assert ledger.count("run-1", "picture") == 0
    assert [(row.key, row.kind) for row in ledger.keys("run-1")] == [("turn/1", "completion"), ("turn/2", "completion")]


def test_a_failure_stores_nothing(ledger):
    def compute():
        ledger.artifact("run-1", "images/00.png", "00", "picture", {})
        raise ServiceError("no answer")

    with pytest.raises(ServiceError):
        ledger.once("run-1", "picture/0", compute, kind="picture")
    assert ledger.artifacts("run-1") == []
    assert ledger.count("run-1", "picture") == 0


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}, b"bytes"])
def test_a_value_must_be_json(ledger, value):
    with pytest.raises(DataError, match="what turn/1 made is not plain JSON"):
        ledger.once("run-1", "turn/1", lambda: value, kind="turn")


def test_artifacts_are_stored_with_the_effect_that_made_them(ledger):
    def compute():
        ledger.artifact("run-1", "images/00.png", "aa", "picture", {"seed": 1})
        with Ledger(ledger.path) as other:
            assert other.artifacts("run-1") == []
        return "done"

    ledger.once("run-1", "picture/0", compute, kind="picture")
    ledger.artifact("run-1", "design.json", "bb", "document", {})
    ledger.artifact("run-1", "images/00.png", "cc", "picture", {"seed": 2})
    rows = [(row.path, row.sha256, row.kind, row.meta) for row in ledger.artifacts("run-1")]
    assert rows == [("images/00.png", "cc", "picture", {"seed": 2}), ("design.json", "bb", "document", {})]


def test_one_effect_within_another(ledger):
    def outer():
        inner, _ = ledger.once("run-1", "inner", lambda: 1, kind="turn")
        return inner + 1

    assert ledger.once("run-1", "outer", outer, kind="turn") == (2, False)
    assert [row.key for row in ledger.keys("run-1")] == ["inner", "outer"]


def test_eight_threads_compute_each_key_once(ledger):
    calls, results, start = [], [], threading.Barrier(8)

    def work(name):
        start.wait()
        for key in range(10):

            def compute(key=key):
                calls.append(key)
                ledger.artifact("run-1", f"{key}.png", name, "picture", {})
                return [key, name]

            results.append((key, *ledger.once("run-1", f"key {key}", compute, kind="turn")))

    threads = [threading.Thread(target=work, args=(f"thread {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(calls) == list(range(10))
    assert len(results) == 80
    assert sum(not replayed for _, _, replayed in results) == 10
    for key in range(10):
        (winner,) = {value[1] for each, value, _ in results if each == key}
        assert {row.sha256 for row in ledger.artifacts("run-1") if row.path == f"{key}.png"} == {winner}


_OPEN = """
import json, os, signal, sys
from pathlib import Path
from workspace.ledger import Ledger
from workspace.postgres.address import Address

ledger = Ledger(Address(sys.argv[1]) if "://" in sys.argv[1] else Path(sys.argv[1]))
"""
_RACE = f"""{_OPEN}
with ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    out = []
    for key in range(40):
        def compute():
            ledger.artifact("run-1", f"{{key}}.png", str(os.getpid()), "picture", {{}})
            return os.getpid()
        out.append(ledger.once("run-1", f"key {{key}}", compute, kind="turn"))
    print(json.dumps(out), flush=True)
"""


def test_two_processes_store_each_key_once(ledger):
    command = [sys.executable, "-c", _RACE, _named(ledger)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": ENVIRONMENT}
    with subprocess.Popen(command, **pipes) as one, subprocess.Popen(command, **pipes) as two:
        for process in (one, two):
            assert process.stdout.readline() == "ready\n"
        for process in (one, two):
            process.stdin.write("go\n")
            process.stdin.flush()
        outs = [json.loads(process.stdout.readline()) for process in (one, two)]
    assert [value for value, _ in outs[0]] == [value for value, _ in outs[1]]
    assert all(a[1] or b[1] for a, b in zip(*outs, strict=True))
    assert ledger.count("run-1", "turn") == 40
    assert [row.sha256 for row in ledger.artifacts("run-1")] == [str(value) for value, _ in outs[0]]


_KILLED = f"""{_OPEN}
for key in range(5):
    ledger.once("run-1", f"key {{key}}", lambda: "x" * 10_000, kind="turn")
def last():
    ledger.artifact("run-1", "half.png", "00", "picture", {{}})
    os.kill(os.getpid(), signal.SIGKILL)
ledger.once("run-1", "last", last, kind="turn")
"""


def test_a_kill_keeps_what_was_stored_and_nothing_else(ledger):
    command = [sys.executable, "-c", _KILLED, _named(ledger)]
    assert subprocess.run(command, env=ENVIRONMENT, check=False).returncode == -9
    assert [row.key for row in ledger.keys("run-1")] == [f"key {key}" for key in range(5)]
    assert ledger.artifacts("run-1") == []
    assert ledger.once("run-1", "last", lambda: "again", kind="turn") == ("again", False)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@hypothesis_settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.text(), value=_JSON)
def test_any_key_and_any_json_come_back(ledger, key, value):
    first, _ = ledger.once("run-1", key, lambda: value, kind="any")
    again, replayed = ledger.once("run-1", key, lambda: "never", kind="any")
    assert replayed
    assert again == first


def test_an_old_sqlite_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(database.dbapi2, "sqlite_version_info", (3, 51, 2))
    with pytest.raises(ServiceError, match=r"3\.51\.3 or later is needed"):
        Ledger(tmp_path / "ledger.db")


def test_a_damaged_ledger_is_named(tmp_path):
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"not a database at all" * 50)
    with pytest.raises(DataError, match=r"broken\.db is damaged"):
        Ledger(broken)


def test_a_damaged_entry_is_named(ledger):
    ledger.once("run-1", "key", lambda: 1, kind="turn")
    ledger._connection.execute("UPDATE onces SET value = '{half'")
    with pytest.raises(DataError, match=r"(ledger\.db|postgresql:.*) is damaged: the entry of run-1 key is not"):
        ledger.once("run-1", "key", lambda: 1, kind="turn")


def test_a_ledger_that_another_holds_too_long(ledger, monkeypatch):
    if isinstance(ledger.path, Path):
        ledger._connection.execute("PRAGMA busy_timeout = 1")
    else:
        monkeypatch.setattr("workspace.postgres.connection.LOCK_SECONDS", 0.001)
    with Ledger(ledger.path) as other, database.transaction(other._connection), pytest.raises(Unfinished, match="held"):
        ledger.jobs.set_state("run-1", "waiting")
    ledger.jobs.set_state("run-1", "waiting")


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="a file, not a folder"):
        Ledger(tmp_path / "file" / "ledger.db")
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(StorageError, match=r"cannot use .*ledger\.db: unable to open"):
        Ledger(tmp_path / "ledger.db")


def test_a_ledger_whose_disk_fills_up(in_file):
    in_file._connection.execute("PRAGMA max_page_count = 20")
    with pytest.raises(StorageError, match="full"):
        in_file.once("run-1", "big", lambda: "x" * 1_000_000, kind="turn")
    in_file._connection.execute("PRAGMA max_page_count = 100000")
    assert in_file.once("run-1", "big", lambda: "small", kind="turn") == ("small", False)

"""A batch's store: filled once and again, worked on by threads, killed, looked at; nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.batching.briefs import read_items
from studio.batching.shapes import Counts, Fault, Item, Outcome
from studio.batching.store import CHUNK, BatchStore, open_store, read_store
from studio.runs.request import DesignOptions
from workspace.errors import DataError, StorageError, Unfinished, UsageError

ROOT = Path(__file__).parent.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"


def items(*names: str, start: int = 1, brief: str = "A tough panel", **options: Any) -> list[Item]:
    return [
        Item(id=name, brief=brief, options=DesignOptions(**options), source="b.jsonl", line=line)
        for line, name in enumerate(names, start)
    ]


def filled(store: BatchStore, found: Iterable[Item | Fault]) -> tuple[Any, list[str]]:
    told: list[str] = []
    return store.fill(found, lambda event: told.append(event.text)), told


def states(store: BatchStore, **how: Any) -> dict[str, str]:
    return {row.item.id: row.state for row in store.rows(**how)}


def test_items_are_taken_in_order_and_keep_what_came_of_them(folder: Path) -> None:
    with open_store(folder, seed=5) as store:
        result, told = filled(store, items("c", "a", "b"))
        assert (result.new, result.known, told, store.whole) == (3, 0, [], True)
        first, second = store.take(2)
        assert [first.item.id, second.item.id] == ["c", "a"] and first.state == "running" and first.attempts == 1
        outcome = Outcome(run_id="r", seconds=2.5, tokens_in=10, tokens_out=20, pictures=2)
        store.finish(first.seq, outcome)
        store.retrying(second.seq, "the server\nsaid 429")
        store.finish(second.seq, Outcome(reason="no\x1b[31m luck", retryable=True, seconds=1))
        assert store.row("c").outcome == outcome and store.row("c").state == "done"
        assert [one.item.id for one in store.rows(after=first.seq)] == ["a", "b"]
        row = store.row("a")
        assert (row.state, row.attempts, row.outcome.retryable) == ("failed", 2, True)
        assert "\x1b" not in row.outcome.reason
        assert store.counts() == Counts(
            waiting=1, done=1, failed=1, seconds=3.5, tokens_in=10, tokens_out=20, pictures=2
        )
    with open_store(folder) as store:
        result, told = filled(store, items("c", "a", "b"))
        assert (result.new, result.known, told) == (0, 3, [])
        assert [row.item.id for row in store.take(9)] == ["b"] and not store.take()
        assert store.row("c").outcome == outcome


def test_a_row_says_what_the_item_said(folder: Path) -> None:
    [item] = items("材料/1", inspirations=["silk", "nacre"], seed=3, images=2, model="m")
    with open_store(folder) as store:
        store.fill([item])
        [row] = store.rows()
        assert row.item == item and row.hash == item.hash and row.item.folder == item.folder


def test_seeds_come_of_the_batch_seed_and_the_id(tmp_path: Path) -> None:
    def seeds(name: str, seed: int | None, *names: str) -> dict[str, int | None]:
        with open_store(tmp_path / name, seed) as store:
            store.fill(items(*names))
            return {row.item.id: row.item.options.seed for row in store.rows()}

    first = seeds("one", 5, "a", "b", "c")
    more = seeds("two", 5, "c", "x", "b", "a")
    assert {name: more[name] for name in first} == first and more["x"] not in first.values()
    assert len(set(first.values())) == 3 and set(seeds("three", 6, "a", "b", "c").values()).isdisjoint(first.values())
    assert seeds("four", None, "a") != seeds("five", None, "a")
    with pytest.raises(UsageError, match="has the seed 5; 6 would make other designs"):
        seeds("one", 6)
    with open_store(tmp_path / "own", 5) as store:
        store.fill(items("a", seed=77))
        assert store.row("a").item.options.seed == 77


def test_what_is_said_twice_is_one_item_and_told(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "briefs.jsonl"
    panel, shell = {"brief": "A panel"}, {"brief": "A shell", "id": "x"}
    rows = [panel, shell, {"brief": " A panel "}, shell, shell | {"brief": "A bowl"}, panel | {"id": "y"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    with open_store(folder) as store:
        for fresh in (True, False):
            result, told = filled(store, read_items([path]))
            assert (result.new, result.known, result.repeats, result.faults) == (3 * fresh, 3 - 3 * fresh, 2, 2)
            assert told == ["2 lines say what another says and are one item with it: line 3 (line 1), line 4 (line 2)"]
            assert [(one.line, one.id) for one in store.repeats()] == [(3, next(store.rows()).item.id), (4, "x")]
            wrong, broken = store.faults()
            assert (wrong.line, wrong.id) == (5, "x") and "is that of line 2, which says something else" in wrong.reason
            assert broken.line == 7
            assert (store.counts().faults, store.counts().repeats) == (2, 2)


def test_a_line_that_was_corrected_is_no_fault_any_more(folder: Path) -> None:
    fault = Fault(source="b.jsonl", line=2, reason="no JSON")
    with open_store(folder) as store:
        store.fill([*items("a"), fault])
        assert [one.reason for one in store.faults()] == ["no JSON"]
        store.fill(items("a", "b"))
        assert not list(store.faults()) and store.counts() == Counts(waiting=2)


def test_content_that_changed_is_refused_once_it_was_begun(folder: Path) -> None:
    with open_store(folder, seed=1) as store:
        store.fill(items("a", "b", images=2))
        result, told = filled(store, items("a", "b", images=3))
        assert result.changed == 2 and "changed before they were begun" in told[0]
        assert store.row("a").item.options.images == 3
        store.finish(store.take()[0].seq, Outcome())
        with pytest.raises(
            DataError, match=r"b.jsonl, line 1: item 'a' has changed since it was begun: images was 3 and is 4"
        ):
            store.fill(items("a", "b", images=4))
        assert not store.whole
        store.fill(items("a", "b", images=3))
        assert store.whole and states(store) == {"a": "done", "b": "waiting"}


def test_what_an_input_no_longer_has_is_left_as_it_is(folder: Path) -> None:
    with open_store(folder) as store:
        store.fill(items("a", "b", "c"))
        store.finish(store.take()[0].seq, Outcome(tokens_in=5))
        result, told = filled(store, items("c", "d"))
        assert result.absent == 2 and "2 items of an earlier input are not in this one" in told[0]
        assert store.counts() == Counts(waiting=2, absent=2)
        assert states(store) == {"c": "waiting", "d": "waiting"}
        assert states(store, absent=True) == {"a": "done", "b": "waiting", "c": "waiting", "d": "waiting"}
        assert [row.item.id for row in store.take(9)] == ["c", "d"]
        store.fill(items("a", "b"))
        assert store.counts() == Counts(waiting=1, done=1, tokens_in=5, absent=2)


def test_an_input_that_breaks_off_leaves_what_was_there(folder: Path) -> None:
    def broken() -> Iterator[Item]:
        yield from items(*map(str, range(CHUNK + 5)), start=1)
        raise DataError("the file ends")

    with open_store(folder) as store:
        store.fill(items("a"))
        with pytest.raises(DataError, match="the file ends"):
            store.fill(broken())
        assert not store.whole
        assert store.counts().waiting == CHUNK + 1  # whole transactions, and what stood there before
        store.fill(items("a"))
        assert store.whole and store.counts() == Counts(waiting=1, absent=CHUNK)


def test_failed_items_can_be_tried_again(folder: Path) -> None:
    with open_store(folder) as store:
        store.fill(items("a", "b", "c"))
        for row in store.take(2):
            store.finish(row.seq, Outcome(reason="no"))
        assert store.retry_failed() == 2 and store.retry_failed() == 0
        assert store.counts() == Counts(waiting=3)
        assert [(row.item.id, row.attempts) for row in store.take(3)] == [("a", 2), ("b", 2), ("c", 1)]


def test_only_what_runs_can_end(folder: Path) -> None:
    with open_store(folder) as store:
        store.fill(items("a"))
        for use in (
            lambda: store.finish(1, Outcome()),
            lambda: store.give_back(1),
            lambda: store.retrying(1, "x"),
        ):
            with pytest.raises(UsageError, match=r"item 1 of .* is not running"):
                use()
        [row] = store.take()
        store.give_back(row.seq)
        assert store.row("a").state == "waiting" and store.row("a").attempts == 1
        with pytest.raises(UsageError, match="unknown item 'b'"):
            store.row("b")


def test_two_batches_in_one_folder_are_refused(folder: Path) -> None:
    with (
        open_store(folder),
        pytest.raises(Unfinished, match=f"out is held by process {os.getpid()}"),
        open_store(folder),
    ):
        pass
    with open_store(folder):
        pass


def test_a_folder_with_other_results_is_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / "briefs.jsonl").write_text("mine")
    with open_store(folder):
        pass
    other = folder.parent / "other"
    other.mkdir()
    (other / "results.jsonl").write_text("mine")
    with pytest.raises(DataError, match=r"holds results.jsonl and no batch"), open_store(other):
        pass
    (folder / "batch.db").write_bytes(b"no database" * 100)
    with pytest.raises(DataError, match="is damaged"), open_store(folder):
        pass
    file = folder.parent / "file"
    file.write_text("")
    with pytest.raises(StorageError), open_store(file):
        pass


def test_others_may_look_while_one_works(folder: Path) -> None:
    with pytest.raises(UsageError, match="there is no batch in"), read_store(folder):
        pass
    with open_store(folder, seed=9) as store:
        store.fill(items("a", "b"))
        store.take()
        with read_store(folder) as seen:
            assert seen.counts() == Counts(waiting=1, running=1) and seen.seed == 9 and seen.whole
            assert states(seen) == {"a": "running", "b": "waiting"}
    assert not list(folder.glob("*.lock"))


def test_threads_take_every_item_once(folder: Path) -> None:
    names = [f"i{number}" for number in range(60)]
    taken: list[str] = []

    def work(store: BatchStore) -> None:
        while rows := store.take():
            taken.append(rows[0].item.id)
            store.finish(rows[0].seq, Outcome(pictures=1))

    with open_store(folder) as store:
        store.fill(items(*names))
        threads = [threading.Thread(target=work, args=(store,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == sorted(names)
        assert store.counts() == Counts(done=60, pictures=60)


KILLED = """
import os, signal, sys
from pathlib import Path
from studio.batching.briefs import read_items
from studio.batching.shapes import Outcome
from studio.batching.store import open_store

folder, source, at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
steps = 0
def step(*_):
    global steps
    steps += 1
    if steps == at:
        os.kill(os.getpid(), signal.SIGKILL)
with open_store(folder, seed=3) as store:
    store._connection.set_progress_handler(step, 100)
    store.fill(read_items([source]))
    while rows := store.take(3):
        for row in rows:
            store.finish(row.seq, Outcome(pictures=1))
"""


def test_after_a_kill_nothing_is_lost_and_nothing_stays_running(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "briefs.jsonl"
    source.write_text("".join(json.dumps({"brief": f"Panel number {number}"}) + "\n" for number in range(1500)))
    done = 0
    for at in (40, 500, 1000, 2000):
        command = [sys.executable, "-c", KILLED, str(folder), str(source), str(at)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ended.returncode in (-signal.SIGKILL, 0), ended.stderr
        with open_store(folder) as store:
            counts = store.counts()
            assert counts.running == 0 and counts.done >= done and counts.items in (0, 1000, 1500)
            done = counts.done
    with open_store(folder) as store:
        result, _ = filled(store, read_items([source]))
        assert result.new + result.known == 1500 and store.counts().items == 1500 and store.counts().done == done
        assert len({row.item.id for row in store.rows()}) == 1500


def test_a_full_disk_undoes_the_transaction_alone(folder: Path) -> None:
    with open_store(folder) as store:
        store.fill(items("a"))
        pages = store.read("PRAGMA page_count")[0][0]
        store.read(f"PRAGMA max_page_count = {pages + 4}")
        with pytest.raises(StorageError, match=r"cannot use .*batch.db: database or disk is full"):
            store.fill(items(*(f"i{number}" for number in range(500)), brief="x" * 500))
        assert states(store) == {"a": "waiting"}
        store.read("PRAGMA max_page_count = 1000000")
        store.fill(items("a", "b"))
        assert states(store) == {"a": "waiting", "b": "waiting"}

"""Many items in flight: which is begun, tried again, given back, and how a batch ends. Designs are stand-ins here."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from studio.batching import drive
from studio.batching.drive import TRIES, Driver, Limits, Outage, Rates
from studio.batching.one import Halted, Tally
from studio.batching.shapes import Item, ItemRow, Outcome
from studio.batching.store import BatchStore, open_store
from studio.runs.request import DesignOptions
from workspace.errors import StorageError
from workspace.progress import BatchProgress, Remark

PASSING = Outcome(reason="the server answered HTTP 429", retryable=True)
LASTING = Outcome(reason="the brief is refused")


class Clock:
    """A clock that goes on by itself a little whenever it is looked at, so that no test waits."""

    def __init__(self, step: float = 0.05) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(drive, "clock", made)
    monkeypatch.setattr(drive, "_POLL", 0.002)
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BatchStore]:
    with open_store(tmp_path / "out", seed=1) as opened:
        yield opened


def fill(store: BatchStore, count: int) -> None:
    store.fill(
        Item(id=f"item-{number:03d}", brief="A tough panel", options=DesignOptions(images=1), line=number)
        for number in range(1, count + 1)
    )


class Maker:
    """Stands in for what makes designs: says of each try what came of it.

    ``script`` maps an item's number to what its tries come to, in turn; the last stays; others are done.
    """

    def __init__(self, script: dict[int, list[Any]] | None = None, wait: Callable[[], object] = lambda: None) -> None:
        self.script, self.wait = script or {}, wait
        self.tries: Counter[int] = Counter()
        self.rows: list[ItemRow] = []
        self.most = self.now = 0
        self.lock = threading.Lock()

    def __call__(self, row: ItemRow) -> Outcome:
        with self.lock:
            self.tries[row.seq] += 1
            self.rows.append(row)
            self.now += 1
            self.most = max(self.most, self.now)
        self.wait()
        with self.lock:
            self.now -= 1
        told = self.script.get(row.seq, [Outcome(run_id=row.item.folder, pictures=1)])
        came = told[min(self.tries[row.seq], len(told)) - 1]
        if isinstance(came, BaseException):
            raise came
        assert isinstance(came, Outcome)
        return came


def driver(store: BatchStore, make: Any, tell: Any = lambda event: None, **limits: Any) -> Driver:
    return Driver(store, make, threading.Event(), Tally(), Limits(**({"in_flight": 4} | limits)), tell)


def states(store: BatchStore) -> dict[str, int]:
    return dict(Counter(row.state for row in store.rows()))


def test_every_item_is_made_once_and_no_more_at_a_time_than_may(store: BatchStore) -> None:
    fill(store, 40)
    make = Maker(wait=threading.Event().is_set)
    assert driver(store, make, in_flight=5).run() == ""
    assert states(store) == {"done": 40}
    assert set(make.tries.values()) == {1} and len(make.tries) == 40
    assert 1 <= make.most <= 5
    assert all(row.attempts == 1 and row.outcome.run_id == row.item.folder for row in store.rows())
    again = Maker()
    assert driver(store, again).run() == ""
    assert not again.tries


def test_as_many_are_at_work_as_may_be(store: BatchStore) -> None:
    fill(store, 12)
    together = threading.Barrier(4)
    make = Maker(wait=lambda: together.wait(10))  # nobody gets on unless four are at work
    assert driver(store, make, in_flight=4).run() == ""
    assert make.most == 4


def test_no_more_is_taken_than_is_in_flight(store: BatchStore) -> None:
    fill(store, 30)
    running: list[int] = []

    def make(row: ItemRow) -> Outcome:
        running.append(store.counts().running)
        return Outcome()

    driver(store, make, in_flight=3).run()
    assert max(running) <= 3


def test_a_passing_fault_is_tried_again_after_longer_and_longer_pauses(store: BatchStore, clock: Clock) -> None:
    fill(store, 3)
    times: list[float] = []

    def make(row: ItemRow) -> Outcome:
        if row.seq == 2:
            times.append(clock.now)
            return PASSING if len(times) < 3 else Outcome(tokens_out=row.outcome.tokens_out + 5)
        return Outcome()

    assert driver(store, make).run() == ""
    assert states(store) == {"done": 3}
    assert store.row("item-002").attempts == 3
    first, second = (late - soon for soon, late in pairwise(times))
    assert first >= 2 and second >= 8


def test_what_an_attempt_used_goes_on_with_the_item(store: BatchStore) -> None:
    fill(store, 1)
    spent = Outcome(reason="HTTP 500", retryable=True, tokens_in=7, tokens_out=9, seconds=2.0)
    make = Maker({1: [spent, Outcome(tokens_in=20)]})
    driver(store, make).run()
    assert [row.attempts for row in make.rows] == [1, 2]
    assert make.rows[1].outcome == spent


def test_a_fault_that_stays_is_named_after_so_many_tries(store: BatchStore) -> None:
    fill(store, 5)
    make = Maker({2: [PASSING], 4: [LASTING]})
    told: list[Any] = []
    assert driver(store, make, told.append).run() == ""
    assert states(store) == {"done": 3, "failed": 2}
    assert (make.tries[2], make.tries[4]) == (TRIES, 1)
    passing, lasting = store.row("item-002"), store.row("item-004")
    assert passing.outcome.retryable and passing.outcome.reason == PASSING.reason
    assert not lasting.outcome.retryable and lasting.attempts == 1
    said = [event.text for event in told if isinstance(event, Remark)]
    assert said == [
        f"item 'item-004' failed: {LASTING.reason}",
        f"item 'item-002' failed: {PASSING.reason}",
    ]


def test_many_failures_are_not_all_told(store: BatchStore) -> None:
    fill(store, 60)
    told: list[Any] = []
    driver(store, Maker({number: [LASTING] for number in range(1, 61)}), told.append).run()
    said = [event.text for event in told if isinstance(event, Remark)]
    assert len(said) == 20 and said[-1].endswith("failures.jsonl will tell the others")


def test_items_that_always_fail_do_not_look_like_an_outage(store: BatchStore, clock: Clock) -> None:
    fill(store, 120)
    clock.step = 0.5
    script = {number: [PASSING] for number in range(3, 120, 7)}
    assert driver(store, Maker(script), in_flight=4).run() == ""
    assert states(store) == {"done": 103, "failed": 17}
    assert clock.now < drive.OUT_OF_ORDER


def test_an_outage_costs_no_item_its_tries_and_is_waited_for(store: BatchStore, clock: Clock) -> None:
    fill(store, 80)
    clock.step = 0.5
    make = Maker()

    def broken_for_a_while(row: ItemRow) -> Outcome:
        made = make(row)
        return PASSING if 1 < clock.now < 400 else made

    assert driver(store, broken_for_a_while, in_flight=4).run() == ""
    assert states(store) == {"done": 80}
    assert sum(make.tries.values()) < 80 + 40  # it is asked now and then, not all the time


def test_an_outage_that_does_not_end_leaves_the_rest_for_another_time(store: BatchStore, clock: Clock) -> None:
    fill(store, 80)
    clock.step = 1.0
    why = driver(store, lambda row: PASSING, in_flight=4).run()
    assert why == f"nothing answers for 15 minutes; the last: {PASSING.reason}"
    found = states(store)
    assert set(found) == {"waiting"} and found["waiting"] == 80


def test_a_success_ends_an_outage() -> None:
    outage = Outage(3)
    for _ in range(3):
        outage.note(well=False)
    assert outage.here and outage.next > 0
    outage.note(well=True)
    assert not outage.here and not outage.lasts


def test_stop_after_leaves_the_rest(store: BatchStore) -> None:
    fill(store, 20)
    assert driver(store, Maker(), stop_after=7).run() == "7 items were begun, as many as may (--stop-after)"
    assert states(store) == {"done": 7, "waiting": 13}
    assert driver(store, Maker(), stop_after=13).run() == ""
    assert states(store) == {"done": 20}


def test_as_many_failures_as_may_be_end_it(store: BatchStore) -> None:
    fill(store, 50)
    make = Maker({number: [LASTING] for number in range(1, 51, 2)} | {2: [PASSING]})
    why = driver(store, make, in_flight=2, max_failures=3).run()
    assert why == "3 items failed, as many as may (--max-failures)"
    found = states(store)
    assert 3 <= found["failed"] <= 4 and found["waiting"] >= 40 and "running" not in found


@pytest.mark.parametrize("fault", [StorageError("cannot write out: no space is left on the disk"), MemoryError()])
def test_what_ends_the_whole_batch_leaves_what_was_in_flight(store: BatchStore, fault: BaseException) -> None:
    fill(store, 10)
    one = driver(store, Maker({3: [fault]}), in_flight=2)
    with pytest.raises(type(fault)):
        one.run()
    assert one._halt.is_set()
    found = states(store)
    assert "running" not in found and found["waiting"] >= 6 and store.row("item-003").state == "waiting"


def test_an_interruption_drains_what_is_in_flight(store: BatchStore) -> None:
    """One in flight ends in time and is kept, one stops as it is told, one hangs and is left."""
    fill(store, 9)
    hang, begun = threading.Event(), threading.Barrier(4)
    halt = threading.Event()

    def make(row: ItemRow) -> Outcome:
        begun.wait(10)
        if row.seq == 3:
            hang.wait(60)
        halt.wait(10)
        if row.seq == 2:
            raise Halted("the batch is halted")
        return Outcome(pictures=1)

    def stop() -> None:
        begun.wait(10)
        raise KeyboardInterrupt

    one = Driver(store, make, halt, Tally(), Limits(in_flight=3), lambda event: None, stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            one.run()
        assert [row.state for row in store.rows()] == ["done", *["waiting"] * 8]
    finally:
        hang.set()


def test_how_it_stands_is_told_in_typed_events(store: BatchStore) -> None:
    fill(store, 30)
    tally = Tally()

    def make(row: ItemRow) -> Outcome:
        tally.add(tokens_in=100, tokens_out=50, pictures=2)
        return LASTING if row.seq == 30 else Outcome()

    told: list[Any] = []
    Driver(store, make, threading.Event(), tally, Limits(in_flight=2), told.append).run()
    events = [event for event in told if isinstance(event, BatchProgress)]
    first, last = events[0], events[-1]
    assert (last.done, last.failed, last.running, last.waiting, last.of) == (29, 1, 0, 0, 30)
    assert last.left_s == 0 and last.tokens_s and last.pictures_s
    assert last.tokens_s / last.pictures_s == pytest.approx(25)
    assert first.waiting + first.running + first.done + first.failed == 30
    assert len(events) < 200


def test_what_was_not_counted_has_no_rate() -> None:
    rates = Rates()
    assert rates.over(0, 0) == (None, None)
    assert rates.over(0, 0) == (None, None)
    tokens_s, pictures_s = rates.over(0, 4)
    assert tokens_s is None and pictures_s and pictures_s > 0


def test_a_rate_is_that_of_the_last_minute(clock: Clock) -> None:
    rates = Rates()
    for second in range(300):
        clock.now = float(second)
        rates.over(10 * second, second)
    for second in range(300, 400):
        clock.now = float(second)
        speed = rates.over(3000, 300)
    assert speed == (0.0, 0.0)

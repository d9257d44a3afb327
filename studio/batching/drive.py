"""Many designs in flight: which is begun next, what is tried again and when, how it ends and what is told meanwhile.

Threads each make one item's design at a time. Here it is decided what they are given and kept what came of it, so that
no more is held than what is in flight. A fault that may pass is tried again after a pause; where try after try fails,
whoever answers is taken to be out of order, and is asked now and then until it answers again. Knows items, outcomes and
threads; not how a design is made.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING

from studio.batching.shapes import ItemRow, Outcome
from workspace.errors import StudioError
from workspace.progress import BatchProgress, Remark, Tell

if TYPE_CHECKING:
    from studio.batching.one import Tally
    from studio.batching.store import BatchStore

Make = Callable[[ItemRow], Outcome]
"""Makes an item's design. Raises `studio.batching.one.Halted` when told to, and what ends the whole batch."""

TRIES = 5
"""How often an item is begun, at most, before it has failed."""

OUT_OF_ORDER = 900.0
"""Seconds for which nobody may answer before the batch is given up for now."""

GRACE = 5.0
"""Seconds that designs in flight have to end in when the batch is stopped."""

_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
_TOLD_FAULTS = 20
_WINDOW = 60.0
_OFTEN, _SELDOM = 0.5, 5.0
_POLL = 0.25

clock = time.monotonic


@dataclass(frozen=True)
class Limits:
    """How far a batch goes this time.

    Attributes:
        in_flight: Designs at a time.
        stop_after: Items that are begun, at most.
        max_failures: Failures with which it ends.
    """

    in_flight: int
    stop_after: int | None = None
    max_failures: int | None = None


class Crew:
    """Threads that do the same work on one thing after another. They end with the process, whatever they wait for."""

    def __init__(self, work: Make, size: int) -> None:
        self._work, self._size = work, size
        self._given: SimpleQueue[ItemRow | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[int, Outcome | BaseException]] = SimpleQueue()
        for number in range(size):
            context = copy_context()
            Thread(target=context.run, args=(self._run,), name=f"design {number + 1}", daemon=True).start()

    def give(self, row: ItemRow) -> None:
        """Have a thread work on an item."""
        self._given.put(row)

    def result(self, patience: float) -> tuple[int, Outcome | BaseException] | None:
        """The next result, by the item's number; ``None`` if there is none within so many seconds."""
        with suppress(Empty):
            return self._done.get(timeout=max(0.001, patience))
        return None

    def close(self) -> None:
        """Let the threads end when their work does."""
        for _ in range(self._size):
            self._given.put(None)

    def _run(self) -> None:
        while (row := self._given.get()) is not None:
            try:
                self._done.put((row.seq, self._work(row)))
            except BaseException as fault:  # which ends what the driver says that it ends
                self._done.put((row.seq, fault))


class Outage:
    """Whether whoever answers seems out of order: so many items have failed in a row when they were first begun.

    Args:
        most: How many.
    """

    def __init__(self, most: int) -> None:
        self._most, self._row, self._probes = most, 0, 0
        self._since = 0.0
        self.next = 0.0

    @property
    def here(self) -> bool:
        """Whether there is one."""
        return self._row >= self._most

    def note(self, *, well: bool) -> None:
        """Take a try into account."""
        now = clock()
        if well:
            self._row = self._probes = 0
            return
        self._since = now if not self._row else self._since
        self._row += 1
        if self.here and now >= self.next:
            self.next = now + min(_PAUSE * 2**self._probes, _LONGEST_PAUSE)
            self._probes += 1

    @property
    def lasts(self) -> bool:
        """Whether it has lasted for longer than is waited."""
        return self.here and clock() - self._since > OUT_OF_ORDER


class Rates:
    """How fast things go, over the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque()

    def over(self, tokens: int, pictures: int) -> tuple[float | None, float | None]:
        """Tokens and pictures a second, after so many; nothing where nothing was counted yet."""
        now = clock()
        self._seen.append((now, tokens, pictures))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW:
            self._seen.popleft()
        before, *counts = self._seen[0]
        gone = now - before
        made = zip((tokens, pictures), counts, strict=True)
        speeds = [(after - count) / gone if gone > 0 and after else None for after, count in made]
        return speeds[0], speeds[1]


@dataclass(order=True)
class _Again:
    """An item that is begun again, and when."""

    when: float
    seq: int
    row: ItemRow = field(compare=False)
    reason: str = field(compare=False)


class Driver:
    """Drives a batch's items through a crew.

    Args:
        store: The items.
        make: Makes one's design.
        halt: Set for those in flight to end.
        tally: What they use and make.
        limits: How far it goes.
        tell: Takes events.
        tick: Called now and then, when there is time for something else.
    """

    def __init__(
        self,
        store: BatchStore,
        make: Make,
        halt: Event,
        tally: Tally,
        limits: Limits,
        tell: Tell,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self.store, self._make, self._halt, self._tally = store, make, halt, tally
        self._limits, self._tell, self._tick = limits, tell, tick
        self._running: dict[int, ItemRow] = {}
        self._later: list[_Again] = []
        self._tries: dict[int, int] = {}
        self._outage = Outage(max(8, 2 * limits.in_flight))
        self._rates = Rates()
        self._last = ""
        self._began, self._told = clock(), float("-inf")
        counts = store.counts()
        self._of, self._done, self._failed = counts.items, counts.done, counts.failed
        self._begun = self._settled = self._failures = 0
        self.why = ""

    def run(self) -> str:
        """Make what waits; return why some of it is left, if any is.

        Raises:
            KeyboardInterrupt: It was stopped; what was in flight waits again.
            StorageError: The disk refuses.
        """
        crew = Crew(self._make, self._limits.in_flight)
        try:
            while self._begin(crew) or self._running or (self._later and not self.why):
                got = crew.result(_POLL)
                if got is not None:
                    self._settle(*got)
                self._progress()
                self._tick()
        except BaseException:
            self._drain(crew)
            raise
        finally:
            crew.close()
        for again in self._later:
            self.store.give_back(again.seq)
        if not self.why and self._done + self._failed < self._of:
            self.why = f"{self._begun} items were begun, as many as may (--stop-after)"
        self._progress(last=True)
        return self.why

    def _begin(self, crew: Crew) -> bool:
        """Give the crew as much as it can take, and say whether that was anything."""
        free = self._free()
        rows = self._due(free)
        if len(rows) < free:
            rows += self._fresh(free - len(rows))
        for row in rows:
            self._running[row.seq] = row
            crew.give(row)
        return bool(rows)

    def _free(self) -> int:
        """How many may be begun now."""
        if self._outage.lasts and not self.why:
            self.why = f"nothing answers for {OUT_OF_ORDER / 60:.0f} minutes; the last: {self._last}"
        if self.why:
            return 0
        if self._outage.here:  # one at a time asks whether it is over
            return int(not self._running and clock() >= self._outage.next)
        return self._limits.in_flight - len(self._running)

    def _due(self, most: int) -> list[ItemRow]:
        """Items whose pause is over."""
        rows: list[ItemRow] = []
        while len(rows) < most and self._later and (self._outage.here or self._later[0].when <= clock()):
            again = heapq.heappop(self._later)
            self.store.retrying(again.seq, again.reason)
            rows.append(replace(again.row, attempts=again.row.attempts + 1))
        return rows

    def _fresh(self, most: int) -> list[ItemRow]:
        """Items that wait, as many as may be begun."""
        left = most if self._limits.stop_after is None else min(most, self._limits.stop_after - self._begun)
        rows = self.store.take(left) if left > 0 else []
        self._begun += len(rows)
        return rows

    def _settle(self, seq: int, got: Outcome | BaseException) -> None:
        """Keep what came of an item."""
        from studio.batching.one import Halted

        row = self._running.pop(seq)
        if isinstance(got, Halted):
            self.store.give_back(seq)
        elif isinstance(got, BaseException):
            with suppress(StudioError):
                self.store.give_back(seq)
            raise got
        elif got.reason and got.retryable and self._again(replace(row, outcome=got), got.reason):
            return
        else:
            self.store.finish(seq, got)
            self._tries.pop(seq, None)
            self._count(row, got)

    def _again(self, row: ItemRow, reason: str) -> bool:
        """Try an item again after a pause, unless it was tried often enough; say whether it will be."""
        self._last = reason
        tries = self._tries.get(row.seq, 0)
        if not tries or self._outage.here:  # items that fail whenever they are begun are left over in the end
            self._outage.note(well=False)
        if not self._outage.here:
            tries += 1
        self._tries[row.seq] = tries
        if tries >= TRIES:
            return False
        pause = min(_PAUSE * 4 ** max(0, tries - 1), _LONGEST_PAUSE)
        heapq.heappush(self._later, _Again(clock() + pause, row.seq, row, reason))
        return True

    def _count(self, row: ItemRow, outcome: Outcome) -> None:
        self._settled += 1
        if not outcome.reason:
            self._outage.note(well=True)
            self._done += 1
            return
        self._failed += 1
        self._failures += 1
        if self._failures <= _TOLD_FAULTS:
            more = "" if self._failures < _TOLD_FAULTS else "; failures.jsonl will tell the others"
            self._tell(Remark(text=f"item {row.item.id[:60]!r} failed: {outcome.reason}{more}"))
        if self._limits.max_failures is not None and self._failures >= self._limits.max_failures and not self.why:
            self.why = f"{self._failures} items failed, as many as may (--max-failures)"

    def _progress(self, *, last: bool = False) -> None:
        """Tell how the batch stands, less often the longer it goes on."""
        now = clock()
        every = min(_SELDOM, max(_OFTEN, (now - self._began) / 600))
        if not last and now - self._told < every:
            return
        self._told = now
        tokens_s, pictures_s = self._rates.over(self._tally.tokens_out, self._tally.pictures)
        settled = self._done + self._failed
        left = self._of - settled
        if self._limits.stop_after is not None:
            left = min(left, self._limits.stop_after - self._settled)
        self._tell(
            BatchProgress(
                done=self._done,
                running=len(self._running),
                failed=self._failed,
                waiting=self._of - settled - len(self._running),
                of=self._of,
                tokens_s=tokens_s,
                pictures_s=pictures_s,
                left_s=left * (now - self._began) / self._settled if self._settled else None,
            )
        )

    def _drain(self, crew: Crew) -> None:
        """Have those in flight end, keep what is done by then, and let the rest wait."""
        self._halt.set()
        until = clock() + GRACE
        with suppress(StudioError):
            while self._running and clock() < until:
                got = crew.result(_POLL)
                if got is not None:
                    seq, outcome = got
                    del self._running[seq]
                    if isinstance(outcome, Outcome) and not outcome.reason:
                        self.store.finish(seq, outcome)
                    else:
                        self.store.give_back(seq)
            for seq in [*self._running, *(again.seq for again in self._later)]:
                self.store.give_back(seq)

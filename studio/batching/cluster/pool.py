"""Actors of one kind: as many as are wanted, the least busy is taken, one that is lost is made anew.

One that is lost again and again without having finished anything is made after longer and longer pauses. Knows how
actors are started and lost; not what they do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from studio.batching.cluster.messages import Failed, raised
from studio.batching.cluster.processes import lost_words
from studio.batching.drive import OUT_OF_ORDER
from workspace.errors import ServiceError, Unfinished, one_line
from workspace.progress import Remark, Tell, silent

PATIENCE = OUT_OF_ORDER
"""Seconds for which none may be there before the batch is given up for now."""

_TOLD = 60.0
"""Seconds for which none is there before that is told."""

_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_POLL = 0.1
_AGAIN = "the same command goes on"
_FOREIGN = "failed to import"
"""What Ray says where an actor's code is not there."""

clock = time.monotonic


@dataclass(eq=False)
class Member:
    """An actor that is there.

    Attributes:
        actor: Its handle.
        node: The machine that it runs on.
        load: How many have taken it.
        finished: What it has finished.
    """

    actor: Any
    node: str
    load: int = 0
    finished: int = 0


@dataclass
class _Slot:
    """One actor's place: being started, there, or to be started when its time has come."""

    actor: Any = None
    greeting: Any = None
    member: Member | None = None
    losses: int = 0
    when: float = field(default=float("-inf"))


class Pool:
    """The actors of one kind.

    Args:
        name: What one of them is called.
        start: Starts an actor and asks it to say where it is; returns both.
        size: How many.
        most: How many may take one at a time; ``None`` for any number.
        tell: Takes remarks.
    """

    def __init__(
        self, name: str, start: Callable[[], tuple[Any, Any]], size: int, most: int | None = None, tell: Tell = silent
    ) -> None:
        self.name, self.size = name, size
        self._start, self._most, self._tell = start, most, tell
        self._since: float | None = None
        self._told = False
        self._slots = [_Slot() for _ in range(size)]
        self._lock = threading.Condition()
        self._why = "the cluster has no room for it, or its process does not come up"
        self.wrong: Exception | None = None
        self.lost = 0

    def begin(self) -> None:
        """Start all."""
        with self._lock:
            self._tend()

    @contextmanager
    def one(self, check: Callable[[], object]) -> Iterator[Member]:
        """Take the least busy actor within the block, when there is one.

        Args:
            check: Called while it waits; raises what ends that.

        Raises:
            Unfinished: There was none for `PATIENCE` seconds.
            ServiceError: What it needs is not on its node.
        """
        member = self._taken(check)
        try:
            yield member
        finally:
            with self._lock:
                member.load -= 1
                self._lock.notify()

    def done(self, member: Member) -> None:
        """Note that an actor has finished something."""
        with self._lock:
            member.finished += 1

    def gone(self, member: Member, why: str) -> None:
        """Note that an actor is lost; whatever is left of it is ended."""
        with self._lock:
            slot = next((slot for slot in self._slots if slot.member is member), None)
            if slot is not None:
                self._lose(slot, why)

    def close(self) -> None:
        """End all."""
        with self._lock:
            for slot in self._slots:
                _end(slot.actor)
            self._slots = []

    def _taken(self, check: Callable[[], object]) -> Member:
        while True:
            check()
            with self._lock:
                self._tend()
                there = [slot.member for slot in self._slots if slot.member is not None]
                self._miss(there)
                if self.wrong is not None:
                    raise self.wrong
                free = [one for one in there if self._most is None or one.load < self._most]
                if free:
                    member = min(free, key=lambda one: one.load)
                    member.load += 1
                    return member
                self._lock.wait(_POLL)

    def _miss(self, there: list[Member]) -> None:
        """See for how long there has been none while one was needed."""
        now = clock()
        if there or self._since is None:
            self._since, self._told = (None if there else now), False
            return
        if now - self._since > PATIENCE:
            lasting = f"{PATIENCE / 60:.0f} minutes"
            self.wrong = Unfinished(f"no {self.name} could be had for {lasting}: {self._why}", hint=_AGAIN)
        elif now - self._since > _TOLD and not self._told:
            self._told = True
            self._tell(Remark(text=f"no {self.name} is there yet: {self._why}"))

    def _tend(self) -> None:
        """Start what is to be started, and see what has come up."""
        import ray

        for slot in self._slots:
            if slot.actor is None and clock() >= slot.when:
                slot.actor, slot.greeting = self._start()
            if slot.member is None and slot.greeting is not None and ray.wait([slot.greeting], timeout=0)[0]:
                self._greeted(slot)

    def _greeted(self, slot: _Slot) -> None:
        import ray
        from ray.exceptions import RayError

        try:
            said = ray.get(slot.greeting)
        except RayError as fault:
            if _FOREIGN in str(fault):
                told = one_line(str(fault).strip().splitlines()[-1])
                self.wrong = ServiceError(
                    f"a {self.name} cannot load Studio: {told}", hint="install the same Studio on every node"
                )
            self._lose(slot, lost_words(fault))
            return
        if isinstance(said, Failed):
            self.wrong = raised(said)
            return
        slot.greeting, slot.member = None, Member(slot.actor, said)
        self._lock.notify_all()

    def _lose(self, slot: _Slot, why: str) -> None:
        finished = slot.member is not None and slot.member.finished
        _end(slot.actor)
        slot.losses = 1 if finished else slot.losses + 1
        pause = 0.0 if slot.losses < 2 else min(_PAUSE * 2 ** (slot.losses - 2), _LONGEST_PAUSE)
        slot.actor = slot.greeting = slot.member = None
        slot.when = clock() + pause
        self._why = f"the last one was lost: {why}"
        self.lost += 1


def _end(actor: Any) -> None:
    """End an actor's process, whatever it does."""
    import ray

    if actor is not None:
        ray.kill(actor)

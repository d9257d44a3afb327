"""What several threads ask at about the same time, answered in one go. Knows threads; not what is asked.

Who comes when nobody leads, leads: it goes in as soon as it may, takes along all who have come by then, and answers for
all of them, while those who come next gather behind another leader. Who is alone neither waits nor is waited for.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Generic, TypeVar

from models.decoder.turnstile import Turnstile

A = TypeVar("A")
G = TypeVar("G")
_PATIENCE = 0.25  # of the quickest answer's time may a leader wait for those who are likely to ask again soon


class _Request(Generic[A, G]):
    """What one thread asks, and what came of it."""

    def __init__(self, asked: A) -> None:
        self.asked = asked
        self.given: list[G] = []
        self.leads = False
        self.woken = threading.Lock()
        self.woken.acquire()


class Together(Generic[A, G]):
    """Where threads meet that ask the same kind of thing.

    An answer must not depend on what else is asked. What fails together is answered one by one, each with a fault of
    its own.

    Args:
        answer: Answers several requests, in their order.
        weight: How much a request weighs.
        most: Weight that is answered in one go, unless one request alone weighs more.
        turnstile: Through which one goes to answer.
    """

    def __init__(
        self, answer: Callable[[Sequence[A]], Sequence[G]], weight: Callable[[A], int], most: int, turnstile: Turnstile
    ) -> None:
        self._answer, self._weight, self._most, self._turnstile = answer, weight, most, turnstile
        self._quickest = float("inf")
        self._anew()
        anew = weakref.WeakMethod(self._anew)
        os.register_at_fork(after_in_child=lambda: (here := anew()) and here())

    def _anew(self) -> None:
        self._guard = threading.Condition(threading.Lock())
        self._waiting: deque[_Request[A, G]] = deque()  # the first leads
        self._away: dict[int, float] = {}  # threads that were answered and are likely to ask again, and since when

    def ask(self, asked: A) -> G:
        """The answer to one request. Blocks until it is there."""
        if threading.current_thread() is threading.main_thread():  # a signal may stop it: it answers for nobody else
            return self._alone(asked)
        mine: _Request[A, G] = _Request(asked)
        with self._guard:
            self._away.pop(threading.get_ident(), None)
            mine.leads = not self._waiting
            self._waiting.append(mine)
            self._guard.notify()
        if not mine.leads:
            mine.woken.acquire()
        if mine.leads:
            self._lead(mine)
        given = mine.given[0] if mine.given else self._alone(asked)
        with self._guard:
            self._away[threading.get_ident()] = perf_counter()
        return given

    def _alone(self, asked: A) -> G:
        with self._turnstile:
            return self._answer([asked])[0]

    def _lead(self, mine: _Request[A, G]) -> None:
        """Answer for all who have come, oneself among them; where that fails, each does it alone."""
        taken: list[_Request[A, G]] = []
        try:
            with self._turnstile:
                self._gather(taken)
                begun = perf_counter()
                for one, given in zip(taken, self._answer([one.asked for one in taken]), strict=True):
                    one.given.append(given)
                self._quickest = min(self._quickest, perf_counter() - begun)
        except Exception:
            if taken == [mine]:
                raise
        finally:
            for one in taken:
                if one is not mine:
                    one.woken.release()

    def _gather(self, taken: list[_Request[A, G]]) -> None:
        """Take the first who wait, as many as go in at once; the next after them leads, if there is one."""
        with self._guard:
            try:
                self._wait_for_others()
                weight = 0
                for one in self._waiting:
                    weight += self._weight(one.asked)
                    if taken and weight > self._most:
                        break
                    taken.append(one)
            finally:
                for _ in taken or range(1):
                    self._waiting.popleft()
                if self._waiting:
                    self._waiting[0].leads = True
                    self._waiting[0].woken.release()

    def _wait_for_others(self) -> None:
        patience = _PATIENCE * self._quickest
        if self._away and patience < float("inf"):
            now = perf_counter()
            self._away = {thread: since for thread, since in self._away.items() if now - since < patience}
            self._guard.wait_for(lambda: not self._away, patience)

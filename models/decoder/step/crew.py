"""Threads that help with one compiled function at a time. Knows nothing of what it computes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

_Work = Callable[[], None]


class Crew:
    """Helpers that run a piece of work beside the one who asks, started when first needed.

    Args:
        size: Threads together with the one who asks.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._asked: list[SimpleQueue[_Work]] = []
        self._busy = threading.Lock()
        os.register_at_fork(after_in_child=self._anew)

    def _anew(self) -> None:
        self._asked, self._busy = [], threading.Lock()

    def run(self, work: _Work) -> None:
        """Run the work here and, unless they help another, by every helper; returns when it is done here.

        Work is such that it may be run again while it is run, and ends when all of it is done, whoever did it.
        """
        if not self._busy.acquire(blocking=False):
            work()
            return
        try:
            self._ask(work)
            work()
        except BaseException:  # stopped by the user: helpers may be at it, and what they write to has to stay meanwhile
            work()
            raise
        finally:
            self._busy.release()

    def _ask(self, work: _Work) -> None:
        with suppress(RuntimeError):  # no more threads are to be had: then fewer help
            while len(self._asked) < self.size - 1:
                asked: SimpleQueue[_Work] = SimpleQueue()
                threading.Thread(target=_help, args=(asked,), daemon=True, name="studio-step").start()
                self._asked.append(asked)
        for asked in self._asked:
            asked.put(work)


def _help(asked: SimpleQueue[_Work]) -> None:
    while True:
        work = asked.get()
        while not asked.empty():  # what is older is done
            work = asked.get()
        with suppress(MemoryError):  # the others do it
            work()
        del work

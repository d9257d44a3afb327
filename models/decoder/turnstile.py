"""One large computation at a time on a device; whoever comes meanwhile waits in line. Knows threads, no models.

Two threads that each use all cores hinder one another: each waits for helpers of its own, which the other's keep from
their work. One behind the other, both are done sooner.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from functools import cache
from typing import Any

_LOOK = 1.0  # seconds after which one looks unasked whether it is one's turn


class Turnstile:
    """Lets one thread in at a time, in the order in which they came. Who is in does not come again."""

    def __init__(self) -> None:
        self.anew()

    def anew(self) -> None:
        """Nobody is in or waits: in a forked process those who did are not."""
        self._line: deque[Any] = deque()  # a lock for each, the first for who is in; its release wakes
        self._guard = threading.Lock()

    def __enter__(self) -> None:
        mine = threading.Lock()
        mine.acquire()
        try:
            self._line.append(mine)
            while self._line[0] is not mine:
                mine.acquire(timeout=_LOOK)
        except BaseException:  # stopped by the user
            self._leave(mine)
            raise

    def __exit__(self, *fault: object) -> None:
        self._leave(self._line[0])

    def _leave(self, one: Any) -> None:
        with self._guard:
            if one in self._line:
                self._line.remove(one)
            if self._line and self._line[0].locked():
                self._line[0].release()


@cache
def turnstile(device: str) -> Turnstile:
    """The one of a device, such as ``cpu``; a forked process has its own."""
    made = Turnstile()
    os.register_at_fork(after_in_child=made.anew)
    return made

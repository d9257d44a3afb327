"""Work on each of many things, several at once, the results as they come. Knows threads; not what is worked on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from threading import Event
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], left: Sequence[T], workers: int, halt: Event) -> Iterator[R]:
    """Do the work on each, several at once; the first fault ends it after what is in hand.

    Args:
        work: What is done.
        left: On what.
        workers: How many at once; one works in this thread.
        halt: Set when it ends, so that work in hand may give up.
    """
    if workers == 1:
        yield from map(work, left)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting, going = iter(left), set[Future[R]]()
        try:
            while True:
                going |= {pool.submit(work, one) for one in islice(waiting, workers - len(going))}
                if not going:
                    return
                ready, going = wait(going, return_when=FIRST_COMPLETED)
                for one in ready:
                    yield one.result()
        finally:
            halt.set()

"""Following runs for all open pages: one thread a run that goes on, its view kept. Knows views; nothing of HTML."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ui.desk.run.view import View
from workspace.errors import StudioError
from workspace.events import Event


@dataclass
class _Watch:
    """A view, the lock that guards it, the thread that feeds it, and HTML of its parts by name with their marks."""

    view: View
    lock: threading.Lock = field(default_factory=threading.Lock)
    thread: threading.Thread | None = None
    drawn: dict[str, tuple[object, str]] = field(default_factory=dict)
    stamp: object = None

    @property
    def live(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


class Observer:
    """Follows runs for all open pages, one thread a run that goes on.

    Args:
        watch: Gives a run's events from the first on and returns when the run ends.
        keep: How many views are kept; those of runs that go on are never dropped.
    """

    def __init__(self, watch: Callable[[str], Iterator[Event]], keep: int = 24) -> None:
        self._watch = watch
        self._keep = keep
        self._watches: OrderedDict[str, _Watch] = OrderedDict()
        self._lock = threading.Lock()

    def attach_anew(self, run_id: str, stamp: object) -> bool:
        """Follow a run anew whose events have all been read, if its job's row is another by now; say whether it is."""
        with self._lock:
            found = self._watches.get(run_id)
            if found is None or found.live or found.stamp == stamp:
                return False
        self.attach(run_id, stamp)
        return True

    def attach(self, run_id: str, stamp: object = None) -> None:
        """Begin to follow a run, anew unless it is being followed already.

        Args:
            run_id: The run.
            stamp: How its job's row stands just now.
        """
        with self._lock:
            found = self._watches.get(run_id)
            if found is not None and found.live:
                return
            watch = _Watch(View(run_id), stamp=stamp)
            self._watches[run_id] = watch
            self._watches.move_to_end(run_id)
            watch.thread = threading.Thread(target=self._follow, args=(watch,), name=f"watch {run_id}", daemon=True)
            watch.thread.start()
            for name in [name for name, other in self._watches.items() if not other.live][: -self._keep]:
                del self._watches[name]

    def follows(self, run_id: str) -> bool:
        """Say whether there is a view of the run already."""
        with self._lock:
            return run_id in self._watches

    def watches(self, run_id: str) -> bool:
        """Say whether a run's events are still being read: a stop among them may be one that was gone on from."""
        with self._lock:
            watch = self._watches.get(run_id)
        return watch is not None and watch.live

    def view(self, run_id: str) -> View:
        """Give a copy of what is known of a run by now."""
        watch = self._found(run_id)
        with watch.lock:
            return watch.view.copy()

    def drawn(self, run_id: str, part: str, mark: object, draw: Callable[[], str]) -> str:
        """A part's HTML, drawn once for all pages while its mark stays as it is.

        Args:
            run_id: The run.
            part: The part's name.
            mark: What the HTML depends on.
            draw: Makes it.
        """
        watch = self._found(run_id)
        with watch.lock:
            kept = watch.drawn.get(part)
        if kept is not None and kept[0] == mark:
            return kept[1]
        html = draw()
        with watch.lock:
            watch.drawn[part] = (mark, html)
        return html

    def settle(self, run_id: str, timeout: float) -> None:
        """Wait until a run's events have all been read, or for ``timeout`` seconds."""
        with self._lock:
            watch = self._watches.get(run_id)
        if watch is not None and watch.thread is not None:
            watch.thread.join(timeout)

    def _found(self, run_id: str) -> _Watch:
        while True:
            with self._lock:
                watch = self._watches.get(run_id)
            if watch is not None:
                return watch
            self.attach(run_id)

    def _follow(self, watch: _Watch) -> None:
        try:
            for event in self._watch(watch.view.run_id):
                with watch.lock:
                    watch.view.add(event)
        except StudioError as error:
            with watch.lock:
                watch.view.status, watch.view.message = "failed", str(error)
        with watch.lock:
            if not watch.view.over:
                watch.view.status = "interrupted"
                watch.view.message = "the worker ended without a word"

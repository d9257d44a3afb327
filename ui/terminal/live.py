"""Work as it happens, in a terminal or as plain lines. Knows events and Rich; nothing of what makes them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from ui.terminal.wording import counted, number, sentence

if TYPE_CHECKING:
    from workspace.events import Event

EVERY = 2.0  # seconds between two lines of one count where there is no terminal
STILL = 10.0  # seconds of silence after which a line says what still goes on; doubled while nothing else comes
PAUSE = 0.8  # seconds after which a text that is being written shows that it goes on
TICK = 0.2
ASIDE = ("picture_ready", "notice", "remark")  # events that do not end what the line that moves shows
PASSING = ("waiting", "queued")  # events that only that line shows
QUIET = ("picture_progress", "document_read", "vectors_made")  # counts that only a bar shows
ROLE_STYLE = {
    "scientist": "cyan",
    "reviewer": "magenta",
    "engineer": "blue",
    "illustrator": "green",
    "painter": "yellow",
    "critic": "magenta",
    "director": "red",
}


class View:
    """A view that looks at the clock while no event comes. Its events and ticks do not meet.

    Args:
        console: Where it shows.
        clock: Gives seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.clock = clock
        self.doing = Doing()
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="ticks", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self.close()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        with self._lock:
            self.doing.add(event)
            self.show(event)

    def _run(self) -> None:
        while not self._ended.wait(TICK):
            with self._lock, suppress(OSError):  # who reads is gone: the next event says so
                self.tick()

    def show(self, event: Event) -> None:
        """Show one event, while nobody else does."""
        raise NotImplementedError

    def tick(self) -> None:
        """Show that time goes by."""
        raise NotImplementedError

    def close(self) -> None:
        """Put everything away."""


class Doing:
    """What goes on, in words: a wait, if there is one, or else the step or stage that began last."""

    def __init__(self) -> None:
        self._step = "starting"
        self._waits: list[str] = []

    @property
    def words(self) -> str:
        """The words."""
        return self._waits[-1] if self._waits else self._step

    def add(self, event: Event) -> None:
        """Take an event into account."""
        match event.type:
            case "waiting" if event.done:
                if event.doing in self._waits:
                    self._waits.remove(event.doing)
            case "waiting" if not event.of:  # else one that has begun goes on
                self._waits.append(event.doing)
            case "step_started":
                self._step = f"{event.role}: {event.label}"
            case "stage_started":
                self._step = f"{event.stage}: {event.doing}" if event.stage else event.doing
            case "downloaded":
                self._step = f"fetching {event.file}"
            case "questions_answered":
                self._step = f"questions to {event.model}"
            case "batch_progress":
                self._step = "making designs"
            case "queued":
                self._step = sentence(event).removesuffix(" ...")
            case "run_started" | "job_started" | "step_finished" | "stage_finished":
                self._step = "working"


class Plain(View):
    """One line a step, for a log or a pipe, and now and then one that says what still goes on."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, clock)
        self._last = ("", float("-inf"))
        self._spoke = self._since = clock()
        self._patience = STILL

    def line(self, words: str) -> None:
        """Print one unwrapped line."""
        self.console.print(Text(words), soft_wrap=True)

    def _said(self, words: str) -> None:
        self.line(words)
        self._spoke = self._since = self.clock()
        self._patience = STILL

    def show(self, event: Event) -> None:
        """Show one event as a line, if it is one that matters to a reader of lines."""
        words = sentence(event)
        if words:
            self._said(words)
        elif event.type not in QUIET and (count := counted(event)) is not None:
            what, done, of, said = count
            now = self.clock()
            if done >= of > 0 or what != self._last[0] or now - self._last[1] >= EVERY:
                self._last = (what, now)
                self._said("  ".join(filter(None, [f"{what} {number(event, count)}".rstrip(), said])))

    def tick(self) -> None:
        """After a while without a line, say what still goes on."""
        now = self.clock()
        if now - self._spoke >= self._patience:
            self.line(f"{self.doing.words} ... {now - self._since:.0f} s")
            self._spoke, self._patience = now, 2 * self._patience


class Live(View):
    """Streams what each role writes; below it a line that moves says what goes on, with a bar where it is counted."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, clock)
        self.streamed = False
        self.progress: Progress | None = None
        self.task: Any = None
        self._shown = ("", False)
        self._column = 0
        self._mark = ""
        self._token = 0.0

    def __enter__(self) -> Self:
        self._line(self.doing.words)
        return super().__enter__()

    def close(self) -> None:
        """Put everything away."""
        self._stop_line()
        self._end_stream()

    def _stop_line(self) -> None:
        if self.progress is not None:
            self.progress.stop()
            self.progress = None

    def _line(self, what: str, done: int = 0, of: int = 0, words: str = "", number: str = "") -> None:
        """Show what goes on, with a bar where it is counted."""
        if self._shown != (what, of > 0):
            self._stop_line()
        if self.progress is None:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                *((BarColumn(), TextColumn("{task.fields[number]}")) if of else ()),
                TextColumn("{task.fields[words]}", markup=False),
                TimeElapsedColumn(),
            )
            self._shown = (what, of > 0)
            self.progress = Progress(*columns, console=self.console, transient=True)
            self.task = self.progress.add_task(what, total=of or None, words=words, number=number)
            self.progress.start()
        self.progress.update(self.task, completed=done, total=of or None, words=words, number=number)

    def _end_stream(self) -> None:
        self._unmark()
        if self.streamed:
            self.console.print()
        self.streamed, self._column = False, 0

    def _write(self, text: str) -> None:
        self._stop_line()
        self._unmark()
        self.console.print(Text(text), end="", soft_wrap=True, highlight=False)
        self.streamed, self._token = True, self.clock()
        self._column = (0 if "\n" in text else self._column) + cell_len(text.rpartition("\n")[2])

    def tick(self) -> None:
        """After a pause in a text, show behind it for how long it lasts."""
        gone = self.clock() - self._token
        if self.streamed and gone >= PAUSE:
            mark = f" ... {gone:.0f} s"
            if mark != self._mark and self._column % self.console.width + len(mark) < self.console.width:
                self._unmark()
                self._mark = mark
                self.console.file.write(mark)
                self.console.file.flush()

    def _unmark(self) -> None:
        """Take the mark behind a text away again."""
        if self._mark:
            back = "\b" * len(self._mark)
            self.console.file.write(f"{back}{' ' * len(self._mark)}{back}")
            self._mark = ""

    def show(self, event: Event) -> None:
        """Show one event."""
        if event.type == "token":
            self._write(event.text)
            return
        from workspace.events import FINAL

        self._end_stream()
        self._print(event)
        if (count := counted(event)) is not None:
            self._line(*count, number=number(event, count))
        elif event.type in FINAL:
            self._stop_line()
        elif self.progress is None or event.type not in ASIDE:
            self._line(self.doing.words)

    def _print(self, event: Event) -> None:
        """What stays on the screen of an event."""
        if event.type == "step_started":
            style = ROLE_STYLE.get(event.role, "white")
            self.console.print(Text.assemble("\n", (f"{event.role} ", f"bold {style}"), (event.label, "dim")))
        elif event.type == "step_finished":
            if event.replayed and event.text:
                self.console.print(Text(event.text, style="dim"), soft_wrap=True)
        elif event.type not in PASSING and (words := sentence(event)):
            self.console.print(Text(words, style="dim"), soft_wrap=True)


def view(console: Console) -> View:
    """Pick the live view for a terminal and plain lines for anything else."""
    return Live(console) if console.is_terminal else Plain(console)

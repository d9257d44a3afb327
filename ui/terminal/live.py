"""A run as it happens, in a terminal or as plain lines. Knows events and Rich; nothing of what makes them."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

if TYPE_CHECKING:
    from workspace.events import Event

ROLE_STYLE = {
    "scientist": "cyan",
    "reviewer": "magenta",
    "engineer": "blue",
    "illustrator": "green",
    "painter": "yellow",
    "critic": "magenta",
    "director": "red",
}


class View(Protocol):
    """Something that shows events; a context manager, so that a progress bar is always put away."""

    def __call__(self, event: Event) -> None:
        """Show one event."""

    def __enter__(self) -> View:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put everything away."""


class Plain:
    """One line a step, for a log or a pipe."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __enter__(self) -> Plain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def line(self, words: str) -> None:
        """Print one unwrapped line."""
        self.console.print(Text(words), soft_wrap=True)

    def __call__(self, event: Event) -> None:
        """Show one event as a line, if it is one that matters to a reader of lines."""
        words = sentence(event)
        if words:
            self.line(words)


def sentence(event: Event) -> str:
    """Word an event in one line; empty for those that only a live view shows."""
    match event.type:
        case "run_started":
            return f"{'resumed' if event.resumed else 'started'} {event.run_id} (profile {event.profile})"
        case "step_started":
            return f"{event.role}: {event.label} ..."
        case "step_finished":
            kept = " (kept from before)" if event.replayed else f" ({event.seconds:.1f} s)"
            return f"{event.role}: {event.key} done{kept}"
        case "design_ready":
            return f"design: {event.design.get('title', '')}"
        case "prompt_ready":
            return f"prompt: {event.prompt.get('short', '')}"
        case "picture_ready":
            return f"picture: {event.path} (seed {event.seed})"
        case "critique_ready":
            told = event.critique
            words = f"fit {told.get('fit')} of 10. {told.get('seen')} {told.get('change')}"
            return f"critique of picture {int(told.get('picture', 0)) + 1}: {words}"
        case "decision":
            return f"director: {event.choice}: {event.reason}"
        case "question":
            return f"question: {event.text}"
        case "notice":
            return f"note: {event.text}"
        case _:
            return ""


class Live:
    """Streams what each role writes and draws a bar while pictures are painted."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.key = ""
        self.streamed = False
        self.progress: Progress | None = None
        self.task: Any = None

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_bar()
        if self.streamed:
            self.console.print()
            self.streamed = False

    def _stop_bar(self) -> None:
        if self.progress is not None:
            self.progress.stop()
            self.progress = None

    def _bar(self, step: int, steps: int) -> None:
        if self.progress is None:
            columns = (TextColumn("painting"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self.progress = Progress(*columns, console=self.console, transient=True)
            self.task = self.progress.add_task("painting", total=steps)
            self.progress.start()
        self.progress.update(self.task, completed=step, total=steps)

    def _end_stream(self) -> None:
        if self.streamed:
            self.console.print()
        self.streamed = False

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if event.type == "token":
            self.console.print(Text(event.text), end="", soft_wrap=True, highlight=False)
            self.streamed = True
            return
        if event.type == "picture_progress":
            self._bar(event.step, event.steps)
            return
        self._end_stream()
        if event.type not in ("picture_ready", "notice"):
            self._stop_bar()
        if event.type == "step_started":
            style = ROLE_STYLE.get(event.role, "white")
            self.console.print(Text.assemble("\n", (f"{event.role} ", f"bold {style}"), (event.label, "dim")))
        elif event.type == "step_finished":
            if event.replayed and event.text:
                self.console.print(Text(event.text, style="dim"), soft_wrap=True)
        else:
            words = sentence(event)
            if words:
                self.console.print(Text(words, style="dim"), soft_wrap=True)


def view(console: Console) -> View:
    """Pick the live view for a terminal and plain lines for anything else."""
    return Live(console) if console.is_terminal else Plain(console)

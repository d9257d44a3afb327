"""A job as it happens, in a terminal or as plain lines. Knows events and Rich; nothing of what makes them."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

if TYPE_CHECKING:
    from workspace.events import Event

EVERY = 2.0  # seconds between two lines of one count where there is no terminal
QUIET = ("picture_progress", "document_read")  # counts that only a bar shows
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
        self._last = ("", float("-inf"))

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
        elif event.type not in QUIET and (counted := _counted(event)) is not None:
            what, done, of, said = counted
            now = time.monotonic()
            if done >= of or what != self._last[0] or now - self._last[1] >= EVERY:
                self._last = (what, now)
                self.line("  ".join(filter(None, [f"{what} {done:,} of {of:,}", said])))


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
        case "queued":
            return f"waiting for {event.before} other job{'s' * (event.before != 1)} to end" if event.before else ""
        case _:
            return _progress(event)


def _progress(event: Event) -> str:
    """Word an event of progress in one line."""
    stage = getattr(event, "stage", "")
    named = f"{stage}: " if stage else ""
    match event.type:
        case "stage_started":
            return f"{named}{event.doing}"
        case "stage_finished":
            return f"{named}{'done' if event.made else 'done before'}"
        case "rows_prepared":
            words = f"{named}{event.rows:,} rows, {event.tokens:,} tokens, {event.truncated:.1%} cut"
            return f"{words}; {event.left_out}" if event.left_out else words
        case "remark":
            return f"{named or 'note: '}{event.text}"
        case "document_read" if event.why:
            return f"{named}skipped {event.document}: {event.why}"
        case "passage_distilled" if event.why:
            return f"{named}passage {event.passage}: {event.why}"
        case "job_started" if event.attempt > 1:
            return f"attempt {event.attempt} of {event.run_id}"
        case _:
            return ""


def _counted(event: Event) -> tuple[str, int, int, str] | None:
    """What a bar shows of an event: what is counted, how many, of how many, and words beside it."""
    match event.type:
        case "picture_progress":
            return "painting", event.step, event.steps, ""
        case "training_step":
            rates = ((event.tokens_s, "tokens/s"), (event.pictures_s, "pictures/s"))
            words = [f"loss {event.loss:.4g}", *(f"{rate:,.4g} {unit}" for rate, unit in rates if rate is not None)]
            words += [] if event.held_out is None else [f"held out {event.held_out:.4g}"]
            words += [] if event.left_s is None else [f"{event.left_s:.0f} s left"]
            return event.stage or "step", event.step, event.of, "  ".join(words)
        case "document_read":
            return event.stage or "document", event.documents, event.of, ""
        case "passage_distilled":
            words = [f"{event.rows} rows", f"{event.per_minute:g} passages/min", f"{event.left_s:.0f} s left"]
            return event.stage or "passage", event.passages, event.of, "  ".join(words)
        case "questions_answered":
            return f"questions to {event.model}", event.answered, event.of, ""
        case "downloaded":
            return event.file, event.bytes, event.of, f"{event.bytes / 1e6:,.0f} of {event.of / 1e6:,.0f} MB"
        case _:
            return None


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

    def _bar(self, what: str, done: int, of: int, words: str) -> None:
        if self.progress is None:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[words]}", markup=False),
                TimeElapsedColumn(),
            )
            self.progress = Progress(*columns, console=self.console, transient=True)
            self.task = self.progress.add_task(what, total=of or None, words=words)
            self.progress.start()
        self.progress.update(self.task, description=what, completed=done, total=of or None, words=words)

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
        if (counted := _counted(event)) is not None:
            self._bar(*counted)
            if words := sentence(event):
                self.console.print(Text(words, style="dim"), soft_wrap=True)
            return
        self._end_stream()
        if event.type not in ("picture_ready", "notice", "remark"):
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

"""The terminal's two consoles, its one way to print JSON, and what one call of the command line has learnt."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from workspace.errors import StorageError
from workspace.letters import TURNING, harmless, whole_data

_IN_JSON = {code: f"\\u{code:04x}" for code in [*range(127, 160), *TURNING]}


class SafeConsole(Console):
    """A console on which no text can move the cursor, set a title or colours: only styles do."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render, and take out of every text what a terminal would obey."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style, None)


class OutputFault(StorageError):
    """Standard output cannot be written."""


class ClosedOutput(OutputFault):
    """Nobody reads the output any more, as after ``| head``; there is nothing to say and nobody to say it to."""


class Output:
    """A stream of the terminal's that says in one line that it cannot be written.

    Args:
        stream: Where it goes.
        name: What it is called; without a name, what cannot be written is left, as with messages to nobody.
    """

    def __init__(self, stream: Any, name: str = "") -> None:
        self._stream, self._name = stream, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, or say why not."""
        with self._faults():
            return int(self._stream.write(text) or 0)
        return len(text)

    def flush(self) -> None:
        """Write what is held back."""
        with self._faults():
            self._stream.flush()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as error:
            if self._name:
                raise ClosedOutput(f"{self._name} is closed") from error
        except OSError as error:
            if self._name:
                raise OutputFault(f"{self._name} cannot be written: {error.strerror or error}") from error


def _takes_all(stream: Any) -> bool:
    """Whether a stream's encoding has every letter."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")


@contextmanager
def outputs() -> Iterator[None]:
    """Guard the standard streams for a command.

    Those that were closed when it began lead nowhere; letters that a terminal's encoding does not have become ``?``.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = before[0] or open(os.devnull)  # noqa: SIM115
    streams = [open(os.devnull, "w") if stream is None else stream for stream in before[1:]]  # noqa: SIM115
    for stream in streams:
        if not _takes_all(stream) and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    sys.stdout, sys.stderr = Output(streams[0], "standard output"), Output(streams[1])
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def forsake_output() -> None:
    """Let what standard output still holds go nowhere, so that Python does not try to write it at its end."""
    with suppress(OSError, ValueError, AttributeError):
        handle = os.open(os.devnull, os.O_WRONLY)
        os.dup2(handle, sys.stdout.fileno())
        os.close(handle)


class Session:
    """What one call of the command line has learnt: the job it works on, and whether JSON is wanted."""

    run_id = ""
    json = False


def consoles() -> tuple[Console, Console]:
    """The console for results (stdout) and the one for everything else (stderr)."""
    return SafeConsole(highlight=False, emoji=False), SafeConsole(stderr=True, highlight=False, emoji=False)


def print_json(data: Any) -> None:
    """Print one JSON object on one line of stdout."""
    plain = not _takes_all(sys.stdout)
    sys.stdout.write(json.dumps(whole_data(data), ensure_ascii=plain).translate(_IN_JSON) + "\n")
    sys.stdout.flush()


def lines(rows: Iterable[tuple[str, Any]], width: int = 28) -> None:
    """Print names and values, one unwrapped line each."""
    out = consoles()[0]
    for name, value in rows:
        out.print(f"{name:<{width}} {value}", markup=False, soft_wrap=True)


def size(count: int) -> str:
    """Bytes in words, a dash for none."""
    from workspace.progress import amount

    return amount(count) if count else "-"

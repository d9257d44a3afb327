"""The terminal's two consoles, its one way to print JSON, and what one call of the command line has learnt."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from workspace.letters import TURNING, harmless, whole_data

_IN_JSON = {code: f"\\u{code:04x}" for code in [*range(127, 160), *TURNING]}


class SafeConsole(Console):
    """A console on which no text can move the cursor, set a title or colours: only styles do."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render, and take out of every text what a terminal would obey."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style, None)


class Session:
    """What one call of the command line has learnt: the job it works on, and whether JSON is wanted."""

    run_id = ""
    json = False


def consoles() -> tuple[Console, Console]:
    """The console for results (stdout) and the one for everything else (stderr)."""
    return SafeConsole(highlight=False, emoji=False), SafeConsole(stderr=True, highlight=False, emoji=False)


def print_json(data: Any) -> None:
    """Print one JSON object on one line of stdout."""
    sys.stdout.write(json.dumps(whole_data(data), ensure_ascii=False).translate(_IN_JSON) + "\n")
    sys.stdout.flush()


def lines(rows: Iterable[tuple[str, Any]], width: int = 28) -> None:
    """Print names and values, one unwrapped line each."""
    out = consoles()[0]
    for name, value in rows:
        out.print(f"{name:<{width}} {value}", markup=False, soft_wrap=True)


def size(count: int) -> str:
    """Bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB" if count else "-"

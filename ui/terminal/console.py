"""The terminal's two consoles, its one way to print JSON, and what one call of the command line has learnt."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console


class Session:
    """What one call of the command line has learnt: the job it works on, and whether JSON is wanted."""

    run_id = ""
    json = False


def consoles() -> tuple[Console, Console]:
    """The console for results (stdout) and the one for everything else (stderr)."""
    return Console(highlight=False, emoji=False), Console(stderr=True, highlight=False, emoji=False)


def print_json(data: Any) -> None:
    """Print one JSON object on one line of stdout."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def lines(rows: Iterable[tuple[str, Any]], width: int = 28) -> None:
    """Print names and values, one unwrapped line each."""
    out = consoles()[0]
    for name, value in rows:
        out.print(f"{name:<{width}} {value}", markup=False, soft_wrap=True)


def size(count: int) -> str:
    """Bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB" if count else "-"

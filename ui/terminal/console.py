"""The terminal's one console, its one way to print JSON, and the arguments that several commands take."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, as `studio list` shows it.")]


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; all else goes to stderr.")]


Profile = Annotated[
    str | None, typer.Option(help="embedded, gpu, remote, or the path of a profile file.", show_default=False)
]


class Session:
    """What one call of the command line has learnt: the run it works on, and whether JSON is wanted."""

    run_id = ""
    json = False


def consoles() -> tuple[Console, Console]:
    """The console for results (stdout) and the one for everything else (stderr)."""
    return Console(highlight=False), Console(stderr=True, highlight=False)


def print_json(data: Any) -> None:
    """Print one JSON object on one line of stdout."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")
    sys.stdout.flush()

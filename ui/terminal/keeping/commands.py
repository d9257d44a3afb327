"""How commands about marks, the bin and opinions are carried out and shown. Their options are those of the verbs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from ui.terminal.console import consoles, print_json
from ui.terminal.generate import Asked, Command

RUN = "A run's id, as `studio list` shows it."
COMMANDS = {
    "mark": Command(
        "mark_run",
        'Examples:\n\n  studio mark RUN --star\n\n  studio mark RUN --rating 4 --board "for the facade"\n\n'
        "studio list --star and studio list --board NAME show them.",
        "keeping.commands:mark",
        subject="RUN",
        about=RUN,
    ),
}
BIN = {
    "put": Command("bin_run", "Examples:\n\n  studio bin put RUN", "keeping.commands:put", subject="RUN", about=RUN),
    "list": Command(
        "list_bin", "Examples:\n\n  studio bin list\n\n  studio bin list --json", "keeping.commands:binned"
    ),
    "restore": Command(
        "restore_run", "Examples:\n\n  studio bin restore RUN", "keeping.commands:restored", subject="RUN", about=RUN
    ),
    "empty": Command(
        "empty_bin",
        "Examples:\n\n  studio bin empty\n\n  studio bin empty --days 30\n\n  studio bin empty RUN\n\n"
        "Files, checkpoints, marks and opinions of these runs are deleted for good.",
        "keeping.commands:emptied",
        subject="RUN...",
        about="Runs that lie in the bin; all of them by default.",
        many=True,
        needed=False,
    ),
}
FEEDBACK = {
    "list": Command(
        "feedback_list",
        "Examples:\n\n  studio feedback list\n\n  studio feedback list --run RUN --kind vote --json",
        "keeping.commands:opinions",
    ),
    "export": Command(
        "feedback_export",
        "Examples:\n\n  studio feedback export\n\n  studio feedback export --kind kto --out thumbs.jsonl\n\n"
        "  studio feedback export --kind pictures --out -",
        "keeping.commands:exported",
    ),
}
BIN_EPILOG = "Examples:\n\n  studio bin put RUN\n\n  studio bin restore RUN\n\n  studio bin empty --days 30"
FEEDBACK_EPILOG = "Examples:\n\n  studio feedback list\n\n  studio feedback export --kind preference"


def mark(asked: Asked) -> None:
    """Mark a run and say how it is marked now."""
    _shown(asked.verb(asked.subject, **asked.given), asked.as_json, _marked)


def _marked(made: Any) -> None:
    told = [word for word, said in (("star", made.star), (f"rating {made.rating}", made.rating)) if said]
    told += [f"on {name}" for name in made.boards]
    _line(f"{made.run_id}  {', '.join(told) or 'no marks'}")


def put(asked: Asked) -> None:
    """Put a run into the bin."""
    asked.verb(asked.subject)
    _say(asked, "in the bin; studio bin restore brings it back")


def restored(asked: Asked) -> None:
    """Take a run out of the bin."""
    asked.verb(asked.subject)
    _say(asked, "restored")


def _say(asked: Asked, words: str) -> None:
    if asked.as_json:
        print_json({"run_id": asked.subject, "state": words.partition(";")[0]})
    else:
        _line(f"{asked.subject}  {words}")


def binned(asked: Asked) -> None:
    """Show what is in the bin."""
    _shown(asked.verb(**asked.given), asked.as_json, _binned)


def _binned(made: Any) -> None:
    if not made.runs:
        consoles()[1].print("the bin is empty")
        return
    _table(("run", "put there", "about"), [(one.run_id, _day(one.binned), one.brief) for one in made.runs])


def emptied(asked: Asked) -> None:
    """Delete what is in the bin, and say what it was."""
    made = asked.verb(asked.subject or [], **asked.given)
    _shown(made, asked.as_json, _emptied)


def _emptied(made: Any) -> None:
    from workspace.progress import amount

    for run_id in made.left:
        consoles()[1].print(f"{run_id} is held by another process and stays", markup=False, soft_wrap=True)
    _line(f"deleted {len(made.deleted)} runs, {amount(made.bytes)}")


def opinions(asked: Asked) -> None:
    """Show what people think."""
    rows = asked.verb(**asked.given)
    if asked.as_json:
        print_json({"feedback": [one.model_dump(mode="json") for one in rows]})
        return
    if not rows:
        consoles()[1].print("no feedback yet")
        return
    lines = [(one.run_id, one.subject, f"{one.kind} {one.value}".strip(), _day(one.at), one.reason) for one in rows]
    _table(("run", "on", "said", "when", "why"), lines)


def exported(asked: Asked) -> None:
    """Write opinions as rows, and say how many."""
    made = asked.verb(**asked.given)
    if made.path == "-":
        return
    _shown(made, asked.as_json, lambda told: _line(f"{told.path}: {told.rows} rows; {told.left_out} make no such row"))


def _shown(made: Any, as_json: bool, show: Callable[[Any], None]) -> None:
    from ui.terminal.follow import shown  # needs pydantic, which help does not

    shown(made, as_json, show)


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        widest = max(len(column), *(len(row[number]) for row in rows))
        last = number == len(columns) - 1
        made.add_column(
            column, header_style="dim", no_wrap=True, overflow="ellipsis", min_width=None if last else min(widest, 60)
        )
    for row in rows:
        made.add_row(*(Text(" ".join(cell.split())) for cell in row))
    consoles()[0].print(made)


def _line(text: str) -> None:
    consoles()[0].print(text, markup=False, soft_wrap=True)


def _day(when: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))
    except (ValueError, OverflowError, OSError):
        return str(when)

"""How the commands about designs are carried out and shown. Their options are those of `studio.designs`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

import studio
from ui.terminal.asking import ask_person, resume_lines
from ui.terminal.console import Session, consoles, print_json
from ui.terminal.follow import follow, interactive, leave, queued, submitted
from ui.terminal.generate import Asked, Command
from ui.terminal.live import view
from workspace.errors import DataError, UsageError

if TYPE_CHECKING:
    from workspace.events import Event

COMMANDS = {
    "design": Command(
        "design",
        "Examples:\n\n"
        '  studio design "a tough panel inspired by nacre"\n\n'
        '  studio design "a light bridge deck" --inspiration "dragline silk" --inspiration bone --images 4 --seed 7\n\n'
        '  studio design "a facade" --program architecture --ask\n\n'
        '  studio design "a shade of leaf veins" --adapter leaf-micro-lora\n\n'
        '  studio design "a filter" --json > filter.json\n\n'
        '  studio design "a filter" --detach        (studio jobs list shows it)',
        "design:design",
        subject="BRIEF",
        about="What to design, in plain words; - reads stdin.",
    ),
    "resume": Command(
        "resume",
        "Examples:\n\n  studio resume 20261121-101500-a-tough-panel-1f2e\n\n"
        "  studio resume RUN --approve\n\n"
        '  studio resume RUN --prompt "a pale honeycomb of thin walls"\n\n'
        '  studio resume RUN --choice finish\n\n  studio resume RUN --source 2 --source "spider silk"',
        "design:resume",
        subject="RUN",
        about="A run's id, as `studio list` shows it.",
    ),
    "skip": Command(
        "skip",
        "Examples:\n\n  studio skip 20261121-101500-a-tough-panel-1f2e",
        "design:skip",
        subject="RUN",
        about="A run that paints just now: the rest of the round's pictures is left out, and it goes on.",
    ),
    "list": Command("list_runs", "Examples:\n\n  studio list\n\n  studio list --limit 5 --json", "design:list_runs"),
    "show": Command(
        "open_run",
        "Examples:\n\n  studio show RUN\n\n  studio show RUN --json\n\n  studio show RUN --why\n\n"
        "  studio show RUN --why mechanisms.1\n\n  studio show RUN --why picture-1",
        "design:show",
        subject="RUN",
        about="A run's id, as `studio list` shows it.",
    ),
    "replay": Command(
        "replay",
        "Examples:\n\n  studio replay RUN\n\n  studio replay RUN --json",
        "design:replay",
        subject="RUN",
        about="A run's id, as `studio list` shows it.",
    ),
    "branch": Command(
        "branch",
        "Examples:\n\n  studio branch RUN --at picture/round-1/00\n\n"
        '  studio branch RUN --at illustrator/prompt-1 --edit "a pale honeycomb of thin walls"\n\n'
        "  studio branch RUN --at engineer/design-1 --edit @design.json\n\n"
        "  studio branch RUN --at scientist/turn-2 --seed 7 --detach",
        "design:branch",
        subject="RUN",
        about="A run's id, as `studio list` shows it; it need not be finished.",
    ),
    "export": Command(
        "export",
        "Examples:\n\n  studio export RUN --format md\n\n  studio export RUN --format zip --out panel.zip\n\n"
        "  studio export RUN --format prov",
        "design:export",
        subject="RUN",
        about="A run's id, as `studio list` shows it.",
        json=False,
    ),
}


def design(asked: Asked) -> None:
    """Queue a design, follow it, answer its questions if a person is there, and show the result."""
    text = _from_stdin() if asked.subject == "-" else asked.subject
    options = asked.options
    run_id = queued(asked, text)
    if asked.detach:
        submitted(run_id, asked.as_json)
        return
    _to_the_end(run_id, asked.as_json, (options.ask or options.choose) and interactive(asked.as_json))


def _from_stdin() -> str:
    """The brief on stdin.

    Raises:
        DataError: It is no UTF-8 text.
    """
    data = sys.stdin.buffer.read(400_000)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong = f"byte 0x{data[error.start]:02x} at position {error.start + 1}"
        raise DataError(f"the brief on stdin is not UTF-8 text: {wrong}", hint="iconv -t UTF-8 turns it") from None


def branch(asked: Asked) -> None:
    """Queue a branch of a run, follow it as a design is followed, and show the result."""
    edit = asked.given.get("edit")
    if isinstance(edit, str) and edit.startswith("@"):
        asked = replace(asked, given=asked.given | {"edit": _of_file(Path(edit[1:]).expanduser())})
    run_id = queued(asked, asked.subject)
    consoles()[1].print(_lineage(run_id), soft_wrap=True, markup=False)
    if asked.detach:
        submitted(run_id, asked.as_json)
        return
    _to_the_end(run_id, asked.as_json, interactive(asked.as_json))


def _of_file(path: Path) -> str:
    """The text of a file.

    Raises:
        DataError: It cannot be read, or is no UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            return file.read(400_000).decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text") from None


def _lineage(run_id: str) -> str:
    """Where a run comes from and what was branched from it, in a line; empty if neither."""
    family = studio.family(run_id)
    mine = next(one for one in family if one.run_id == run_id)
    parts = []
    if mine.parent:
        parts.append(f"branched from {mine.parent} at {mine.at}, {mine.how}, seed {mine.seed}")
    if branches := [one for one in family if one.parent == run_id]:
        parts.append(f"branches: {', '.join(f'{one.run_id} ({one.at}, {one.how})' for one in branches)}")
    return "; ".join(parts)


def resume(asked: Asked) -> None:
    """Queue a run again and follow it; one that is being made is followed, a finished one is shown."""
    from studio.designs import queue_again

    Session.run_id = asked.subject
    if _other_job(asked.subject):
        studio.retry_job(asked.subject)
        follow(asked.subject, again=f"studio jobs retry {asked.subject}")
    elif queue_again(asked.subject, asked.options):
        _to_the_end(asked.subject, asked.as_json, interactive(asked.as_json))
    else:
        _show(studio.open_run(asked.subject), asked.as_json)


def _other_job(job_id: str) -> bool:
    """Whether there is a job of that id that is no design."""
    try:
        return bool(studio.open_job(job_id).kind != "design")
    except UsageError:
        return False


def _to_the_end(run_id: str, as_json: bool, with_person: bool) -> None:
    from studio.designs import ResumeCall, queue_again

    follow(run_id)
    run = studio.open_run(run_id)
    while run.status == "waiting" and with_person:
        queue_again(run_id, ResumeCall(answers=ask_person(run, consoles()[0])))
        follow(run_id)
        run = studio.open_run(run_id)
    if run.status == "waiting":
        if as_json:
            print_json(run.to_json())
            Session.json = False
        leave(resume_lines(run))
    _show(run, as_json)


def _show(run: studio.Design, as_json: bool) -> None:
    from ui.terminal.card import show as show_card

    if as_json:
        print_json(run.to_json())
    else:
        show_card(consoles()[0], run)


def list_runs(asked: Asked) -> None:
    """Show the list of runs."""
    from ui.terminal.card import runs_table

    rows = asked.verb(**asked.given)
    if asked.as_json:
        keys = ("run_id", "status", "brief", "created")
        print_json({"runs": [{key: getattr(row, key) for key in keys} | {"folder": str(row.folder)} for row in rows]})
    elif rows:
        consoles()[0].print(runs_table(rows))
    else:
        consoles()[1].print('no runs yet; begin with: studio design "..."')


def show(asked: Asked) -> None:
    """Show a run, or where what it made comes from."""
    if "why" not in asked.given:
        _show(asked.verb(asked.subject), asked.as_json)
        if not asked.as_json and (line := _lineage(asked.subject)):
            consoles()[0].print(line, soft_wrap=True, markup=False)
        return
    told = studio.explain(asked.subject, **asked.given)
    if asked.as_json:
        print_json(told.model_dump(mode="json"))
        return
    for line in told.lines:
        consoles()[0].print(Text(line), soft_wrap=True)


def replay(asked: Asked) -> None:
    """Make a run again and say what is identical."""
    out, err = consoles()
    with view(err) as show_event:
        result = asked.verb(asked.subject, listener=_noting(show_event))
    if asked.as_json:
        print_json(result.to_json())
    else:
        for line in result.lines():
            out.print(line, soft_wrap=True, markup=False)
    if not result.identical:
        raise typer.Exit(1)


def _noting(show_event: Callable[[Event], Any]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        Session.run_id = event.run_id or Session.run_id
        show_event(event)

    return listen


def export(asked: Asked) -> None:
    """Write a run as one file and say where it is."""
    from studio.runs.deliver import is_stream

    path = asked.verb(asked.subject, **asked.given)
    out, aside = consoles()
    (aside if is_stream(path) else out).print(str(path), soft_wrap=True, markup=False)

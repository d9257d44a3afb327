"""The commands about designs: make, resume, list, show, replay, export. Knows how to show; not how it is done."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import studio
from ui.terminal.asking import ask_person
from ui.terminal.console import Json, Profile, Run, Session, consoles, print_json
from workspace.errors import Unfinished

if TYPE_CHECKING:
    from studio.runs.record import Design
    from workspace.events import Event


def _show(run: Design, as_json: bool) -> None:
    from ui.terminal.card import show

    if as_json:
        print_json(run.to_json())
    else:
        show(consoles()[0], run)


def _go(make: Any, as_json: bool, interactive: bool, resume_again: bool = True) -> None:
    """Run ``make(listener)``, answer its questions if a person is there, and show the result."""
    from ui.terminal.live import view

    out, err = consoles()
    with view(err) as show:

        def listen(event: Event) -> None:
            Session.run_id = event.run_id or Session.run_id
            show(event)

        run = make(listen)
    while run.status == "waiting" and interactive and resume_again:
        answers = ask_person(run, out)
        with view(err) as show:
            run = studio.resume(run.run_id, answers, listener=listen)
    if run.status == "waiting":
        from ui.terminal.asking import resume_lines

        if as_json:
            print_json(run.to_json())
            Session.json = False
        for line in resume_lines(run):
            err.print(line, soft_wrap=True, markup=False)
        raise typer.Exit(Unfinished.exit_code)
    _show(run, as_json)


def _interactive(as_json: bool) -> bool:
    return not as_json and sys.stdin.isatty() and sys.stdout.isatty()


DESIGN_EXAMPLES = (
    "Examples:\n\n"
    '  studio design "a tough panel inspired by nacre"\n\n'
    '  studio design "a light bridge deck" --inspiration "dragline silk" --inspiration bone --images 4 --seed 7\n\n'
    '  studio design "a facade" --program architecture --ask\n\n'
    '  studio design "a shade of leaf veins" --adapter leaf-micro-lora\n\n'
    '  studio design "a filter" --json > filter.json'
)


def design(
    brief: Annotated[str, typer.Argument(metavar="BRIEF", help="What to design, in plain words; - reads stdin.")],
    inspiration: Annotated[
        list[str] | None, typer.Option(help="A biological material to draw on; may be given up to six times.")
    ] = None,
    program: Annotated[str, typer.Option(help="A program's name (see `studio programs`) or file.")] = (
        "relate-and-design"
    ),
    images: Annotated[int | None, typer.Option(help="Pictures a round, 1 to 64.", show_default=False)] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds of pictures, 1 to 10.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="0 to 2147483647; drawn at random if absent.")] = None,
    size: Annotated[int | None, typer.Option(help="Edge in pixels, a multiple of 16, 64 to 2048.")] = None,
    model: Annotated[str | None, typer.Option(help="Chat model for all roles.", show_default=False)] = None,
    adapter: Annotated[
        str | None, typer.Option(help="LoRA adapter of the painter: a name, a file, or none.", show_default=False)
    ] = None,
    profile: Profile = None,
    ask: Annotated[bool, typer.Option("--ask", help="Stop for approval before painting and after the critique.")] = (
        False
    ),
    as_json: Json = False,
) -> None:
    """Make a design: reason, write it down as data, paint pictures."""
    Session.json = as_json
    text = sys.stdin.read(100_000) if brief == "-" else brief
    _go(
        lambda listen: studio.design(
            text,
            inspirations=inspiration or (),
            program=program,
            images=images,
            rounds=rounds,
            seed=seed,
            size=size,
            model=model,
            adapter=adapter,
            profile=profile,
            ask=ask,
            listener=listen,
        ),
        as_json,
        ask and _interactive(as_json),
    )


RESUME_EXAMPLES = (
    "Examples:\n\n  studio resume 20261121-101500-a-tough-panel-1f2e\n\n"
    "  studio resume RUN --approve\n\n"
    '  studio resume RUN --prompt "a pale honeycomb of thin walls"\n\n'
    "  studio resume RUN --choice finish"
)


def resume(
    run: Run,
    approve: Annotated[bool, typer.Option("--approve", help="Say yes to the question the run waits with.")] = False,
    prompt: Annotated[
        str | None, typer.Option(help="Go on with this picture prompt instead.", show_default=False)
    ] = None,
    choice: Annotated[
        str | None, typer.Option(help="Answer by name, such as repaint, rethink or finish.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Go on with a run that was stopped, killed, or waits for an answer."""
    from ui.terminal.asking import answers_from

    Session.json, Session.run_id = as_json, run
    answers = answers_from(approve, prompt, choice)
    _go(lambda listen: studio.resume(run, answers, listener=listen), as_json, _interactive(as_json))


LIST_RUNS_EXAMPLES = "Examples:\n\n  studio list\n\n  studio list --limit 5 --json"


def list_runs(
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1, max=10_000)] = 20, as_json: Json = False
) -> None:
    """List the runs, newest first."""
    from ui.terminal.card import runs_table

    Session.json = as_json
    rows = studio.list_runs(limit)
    if as_json:
        keys = ("run_id", "status", "brief", "created")
        print_json({"runs": [{key: getattr(row, key) for key in keys} | {"folder": str(row.folder)} for row in rows]})
    elif rows:
        consoles()[0].print(runs_table(rows))
    else:
        consoles()[1].print('no runs yet; begin with: studio design "..."')


SHOW_EXAMPLES = "Examples:\n\n  studio show RUN\n\n  studio show RUN --json"


def show(run: Run, as_json: Json = False) -> None:
    """Show a run's design, pictures and state."""
    Session.json = as_json
    _show(studio.open_run(run), as_json)


REPLAY_EXAMPLES = "Examples:\n\n  studio replay RUN\n\n  studio replay RUN --json"


def replay(run: Run, as_json: Json = False) -> None:
    """Make a run again with the same seeds and models, and say what came out identical."""
    from ui.terminal.live import view

    Session.json = as_json
    out, err = consoles()
    with view(err) as show_event:

        def listen(event: Event) -> None:
            Session.run_id = event.run_id or Session.run_id
            show_event(event)

        result = studio.replay(run, listener=listen)
    if as_json:
        print_json(result.to_json())
    else:
        for line in result.lines():
            out.print(line, soft_wrap=True, markup=False)
    if not result.identical:
        raise typer.Exit(1)


EXPORT_EXAMPLES = "Examples:\n\n  studio export RUN --format md\n\n  studio export RUN --format zip --out panel.zip"


def export(
    run: Run,
    format: Annotated[str, typer.Option("--format", help="md (report with pictures), json, or zip (whole run).")] = (
        "md"
    ),
    out: Annotated[
        Path | None, typer.Option(help="The file to write; else RUN.md, RUN.json or RUN.zip here.", show_default=False)
    ] = None,
) -> None:
    """Write a run as one file."""
    path = studio.export(run, format, out)
    consoles()[0].print(str(path), soft_wrap=True, markup=False)

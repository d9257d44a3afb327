"""The command line: reads options, calls the front door, shows what comes back. Knows nothing of how it is done.

Every command is a few lines on ``studio``; nothing heavy is imported until a command needs it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

import studio
from ui.terminal import installation as admin
from ui.terminal.asking import ask_person
from ui.terminal.training import train_app
from workspace.errors import DataError, Interrupted, ServiceError, StorageError, StudioError, Unfinished, UsageError

if TYPE_CHECKING:
    from studio.runs.record import Design
    from workspace.events import Event

app = typer.Typer(
    name="studio",
    help="Studio: an agentic design studio for bio-inspired materials.",
    epilog='Begin with:  [bold]studio design "a tough panel inspired by nacre and leaves"[/bold]',
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

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


def _print_json(data: Any) -> None:
    sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _show(run: Design, as_json: bool) -> None:
    from ui.terminal.card import show

    if as_json:
        _print_json(run.to_json())
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
            _print_json(run.to_json())
            Session.json = False
        for line in resume_lines(run):
            err.print(line, soft_wrap=True, markup=False)
        raise typer.Exit(Unfinished.exit_code)
    _show(run, as_json)


def _interactive(as_json: bool) -> bool:
    return not as_json and sys.stdin.isatty() and sys.stdout.isatty()


@app.command(
    epilog="Examples:\n\n"
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


@app.command(
    epilog="Examples:\n\n  studio resume 20261121-101500-a-tough-panel-1f2e\n\n"
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


@app.command("list", epilog="Examples:\n\n  studio list\n\n  studio list --limit 5 --json")
def list_runs(
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1, max=10_000)] = 20, as_json: Json = False
) -> None:
    """List the runs, newest first."""
    from ui.terminal.card import runs_table

    Session.json = as_json
    rows = studio.list_runs(limit)
    if as_json:
        keys = ("run_id", "status", "brief", "created")
        _print_json({"runs": [{key: getattr(row, key) for key in keys} | {"folder": str(row.folder)} for row in rows]})
    elif rows:
        consoles()[0].print(runs_table(rows))
    else:
        consoles()[1].print('no runs yet; begin with: studio design "..."')


@app.command(epilog="Examples:\n\n  studio show RUN\n\n  studio show RUN --json")
def show(run: Run, as_json: Json = False) -> None:
    """Show a run's design, pictures and state."""
    Session.json = as_json
    _show(studio.open_run(run), as_json)


@app.command(epilog="Examples:\n\n  studio replay RUN\n\n  studio replay RUN --json")
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
        _print_json(result.to_json())
    else:
        for line in result.lines():
            out.print(line, soft_wrap=True, markup=False)
    if not result.identical:
        raise typer.Exit(1)


@app.command(epilog="Examples:\n\n  studio export RUN --format md\n\n  studio export RUN --format zip --out panel.zip")
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


app.command("programs", epilog=admin.PROGRAMS_EXAMPLES)(admin.programs)
app.add_typer(admin.models_app, name="models")
app.add_typer(train_app, name="train")
app.command("doctor", epilog=admin.DOCTOR_EXAMPLES)(admin.doctor)


@app.command("ui", epilog="Examples:\n\n  studio ui\n\n  studio ui --port 8080 --open")
def start_page(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 7860,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the default browser too.")] = False,
) -> None:
    """Serve the page."""
    from ui.app import serve

    serve(host=host, port=port, open_browser=open_browser)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"studio {studio.__version__}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        consoles()[0].print(context.get_help())


def check_neighbours() -> None:
    """Raise unless the ``agents`` that Python finds is the one beside this package."""
    spec = importlib.util.find_spec("agents")
    beside = Path(__file__).resolve().parent.parent / "agents"
    found = None if spec is None or spec.origin is None else Path(spec.origin).resolve().parent
    if found != beside:
        where = "nowhere" if found is None else str(found)
        raise ServiceError(
            f"the package 'agents' is found at {where}, not at {beside}: another package of that name is in the way",
            hint="use a virtual environment of its own: make setup",
        )


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(error: StudioError) -> int:
    if os.environ.get("STUDIO_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    kept = Session.run_id and isinstance(error, (DataError, ServiceError, StorageError))
    after = f"; go on with: studio resume {Session.run_id}" if kept else ""
    sys.stderr.write(f"error: {' '.join(str(error).split())}{after}\n")
    if isinstance(error, Interrupted) and Session.run_id:
        sys.stderr.write(f"studio resume {Session.run_id}\n")
    if Session.json:
        _print_json({"error": error.message, "exit_code": error.exit_code, "run_id": Session.run_id or None})
    return error.exit_code


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    signal.signal(signal.SIGTERM, _stop)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    Session.run_id, Session.json = "", False
    command = typer.main.get_command(app)
    from typer.exceptions import Abort, TyperException

    try:
        check_neighbours()
        code = command.main(arguments, prog_name="studio", standalone_mode=False)
        if code == Interrupted.exit_code:  # what Typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
    except StudioError as error:
        return _fail(error)
    except TyperException as error:
        return _fail(UsageError(error.format_message().rstrip("."), hint="see --help"))
    except (Abort, KeyboardInterrupt):
        begun = (sys.argv[1:] if arguments is None else arguments)[:1]
        again = begun in (["train"], ["models"])
        return _fail(Interrupted("stopped", hint="the same command goes on" if again else None))
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    raise SystemExit(main())

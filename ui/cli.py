"""The command line: reads options, calls the front door, shows what comes back. Knows nothing of how it is done.

Every command is a few lines on ``studio``; nothing heavy is imported until a command needs it.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

import studio
from ui.terminal import batches, design, installation, jobs, library, serving, training
from ui.terminal.configuration import settings
from ui.terminal.console import (
    ClosedOutput,
    OutputFault,
    Session,
    consoles,
    forsake_output,
    outputs,
    print_json,
)
from ui.terminal.generate import table
from ui.terminal.keeping import commands as keeping
from ui.terminal.live import view
from workspace.errors import DataError, Interrupted, ServiceError, StorageError, StudioError, UsageError
from workspace.letters import harmless

GROUPS = {
    "models": (installation.MODELS, "The models: which there are, fetching and verifying them.", installation.EPILOG),
    "library": (library.COMMANDS, "A library of papers: added to, listed, searched.", library.EPILOG),
    "train": (
        training.COMMANDS,
        "Training: a corpus from papers, questions from it, language models, adapters for the painter.",
        training.EPILOG,
    ),
    "settings": (settings.COMMANDS, "Settings: listed, changed, servers tried, keys kept.", settings.EPILOG),
    "users": (serving.USERS, "Who may log in to the page where others reach it.", serving.USERS_EPILOG),
    "bin": (keeping.BIN, "The bin: runs put there, brought back, deleted for good.", keeping.BIN_EPILOG),
    "feedback": (
        keeping.FEEDBACK,
        "Feedback: what people think of what was made, listed, written to train on.",
        keeping.FEEDBACK_EPILOG,
    ),
    "jobs": (jobs.COMMANDS, "The queue: jobs listed, watched, stopped, taken up again.", jobs.EPILOG),
}
"""The groups of commands: what is in each, what it is for, and examples."""

app = typer.Typer(
    name="studio",
    help="Studio: an agentic design studio for bio-inspired materials.",
    epilog='Begin with:  [bold]studio design "a tough panel inspired by nacre and leaves"[/bold]',
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    cls=table(design.COMMANDS | keeping.COMMANDS | batches.COMMANDS | installation.COMMANDS | serving.COMMANDS),
)


def _group(name: str) -> None:
    commands, about, epilog = GROUPS[name]
    group = typer.Typer(
        help=about, epilog=epilog, no_args_is_help=True, pretty_exceptions_enable=False, cls=table(commands)
    )
    group.callback()(lambda: None)
    app.add_typer(group, name=name)


for _name in GROUPS:
    _group(_name)


@app.command(
    "ui",
    epilog="Examples:\n\n  studio ui\n\n  studio ui --port 8080 --open\n\n"
    "  studio ui --host 0.0.0.0 --auth users.txt --api",
)
def start_page(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 7860,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name that browsers may call this machine by; may be given again.")
    ] = None,
    auth: Annotated[
        Path | None, typer.Option(help="The file of who may log in (studio users add); nobody has to without it.")
    ] = None,
    api: Annotated[bool, typer.Option("--api", help="Open the API at /api/v1 too; /api/v1/docs describes it.")] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the default browser too.")] = False,
) -> None:
    """Serve the page; where others reach it, for those who log in."""
    from ui.web.server import refuse_strangers

    refuse_strangers(host, auth)
    from workspace.progress import progress_to, waiting

    with view(consoles()[1]) as show, progress_to(show), waiting("starting the page"):
        from studio.sharing.users import Users
        from ui.app import application
        from ui.web.server import run

        users = None if auth is None else Users(auth.expanduser().absolute())
        page = application(names=[host, *(allow_host or ())], users=users, api=api)
    run(page, host, port, open_browser=open_browser)


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
    beside = Path(studio.__file__).resolve().parents[1].joinpath("agents")
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
    if isinstance(error, ClosedOutput):
        return error.exit_code
    if os.environ.get("STUDIO_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    kept = Session.run_id and isinstance(error, (DataError, ServiceError, StorageError))
    kept = kept and not isinstance(error, OutputFault)
    after = f"; go on with: studio resume {Session.run_id}" if kept else ""
    sys.stderr.write(harmless(f"error: {' '.join(str(error).split())}{after}") + "\n")
    if isinstance(error, Interrupted) and Session.run_id:
        sys.stderr.write(f"studio resume {Session.run_id}\n")
    if Session.json:
        print_json({"error": error.message, "exit_code": error.exit_code, "run_id": Session.run_id or None})
    return error.exit_code


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    with outputs():
        try:
            code = _run(arguments)
            sys.stdout.flush()
        except OutputFault as error:
            forsake_output()
            Session.json = False
            return _fail(error)
        return code


def _run(arguments: list[str] | None) -> int:
    signal.signal(signal.SIGTERM, _stop)
    Session.run_id, Session.json = "", False
    command = typer.main.get_command(app)
    from typer.exceptions import Abort, TyperException

    try:
        check_neighbours()
        code = command.main(arguments, prog_name="studio", standalone_mode=False)
        if code == Interrupted.exit_code:  # what Typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
    except OutputFault:
        raise
    except StudioError as error:
        return _fail(error)
    except TyperException as error:
        return _fail(UsageError(error.format_message().rstrip("."), hint="see --help"))
    except (Abort, KeyboardInterrupt):
        begun = (sys.argv[1:] if arguments is None else arguments)[:1]
        again = begun in (["train"], ["models"], ["batch"], ["library"])
        return _fail(Interrupted("stopped", hint="the same command goes on" if again else None))
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    raise SystemExit(main())

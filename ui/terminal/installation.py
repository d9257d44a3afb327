"""The commands about the installation: models, doctor, programs. Knows how to show them; not how they are done."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from workspace.errors import DataError, ServiceError, UsageError

if TYPE_CHECKING:
    from workspace.progress import Progress as Event

DOCTOR_EXAMPLES = "Examples:\n\n  studio doctor\n\n  studio doctor --profile gpu --json"
PROGRAMS_EXAMPLES = "Examples:\n\n  studio programs\n\n  studio programs architecture"

models_app = typer.Typer(
    help="The models: which there are, fetching and verifying them.",
    epilog="Examples:\n\n  studio models list\n\n  studio models fetch --embedded\n\n  studio models verify",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def _out() -> Console:
    return Console(highlight=False)


def _print_json(data: Any) -> None:
    sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB" if count else "-"


@models_app.command("list", epilog="Examples:\n\n  studio models list\n\n  studio models list --kind vision --json")
def list_models(
    kind: Annotated[str | None, typer.Option(help="Only chat, vision, embedding, painter or adapter.")] = None,
    as_json: Json = False,
) -> None:
    """List the catalogue, and say which models are on this machine."""
    from models.catalogue.fetch import place, variants
    from models.catalogue.table import MODELS
    from ui.terminal.card import table
    from workspace.errors import unknown
    from workspace.settings import load_settings

    home = load_settings().home
    kinds = {model.kind for model in MODELS.values()}
    if kind is not None and kind not in kinds:
        raise UsageError(unknown("kind", kind, kinds))
    rows = [model for model in MODELS.values() if kind in (None, model.kind)]
    here = {model.id: place(model, home).is_dir() for model in rows}
    if as_json:
        names = ("id", "kind", "parameters", "size_bytes", "licence", "hub", "gated", "base", "trigger", "note")
        listed = [{name: getattr(model, name) for name in names} | {"here": here[model.id]} for model in rows]
        _print_json({"models": listed, "variants": variants(home)})
        return
    cells = [
        (
            model.id,
            model.kind,
            _bytes(model.size_bytes),
            model.licence + (", gated" if model.gated else ""),
            "yes" if here[model.id] else "no",
            model.note,
        )
        for model in rows
    ]
    if kind in (None, "chat"):
        cells += [(name, "chat", "", "", "yes", "trained here") for name in variants(home)]
    _out().print(table(("model", "kind", "download", "licence", "here", "note"), cells))


@models_app.command(
    epilog="Examples:\n\n  studio models fetch --embedded\n\n  studio models fetch smollm2-360m-instruct"
)
def fetch(
    model: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids as `studio models list` shows.")] = None,
    embedded: Annotated[bool, typer.Option("--embedded", help="The models of the embedded profile.")] = False,
) -> None:
    """Fetch models: resumable, verified, whole or not at all."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from models.catalogue.fetch import fetch as fetch_model
    from models.catalogue.table import EMBEDDED
    from workspace.settings import load_settings

    wanted = [*(model or ()), *(EMBEDDED if embedded else ())]
    if not wanted:
        raise UsageError("name a model, or give --embedded", hint="studio models list")
    home = load_settings().home
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        for name in wanted:
            tasks: dict[str, Any] = {}

            def shown(event: Event, tasks: dict[str, Any] = tasks) -> None:
                if event.type == "remark":
                    bar.console.print(event.text, markup=False)
                if event.type == "downloaded":
                    if event.file not in tasks:
                        tasks[event.file] = bar.add_task(event.file, total=event.of or None)
                    bar.update(tasks[event.file], completed=event.bytes, total=event.of or None)

            folder = fetch_model(name, home, shown)
            _out().print(Text(f"{name}  {folder}"), soft_wrap=True)


@models_app.command(epilog="Examples:\n\n  studio models verify\n\n  studio models verify smollm2-135m-instruct")
def verify(
    model: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Ids or folders; all that are here if none.")
    ] = None,
) -> None:
    """Read every byte of the models and compare with what was recorded."""
    from models.catalogue.fetch import place
    from models.catalogue.fetch import verify as verify_model
    from models.catalogue.table import MODELS
    from workspace.settings import load_settings

    home = load_settings().home
    wanted = model or [row.id for row in MODELS.values() if place(row, home).is_dir()]
    broken = []
    for name in wanted:
        problems = verify_model(name, home)
        _out().print(Text(f"{name}  {'sound' if not problems else 'BROKEN'}"), soft_wrap=True)
        for problem in problems:
            _out().print(Text(f"  {problem}"), soft_wrap=True)
        broken += [name] if problems else []
    if broken:
        raise DataError(f"{len(broken)} of {len(wanted)} models are broken: {', '.join(broken)}")


def doctor(
    profile: Annotated[str | None, typer.Option(help="Look with the eyes of this profile.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Show the settings and where each came from, versions, devices, disk, and what is missing."""
    from studio.doctor import examine
    from ui.terminal.card import table
    from workspace.settings import load_settings

    report = examine(load_settings(profile))
    if as_json:
        _print_json(report.to_json())
    else:
        out = _out()
        out.print(table(("setting", "value", "from"), report.settings))
        out.print(table(("package", "version"), report.versions.items(), title="\nVersions"))
        out.print(table(("device",), ([device] for device in report.devices), title="\nDevices"))
        out.print(table(("model", "for", "where or why not"), report.models, title="\nModels"))
        out.print(
            Text(f"\n{report.home}: {_bytes(report.used_bytes)} used, {_bytes(report.free_bytes)} free"), soft_wrap=True
        )
        for item in report.missing:
            out.print(Text.assemble(("\nmissing  ", "bold red"), item.what), soft_wrap=True)
            out.print(Text.assemble(("mend it  ", "bold"), item.command), soft_wrap=True)
        if not report.missing:
            out.print("nothing is missing")
    if report.missing:
        count = len(report.missing)
        raise ServiceError(
            f"{count} thing{'s are' if count > 1 else ' is'} missing: {report.missing[0].what}",
            hint=report.missing[0].command,
        )


def programs(
    name: Annotated[str | None, typer.Argument(metavar="NAME|FILE", help="Show this one whole.")] = None,
    as_json: Json = False,
) -> None:
    """List the programs, or show one with its system prompt and turns."""
    from agents.programs import load_program, shipped
    from ui.terminal.card import table

    if name is not None:
        program = load_program(name)
        if as_json:
            _print_json(program.model_dump(mode="json"))
            return
        _out().print(Text.assemble((program.name, "bold"), f"  {program.description}\n\n{program.system.strip()}"))
        for number, turn in enumerate(program.turns, 1):
            _out().print(Text.assemble((f"\n{number}. {turn.label}\n", "bold"), turn.text.strip()))
    elif as_json:
        _print_json({"programs": [program.model_dump(mode="json") for program in shipped().values()]})
    else:
        rows = ((program.name, program.target, program.description) for program in shipped().values())
        _out().print(table(("program", "shows", "description"), rows))

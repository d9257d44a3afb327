"""How the commands about the installation are carried out and shown: models, doctor, programs."""

from __future__ import annotations

from rich.text import Text

import studio
from ui.terminal.card import table
from ui.terminal.console import consoles, print_json, size
from ui.terminal.follow import at_once, finished, follow, queued, submitted
from ui.terminal.generate import Asked, Command
from workspace.errors import DataError, ServiceError

COMMANDS = {
    "programs": Command(
        "programs",
        "Examples:\n\n  studio programs\n\n  studio programs architecture",
        "installation:programs",
        subject="NAME|FILE",
        about="Show this one whole.",
        needed=False,
    ),
    "doctor": Command(
        "examine", "Examples:\n\n  studio doctor\n\n  studio doctor --profile gpu --json", "installation:doctor"
    ),
}
MODELS = {
    "list": Command(
        "list_models",
        "Examples:\n\n  studio models list\n\n  studio models list --kind vision --json",
        "installation:list_models",
    ),
    "fetch": Command(
        "fetch_models",
        "Examples:\n\n  studio models fetch --embedded\n\n  studio models fetch smollm2-360m-instruct",
        "installation:fetch",
        subject="[ID]...",
        about="Ids as `studio models list` shows.",
        many=True,
        needed=False,
    ),
    "verify": Command(
        "verify_models",
        "Examples:\n\n  studio models verify\n\n  studio models verify smollm2-135m-instruct",
        "installation:verify",
        subject="[ID]...",
        about="Ids or folders; all that are here if none.",
        many=True,
        needed=False,
    ),
}
EPILOG = "Examples:\n\n  studio models list\n\n  studio models fetch --embedded\n\n  studio models verify"


def list_models(asked: Asked) -> None:
    """Show the catalogue."""
    library = asked.verb(**asked.given)
    if asked.as_json:
        print_json(library.model_dump(mode="json"))
        return
    cells = [
        (
            model.id,
            model.kind,
            size(model.size_bytes),
            model.licence + (", gated" if model.gated else ""),
            "yes" if model.here else "no",
            model.note,
        )
        for model in library.models
    ]
    if asked.given.get("kind") in (None, "chat"):
        cells += [(name, "chat", "", "", "yes", "trained here") for name in library.variants]
    consoles()[0].print(table(("model", "kind", "download", "licence", "here", "note"), cells))


def fetch(asked: Asked) -> None:
    """Queue a download and follow it."""
    job_id = queued(asked, list(asked.subject or ()))
    if asked.detach:
        submitted(job_id, asked.as_json)
        return
    follow(job_id, again="the same command goes on")
    made = finished(job_id)
    if asked.as_json:
        print_json(made)
        return
    for name, folder in made["folders"].items():
        consoles()[0].print(Text(f"{name}  {folder}"), soft_wrap=True)


def verify(asked: Asked) -> None:
    """Show what is wrong with models; any fault is one of the data."""
    found = at_once(asked, list(asked.subject or ())).problems
    if asked.as_json:
        print_json({"problems": {name: list(problems) for name, problems in found.items()}})
    for name, problems in {} if asked.as_json else found.items():
        consoles()[0].print(Text(f"{name}  {'sound' if not problems else 'BROKEN'}"), soft_wrap=True)
        for problem in problems:
            consoles()[0].print(Text(f"  {problem}"), soft_wrap=True)
    broken = [name for name, problems in found.items() if problems]
    if broken:
        raise DataError(f"{len(broken)} of {len(found)} models are broken: {', '.join(broken)}")


def doctor(asked: Asked) -> None:
    """Show what the doctor found; anything missing is an error."""
    report = at_once(asked)
    if asked.as_json:
        print_json(report.to_json())
    else:
        out = consoles()[0]
        out.print(table(("setting", "value", "from"), report.settings))
        out.print(table(("package", "version"), report.versions.items(), title="\nVersions"))
        out.print(table(("device",), ([device] for device in report.devices), title="\nDevices"))
        out.print(table(("model", "for", "where or why not"), report.models, title="\nModels"))
        if report.servers:
            out.print(table(("server", "for", "how it stands"), report.servers, title="\nServers"))
        out.print(table(("engine", "version", "for studio serve"), report.engines, title="\nEngines"))
        if report.serving:
            out.print(table(("served here", "address", "model"), report.serving, title="\nServing"))
        words = f"\n{report.home}: {size(report.used_bytes)} used, {size(report.free_bytes)} free"
        out.print(Text(words), soft_wrap=True)
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


def programs(asked: Asked) -> None:
    """Show the programs, or one of them whole."""
    out = consoles()[0]
    if asked.subject is not None:
        program = studio.open_program(asked.subject)
        if asked.as_json:
            print_json(program.model_dump(mode="json"))
            return
        out.print(Text.assemble((program.name, "bold"), f"  {program.description}\n\n{program.system.strip()}"))
        for number, turn in enumerate(program.turns, 1):
            out.print(Text.assemble((f"\n{number}. {turn.label}\n", "bold"), turn.text.strip()))
        return
    found = asked.verb()
    if asked.as_json:
        print_json({"programs": [program.model_dump(mode="json") for program in found.values()]})
    else:
        rows = ((program.name, program.target, program.description) for program in found.values())
        out.print(table(("program", "shows", "description"), rows))

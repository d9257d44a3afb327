"""Commands made from verbs: options, bounds, defaults and help come from the verb's own class, and stand nowhere else.

A table of `Command` says which verbs there are on the command line and how their results are shown. Nothing of a verb
is imported until its command is called or asked for help: a group's help reads its verbs' first lines off the source.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

import studio
from ui.terminal.console import Session
from workspace.errors import UsageError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        verb: The verb's name in `studio`.
        examples: Shown under its help.
        handler: ``module:function`` under ``ui.terminal`` that is called with an `Asked` and does the rest.
        subject: What the verb is about, as the usage line says it; empty for a verb without a subject.
        about: Its help.
        many: Whether several may be given.
        needed: Whether one must be given.
        json: Whether ``--json`` is offered.
    """

    verb: str
    examples: str
    handler: str
    subject: str = ""
    about: str = ""
    many: bool = False
    needed: bool = True
    json: bool = True


@dataclass(frozen=True)
class Asked:
    """What was typed: the verb, its subject, its options as far as they were given, and how it is to be shown."""

    verb: Any
    subject: Any
    given: dict[str, Any]
    as_json: bool
    detach: bool

    @property
    def options(self) -> Any:
        """The verb's options, checked.

        Raises:
            UsageError: Something is out of its bounds.
        """
        from workspace.options import checked

        return checked(self.verb.kind, self.given)


class Table(TyperGroup):
    """A group whose commands are built when they are called."""

    entries: Mapping[str, Command] = {}

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        listed = {name: TyperCommand(name) for name in self.entries}
        self.commands = {**listed, **self.commands}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command as a list shows it: its name and what its verb says first."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and cmd_name in self.entries:
            command.help = studio.summary(self.entries[cmd_name].verb)
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called, built whole."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in self.entries:
            command = build(name, self.entries[name])
            rest = _with_values(rest, self.entries[name])
        return name, command, rest


def _with_values(args: list[str], command: Command) -> list[str]:
    """What was typed, with the value that an option means where it stands without one (``bare`` of its field)."""
    from studio.verb import named

    kind = getattr(studio, command.verb).kind
    bare = {
        str(_extra(info).get("option") or f"--{name.replace('_', '-')}"): str(_extra(info)["bare"])
        for name in named(kind)
        if "bare" in _extra(info := kind.model_fields[name])
    }
    made: list[str] = []
    for place, arg in enumerate(args):
        made.append(arg)
        if arg in bare and (place + 1 == len(args) or args[place + 1].startswith("-")):
            made.append(bare[arg])
    return made


def table(entries: Mapping[str, Command]) -> type[TyperGroup]:
    """The class of a group with these commands."""
    return type("Commands", (Table,), {"entries": entries})


def build(name: str, command: Command) -> Any:
    """Make a command from its verb."""
    from studio.verb import Job, named

    verb = getattr(studio, command.verb)
    fields = {name: verb.kind.model_fields[name] for name in named(verb.kind)}
    fields = {name: info for name, info in fields.items() if not _extra(info).get("hidden")}
    parameters = [_subject(command)] if command.subject else []
    parameters += [_parameter(name, info) for name, info in fields.items()]
    if command.json:
        parameters.append(_flag("as_json", "--json", "Print one JSON object on stdout; all else goes to stderr."))
    if isinstance(verb, Job):
        parameters.append(_flag("detach", "--detach", "Queue it, print its id, and leave it running."))

    def called(**values: Any) -> None:
        Session.json = bool(values.get("as_json"))
        given = {name: _parted(values[name], fields[name]) for name in fields if values[name] not in (None, [])}
        module, _, function = command.handler.partition(":")
        handle: Callable[[Asked], None] = getattr(import_module(f"ui.terminal.{module}"), function)
        subject = values.get("subject")
        handle(Asked(verb, subject, given, Session.json, bool(values.get("detach"))))

    called.__doc__ = (verb.__doc__ or "").partition("\n\n")[0]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command(name, epilog=command.examples)(called)
    return typer.main.get_command(app)


def _extra(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def _made(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _subject(command: Command) -> inspect.Parameter:
    argument = typer.Argument(metavar=command.subject, help=command.about)
    kind: Any = list[str] if command.many else str
    if command.needed:
        return _made("subject", Annotated[kind, argument], inspect.Parameter.empty)
    return _made("subject", Annotated[kind | None, argument], None)


def _flag(name: str, option: str, about: str) -> inspect.Parameter:
    return _made(name, Annotated[bool, typer.Option(option, help=about)], False)


def _parameter(name: str, info: FieldInfo) -> inspect.Parameter:
    """An option as Typer takes it; one that is not given is left to the class, so its default is only shown."""
    option = str(_extra(info).get("option") or f"--{name.replace('_', '-')}")
    kind, metavar = _kind(info.annotation)
    needed = info.is_required()
    shown = typer.Option(option, help=describe(info), show_default=False, metavar=metavar)
    return _made(name, Annotated[kind if needed else kind | None, shown], inspect.Parameter.empty if needed else None)


def _parted(value: Any, info: FieldInfo) -> Any:
    """What was typed, in parts: numbers by commas too, and names with values.

    Raises:
        UsageError: A name stands without its value.
    """
    if get_origin(info.annotation) is dict:
        if odd := next((part for part in value if "=" not in part), None):
            raise UsageError(f"{odd!r} is no NAME=VALUE")
        return dict(part.split("=", 1) for part in value)
    if isinstance(value, list) and _numbers(info.annotation):
        return [part.strip() for one in value for part in one.split(",") if part.strip()]
    return value


def _numbers(annotation: Any) -> bool:
    """Whether an option holds several numbers."""
    parts = [part for part in get_args(annotation) if part not in (type(None), ...)]
    if get_origin(annotation) in (tuple, list, Sequence):
        return _kind(parts[0])[0] in (int, float)
    return len(parts) == 1 and get_origin(annotation) is not Annotated and _numbers(parts[0])


def _kind(annotation: Any) -> tuple[Any, str | None]:
    """The type that Typer reads, and the word for it where its own says less."""
    from workspace.bounds import choices

    parts = [part for part in get_args(annotation) if part is not type(None)]
    if get_origin(annotation) is dict:
        return list[str], "NAME=VALUE"
    if get_origin(annotation) in (tuple, list, Sequence):
        inner, metavar = _kind(parts[0])
        return (list[str], "NUMBER,...") if inner in (int, float) else (list[inner], metavar)  # type: ignore[valid-type]
    if found := choices(annotation):
        words = "|".join(str(choice) for choice in found if choice != "")
        return str, words if len(words) <= 40 else None
    if get_origin(annotation) is Annotated:
        return _kind(parts[0])
    if get_origin(annotation) in (Union, type(int | None)):
        return _kind(parts[0]) if len(parts) == 1 else (str, None)
    return (annotation, None) if annotation in (bool, int, float, Path) else (str, None)


def describe(info: FieldInfo) -> str:
    """An option's help: what it is, its bounds, and what holds if it is not given."""
    from workspace.bounds import bounds

    text = (info.description or "").rstrip(".")
    numbers = bounds(info).numbers()
    if numbers and numbers not in text:
        text += f" ({numbers})"
    default = info.default
    if info.is_required() or default in (None, "", (), False) or default == {}:
        return f"{text}."
    listed = ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)
    return f"{text}." if len(listed) > 60 else f"{text}. [dim]\\[default: {listed}][/dim]"

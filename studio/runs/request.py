"""What is asked for: one design's options, checked before anything heavy happens. Knows bounds; not how it is done."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.filling.text_kinds import MOST_SOURCES, Name
from studio.queue.claims import job_claimed, ledger_of
from studio.queue.submit import check_room, new_id
from workspace.errors import UsageError, pydantic_fault
from workspace.layers import origin
from workspace.letters import visible, whole_letters
from workspace.options import overrides, setting

if TYPE_CHECKING:
    from agents.documents import Brief
    from agents.programs import Program
    from workspace.settings import Settings

SEED_LIMIT = 2**31
NOT_RECORDED = {"home", "queue", "serving", "ledger"}
"""Settings of a machine, not of a run."""

_CONNECTION = frozenset({"server", "api_key_env", "timeout", "retries", "max_bytes", "max_tokens"})


class DesignOptions(BaseModel):
    """The options of a design; what is not given is the profile's choice."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inspirations: Sequence[Name] = Field(
        (),
        max_length=MOST_SOURCES,
        description="A biological material to draw on; may be given up to six times",
        json_schema_extra={"option": "--inspiration"},
    )
    program: str | None = setting("flow.program")
    images: int | None = setting("flow.images")
    rounds: int | None = setting("flow.rounds")
    seed: int | None = Field(
        None, ge=0, le=SEED_LIMIT - 1, description="The one number all randomness comes from; drawn if not given"
    )
    size: int | None = setting("painter.size")
    model: str | None = setting("chat.model")
    adapter: str | None = setting("painter.adapter")
    profile: str | None = Field(None, description="embedded, gpu, remote, or the path of a profile file")
    ask: bool = Field(False, description="Stop for approval before painting and after the critique")
    choose: bool = Field(False, description="Where the brief names no sources, stop to choose among those that fit")


@dataclass(frozen=True)
class Prepared:
    """A run that stands in the ledger and can be executed."""

    run_id: str
    settings: Settings


def with_options(options: DesignOptions, given: Settings | None) -> Settings:
    """The settings given, or those that are found, with what the options say."""
    from workspace.settings import load_settings

    changes = overrides(options)
    if given is None or options.profile is not None:
        home = {} if given is None else {"home": str(given.home)}
        return load_settings(options.profile, changes | home)
    data = given.model_dump(mode="json", exclude={"home"})
    for key, value in changes.items():
        section, name = key.split(".")
        data[section][name] = value
    return recorded(data, given.home)


def recorded(data: dict[str, Any], home: Path) -> Settings:
    """Build settings from a run's record alone, whatever files and variables say now, with the home of now."""
    from workspace.settings import Settings

    try:
        return Settings(**(data | {"home": home}))
    except ValidationError as error:
        raise UsageError(pydantic_fault(error, Settings)) from error


def connection(settings: Settings) -> dict[str, Any]:
    """The settings of servers that somebody has set by hand by now: where they are, their keys, patience and limits.

    A run goes on with these; what a profile says, and all other settings, are the run's record.
    """
    return {
        key: value
        for key, value in dotted(settings.model_dump(mode="json", include={"chat", "vision", "roles", "sampling"}))
        if is_connection(key) and not settings.origins.get(key, "default").startswith(("default", "profile "))
    }


def is_connection(key: str) -> bool:
    """Whether a setting says how a server is reached, and not what it is asked."""
    return key.rpartition(".")[2] in _CONNECTION


def dotted(data: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested settings by dotted key."""
    for name, value in data.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def renewed(data: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A run's recorded settings with those of servers as they are now; a recorded key does not go to another server."""
    made = copy.deepcopy(data)
    for key, value in changes.items():
        section, _, name = key.rpartition(".")
        before = _part(made, section).get("server")
        if name == "server" and value and before and origin(value) != origin(before):
            _part(made, section)["api_key_env"] = None
    for key, value in changes.items():
        section, _, name = key.rpartition(".")
        _part(made, section)[name] = value
    return made


def _part(data: dict[str, Any], section: str) -> dict[str, Any]:
    for name in section.split("."):
        data = data.setdefault(name, {})
    return data


def rooted(settings: Settings) -> Settings:
    """The settings with absolute paths of local model folders: a run may be resumed from another folder."""
    from models.catalogue.table import MODELS

    data = settings.model_dump(mode="json", exclude={"home"})
    for section in (data["chat"], data["vision"], data["painter"], *data["roles"].values()):
        for key in ("model", "adapter"):
            name = section.get(key)
            if name and name not in MODELS and not section.get("server") and Path(name).expanduser().exists():
                section[key] = str(Path(name).expanduser().absolute())
    return recorded(data, settings.home)


def record_of(
    settings: Settings, program: Program, *, ask: bool = False, choose: bool = False, replay_of: str | None = None
) -> dict[str, Any]:
    """What a run's row holds of how it is made, as plain JSON."""
    return {
        "settings": settings.model_dump(mode="json", exclude=NOT_RECORDED),
        "program": program.model_dump(mode="json"),
        "ask": ask,
        "choose": choose,
        "replay_of": replay_of,
    }


def document(brief: str | Brief, options: DesignOptions, program: Program) -> Brief:
    """The brief as a document, with its inspirations and what the program shows.

    Raises:
        UsageError: It is empty, no text, or out of its bounds.
    """
    from agents.documents import Brief

    if not isinstance(brief, str):
        return brief
    if not visible(brief):
        raise UsageError("the brief is empty; say what to design")
    if whole_letters(brief) != brief:
        raise UsageError("the brief is not UTF-8 text", hint="set the terminal to UTF-8, or give the brief on stdin: -")
    wanted: dict[str, Any] = {"text": brief, "inspirations": list(options.inspirations)}
    if program.target:
        wanted["target"] = program.target
    try:
        return Brief(**wanted)
    except ValidationError as error:
        raise UsageError(f"the brief's {pydantic_fault(error, Brief)}") from error


def prepare(
    brief: str | Brief, options: DesignOptions, settings: Settings | None = None, *, hold: ExitStack | None = None
) -> Prepared:
    """Check what is asked for, settle every choice, and enter the run in the ledger, queued.

    Args:
        brief: The wish in plain words, or a ready ``Brief``.
        options: What is chosen.
        settings: Ready settings, else they are loaded for the profile.
        hold: Takes the run's lock before anybody can see the run; without it, whoever works next takes it.
    """
    from agents.programs import load_program

    using = with_options(options, settings)
    program = load_program(using.flow.program)
    asked, seed = document(brief, options, program), options.seed
    return enter(asked, program, using, seed, ask=options.ask, choose=options.choose, hold=hold)


def enter(
    brief: Brief,
    program: Program,
    settings: Settings,
    seed: int | None,
    *,
    ask: bool = False,
    choose: bool = False,
    replay_of: str | None = None,
    hold: ExitStack | None = None,
) -> Prepared:
    """Enter a run with everything settled: folder, ``brief.json`` and ledger row (arguments as for ``prepare``)."""
    from studio.runs.preflight import check_models
    from studio.runs.record import folder_of, open_folder

    settings = rooted(settings)
    check_models(settings)
    check_room(settings.home, settings.queue)
    drawn = secrets.randbelow(SEED_LIMIT) if seed is None else seed
    run_id = new_id(brief.text, "design")
    record = record_of(settings, program, ask=ask, choose=choose, replay_of=replay_of)
    folder = folder_of(settings.home, run_id)
    if hold is not None:
        hold.enter_context(job_claimed(settings.home, run_id))
    with ledger_of(settings.home) as ledger:
        ledger.create_run(run_id, brief.model_dump(mode="json"), record, drawn, str(folder))
        open_folder(settings.home, ledger.run(run_id))
    return Prepared(run_id, settings)

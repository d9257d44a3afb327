"""What is asked for: one design's options, checked before anything heavy happens. Knows bounds; not how it is done."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from workspace.errors import UsageError

if TYPE_CHECKING:
    from agents.documents import Brief
    from agents.programs import Program
    from workspace.ledger import Status
    from workspace.settings import Settings

IMAGES = (1, 64)
ROUNDS = (1, 10)
SIZE = (64, 2048)
SIZE_STEP = 16
SEED_LIMIT = 2**31
BRIEF = (3, 8000)
INSPIRATIONS = 6
INSPIRATION = (2, 120)


class Options(TypedDict, total=False):
    """The options of a design, for functions that pass them on."""

    inspirations: Sequence[str]
    program: str
    images: int | None
    rounds: int | None
    seed: int | None
    size: int | None
    model: str | None
    adapter: str | None
    profile: str | None
    ask: bool


@dataclass(frozen=True)
class Request:
    """One design as asked for; ``None`` leaves a choice to the profile."""

    brief: str | Brief
    inspirations: Sequence[str] = ()
    program: str = "relate-and-design"
    images: int | None = None
    rounds: int | None = None
    seed: int | None = None
    size: int | None = None
    model: str | None = None
    adapter: str | None = None
    profile: str | None = None
    ask: bool = False

    def check(self) -> None:
        """Raise a ``UsageError`` with the figure and the bounds if anything is out of range."""
        if isinstance(self.brief, str):
            _check_brief(self.brief)
        _check_inspirations(self.inspirations)
        _between("images", self.images, IMAGES)
        _between("rounds", self.rounds, ROUNDS)
        check_seed(self.seed)
        _between("size", self.size, SIZE)
        if self.size is not None and self.size % SIZE_STEP:
            low = self.size - self.size % SIZE_STEP
            near = f"{low} or {low + SIZE_STEP}"
            raise UsageError(f"size must be a multiple of {SIZE_STEP}, not {self.size}; nearest: {near}")

    def overrides(self) -> dict[str, Any]:
        """Return what was named on the command line as dotted settings keys."""
        named = {
            "chat.model": self.model,
            "flow.images": self.images,
            "flow.rounds": self.rounds,
            "painter.size": self.size,
            "painter.adapter": self.adapter,
        }
        return {key: value for key, value in named.items() if value is not None}


@dataclass(frozen=True)
class Prepared:
    """A run that stands in the ledger and can be executed."""

    run_id: str
    settings: Settings


def _check_brief(text: str) -> None:
    count = len(text.strip())
    if count == 0:
        raise UsageError(f"the brief is empty; say in {BRIEF[0]} to {BRIEF[1]} characters what to design")
    if not BRIEF[0] <= count <= BRIEF[1]:
        raise UsageError(f"the brief has {count} characters; it may have {BRIEF[0]} to {BRIEF[1]}")


def _check_inspirations(names: Sequence[str]) -> None:
    if len(names) > INSPIRATIONS:
        raise UsageError(f"{len(names)} inspirations given; at most {INSPIRATIONS}")
    for name in names:
        if not INSPIRATION[0] <= len(name.strip()) <= INSPIRATION[1]:
            bounds = f"{INSPIRATION[0]} to {INSPIRATION[1]}"
            raise UsageError(f"inspiration {name[:40]!r} has {len(name.strip())} characters; it may have {bounds}")


def _between(name: str, value: int | None, bounds: tuple[int, int]) -> None:
    if value is not None and not bounds[0] <= value <= bounds[1]:
        raise UsageError(f"{name} must be {bounds[0]} to {bounds[1]}, not {value}")


def check_seed(seed: int | None) -> None:
    """Raise a ``UsageError`` unless ``seed`` is ``None`` or fits 31 bits."""
    if seed is not None and not 0 <= seed < SEED_LIMIT:
        raise UsageError(f"seed must be 0 to {SEED_LIMIT - 1}, not {seed}")


def _with_request(asked: Request, given: Settings | None) -> Settings:
    from workspace.settings import load_settings

    if given is None or asked.profile is not None:
        home = {} if given is None else {"home": str(given.home)}
        return load_settings(asked.profile, asked.overrides() | home)
    data = given.model_dump(mode="json", exclude={"home"})
    for key, value in asked.overrides().items():
        section, name = key.split(".")
        data[section][name] = value
    return recorded(data, given.home)


def recorded(data: dict[str, Any], home: Path) -> Settings:
    """Build settings from a run's record alone, whatever files and variables say now, with the home of now."""
    from pydantic import ValidationError

    from workspace.settings import Settings

    try:
        return Settings(**(data | {"home": home}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error


def _rooted(data: dict[str, Any]) -> dict[str, Any]:
    """Make the paths of local model folders absolute: a run may be resumed from another folder."""
    from models.catalogue.table import MODELS

    for section in (data["chat"], data["vision"], data["painter"], *data["roles"].values()):
        for key in ("model", "adapter"):
            name = section.get(key)
            if name and name not in MODELS and not section.get("server") and Path(name).expanduser().exists():
                section[key] = str(Path(name).expanduser().absolute())
    return data


def _document(asked: Request, program: Program) -> Brief:
    from pydantic import ValidationError

    from agents.documents import Brief

    if not isinstance(asked.brief, str):
        return asked.brief
    wanted: dict[str, Any] = {"text": asked.brief, "inspirations": [name.strip() for name in asked.inspirations]}
    if program.target:
        wanted["target"] = program.target
    try:
        return Brief(**wanted)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"the brief's {where}: {first['msg']}") from error


def prepare(
    asked: Request, settings: Settings | None = None, *, status: Status = "running", replay_of: str | None = None
) -> Prepared:
    """Check a request, settle every choice, and enter the run in the ledger.

    Args:
        asked: What is wanted.
        settings: Ready settings, else they are loaded for ``asked.profile``.
        status: ``running`` when the caller executes it at once, ``queued`` for a job.
        replay_of: The run that this one makes again.
    """
    asked.check()
    from agents.programs import load_program

    program = load_program(asked.program)
    brief = _document(asked, program)
    return enter(brief, program, _with_request(asked, settings), asked.seed, asked.ask, status, replay_of)


def enter(
    brief: Brief,
    program: Program,
    settings: Settings,
    seed: int | None,
    ask: bool = False,
    status: Status = "running",
    replay_of: str | None = None,
) -> Prepared:
    """Enter a run with everything settled: folder, ``brief.json`` and ledger row (arguments as for ``prepare``)."""
    from studio.runs.preflight import check_models
    from studio.runs.record import folder_of, ledger_of, new_run_id, open_folder

    settings = recorded(_rooted(settings.model_dump(mode="json", exclude={"home"})), settings.home)
    check_models(settings)
    drawn = secrets.randbelow(SEED_LIMIT) if seed is None else seed
    run_id = new_run_id(brief.text)
    record = {
        "settings": settings.model_dump(mode="json", exclude={"home"}),
        "program": program.model_dump(mode="json"),
        "ask": ask,
        "replay_of": replay_of,
    }
    folder = folder_of(settings.home, run_id)
    with ledger_of(settings.home) as ledger:
        ledger.create_run(run_id, brief.model_dump(mode="json"), record, drawn, str(folder), status)
        open_folder(settings.home, ledger.run(run_id))
    return Prepared(run_id, settings)

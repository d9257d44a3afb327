"""What Studio works with, as the front door offers it: models listed, fetched, verified; programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from studio.verb import Call, job, query, verb
from workspace.errors import UsageError, unknown
from workspace.progress import Remark, amount, waiting

if TYPE_CHECKING:
    from agents.programs import Program


class ModelRow(BaseModel):
    """One model of the catalogue, or a variant trained here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    kind: str
    parameters: int | None = None
    size_bytes: int = 0
    licence: str = ""
    hub: str | None = None
    gated: bool = False
    base: str | None = None
    trigger: str | None = None
    note: str = ""
    here: bool


class Library(BaseModel):
    """The catalogue, and the variants trained here, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[ModelRow, ...]
    variants: tuple[str, ...]


class ModelsCall(Call):
    """Which models are listed."""

    kind: str | None = Field(None, description="Only chat, vision, embedding, painter or adapter")


@query(ModelsCall)
def list_models(options: ModelsCall) -> Library:
    """List the catalogue, and say which models are on this machine."""
    from models.catalogue.fetch import place, variants
    from models.catalogue.table import MODELS

    home = options.home
    kinds = {model.kind for model in MODELS.values()}
    if options.kind is not None and options.kind not in kinds:
        raise UsageError(unknown("kind", options.kind, kinds))
    names = [name for name in ModelRow.model_fields if name != "here"]
    rows = [
        ModelRow(**{name: getattr(model, name) for name in names}, here=place(model, home).is_dir())
        for model in MODELS.values()
        if options.kind in (None, model.kind)
    ]
    return Library(models=tuple(rows), variants=tuple(variants(home)))


class Fetched(BaseModel):
    """Where each fetched model lies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folders: dict[str, Path]


class FetchCall(Call):
    """What is fetched."""

    embedded: bool = Field(False, description="The models of the embedded profile")


def _wanted(models: Sequence[str], options: FetchCall) -> list[str]:
    """What is to be fetched, each known."""
    from models.catalogue.table import EMBEDDED, find

    wanted = [*models, *(EMBEDDED if options.embedded else ())]
    if not wanted:
        raise UsageError("name a model, or give --embedded", hint="studio models list")
    for name in wanted:
        find(name)
    return wanted


@job(FetchCall, lane="light", check=_wanted)
def fetch_models(models: Sequence[str], options: FetchCall) -> Fetched:
    """Fetch models: resumable, verified, whole or not at all."""
    from models.catalogue.fetch import fetch, place
    from models.catalogue.table import MODELS
    from studio.runs.assemble import embedder
    from studio.runs.shelf import shelf

    wanted = _wanted(models, options)
    absent = [MODELS[name] for name in wanted if not place(MODELS[name], options.home).is_dir()]
    if len(absent) > 1:
        options.tell(Remark(text=f"{len(absent)} models to fetch, {amount(sum(one.size_bytes for one in absent))}"))
    fetched = Fetched(folders={name: fetch(name, options.home, options.tell) for name in wanted})
    if options.embedded:  # what ships is found by meaning from the first design on
        shelf(options.home, embed=embedder(options.home), mine=False).close()
    return fetched


class Verified(BaseModel):
    """What is wrong with each model; nothing with a sound one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    problems: dict[str, tuple[str, ...]]


@verb(Call)
def verify_models(models: Sequence[str], options: Call) -> Verified:
    """Read every byte of the models and compare with what was recorded; all that are here if none is named."""
    from models.catalogue.fetch import place, verify
    from models.catalogue.table import MODELS

    home = options.home
    wanted = list(models) or [row.id for row in MODELS.values() if place(row, home).is_dir()]
    problems = {}
    for name in wanted:
        with waiting(f"checking {name}"):
            problems[name] = tuple(verify(name, home))
    return Verified(problems=problems)


@query(Call)
def programs(options: Call) -> dict[str, Program]:
    """List the programs: the conversations there are."""
    from agents.programs import shipped

    return dict(shipped())


def open_program(name: str) -> Program:
    """Read a program, shipped or a file, with its system prompt and turns."""
    from agents.programs import load_program

    return load_program(name)

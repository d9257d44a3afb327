"""A recipe: a base model and a small graph of named stages, as YAML with HF argument names. Trains nothing.

studio train run training/recipes/demo.yaml --plan
"""

from __future__ import annotations

import math
import os
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from pipelines.corpus.config import CorpusConfig
from training.distil.config import DistilConfig
from training.language.arguments import Adapter, Arguments, Part
from training.language.rows import SCHEMAS
from training.merging.slerp import Slerp
from training.yaml_text import read_yaml
from workspace.errors import DataError, one_line, pydantic_fault, unknown

FOLDER = Path(__file__).parents[1] / "recipes"
BASE = "base"
Kind = Literal["corpus", "distil", "cpt", "sft", "dpo", "orpo", "slerp"]
DATA = ("corpus", "distil")
"""The kinds of stage that make rows, not a model."""


def _named(name: str) -> str:
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,60}", name) is None:
        raise ValueError(
            "a name is up to 61 small letters, digits, dots, hyphens and underscores, a letter or digit first"
        )
    return name


Name = Annotated[str, AfterValidator(_named)]


class Data(Part):
    """One set of rows, and how often it is drawn beside the others: 2.0 is twice."""

    path: str = Field("", description="File of rows, relative to the recipe, or `sample` for the shipped")
    source: str = Field("", alias="from", description="Instead of a path: a corpus or distil stage's name")
    weight: float = Field(1.0, gt=0, le=1000, description="How often each row is drawn")

    @model_validator(mode="after")
    def _one(self) -> Data:
        if bool(self.path) == bool(self.source):
            raise ValueError("give a path, or from with a stage's name")
        return self


class Stage(Part):
    """One step from a variant to the next."""

    name: Name = Field(description="What its variant, or its rows, are called after the recipe's name")
    stage: Kind = Field(description="What is done")
    source: str = Field("", alias="from", description="A stage's name, or base; the stage before if not given")
    into: str = Field("", description="slerp: the parent that t = 0 stands for, a catalogue id; base if not given")
    data: tuple[Data, ...] = Field((), description="What is trained on")
    args: Arguments = Field(Arguments(), description="How it is trained")
    adapter: Adapter | None = Field(None, description="A low-rank adapter in place of full training")
    keep_epochs: bool = Field(False, description="Keep the variant after every epoch")
    slerp: Slerp = Field(Slerp(), description="slerp: t over depth")
    corpus: CorpusConfig | None = Field(None, description="corpus: what is read and kept")
    distil: DistilConfig = Field(DistilConfig(), description="distil: what is asked, and of which model")

    @model_validator(mode="after")
    def _whole(self) -> Stage:
        trains = self.stage in SCHEMAS
        if not trains and (self.data or self.args.model_fields_set or self.adapter):
            raise ValueError(f"a {self.stage} stage has no data, args or adapter")
        if self.stage != "dpo" and (self.args.loss_type or self.args.label_smoothing):
            name = "loss_type" if self.args.loss_type else "label_smoothing"
            raise ValueError(f"args: {name} is for a dpo stage, not {self.stage}")
        if trains and not self.data:
            raise ValueError("data: at least one file is needed")
        if self.stage == "corpus" and self.corpus is None:
            raise ValueError("corpus: its inputs are needed")
        strange = [
            name for name in ("corpus", "distil", "slerp") if name in self.model_fields_set and name != self.stage
        ]
        if strange:
            raise ValueError(f"{strange[0]} is for a {strange[0]} stage")
        return self


class Recipe(Part):
    """The YAML file's shape."""

    name: Name = Field(description="What its variants' names begin with")
    base: str = Field(min_length=1, max_length=500, description="A chat model of the catalogue, or a folder")
    chat_template: str | None = Field(None, description="Model whose chat template a base without one takes")
    processes: int = Field(1, ge=1, description="GPUs that the batch sizes were chosen for")
    stages: tuple[Stage, ...] = Field(min_length=1, description="What is done, each after those that it needs")


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe by its path, or one of the shipped by its name.

    Raises:
        DataError: It is not there, or not as a recipe is; the line names the field and the choices.
    """
    file = Path(os.path.expanduser(path))
    if not os.path.isfile(file) and os.path.isfile(FOLDER / f"{path}.yaml"):
        file = FOLDER / f"{path}.yaml"
    try:
        held = read_yaml(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(unknown("recipe", str(path), shipped())) from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as fault:
        raise DataError(f"cannot read {file}: {one_line(fault)}") from None
    if not isinstance(held, dict):
        raise DataError(f"{file} is no recipe: it holds no keys")
    try:
        recipe = Recipe.model_validate(held)
        _check_graph(recipe)
    except ValidationError as fault:
        raise DataError(f"{file}: {pydantic_fault(fault, Recipe)}") from None
    except DataError as fault:
        raise DataError(f"{file}: {fault.message}") from None
    return recipe


def shipped() -> list[str]:
    """The names of the recipes that come with Studio."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def _check_graph(recipe: Recipe) -> None:
    names = [stage.name for stage in recipe.stages]
    twice = next((name for name in names if names.count(name) > 1 or name == BASE), None)
    if twice:
        raise DataError(f"stages: the name {twice!r} stands twice")
    order(recipe)


def parents(recipe: Recipe, stage: Stage) -> list[str]:
    """The names of the stages (or base) that a stage starts from: models, and for a distil stage a corpus.

    One that is not named is the nearest before it of that sort.
    """
    if stage.stage == "corpus":
        return []
    before = recipe.stages[: recipe.stages.index(stage)]
    fit = [one.name for one in before if (one.stage == "corpus" if stage.stage == "distil" else one.stage not in DATA)]
    nearest = fit[-1] if fit else "" if stage.stage == "distil" else BASE
    first = stage.source or nearest
    return [first, stage.into or BASE] if stage.stage == "slerp" else [first]


def order(recipe: Recipe) -> list[Stage]:
    """The stages so that each comes after those that it needs.

    Raises:
        DataError: A stage starts from one that there is not, or the stages go in a circle.
    """
    known = {stage.name: stage for stage in recipe.stages}
    graph = {stage.name: [name for name in _needed(recipe, stage) if name in known] for stage in recipe.stages}
    try:
        return [known[name] for name in TopologicalSorter(graph).static_order()]
    except CycleError as fault:
        raise DataError(f"stages: they go in a circle: {' -> '.join(fault.args[1])}") from None


def _needed(recipe: Recipe, stage: Stage) -> list[str]:
    """The names of the stages that must be done before this one, each of the sort that it can use."""
    papers = [one.name for one in recipe.stages if one.stage == "corpus"]
    distilled = [one.name for one in recipe.stages if one.stage == "distil"]
    models = [one.name for one in recipe.stages if one.stage not in DATA]
    wanted = parents(recipe, stage)
    if wanted == [""]:
        raise DataError(f"stages, {stage.name}: there is no corpus stage to distil")
    if wanted and wanted[0] not in (fit := papers if stage.stage == "distil" else [*models, BASE]):
        what = "corpus stage" if stage.stage == "distil" else "stage"
        raise DataError(f"stages, {stage.name}, from: {unknown(what, wanted[0], fit)}")
    for one in stage.data:
        fit = [*papers, *distilled] if stage.stage == "cpt" else distilled  # a corpus has text alone
        if one.source and one.source not in fit:
            what = "corpus or distil stage" if stage.stage == "cpt" else "distil stage"
            raise DataError(f"stages, {stage.name}, data, from: {unknown(what, one.source, fit)}")
    return [*wanted, *(one.source for one in stage.data if one.source)]


def resolved(stage: Stage) -> Arguments:
    """A training stage's arguments with every default of its kind filled in."""
    args = stage.args
    loss = args.loss_type or ("robust" if args.label_smoothing else "sigmoid")
    filled = {
        "warmup_ratio": 0.0 if args.warmup_steps else args.warmup_ratio,
        "packing": stage.stage in ("cpt", "sft") if args.packing is None else args.packing,
        "assistant_only_loss": stage.stage == "sft" if args.assistant_only_loss is None else args.assistant_only_loss,
        "bf16": not args.fp16 if args.bf16 is None else args.bf16,
        "loss_type": loss if stage.stage == "dpo" else None,
        "beta": 0.1 if stage.stage in ("dpo", "orpo") and args.beta is None else args.beta,
    }
    return args.model_copy(update=filled)


def steps_of(args: Arguments, rows: int, processes: int) -> int:
    """Optimizer steps of a stage over so many rows (packed rows, where it packs)."""
    if args.max_steps > 0:
        return args.max_steps
    batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * processes
    return max(1, math.ceil(math.ceil(rows / batch) * args.num_train_epochs))

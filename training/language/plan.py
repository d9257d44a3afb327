"""What a recipe would do here, before any weight is read: rows, arguments, steps, memory, hours. Trains nothing."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.corpus.config import CorpusConfig
from training.distil.config import DistilConfig
from training.language.arguments import Adapter, Arguments
from training.language.estimate import Machine, Size, hours, machine, memory, size_of
from training.language.recipe import BASE, Stage, order, parents, resolved, steps_of
from training.language.rows import Row, digest
from training.language.run import Run
from training.merging.slerp import Slerp
from workspace.errors import DataError, ServiceError

_SHAPE = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)


class _Planned(BaseModel):
    """A stage of a plan."""

    model_config = _SHAPE

    name: str = Field(description="The stage's name")
    stage: str = Field(description="The stage's kind")


class _Following(_Planned):
    source: str = Field(alias="from", description="The stage, or base, that it starts from")


class CorpusPlan(CorpusConfig, _Planned):
    """A corpus stage, with its settings."""

    stage: Literal["corpus"]
    done: bool = Field(description="Whether it has made its rows, of whichever papers")


class DistilPlan(DistilConfig, _Following):
    """A distil stage, with its settings."""

    stage: Literal["distil"]
    done: bool = Field(description="Whether it has made its rows, of whichever passages")


class MergePlan(Slerp, _Following):
    """A merge, with its t over depth; ``source`` is for t = 1."""

    stage: Literal["slerp"]
    into: str = Field(description="The stage or model for t = 0")


class Amount(BaseModel):
    """What a training stage goes through; ``None`` where its data or the base is not there yet."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int | None = Field(None, description="Rows, mixed by weight")
    tokens: int | None = Field(None, description="Tokens of them, by their words")
    steps: int | None = Field(None, description="Optimizer steps")
    data: str = Field(description="The rows' digest, or why they are not there")


class TrainingPlan(Amount, Arguments, _Following):
    """A training stage, with every argument, and what it will need."""

    stage: Literal["cpt", "sft", "dpo", "orpo"]
    adapter: Adapter | None = Field(description="A low-rank adapter in place of full training")
    memory_gb: float | None = Field(None, description="Memory that a process needs, estimated")
    hours: float | None = Field(None, description="How long it takes here, estimated")


StagePlan = Annotated[CorpusPlan | DistilPlan | MergePlan | TrainingPlan, Field(discriminator="stage")]


class Here(BaseModel):
    """The machine that a plan is reckoned for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="The GPU, or CPU")
    memory_gb: float = Field(description="Its memory")


class Plan(BaseModel):
    """Everything that a recipe would do, with nothing done."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = Field(description="The recipe's name")
    base: str = Field(description="The model that it starts from")
    missing: str | None = Field(description="What to do about a base that is not there")
    processes: int = Field(description="GPUs that the batch sizes were chosen for")
    machine: Here = Field(description="What it is reckoned for")
    stages: tuple[StagePlan, ...] = Field(description="What is done, in order")


def plan(run: Run) -> Plan:
    """Everything that would be done, with nothing done: arguments, rows, steps, memory, hours."""
    here = machine()
    base, missing = None, None
    try:
        base = run.model(BASE)
    except ServiceError as fault:
        missing = f"{fault.message}: {fault.hint}" if fault.hint else fault.message
    size = size_of(run.recipe.base, base)
    return Plan(
        recipe=run.recipe.name,
        base=run.recipe.base,
        missing=missing,
        processes=run.recipe.processes,
        machine=Here(name=here.name, memory_gb=round(here.memory, 1)),
        stages=tuple(_stage(run, stage, size, here) for stage in order(run.recipe)),
    )


def _stage(run: Run, stage: Stage, size: Size | None, here: Machine) -> StagePlan:
    row: dict[str, Any] = {"name": stage.name, "stage": stage.stage}
    if stage.corpus is not None:
        return CorpusPlan.model_validate(row | dict(stage.corpus) | {"done": run.done(stage.name)})
    row["from"], *into = parents(run.recipe, stage)
    if stage.stage == "distil":
        settings = dict(stage.distil) | {"model": stage.distil.model or run.recipe.base}
        return DistilPlan.model_validate(row | settings | {"done": run.done(stage.name)})
    if stage.stage == "slerp":
        return MergePlan.model_validate(row | dict(stage.slerp) | {"into": into[0]})
    args = resolved(stage)
    amount = _amount(run, stage, args)
    row |= dict(args) | dict(amount) | {"adapter": stage.adapter}
    if size is not None:
        row["memory_gb"] = round(memory(size, args, stage.stage, stage.adapter, run.recipe.processes), 1)
        if amount.tokens:
            tokens = amount.tokens * args.num_train_epochs
            row["hours"] = round(hours(size, tokens, stage.stage, here.flops * run.recipe.processes), 3)
    return TrainingPlan.model_validate(row)


def _amount(run: Run, stage: Stage, args: Arguments) -> Amount:
    """Rows, tokens and steps of a stage; unknown where its data or the base is not there yet."""
    try:
        rows = run.rows(stage)
    except DataError as fault:
        waits = [one.source for one in stage.data if one.source and not run.done(one.source)]
        return Amount(data=f"not made yet, by {', '.join(waits)}" if waits else fault.message)
    words = sum(len(_text(row).split()) for row in rows)
    tokens = round(1.4 * words)  # English prose in a vocabulary of 50,000: 1.3 to 1.5 tokens a word
    packed = max(1, round(tokens / args.max_length)) if args.packing else len(rows)
    steps = steps_of(args, packed, run.recipe.processes)
    return Amount(rows=len(rows), tokens=tokens, steps=steps, data=digest(rows)[:16])


def _text(row: Row) -> str:
    if "text" in row:
        return str(row["text"])
    parts = [row[name] for name in ("messages", "prompt", "chosen", "rejected") if name in row]
    return " ".join(message["content"] for part in parts for message in part)

"""What a recipe would do here, before any weight is read: rows, arguments, steps, memory, hours. Trains nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.corpus.config import CorpusConfig
from training.distil.config import DistilConfig
from training.gpus import Machine, machine
from training.language.arguments import Adapter, Arguments
from training.language.estimate import Size, crowd, hours, memory, size_of
from training.language.recipe import BASE, Stage, order, parents, resolved, steps_of
from training.language.rows import Row, digest, parted
from training.language.run import Run, faults
from training.merging.slerp import Slerp
from workspace.errors import DataError, ServiceError
from workspace.progress import Remark

SPREAD = "fsdp2"
"""The configuration that spreads weights over the GPUs of one machine without more to install."""
_SHAPE = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)


@dataclass(frozen=True)
class Layout:
    """How processes share the work.

    Attributes:
        processes: On all machines together.
        spread: Whether weights are spread over them; else each holds a copy.
        machines: How many there are.
        command: The options that start them so; empty for one process.
    """

    processes: int
    spread: bool
    machines: int = 1
    command: str = ""


def usual(run: Run) -> Layout:
    """How a recipe is meant to be run: in one process, or spread over the GPUs that its batch sizes are chosen for."""
    many = run.recipe.processes
    if many == 1:
        return Layout(1, False)
    return Layout(many, True, command=f"--launch accelerate --config {SPREAD} --processes {many}")


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
    remarks: tuple[str, ...] = Field((), description="What of the files of rows is not trained on")


class TrainingPlan(Amount, Arguments, _Following):
    """A training stage, with every argument, and what it will need."""

    stage: Literal["cpt", "sft", "dpo", "orpo"]
    adapter: Adapter | None = Field(description="A low-rank adapter in place of full training")
    memory_gb: float | None = Field(None, description="Memory that a process needs, estimated")
    fits: bool | None = Field(None, description="Whether this machine holds the processes that it is to run")
    hours: float | None = Field(None, description="How long it takes here, estimated")


StagePlan = Annotated[CorpusPlan | DistilPlan | MergePlan | TrainingPlan, Field(discriminator="stage")]


class Here(BaseModel):
    """The machine that a plan is reckoned for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="The GPU, or CPU")
    gpus: int = Field(description="How many GPUs there are")
    memory_gb: float = Field(description="Memory of each, or of the computer")
    tflops: float | None = Field(description="Operations a second that can be hoped for of one, in 10^12; if known")


class Plan(BaseModel):
    """Everything that a recipe would do, with nothing done."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = Field(description="The recipe's name")
    base: str = Field(description="The model that it starts from")
    missing: str | None = Field(description="What to do about a base that is not there")
    processes: int = Field(description="On all machines together")
    spread: bool = Field(description="Whether weights are spread over them; else each holds a copy")
    command: str = Field(description="The options that start them; empty for one process")
    machine: Here = Field(description="What it is reckoned for")
    faults: tuple[str, ...] = Field((), description="What would be refused before the first step")
    stages: tuple[StagePlan, ...] = Field(description="What is done, in order")


def plan(run: Run, layout: Layout | None = None) -> Plan:
    """Everything that would be done, with nothing done: arguments, rows, steps, memory, hours.

    Args:
        run: From `open_run`.
        layout: The processes; as the recipe means them if not given.
    """
    here, layout = machine(), layout or usual(run)
    base, missing = None, None
    try:
        base = run.model(BASE)
    except ServiceError as fault:
        missing = f"{fault.message}: {fault.hint}" if fault.hint else fault.message
    size = size_of(run.recipe.base, base)
    tflops = None if here.flops is None else round(here.flops / 1e12, 1)
    return Plan(
        recipe=run.recipe.name,
        base=run.recipe.base,
        missing=missing,
        processes=layout.processes,
        spread=layout.spread,
        command=layout.command,
        machine=Here(name=here.name, gpus=here.gpus, memory_gb=round(here.memory, 1), tflops=tflops),
        faults=() if base is None else tuple(str(fault) for fault in faults(run, here)),
        stages=tuple(_stage(run, stage, size, here, layout) for stage in order(run.recipe)),
    )


def _stage(run: Run, stage: Stage, size: Size | None, here: Machine, layout: Layout) -> StagePlan:
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
    amount, tokens = _amount(run, stage, args, layout.processes)
    row |= dict(args) | dict(amount) | {"adapter": stage.adapter}
    if size is not None:
        row |= _needs(size, args, stage, tokens, here, layout)
    return TrainingPlan.model_validate(row)


def _needs(size: Size, args: Arguments, stage: Stage, tokens: float, here: Machine, layout: Layout) -> dict[str, Any]:
    """Memory of a process, whether the machine holds them, and hours where its speed is known."""
    many, adapter = layout.processes, stage.adapter
    need = memory(size, args, stage.stage, adapter, *((many, 1) if layout.spread else (1, many)))
    devices = max(1, here.gpus) * layout.machines
    found: dict[str, Any] = {"memory_gb": round(need, 1), "fits": need * crowd(many, devices) <= here.memory}
    if tokens and here.flops is not None:
        flops = here.flops * min(many, devices)
        time = hours(size, tokens, stage.stage, flops, adapter is not None, args.gradient_checkpointing)
        found["hours"] = round(time, 3)
    return found


def _amount(run: Run, stage: Stage, args: Arguments, processes: int) -> tuple[Amount, float]:
    """Rows, tokens and steps of a stage, and the tokens that its steps pass; unknown where data are not there yet."""
    remarks: list[str] = []
    try:
        every = run.rows(stage, lambda event: remarks.append(event.text) if isinstance(event, Remark) else None)
        rows, _ = parted(every, args.held_out, args.seed)
    except DataError as fault:
        waits = [one.source for one in stage.data if one.source and not run.done(one.source)]
        return Amount(data=f"not made yet, by {', '.join(waits)}" if waits else fault.message), 0.0
    words = sum(len(_text(row).split()) for row in rows)
    tokens = round(1.4 * words)  # English prose in a vocabulary of 50,000: 1.3 to 1.5 tokens a word
    packed = max(1, round(tokens / args.max_length)) if args.packing else len(rows)
    steps = steps_of(args, packed, processes)
    a_step = args.per_device_train_batch_size * args.gradient_accumulation_steps * processes
    passed = steps * a_step * tokens / packed if args.max_steps > 0 else tokens * args.num_train_epochs
    made = Amount(rows=len(rows), tokens=tokens, steps=steps, data=digest(rows)[:16], remarks=tuple(remarks))
    return made, passed


def _text(row: Row) -> str:
    if "text" in row:
        return str(row["text"])
    parts = [row[name] for name in ("messages", "prompt", "chosen", "rejected") if name in row]
    return " ".join(message["content"] for part in parts for message in part)

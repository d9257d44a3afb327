"""What is to be served and how an engine is told so: the two shapes that every engine turns one into the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.serving.adapters import Adapter
from models.serving.engines import Engine
from models.serving.memory import MOST_CONTEXT, Shape
from workspace.errors import UsageError


@dataclass(frozen=True)
class Wanted:
    """What a person wants served; what is none is the engine's own choice.

    Args:
        name: What the model is called.
        folder: Where it lies.
        shape: Its size.
        adapters: LoRA adapters that fit it.
        home: STUDIO_HOME.
        in_flight: Answers written at the same time.
        context: Tokens of a conversation that are held.
        gpu_memory: Share of a GPU's memory that is taken.
        tensor_parallel: GPUs that the model is spread over.
        batch_invariant: Whether an answer must not depend on what else is asked.
    """

    name: str
    folder: Path
    shape: Shape
    home: Path
    adapters: tuple[Adapter, ...] = ()
    in_flight: int | None = None
    context: int | None = None
    gpu_memory: float | None = None
    tensor_parallel: int | None = None
    batch_invariant: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What clients can ask for: the adapters', then the model's own."""
        return (*(adapter.name for adapter in self.adapters), self.name)

    @property
    def tokens(self) -> int:
        """Tokens of a conversation that are held: as many as asked for, or what the model reads, within a bound.

        Raises:
            UsageError: The model reads less than is asked for.
        """
        reads = self.shape.context
        if self.context is not None and 0 < reads < self.context:
            raise UsageError(f"--context {self.context} is more than the {reads} tokens that {self.name} reads")
        return self.context or min(reads or MOST_CONTEXT, MOST_CONTEXT)


@dataclass(frozen=True)
class Plan:
    """How an engine is started.

    Args:
        engine: Which.
        command: The program and its arguments, but for the port.
        variables: What it gets beside this process's environment; a value of none takes one out.
        key_variable: The variable by which it is told its key.
        models: What clients can ask for, first what most will.
        in_flight: Answers written at the same time.
        context: Tokens of a conversation that are held.
        weights: In which numbers the weights are served.
    """

    engine: Engine
    command: tuple[str, ...]
    variables: Mapping[str, str | None]
    key_variable: str
    models: tuple[str, ...]
    in_flight: int
    context: int
    weights: str

"""How far apart parents lie, tensor by tensor: cosines of weights and of task vectors, measured once before any merge.

The same pass finds weights that are no numbers. Knows tensors and where results are kept; not how they are merged.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from training.merging.kernels import LINEAR, Bench, Sums
from training.merging.reading import Held, Piece, Tensors, pieces, stream
from workspace.errors import DataError
from workspace.files import publish
from workspace.progress import waiting

if TYPE_CHECKING:
    from torch import Tensor

_VERSION = 1  # of what is kept
_NOTHING = Sums(0, 0, 0)


class CosineSummary(BaseModel):
    """Cosines of all tensors in a few figures."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    tensors: int = Field(ge=0, description="Tensors that have a direction in both")
    lowest: float = Field(ge=-1, le=1)
    lowest_at: str = Field(description="The tensor of the lowest cosine")
    median: float = Field(ge=-1, le=1)
    highest: float = Field(ge=-1, le=1)

    def __str__(self) -> str:
        return f"{self.lowest:.6f} ({self.lowest_at}) to {self.highest:.6f}, median {self.median:.6f}"


@dataclass(frozen=True)
class Measured:
    """Inner products of the first two parents.

    Attributes:
        pairs: Of every tensor.
        tasks: Of the task vectors, where there is a base.
    """

    pairs: Mapping[str, Sums]
    tasks: Mapping[str, Sums]

    @property
    def cosines(self) -> dict[str, float]:
        """Of every tensor that is zero in neither."""
        return _cosines(self.pairs)

    @property
    def task_cosines(self) -> dict[str, float]:
        """The same of the task vectors."""
        return _cosines(self.tasks)


def _cosines(sums: Mapping[str, Sums]) -> dict[str, float]:
    return {name: one.cosine for name, one in sums.items() if one.cosine is not None}


def linear(cosines: Mapping[str, float]) -> int:
    """How many tensors mergekit's SLERP treats as linear."""
    return sum(abs(cosine) > LINEAR for cosine in cosines.values())


def summary(cosines: Mapping[str, float]) -> CosineSummary | None:
    """Cosines in a few figures; none where there are none."""
    if not cosines:
        return None
    lowest = min(cosines, key=lambda name: cosines[name])
    return CosineSummary(
        tensors=len(cosines),
        lowest=cosines[lowest],
        lowest_at=lowest,
        median=median(cosines.values()),
        highest=max(cosines.values()),
    )


def measure(
    parents: Sequence[Tensors],
    base: Tensors | None,
    names: Sequence[str],
    rounded: bool,
    cache: Path | None = None,
    fingerprints: Sequence[str] = (),
) -> Measured:
    """Measure the first two parents, and look through all of them and the base for what is no number.

    Args:
        parents: Their tensors.
        base: Of their common base.
        names: What models and base are called, the base last.
        rounded: Whether they are rounded to bfloat16 first.
        cache: Folder where results are kept; they are measured every time if not given.
        fingerprints: Of parents and base, that name what is kept.

    Raises:
        DataError: A weight is no number.
    """
    file = None
    if cache is not None:
        said = json.dumps([_VERSION, rounded, list(fingerprints)])
        file = cache / f"{hashlib.sha256(said.encode()).hexdigest()[:32]}.json"
        if (kept := _kept(file)) is not None:
            return kept
    found = _measured(parents, base, names, rounded)
    if file is not None:
        held = [{name: [s.first, s.both, s.second] for name, s in sums.items()} for sums in (found.pairs, found.tasks)]
        publish(file, json.dumps({"pairs": held[0], "tasks": held[1]}) + "\n")
    return found


def _kept(file: Path) -> Measured | None:
    """What was measured before; none where nothing sound is kept."""
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        pairs, tasks = ({name: Sums(*map(float, one)) for name, one in held[key].items()} for key in ("pairs", "tasks"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Measured(pairs, tasks)


def comparable(models: Sequence[Tensors]) -> list[str]:
    """Tensors that are floating-point numbers of one shape in all models."""
    return [name for name, held in models[0].items() if held.floating and all(_like(name, held, one) for one in models)]


def _like(name: str, held: Held, model: Tensors) -> bool:
    return name in model and model[name].shape == held.shape and model[name].floating


def _measured(parents: Sequence[Tensors], base: Tensors | None, names: Sequence[str], rounded: bool) -> Measured:
    bench = Bench(4)
    pairs: dict[str, Sums] = {}
    tasks: dict[str, Sums] = {}
    size = sum(piece.bytes for piece in _pieces(parents, base))
    with waiting(f"measuring how far apart {names[0]} and {names[1]} lie", size) as done:
        for piece, blocks in stream(_pieces(parents, base)):
            vectors = [as_merged(block, rounded) for block in blocks]
            third = vectors[-1] if len(vectors) > len(parents) else None
            pair, task = bench.sums(vectors[0], vectors[1], third)
            rest = [bench.sums(one, vectors[0])[0].first for one in vectors[2 : len(parents)]]
            figures = [pair.first, pair.second, *rest, *([] if task is None else [task.first, task.second])]
            if not all(math.isfinite(figure) for figure in figures):
                raise _no_number(piece.name, vectors, names)
            pairs[piece.name] = pairs.get(piece.name, _NOTHING).add(pair)
            if task is not None:
                tasks[piece.name] = tasks.get(piece.name, _NOTHING).add(task)
            done(piece.bytes)
    return Measured(pairs, tasks)


def _pieces(parents: Sequence[Tensors], base: Tensors | None) -> Iterator[Piece]:
    for name in comparable(parents):
        has = base is not None and _like(name, parents[0][name], base)
        yield from pieces([*parents, base] if has and base is not None else parents, [name])


def as_merged(block: Tensor, rounded: bool) -> Tensor:
    """Elements as they are merged: rounded to bfloat16 as mergekit does where its ``dtype`` says so, or as they are."""
    import torch

    return block.to(torch.bfloat16) if rounded else block


def _no_number(tensor: str, vectors: Sequence[Tensor], names: Sequence[str]) -> DataError:
    import torch

    for name, vector in zip(names, vectors, strict=False):
        if torch.isnan(vector).any():
            return DataError(f"{name} holds NaN in {tensor}: it is damaged or its training diverged")
        if torch.isinf(vector).any():
            return DataError(f"{name} holds an infinite number in {tensor}: it is damaged or its training diverged")
    return DataError(f"{tensor} holds numbers of more than 1e18, which no model has")

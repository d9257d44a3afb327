"""The merge itself: every tensor as a sum of its parents, into shards on the disk or one after another in memory.

Reading, summing and writing go on side by side, a piece at a time: no model is ever held. Knows tensors and shares; not
where models come from nor what a variant's folder looks like.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from training.merging.config import MergeConfig
from training.merging.cosines import Measured, as_merged, measure
from training.merging.kernels import Bench, norm_slerp_shares, slerp_shares, task_slerp_shares
from training.merging.mergekit_yaml import Mixture, document_of, mixture
from training.merging.parents import config_of, layers_of
from training.merging.reading import BLOCK, Held, Piece, Tensors, aligned, pieces, read_whole, stream
from training.merging.writing import Slot, shards, writer
from workspace.errors import DataError, UsageError
from workspace.progress import waiting

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Job:
    """Everything that a merge needs.

    Attributes:
        mixture: What is done.
        tensors: Of every parent in the mixture's order, then of its base, if it has one; all under the same names.
        layers: How many layers the models have.
        measured: Inner products of the parents.
        untied: Whether the merge has an output layer of its own where a parent's is tied to its embeddings.
    """

    mixture: Mixture
    tensors: tuple[Tensors, ...]
    layers: int
    measured: Measured
    untied: bool = False

    def shares(self, name: str) -> list[float]:
        """The share of every parent, and of the base, in a tensor."""
        mix = self.mixture
        if mix.t is not None:
            shares = norm_slerp_shares if mix.method == "norm_slerp" else slerp_shares
            return list(shares(self.measured.pairs[name], mix.t.at(name, self.layers)))
        weights = [weight.at(name, self.layers) for weight in mix.weights]
        total = sum(weights)
        if mix.method == "linear":
            if abs(total) < 1e-12:
                raise DataError(f"the weights of {name} add up to 0: there is no mean")
            return [weight / total for weight in weights]
        if mix.method == "nuslerp":
            weights = list(
                task_slerp_shares(self.measured.tasks[name], 0.5 if abs(total) < 1e-6 else weights[1] / total)
            )
        return [*weights, 1 - sum(weights)]

    @property
    def slots(self) -> list[Slot]:
        """The tensors of the merge, as they are written."""
        made = []
        for name, held in self.tensors[0].items():
            width, dtype = (2, "BF16") if held.floating else (held.width, held.dtype)
            made.append(Slot(name, dtype, held.shape, held.numel * width))
        return made


def job_of(
    mix: Mixture, parents: Sequence[Path], base: Path | None, names: Sequence[str], measured: Measured | None = None
) -> Job:
    """Look at the files of a merge's models.

    Args:
        mix: What is done.
        parents: Their folders, in the mixture's order.
        base: The folder of the mixture's base, if it has one.
        names: What parents and base are called, the base last.
        measured: Inner products of the first two parents; measured if not given.

    Raises:
        DataError: They do not hold the same tensors, or one holds what is no number.
    """
    folders = [*parents, *([] if base is None else [base])]
    tensors, untied = aligned(folders, names)
    for other, held in zip(names[1:], tensors[1:], strict=True):
        for name, one in tensors[0].items():
            if one.shape != held[name].shape:
                raise DataError(
                    f"{names[0]} and {other} cannot be merged: {name} is {_sides(one)} and {_sides(held[name])}"
                )
            if not one.floating and not _same(one, held[name]):
                raise DataError(
                    f"{names[0]} and {other} cannot be merged: {name} holds other counts, which have no mean"
                )
    if measured is None:
        measured = measure(tensors[: len(parents)], None if base is None else tensors[-1], names, mix.rounded)
    return Job(mix, tuple(tensors), layers_of(config_of(parents[0])), measured, untied)


def _sides(held: Held) -> str:
    return " x ".join(map(str, held.shape)) or "a number"


def _same(one: Held, other: Held) -> bool:
    import torch

    if one.dtype != other.dtype or not one.numel:
        return one.dtype == other.dtype
    first, second = read_whole((one, other))
    return torch.equal(first, second)


def write(job: Job, folder: Path) -> None:
    """Merge into the safetensors files of a folder.

    Raises:
        OSError: The disk says no.
        DataError: What comes out is no number.
    """
    import torch

    bench = Bench(2)
    room = [torch.empty(BLOCK, dtype=torch.bfloat16) for _ in range(3)]
    slots = job.slots
    coming = stream(_wanted(job, [slot.name for slot in slots]))
    total = sum(slot.size for slot in slots)
    with waiting(f"merging {len(slots)} tensors", total) as done, writer(folder, shards(slots)) as out:
        turn = 0
        for slot in out.tensors():
            shares = job.shares(slot.name) if slot.dtype == "BF16" else []
            left = slot.size
            while left:
                piece, blocks = next(coming)
                turn = (turn + 1) % len(room)
                made = _merged(bench, piece, blocks, shares, job.mixture.rounded, room[turn])
                size = made.numel() * made.element_size()
                left -= size
                out.add(made)
                done(size)


def _wanted(job: Job, names: Sequence[str]) -> Iterator[Piece]:
    for name in names:
        models = job.tensors if job.tensors[0][name].floating else job.tensors[:1]
        yield from pieces(models, [name])


def _merged(
    bench: Bench, piece: Piece, blocks: Sequence[Tensor], shares: Sequence[float], rounded: bool, room: Tensor
) -> Tensor:
    import torch

    if not shares:
        return blocks[0].clone()
    made = room[: piece.count]
    bench.combine([as_merged(block, rounded) for block in blocks], shares, made)
    if not torch.isfinite(made.sum(dtype=torch.float32)) and not torch.isfinite(made).all():
        raise DataError(f"merging {piece.name} gives numbers beyond bfloat16; its weights are too large")
    return made


def merged_tensors(job: Job, names: Sequence[str] | None = None) -> Iterator[tuple[str, Tensor]]:
    """Merge in memory, a tensor at a time.

    Args:
        job: From `job_of`.
        names: Of the tensors that are wanted; all if not given.

    Yields:
        Name and merged tensor, in bfloat16 where it is merged.
    """
    import torch

    bench = Bench(2)
    wanted = list(job.tensors[0]) if names is None else list(names)
    if odd := next((name for name in wanted if name not in job.tensors[0]), None):
        raise UsageError(f"the models have no tensor {odd}")
    coming = stream(_wanted(job, wanted))
    for name in wanted:
        held = job.tensors[0][name]
        shares = job.shares(name) if held.floating else []
        parts = []
        made = 0
        whole = torch.empty(held.numel, dtype=torch.bfloat16) if shares else torch.empty(0)
        while made < held.numel:
            piece, blocks = next(coming)
            parts.append(_merged(bench, piece, blocks, shares, job.mixture.rounded, whole[made:]))
            made += piece.count
        if not shares and parts:
            whole = torch.cat(parts)
        yield name, whole.view(held.shape)


def blend(
    parents: Sequence[Path],
    config: MergeConfig,
    names: Sequence[str] | None = None,
    *,
    base: Path | None = None,
    measured: Measured | None = None,
) -> Iterator[tuple[str, Tensor]]:
    """Merge in memory what a configuration says, without writing.

    Args:
        parents: Folders of the configuration's models, in its order.
        config: By a method of Studio's own engine.
        names: Of the tensors that are wanted; all if not given.
        base: Folder of the configuration's base.
        measured: Inner products of the parents from an earlier merge of the same, which spares a reading.

    Yields:
        Name and merged tensor, in bfloat16.

    Raises:
        UsageError: The method is mergekit's own.
    """
    mix = mixture(document_of(config), {})
    if mix is None:
        raise UsageError(f"{config.yaml or config.method} is merged by mergekit, onto the disk only")
    if bool(mix.base) != (base is not None) or len(parents) != len(mix.models):
        raise UsageError(f"{config.method} of {len(mix.models)} models {'with' if mix.base else 'without'} a base")
    called = [folder.name for folder in (*parents, *([] if base is None else [base]))]
    yield from merged_tensors(job_of(mix, parents, base, called, measured), names)

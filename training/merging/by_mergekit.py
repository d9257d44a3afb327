"""Merges that mergekit itself does: TIES, DARE, Karcher, other tokenizers, and YAML of one's own.

Studio's norm-geometric SLERP is registered as a method of mergekit's, so that YAML may name it. Knows mergekit; not
where models come from.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from training.merging.kernels import Bench, norm_slerp_shares
from training.merging.writing import SHARD
from training.trial import quiet_transformers
from workspace.errors import DataError, StorageError, StudioError, one_line, unknown
from workspace.extras import require

SEED = 42
"""Of the methods that drop weights at random."""
_MOST = 5  # of mergekit's warnings that are repeated


def check_method(method: str) -> None:
    """Refuse a method that neither mergekit nor Studio has.

    Raises:
        DataError: There is no such method; it names the nearest one and the choices.
    """
    _register()
    from mergekit.merge_methods.registry import registered_methods

    names = [one.spec.name for one in registered_methods()]
    if method not in names:
        raise DataError(unknown("merge method", method, names))


def run(document: Mapping[str, Any], folder: Path) -> list[str]:
    """Merge into a folder.

    Args:
        document: mergekit's YAML, its models by their folders.
        folder: Where weights, configuration and tokenizer are written.

    Returns:
        What mergekit warns of, a line each.

    Raises:
        DataError: mergekit refuses.
        StorageError: The disk says no.
    """
    _register()
    from mergekit.config import MergeConfiguration
    from mergekit.io.tasks import LoaderCache
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    options = MergeOptions(
        write_model_card=False,
        copy_tokenizer=True,
        quiet=True,
        clone_tensors=True,
        random_seed=SEED,
        out_shard_size=SHARD,
    )
    try:
        with (
            _heard() as said,
            quiet_transformers(),
            contextlib.redirect_stderr(io.StringIO()),
        ):  # bars that quiet does not still
            run_merge(MergeConfiguration.model_validate(dict(document)), str(folder), options)
    except (StudioError, MemoryError, OSError):
        raise
    except Exception as fault:  # whatever a foreign library trips over
        if "No space left" in str(fault) or "os error 28" in str(fault):
            raise StorageError(f"cannot write {folder}: no space is left on the disk") from fault
        raise DataError(f"mergekit cannot do this merge: {one_line(fault)}") from fault
    finally:
        LoaderCache.loaders.clear()  # else it keeps files open, and believes them unchanged
    return said


@contextlib.contextmanager
def _heard() -> Iterator[list[str]]:
    """Collect mergekit's warnings instead of printing them."""
    lines: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "mergekit" in record.pathname and (line := one_line(record.getMessage(), 200)) not in lines:
                lines.append(line)

    root = logging.getLogger()
    former, listener = root.handlers[:], Listener(logging.WARNING)
    root.handlers[:] = [listener]
    try:
        yield lines
    finally:
        root.handlers[:] = former
        if len(lines) > _MOST:
            lines[_MOST:] = [f"and {len(lines) - _MOST} more warnings of mergekit's"]


def _register() -> None:
    """Make the norm-geometric SLERP known to mergekit, once."""
    require("mergekit")
    import torch
    from mergekit.merge_methods import registry
    from mergekit.merge_methods.base import (
        BasePolicy,
        BatchParameter,
        InputContract,
        OptionalTensorPolicy,
        TensorBatch,
    )
    from mergekit.merge_methods.easy_define import merge_method

    if any(one.spec.name == "norm_slerp" for one in registry.registered_methods()):
        return

    def norm_slerp(batch: Any, t: Any) -> Any:
        first = batch.tensors[batch.base_index]
        second = batch.tensors[1 - batch.base_index]
        out = torch.empty_like(first, memory_format=torch.contiguous_format)
        bench = Bench(4)
        for number, share in enumerate(t.reshape(-1).tolist()):
            one, other = first[number].reshape(-1), second[number].reshape(-1)
            sums, _ = bench.sums(one, other)
            bench.combine([one, other], norm_slerp_shares(sums, share), out[number].view(-1))
        return out

    norm_slerp.__annotations__ = {
        "batch": TensorBatch,
        "t": Annotated[torch.Tensor, BatchParameter(float)],
        "return": torch.Tensor,
    }
    registry.register(
        merge_method(
            norm_slerp,
            name="norm_slerp",
            pretty_name="Norm-geometric SLERP",
            reference_url="https://arxiv.org/abs/2409.03444",
            optional_tensor_policy=OptionalTensorPolicy.PASSTHROUGH_SINGLETON,
            contract=InputContract(base=BasePolicy.REQUIRED, min_inputs=2, max_inputs=2),
        )
    )

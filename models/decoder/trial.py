"""A model tried as soon as it is read, so that one that does not work is refused at the start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workspace.errors import DataError, one_line

if TYPE_CHECKING:
    import torch

_FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_MOST_APART = 0.3  # root mean square, in standard deviations of the scores; weights of 8 bits stay far below


def try_out(model: Any, read: Callable[[Sequence[int]], torch.Tensor], ids: Sequence[int], name: str) -> None:
    """Read a few tokens piece by piece and compare with a plain forward pass over all of them.

    Args:
        model: The model.
        read: Reads more tokens and returns the scores after the last one, as the engine does.
        ids: Tokens of a usual text, at least six.
        name: How the model is called in errors.

    Raises:
        DataError: The model fails, gives what is no number, or gives other numbers when it is read piece by piece.
    """
    import torch

    try:
        found = torch.stack([read(part) for part in (ids[:-3], ids[-3:-2], ids[-2:-1], ids[-1:])])
        with torch.inference_mode():
            inputs = torch.tensor([list(ids)], device=model.device)
            whole = model(input_ids=inputs, use_cache=False).logits[0, -len(found) :].float().cpu()
    except _FAULTS as fault:
        raise DataError(f"{name} cannot be read: {one_line(fault)}") from fault
    if not (bool(found.isfinite().all()) and bool(whole.isfinite().all())):
        raise DataError(f"{name} gives what is no number; its weights are damaged")
    apart = float((found - whole).square().mean().sqrt() / whole.std().clamp(min=1e-6))
    if apart > _MOST_APART:
        kind = model.config.model_type
        raise DataError(f"{name} ({kind}) cannot be read token by token: the scores change with what follows")


def check_count(folder: Path, count: int) -> None:
    """Refuse an architecture of far more numbers than the weight files hold, built without memory for them.

    Args:
        folder: The model's folder.
        count: How many numbers the architecture has.

    Raises:
        DataError: Its weights cannot lie there.
    """
    held = sum(2 * file.stat().st_size for file in folder.glob("*.safetensors"))
    if count > 2 * held:
        raise DataError(f"{folder / 'config.json'} describes {count:,} numbers, its weight files hold {held:,} at most")

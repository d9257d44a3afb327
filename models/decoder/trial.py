"""A model tried on a few tokens as soon as it is read, so that one that does not work is refused at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workspace.errors import DataError, one_line

if TYPE_CHECKING:
    from models.decoder.engine import Engine

_FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_TOKENS = 6
_MOST_APART = 0.5  # of the standard deviation of a token's scores; rounding stays far below


def try_out(llm: Engine) -> None:
    """Read a few tokens one by one and compare with a plain forward pass over all of them.

    Raises:
        DataError: The model fails, gives what is no number, or gives other numbers when it is read piece by piece.
    """
    import torch

    from models.decoder.engine import Tape

    ids = [llm.vocabulary * number // (_TOKENS + 1) for number in range(1, _TOKENS + 1)]
    try:
        tape = Tape(llm)
        pieces = [tape.read(part) for part in (ids[:-3], ids[-3:-2], ids[-2:-1], ids[-1:])]
        with torch.inference_mode():
            inputs = torch.tensor([ids], device=llm.model.device)
            whole = llm.model(input_ids=inputs, use_cache=False).logits[0, -len(pieces) :].float().cpu()
    except _FAULTS as fault:
        raise DataError(f"{llm.name} cannot be read: {one_line(fault)}") from fault
    found = torch.stack(pieces)
    if not (bool(found.isfinite().all()) and bool(whole.isfinite().all())):
        raise DataError(f"{llm.name} gives what is no number; its weights are damaged")
    apart = float((found - whole).abs().max() / whole.std().clamp(min=1e-6))
    if apart > _MOST_APART:
        kind = llm.model.config.model_type
        raise DataError(f"{llm.name} ({kind}) cannot be read token by token: the scores change with what follows")

"""The processes that train together: whether this is the first, waiting for the others, what the first one decides.

Alone, nothing happens and no process group is started. Knows the group that accelerate, torchrun or Ray made; not what
is trained.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

PATIENCE = timedelta(hours=3)  # the first process may merge, or try a model, while the others wait
Value = TypeVar("Value")


def together() -> bool:
    """Whether a launcher started this process as one of a group."""
    return {"RANK", "LOCAL_RANK", "WORLD_SIZE"} <= os.environ.keys()


def first() -> bool:
    """Whether this process is the one that writes, publishes and reports."""
    return not together() or int(os.environ["RANK"]) == 0


def count() -> int:
    """How many processes there are."""
    return int(os.environ["WORLD_SIZE"]) if together() else 1


def on_this_machine() -> int:
    """How many processes of the group run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", count())) if together() else 1


def way() -> str:
    """How the work is split, such as ``8 fsdp``; another split goes on from no checkpoint of this one. Alone: empty."""
    if not together():
        return ""
    kinds = ("FSDP", "DEEPSPEED")
    spread = [kind.lower() for kind in kinds if os.environ.get(f"ACCELERATE_USE_{kind}", "").lower() == "true"]
    return " ".join((str(count()), *spread))


def shares() -> int:
    """Over how many processes the weights are spread."""
    return count() if way().endswith(("fsdp", "deepspeed")) else 1


def _state() -> Any:
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)


def wait() -> None:
    """Go on when every process has come here."""
    if together():
        _state().wait_for_everyone()


def leave() -> None:
    """Part from the group when every process has come here; one that only ends may abort the others, or itself."""
    if together():
        wait()
        _state().destroy_process_group()


def agreed(value: Value) -> Value:
    """The first process's value, in every process."""
    if not together():
        return value
    from accelerate.utils import broadcast_object_list

    _state()
    same: list[Value] = broadcast_object_list([value], from_process=0)
    return same[0]


def total(number: float) -> float:
    """A number summed over the processes."""
    if not together():
        return number
    import torch
    from accelerate.utils import reduce

    # Single precision, as not every device knows double: 1 in 16 million is near enough for a rate.
    return float(reduce(torch.tensor(float(number), device=_state().device), "sum"))


@contextmanager
def alone() -> Iterator[None]:
    """Within it, this process loads models whole, though the weights that are trained are spread over all."""
    if not together():
        yield
        return
    from transformers.integrations import deepspeed

    sharded = os.environ.pop("ACCELERATE_USE_FSDP", None)
    zero = deepspeed._hf_deepspeed_config_weak_ref
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = zero
        if sharded is not None:
            os.environ["ACCELERATE_USE_FSDP"] = sharded

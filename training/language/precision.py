"""Whether a machine computes in the precision, and by the attention, that a stage asks for. Knows no model."""

from __future__ import annotations

from collections.abc import Iterator

from training.gpus import Machine
from training.language.recipe import Stage, resolved
from workspace.errors import ServiceError, StudioError


def incapable(stage: Stage, here: Machine) -> Iterator[StudioError]:
    """Why this machine cannot compute as a stage asks."""
    args = resolved(stage)
    if args.bf16 and not here.bf16:
        why = f"{stage.name}: bf16 is asked for, and {here.name} does not compute in bfloat16"
        yield ServiceError(why, hint="fp16: true among its arguments")
    if args.fp16 and not here.gpus:
        why = f"{stage.name}: fp16 needs a GPU, and there is none here"
        yield ServiceError(why, hint="leave it out; bf16: false computes in single precision")
    if args.attn_implementation == "flash_attention_2" and not here.gpus:
        why = f"{stage.name}: attn_implementation flash_attention_2 needs a GPU, and there is none here"
        yield ServiceError(why, hint="sdpa, or eager")

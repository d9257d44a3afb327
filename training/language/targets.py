"""Which of a model's layers an adapter is for, looked up before anything is trained. Knows layers' names alone."""

from __future__ import annotations

import re
from typing import Any

from training.language.arguments import Adapter
from workspace.errors import DataError, unknown

_ABOUT = "adapter, target_modules"


def check_targets(config: Any, adapter: Adapter, kind: str) -> None:
    """Refuse an adapter with a target that no layer of the model is, or that the stage's trainer leaves out.

    Args:
        config: The model's configuration.
        adapter: Its targets are names, a pattern, or all-linear.
        kind: cpt, sft, dpo or orpo.

    Raises:
        DataError: It names the target and the layers that there are.
    """
    import torch
    from transformers import AutoModelForCausalLM

    targets = adapter.target_modules
    if targets == "all-linear":
        return  # peft leaves the head out by itself
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    layers = dict(model.named_modules())
    kinds = torch.nn.Linear | torch.nn.Embedding
    fit = {name.rpartition(".")[2] for name, layer in layers.items() if isinstance(layer, kinds)}
    for target in () if isinstance(targets, str) else targets:
        if not any(_is(name, target) for name in layers):
            raise DataError(f"{_ABOUT}: {unknown('layer', target, fit)}")
    head = next((name for name, layer in layers.items() if layer is model.get_output_embeddings()), "")
    wanted = re.fullmatch(targets, head) if isinstance(targets, str) else any(_is(head, one) for one in targets)
    if head and wanted and kind != "orpo":
        raise DataError(f"{_ABOUT}: {kind} takes no adapter on the head, {head}", hint="leave it out")


def _is(name: str, target: str) -> bool:
    """Whether peft takes a layer's whole name for a target."""
    return name == target or name.endswith(f".{target}")

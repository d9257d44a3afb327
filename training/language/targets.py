"""Which of a model's layers an adapter is for, and whether it can be folded, found before anything is trained.

Knows layers' names; no weights.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from training.folding import plan_folding
from training.language.arguments import Adapter
from training.language.trainer_arguments import low_rank
from workspace.errors import DataError, one_line, unknown

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
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    if targets != "all-linear":  # in which peft leaves the head out by itself
        _check_names(model, targets, kind)
    _check_saved(model, adapter)
    _check_foldable(model, adapter)


def _check_saved(model: Any, adapter: Adapter) -> None:
    """Refuse a layer to be trained whole that the model has not; peft would pass over it."""
    names = [name for name, _ in model.named_modules() if name]
    for wanted in adapter.modules_to_save:
        if not any(name.endswith(wanted) for name in names):
            fit = {name.rpartition(".")[2] for name in names if not name.rpartition(".")[2].isdigit()}
            raise DataError(f"adapter, modules_to_save: {unknown('layer', wanted, fit)}")


def _check_names(model: Any, targets: str | tuple[str, ...], kind: str) -> None:
    """Refuse a target that no layer is, or that the stage's trainer leaves out."""
    import torch

    layers = dict(model.named_modules())
    kinds = torch.nn.Linear | torch.nn.Embedding
    fit = {name.rpartition(".")[2] for name, layer in layers.items() if isinstance(layer, kinds)}
    if isinstance(targets, str) and not any(re.fullmatch(targets, name) for name in layers):
        raise DataError(
            f"{_ABOUT}: no layer's whole name is of the pattern {targets!r}",
            hint=f"names are a list: [{targets}]" if targets in fit else "layers: " + ", ".join(sorted(fit)),
        )
    for target in () if isinstance(targets, str) else targets:
        if not any(_is(name, target) for name in layers):
            raise DataError(f"{_ABOUT}: {unknown('layer', target, fit)}")
    head = next((name for name, layer in layers.items() if layer is model.get_output_embeddings()), "")
    wanted = re.fullmatch(targets, head) if isinstance(targets, str) else any(_is(head, one) for one in targets)
    if head and wanted and kind != "orpo":
        raise DataError(f"{_ABOUT}: {kind} takes no adapter on the head, {head}", hint="leave it out")


def _check_foldable(model: Any, adapter: Adapter) -> None:
    """Refuse an adapter that peft does not put on the model, or that could not be folded into its base's files."""
    from peft import get_peft_model

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what peft leaves out is found below
            adapted = get_peft_model(model, low_rank(adapter), low_cpu_mem_usage=True)
    except (ValueError, TypeError, NotImplementedError, RuntimeError) as fault:
        raise DataError(f"adapter: {one_line(fault)}", hint="target_modules names other layers") from None
    if adapted.get_base_model().config.name_or_path:
        plan_folding(adapted)


def _is(name: str, target: str) -> bool:
    """Whether peft takes a layer's whole name for a target."""
    return name == target or name.endswith(f".{target}")

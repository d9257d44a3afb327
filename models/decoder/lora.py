"""Folds a LoRA adapter into a model's weights, loudly. Knows adapter folders; nothing of chats."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from workspace.errors import DataError, one_line, reading


def fold_adapter(model: Any, folder: Path) -> Any:
    """Load a LoRA adapter (safetensors) and fold it into the weights.

    Raises:
        DataError: The adapter is unreadable or its keys do not fit this model.
    """
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    from safetensors.torch import load_file

    settings, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    for path in (settings, weights):
        if not path.is_file():
            raise DataError(f"not a LoRA adapter: {folder} has no {path.name}")
    with reading(f"the adapter {folder}"):
        state = load_file(weights)
        said = json.loads(settings.read_text(encoding="utf-8"))
        if (kind := said.get("peft_type", "LORA")) != "LORA":
            raise DataError(f"the adapter {folder} is a {str(kind)[:40]}; only a LoRA is folded into a model")
        config = LoraConfig(**_known(LoraConfig, said))
        config.inference_mode = True
        _check_ranks(config, state, folder)
        _check_foldable(config, folder)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
            tuned = get_peft_model(model, config)
    with _fitting(folder):
        outcome = set_peft_model_state_dict(tuned, state)
    strange = list(outcome.unexpected_keys)
    absent = [key for key in outcome.missing_keys if "lora_" in key]
    if strange or absent or not state:
        matched = len(state) - len(strange)
        first = f", first unmatched: {strange[0]}" if strange else f", it lacks {absent[0]}" if absent else ""
        raise DataError(f"the adapter {folder} does not fit this model: {matched} of {len(state)} keys match{first}")
    with _fitting(folder):
        return tuned.merge_and_unload()


@contextmanager
def _fitting(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as fault:  # a library that is handed a stranger's adapter raises what it likes
        raise DataError(f"the adapter {folder} does not fit this model: {one_line(fault)}") from fault


def _check_ranks(config: Any, state: Mapping[str, Any], folder: Path) -> None:
    """See that no rank is beyond what the file holds, before memory is taken for it."""
    held = max((value.shape[0] for key, value in state.items() if "lora_A" in key and value.ndim), default=0)
    for rank in (config.r, *(config.rank_pattern or {}).values()):
        if not (isinstance(rank, int) and 0 < rank <= held):
            raise DataError(f"the adapter {folder} is said to have rank {rank}, its weights have {held} at most")


def _check_foldable(config: Any, folder: Path) -> None:
    """Refuse what cannot be folded into weights, and numbers that are none."""
    for field in ("megatron_config", "alora_invocation_tokens", "layer_replication"):
        if getattr(config, field, None):
            raise DataError(f"the adapter {folder} asks for {field}, which cannot be folded into a model's weights")
    for alpha in (config.lora_alpha, *(config.alpha_pattern or {}).values()):
        if not (isinstance(alpha, int | float) and 0 < alpha < float("inf")):
            raise DataError(f"the adapter {folder} has the alpha {str(alpha)[:60]}, which must be a number above 0")


def taught_by(folder: Path) -> frozenset[str]:
    """The kinds of documents an adapter was tuned to write, as its ``studio.json`` says; none if it has none.

    Raises:
        DataError: The file is no such list.
    """
    path = folder / "studio.json"
    if not path.is_file():
        return frozenset()
    try:
        kinds = json.loads(path.read_text(encoding="utf-8")).get("taught", [])
    except (OSError, ValueError, AttributeError) as fault:
        raise DataError(f"cannot read {path}: {one_line(fault)}") from fault
    if not (isinstance(kinds, list) and all(isinstance(kind, str) for kind in kinds)):
        raise DataError(f"{path}: taught is {str(kinds)[:80]!r}; it must be a list of names")
    return frozenset(kinds)


_ASIDE = frozenset({"peft_type", "base_model_name_or_path"})  # known already, and where the base was once read


def _known(kind: Any, values: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)} - _ASIDE
    return {key: value for key, value in values.items() if key in names and value is not None}

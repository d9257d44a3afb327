"""An adapter's keys: every one is converted to diffusers' names, or the adapter is refused with what would be left out.

Which keys diffusers' converters drop is not listed here but seen: the file is converted once with numbers in place of
weights, and whatever number does not come out was dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from models.catalogue.tokenizers import slow_on_names
from workspace.errors import DataError, one_line

if TYPE_CHECKING:
    import torch

HELD = ("transformer.", "text_encoder.")
"""Parts of a pipeline that an adapter may change; diffusers puts none on T5."""

_REASONS = (
    ("dora_scale", "DoRA in kohya's form, whose dora_scale diffusers leaves out"),
    ("bundle_emb", "trained embeddings (bundle_emb), which no pipeline here takes"),
    (".diff", "whole differences of weights (diff, diff_b), which are no LoRA"),
    ("hada_", "a LoHa, which diffusers does not read"),
    ("lokr_", "a LoKr, which diffusers does not read"),
    (".lora_A.default.", "peft's weights as they stand in memory, without their alpha; save them by save_pretrained"),
    ("lora_te2", "weights for T5, which diffusers does not put on"),
    ("lora_te3", "weights for T5, which diffusers does not put on"),
    ("text_encoder_2.", "weights for T5, which diffusers does not put on"),
    ("t5", "weights for T5, which diffusers does not put on"),
)
_MOST_NUMBER = 1e6
_NOTES = "lora_adapter_metadata"
_NUMBERS = frozenset({"r", "lora_alpha", "rank_pattern", "alpha_pattern"})
_PATTERNS = frozenset({"target_modules", "rank_pattern", "alpha_pattern"})
_NOTED = _NUMBERS | _PATTERNS | {"lora_dropout", "use_dora", "use_rslora", "inference_mode", "runtime_config"}
_NOTED |= {"auto_mapping", "base_model_name_or_path", "peft_type", "peft_version", "revision", "task_type"}
"""Fields of peft's configuration that say how a file's own layers are weighed, or say nothing to diffusers."""

_FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def converted(pipe: Any, weights: Mapping[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """The weights under diffusers' names.

    Args:
        pipe: `FluxPipeline` or an instance of it.
        weights: What the file holds.
        name: How the adapter is called in errors.

    Raises:
        DataError: They are for another architecture, or some of them would be left out.
    """
    _check_alphas(weights, name)
    _check_numbers(weights, name)
    loud = {key for key, value in weights.items() if bool(value.any())}  # what is all zero may be left out
    _check_reasons(loud, name)
    try:
        found = _as_peft(pipe.lora_state_dict(dict(weights)))
        dropped = [key for key in _dropped(pipe, weights) if key in loud]
    except _FAULTS as fault:
        raise DataError(
            f"adapter {name} is no LoRA for FLUX: {one_line(fault)}",
            hint="it was made for another architecture or another width",
        ) from None
    if not found and weights:
        raise DataError(f"adapter {name} is no LoRA for FLUX: none of its keys is read, {_some([*weights])}")
    if dropped and any(".lora_" in key and key.startswith(HELD) for key in found):
        raise DataError(f"adapter {name} would be put on without {_some(dropped)}", hint="nothing of it is applied")
    return found


def _as_peft(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights with those of the text encoder under the names by which diffusers puts them on."""
    from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_peft

    words = {key.removeprefix(HELD[1]): value for key, value in weights.items() if key.startswith(HELD[1])}
    if words and not any(".lora_A." in key for key in words):
        words = convert_state_dict_to_peft(convert_state_dict_to_diffusers(words))
    others = {key: value for key, value in weights.items() if not key.startswith(HELD[1])}
    return {**others, **{f"{HELD[1]}{key}": value for key, value in words.items()}}


def _check_reasons(weights: Iterable[str], name: str) -> None:
    keys = sorted(weights)
    for mark, reason in _REASONS:
        if found := [key for key in keys if mark in key]:
            raise DataError(f"adapter {name} holds {reason}: {_some(found)}", hint="nothing of it is applied")


def _check_alphas(weights: Mapping[str, torch.Tensor], name: str) -> None:
    for key, value in weights.items():
        if key.endswith("alpha") and not (value.numel() == 1 and bool(value.isfinite()) and float(value) > 0):
            raise DataError(
                f"adapter {name}: {key} must be one number above 0, not {one_line(str(value.tolist()), 60)}"
            )


def _check_numbers(weights: Mapping[str, torch.Tensor], name: str) -> None:
    for key, value in weights.items():
        if value.is_complex() or not value.numel() or not bool(value.isfinite().all()):
            raise DataError(f"adapter {name}: {key!r} holds what is no number; the file is damaged")


def check_notes(notes: Mapping[str, str], name: str) -> None:
    """Refuse an adapter whose metadata, which diffusers obeys, asks for more than ranks and weights of its layers.

    Args:
        notes: The file's metadata.
        name: How the adapter is called in errors.

    Raises:
        DataError: It is no table, asks for another kind of adapter, or for numbers that are none.
    """
    from peft import LoraConfig

    raw = notes.get(_NOTES)
    if not raw:
        return
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise DataError(f"adapter {name}: {_NOTES} in its metadata is no JSON object")
    usual = vars(LoraConfig())
    for key, value in data.items():
        field = key.rpartition(".")[2]
        if field not in _NOTED and value not in (usual.get(field), None, False, [], {}):
            raise DataError(f"adapter {name}: its metadata asks for {key!r} = {one_line(repr(value), 60)}")
        numbers = [*value.values()] if isinstance(value, dict) else [value]
        if field in _NUMBERS and not all(_is_number(one) for one in numbers):
            raise DataError(f"adapter {name}: {key!r} in its metadata is {one_line(repr(value), 60)}")
        for pattern in [*value] if isinstance(value, dict) else [value]:
            if field in _PATTERNS and isinstance(pattern, str) and slow_on_names(pattern):
                raise DataError(f"adapter {name}: the pattern {pattern[:60]!r} of {key!r} could take for ever")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _MOST_NUMBER


def _dropped(pipe: Any, weights: Mapping[str, torch.Tensor]) -> list[str]:
    """The keys whose numbers do not come out of a conversion for a part that can be changed."""
    import torch

    ranks = {key.rsplit(".lora_", 1)[0]: value.shape[0] for key, value in weights.items() if "down" in key}
    keys = [key for key in weights if not key.endswith("alpha")]
    marked = {key: torch.full(weights[key].shape, float(mark)) for mark, key in enumerate(keys, start=1)}
    for key in weights:
        if key.endswith("alpha"):
            marked[key] = torch.tensor(float(ranks.get(key.removesuffix(".alpha"), 1)))
    seen: set[float] = set()
    for key, value in pipe.lora_state_dict(marked).items():
        if key.startswith(HELD) and "lora" in key:
            seen.update(value.unique().tolist())
    return [key for mark, key in enumerate(keys, start=1) if float(mark) not in seen]


def _some(keys: list[str]) -> str:
    shown = ", ".join(repr(key)[1:-1] for key in keys[:3])
    return f"{len(keys)} of its keys: {shown}{', ...' if len(keys) > 3 else ''}"

"""A LoRA adapter of peft as GGUF holds one: its two matrices for each layer, in the order of the base's rows.

llama.cpp scales every product B A by alpha over the rank; what peft scales otherwise is multiplied into B. Knows
adapter folders and the base's architecture, not the base's weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.catalogue.folders import read_json
from models.serving.gguf_architecture import HEAD, Architecture, head_of, modules_of, names_of
from models.serving.gguf_tensors import Laid, held_in
from workspace.errors import DataError

_KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<half>[AB])\.weight")
_UNUSABLE = (
    "use_dora", "lora_bias", "fan_in_fan_out", "modules_to_save", "trainable_token_indices", "layer_replication",
    "target_parameters", "alora_invocation_tokens", "use_qalora", "use_bdlora", "arrow_config", "megatron_config",
)  # fmt: skip


@dataclass(frozen=True)
class Adapter:
    """What a GGUF file holds of an adapter.

    Attributes:
        alpha: What products are scaled by, times their rank.
        tensors: The halves of every layer, A before B.
    """

    alpha: float
    tensors: list[Laid]


def read_adapter(folder: Path, base: Architecture, untied: bool, base_name: str) -> Adapter:
    """Read an adapter folder for a base.

    Args:
        folder: With ``adapter_config.json`` and ``adapter_model.safetensors``.
        base: The base's architecture.
        untied: Whether the base's output layer is a tensor of its own.
        base_name: The base's name, for errors.

    Raises:
        DataError: It is no LoRA, changes what a GGUF adapter has no place for, or is of another base.
    """
    settings = read_json(folder / "adapter_config.json") if (folder / "adapter_config.json").is_file() else None
    if not isinstance(settings, dict):
        raise DataError(f"not a LoRA adapter: {folder} has no adapter_config.json that describes one")
    if (kind := settings.get("peft_type", "LORA")) != "LORA":
        raise DataError(f"the adapter {folder.name} is a {str(kind)[:40]}; as GGUF is written: LORA")
    used = [key for key in _UNUSABLE if settings.get(key)] + ["bias"] * (settings.get("bias", "none") != "none")
    if used:
        raise DataError(
            f"the adapter {folder.name} uses {', '.join(used)}, which a GGUF adapter has no place for",
            hint="fold it into its base and serve the whole model",
        )
    alpha = _number(settings.get("lora_alpha", 8), folder.name)
    shapes = {name: shape for layer in range(base.layers) for name, shape in modules_of(base, layer).items()}
    if untied:
        shapes[HEAD.removesuffix(".weight")] = (base.vocabulary, base.width)
    names, tensors = names_of(base), []
    for module, halves in _pairs(folder, base_name, shapes).items():
        rank = halves["A"].shape[0]
        scale = _number(_by_pattern(settings.get("alpha_pattern"), module, alpha), folder.name) / alpha
        scale *= math.sqrt(rank) if settings.get("use_rslora") else 1.0
        written = f"{names.get_name(module)}.weight.lora_"
        tensors.append(Laid(f"{written}a", halves["A"], "F32"))
        tensors.append(Laid(f"{written}b", halves["B"], "F32", head_of(base, f"{module}.weight"), scale))
    return Adapter(alpha, tensors)


def _pairs(folder: Path, base_name: str, shapes: Mapping[str, tuple[int, int]]) -> dict[str, dict[str, Any]]:
    """Both halves of every layer that an adapter changes, of the base's shape, in the base's order."""
    found: dict[str, dict[str, Any]] = {}
    for key, held in held_in(folder, "adapter_model.safetensors").items():
        named = _KEY.fullmatch(key)
        if named is None or named["module"] not in shapes:
            raise DataError(f"the adapter {folder.name} changes {key}, for which there is no place in {base_name}")
        found.setdefault(named["module"], {})[named["half"]] = held
    for module, halves in found.items():
        if len(halves) < 2:
            raise DataError(f"the adapter {folder.name} holds one half of {module} alone")
        sides, (rows, columns) = (halves["A"].shape, halves["B"].shape), shapes[module]
        if len(sides[0]) != 2 or sides != ((sides[0][0], columns), (rows, sides[0][0])):
            raise DataError(f"the adapter {folder.name} is of another base than {base_name}: {module} has {sides}")
    return {module: found[module] for module in shapes if module in found}


def _by_pattern(pattern: Any, module: str, usual: float) -> Any:
    """What a pattern of peft's says of a layer, as `peft.utils.get_pattern_key` finds it."""
    for key, value in (pattern or {}).items():
        if re.fullmatch(rf"(.*\.)?({key})", module):
            return value
    return usual


def _number(alpha: Any, name: str) -> float:
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha < math.inf:
        raise DataError(f"the adapter {name} has the alpha {str(alpha)[:60]}, which must be a number above 0")
    return float(alpha)

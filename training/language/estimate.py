"""What a stage will need: memory and hours, before any weight is read. From sizes alone: a guide, not a promise.

Activations after Korthikanti et al., "Reducing activation recomputation in large transformer models" (2022); operations
after Kaplan et al., "Scaling laws for neural language models" (2020): six a parameter and token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.language.arguments import Adapter, Arguments
from workspace.errors import DataError, one_line

GB = 1e9
_CPU_FLOPS = 0.3e12  # SmolLM2-135M trains at 370 tokens/s on two cores with bf16 units (measured)
_USED = 0.4  # of a GPU's peak
PEAKS: Mapping[str, float] = {
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40": 181e12,
    "A10": 125e12,
    "4090": 165e12,
    "3090": 71e12,
}
"""Dense bf16 operations a second, from the makers' data sheets."""


@dataclass(frozen=True)
class Size:
    """A decoder's sizes: parameters, layers, width, vocabulary."""

    parameters: int
    layers: int
    width: int
    words: int


KNOWN: Mapping[str, Size] = {
    "llama-3.1-8b": Size(8_030_261_248, 32, 4096, 128_256),
    "mistral-7b": Size(7_248_023_552, 32, 4096, 32_768),
    "smollm-1.7b": Size(1_711_376_384, 24, 2048, 49_152),
    "smollm2-1.7b": Size(1_711_376_384, 24, 2048, 49_152),
    "smollm2-360m": Size(361_821_120, 32, 960, 49_152),
    "smollm2-135m": Size(134_515_008, 30, 576, 49_152),
}
"""Models of the catalogue, by how their names begin: so that a plan needs no download."""


def size_of(model: str, folder: Path | None) -> Size | None:
    """A model's sizes, from its configuration or the table; none if neither knows.

    Raises:
        DataError: The configuration is no language model's.
    """
    if folder is not None and (folder / "config.json").is_file():
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            width, layers, words = (config.get(key) for key in ("hidden_size", "num_hidden_layers", "vocab_size"))
            if width and layers and words:
                return Size(_parameters(config), int(layers), int(width), int(words))
        except (OSError, ValueError, TypeError, AttributeError, ArithmeticError) as fault:
            raise DataError(f"{folder / 'config.json'} is no model's configuration: {one_line(fault)}") from None
    return next((size for name, size in KNOWN.items() if model.startswith(name)), None)


def _parameters(config: Mapping[str, Any]) -> int:
    """Count a Llama-like decoder's parameters from its configuration."""
    width, inner = int(config["hidden_size"]), int(config.get("intermediate_size") or 4 * config["hidden_size"])
    heads = int(config.get("num_attention_heads") or 1)
    shared = int(config.get("num_key_value_heads") or heads)
    head = int(config.get("head_dim") or width // heads)
    block = 2 * width * heads * head + 2 * width * shared * head + 3 * width * inner + 2 * width
    words = int(config["vocab_size"]) * width
    return int(config["num_hidden_layers"]) * block + width + words * (1 if config.get("tie_word_embeddings") else 2)


def memory(size: Size, args: Arguments, kind: str, adapter: Adapter | None, processes: int) -> float:
    """Gigabytes a process needs, with the weights sharded over the processes (FSDP, ZeRO-3).

    Full training: float32 weights, gradients and two moments, 16 bytes a parameter; a low-rank adapter: the frozen
    weights (2 bytes, 0.6 in four bits) and 16 bytes for each of its own. DPO holds a second, frozen model. Preference
    stages pass two rows a pair.
    """
    weights = 16.0 * size.parameters
    if adapter is not None:
        frozen = 0.6 if adapter.type == "qlora" else 2.0
        weights = frozen * size.parameters + 16.0 * _low_rank(size, adapter)
    elif kind == "dpo":
        weights += 4.0 * size.parameters
    tokens = args.per_device_train_batch_size * args.max_length * (2 if kind in ("dpo", "orpo") else 1)
    a_layer = 2.0 if args.gradient_checkpointing else 34.0
    activations = tokens * (size.width * size.layers * a_layer + 34.0 * size.width + 6.0 * size.words)
    return (weights / processes + activations) / GB


def _low_rank(size: Size, adapter: Adapter) -> float:
    """Parameters of an adapter on all linear layers: about 18 widths a layer and rank."""
    return 18.0 * size.width * size.layers * adapter.r


def hours(size: Size, tokens: float, kind: str, flops: float) -> float:
    """Hours for so many tokens in all epochs; DPO passes a frozen model too."""
    return (8.0 if kind == "dpo" else 6.0) * size.parameters * tokens / flops / 3600


def operations(size: Size, kind: str, adapter: bool) -> float:
    """Operations of a token: two a parameter forward, four backward or two where they are frozen, two for DPO's other.

    Recomputed activations are not counted, as is the custom.
    """
    return ((4.0 if adapter else 6.0) + (2.0 if kind == "dpo" else 0.0)) * size.parameters


def peak() -> float | None:
    """The first GPU's bf16 operations a second, if it is known."""
    import torch

    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_properties(0).name
    return next((value for key, value in PEAKS.items() if key in name), None)


@dataclass(frozen=True)
class Machine:
    """What there is: the device's name, its memory in GB, and operations a second that can be hoped for."""

    name: str
    memory: float
    flops: float


def machine() -> Machine:
    """The first GPU, or this computer."""
    import psutil  # type: ignore[import-untyped]
    import torch

    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        return Machine(gpu.name, gpu.total_memory / GB, _USED * (peak() or 100e12))
    return Machine("CPU", psutil.virtual_memory().total / GB, _CPU_FLOPS)

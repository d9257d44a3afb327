"""What a stage will need: memory and hours, before any weight is read. From sizes alone: a guide, not a promise.

Activations as counted from the tensors that transformers' Llama keeps for the backward pass under bfloat16 autocast:
30 bytes a width (25 where weights are held in 16 bits), 8 a feed-forward width and 4 a key's width, for each token and
layer; operations after Kaplan et al., "Scaling laws for neural language models" (2020): six a parameter and token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from training.language.arguments import Adapter, Arguments
from workspace.errors import DataError, one_line

GB = 1e9
_LLAMA = {"model_type": "llama", "vocab_size": 49_152, "tie_word_embeddings": True}
_CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "llama-3.1-8b": {
        **_LLAMA, "hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 14_336, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 128_256, "tie_word_embeddings": False,
    },
    "mistral-7b": {
        **_LLAMA, "hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 14_336, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 32_768, "tie_word_embeddings": False,
    },
    "smollm-1.7b": {
        **_LLAMA, "hidden_size": 2048, "num_hidden_layers": 24, "intermediate_size": 8192, "num_attention_heads": 32,
    },
    "smollm2-360m": {
        **_LLAMA, "hidden_size": 960, "num_hidden_layers": 32, "intermediate_size": 2560, "num_attention_heads": 15,
        "num_key_value_heads": 5,
    },
    "smollm2-135m": {
        **_LLAMA, "hidden_size": 576, "num_hidden_layers": 30, "intermediate_size": 1536, "num_attention_heads": 9,
        "num_key_value_heads": 3,
    },
}  # fmt: skip
KNOWN: Mapping[str, Mapping[str, Any]] = {
    **_CONFIGS,
    "smollm2-1.7b": _CONFIGS["smollm-1.7b"],
    **{f"lamm-{name}": held for name, held in _CONFIGS.items()},
}
"""Configurations of the catalogue's models, by how their names begin: so that a plan needs no download."""
_STATE = {"adafactor": 0.1, "sgd": 0.0, "adamw_8bit": 2.0, "paged_adamw_8bit": 2.0, "lion_8bit": 1.0}
"""Bytes a trained parameter that an optimizer remembers by; AdamW 8."""
_PROCESS = 1.0  # GB: libraries, and what an allocator cannot use
_LOGIT, _TILE = 14.0, 2048  # bytes of a logit with its gradient; tokens whose logits there are at once


@dataclass(frozen=True)
class Size:
    """A decoder's sizes.

    Attributes:
        parameters: All of them.
        active: Those that a token passes: of a mixture of experts the ones that it is given to.
        layers: How many there are.
        width: Of the states between them.
        inner: Width of a feed-forward layer, of all experts that a token passes together.
        keys: Width of the keys, and of the values.
        words: Of the vocabulary.
        linear: Parameters of linear layers, apart from the output: what four bits can hold, what an adapter adapts.
        sides: The linear layers' inputs and outputs, summed: an adapter's parameters for each rank.
    """

    parameters: int
    active: int
    layers: int
    width: int
    inner: int
    keys: int
    words: int
    linear: int
    sides: int


def size_of(model: str, folder: Path | None) -> Size | None:
    """A model's sizes, from its configuration or the table; none if neither knows.

    Raises:
        DataError: The configuration is no language model's.
    """
    file = None if folder is None else folder / "config.json"
    if file is not None and file.is_file():
        try:
            text = file.read_text(encoding="utf-8")
            if all(_part(json.loads(text)).get(key) for key in ("hidden_size", "num_hidden_layers", "vocab_size")):
                return _counted(text)
        except (OSError, ValueError, TypeError, AttributeError, ArithmeticError, KeyError, RuntimeError) as fault:
            raise DataError(f"{file} is no model's configuration: {one_line(fault)}") from None
    known = next((held for name, held in KNOWN.items() if model.startswith(name)), None)
    return None if known is None else _counted(json.dumps(known))


def _part(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a configuration that tells of the language model."""
    held = config.get("text_config")
    return held if isinstance(held, dict) else config


def _plain(part: dict[str, Any]) -> Any:
    """A part of a configuration, with numbers that JSON has not, such as infinity, as transformers writes them."""
    return float(part["__float__"]) if part.keys() == {"__float__"} else part


@lru_cache
def _counted(text: str) -> Size:
    """Build the model of a configuration without its weights, and count."""
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig, AutoModelForCausalLM

    held = json.loads(text, object_hook=_plain)
    held.pop("quantization_config", None)
    try:
        config = AutoConfig.for_model(held.pop("model_type"), **held)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except StrictDataclassError as fault:
        raise ValueError(one_line(fault)) from None
    inside = config.get_text_config()
    every = dict(model.named_parameters())  # tied ones once
    experts = sum(weight.numel() for name, weight in every.items() if ".experts." in name)
    of = _figure(inside, "num_local_experts", "num_experts", "n_routed_experts") or 1
    chosen = min(of, _figure(inside, "num_experts_per_tok", "num_experts_per_token", "top_k") or 1)
    total = sum(weight.numel() for weight in every.values())
    output = model.get_output_embeddings()
    linear = [one for one in model.modules() if isinstance(one, torch.nn.Linear) and one is not output]
    heads = _figure(inside, "num_attention_heads") or 1
    head = _figure(inside, "head_dim") or inside.hidden_size // heads
    inner = _figure(inside, "intermediate_size", "n_inner") or 4 * inside.hidden_size
    inner = (_figure(inside, "moe_intermediate_size") or inner) * chosen if experts else inner
    return Size(
        parameters=total,
        active=total - experts + experts * chosen // of,
        layers=inside.num_hidden_layers,
        width=inside.hidden_size,
        inner=inner,
        keys=head * (_figure(inside, "num_key_value_heads") or heads),
        words=inside.vocab_size,
        linear=sum(one.weight.numel() for one in linear),
        sides=sum(one.in_features + one.out_features for one in linear),
    )


def _figure(config: Any, *names: str) -> int | None:
    return next((int(value) for name in names if isinstance(value := getattr(config, name, None), int)), None)


def memory(size: Size, args: Arguments, kind: str, adapter: Adapter | None, shares: int = 1, copies: int = 1) -> float:
    """Gigabytes that a process needs.

    Full training: float32 weights, gradients and the optimizer's memory, 16 bytes a parameter with AdamW, and weights
    once more in 16 bits where they are not spread. A low-rank adapter: the frozen weights (2 bytes; linear ones about
    half a byte in four bits) and 16 for each of its own. DPO in full holds a second, frozen model. Preference stages
    pass two rows a pair.

    Args:
        size: The model's.
        args: The stage's, resolved.
        kind: cpt, sft, dpo or orpo.
        adapter: A low-rank adapter in place of full training.
        shares: Over how many processes the weights are spread (FSDP, ZeRO-3).
        copies: How many processes hold a copy each (DDP), and gradients once more to sum them.
    """
    state = 8.0 + _STATE.get(args.optim, 8.0) + (4.0 if copies > 1 else 0.0)
    half = args.bf16 or args.fp16
    if adapter is None:
        weights = state * size.parameters + (4.0 * size.parameters if kind == "dpo" else 0.0)
        weights += 2.0 * size.parameters if half and shares == 1 else 0.0
    else:
        whole = sum(part in adapter.modules_to_save for part in ("embed_tokens", "lm_head"))
        trained = size.sides * adapter.r + whole * size.words * size.width
        bits = adapter.type == "qlora"
        wide = 2.0 if half or bits else 4.0
        wide = 4.0 if bits and kind == "orpo" else wide  # its trainer widens what is not in four bits
        in_four_bits = size.linear if bits else 0
        weights = wide * (size.parameters - in_four_bits) + 0.52 * in_four_bits + state * trained
    gathered = 0.0
    if shares > 1:  # what is whole at one time: embeddings and output, two layers
        gathered = 4.0 * (2 * size.words * size.width + 2 * size.parameters / size.layers)
    return (weights / shares + gathered + activations(size, args, kind, adapter)) / GB + _PROCESS


def crowd(processes: int, devices: int) -> int:
    """How many processes share a device, at most: a GPU, or the one memory of a computer without."""
    return -(-processes // max(1, devices))


def activations(size: Size, args: Arguments, kind: str, adapter: Adapter | None) -> float:
    """Bytes that a batch's states take until the backward pass is done with them."""
    tokens = args.per_device_train_batch_size * args.max_length * (2 if kind in ("dpo", "orpo") else 1)
    wide = 1.0 if args.bf16 or args.fp16 else 2.0
    layer = wide * ((30.0 if adapter is None else 25.0) * size.width + 8.0 * size.inner + 4.0 * size.keys)
    if args.gradient_checkpointing:  # each layer's input, and one layer with its gradients
        a_token = (4.0 if adapter is None else 2.0 * wide) * size.width * size.layers + 1.5 * layer
    else:
        a_token = layer * size.layers
    logits = tokens if kind == "orpo" else min(tokens, _TILE)  # the other trainers take logits in tiles
    return tokens * a_token + logits * _LOGIT * size.words


def operations(size: Size, kind: str, adapter: bool) -> float:
    """Operations of a token: two a parameter forward, four backward or two where they are frozen, two for DPO's other.

    Recomputed activations are not counted, as is the custom.
    """
    return ((4.0 if adapter else 6.0) + (2.0 if kind == "dpo" else 0.0)) * size.active


def hours(size: Size, tokens: float, kind: str, flops: float, adapter: bool = False, recompute: bool = False) -> float:
    """Hours for so many tokens in all epochs, with activations that are computed twice."""
    each = operations(size, kind, adapter) + (2.0 * size.active if recompute else 0.0)
    return each * tokens / flops / 3600

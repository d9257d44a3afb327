"""What a Llama-family configuration says, as GGUF says it: sizes, rotary embeddings, and a place for every tensor.

Knows the configuration and the tensors' names and shapes; reads no weights and no tokenizer. The keys are those of
the GGUF specification (ggml, docs/gguf.md); the rotary factors are those of Llama 3.1 (arXiv 2407.21783).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.catalogue.folders import read_json
from models.serving.gguf_tensors import Held, Laid, Precision, kind_of, same
from workspace.errors import DataError, reading

EMBEDDINGS, HEAD = "model.embed_tokens.weight", "lm_head.weight"
_INTERLEAVED = ("self_attn.q_proj", "self_attn.k_proj")
_ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
_FEED = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


@dataclass(frozen=True)
class Family:
    """What a ``model_type`` of transformers is to llama.cpp.

    Attributes:
        name: llama.cpp's architecture.
        interleaved: Whether its rotary embeddings turn neighbouring rows, so that heads' halves are interleaved.
        biased: Layers that always have a bias.
        normed: Whether queries and keys are normed by head.
    """

    name: str
    interleaved: bool
    biased: tuple[str, ...] = ()
    normed: bool = False


FAMILIES = {
    "llama": Family("llama", interleaved=True),
    "mistral": Family("llama", interleaved=True),
    "qwen2": Family("qwen2", interleaved=False, biased=_ATTENTION[:3]),
    "qwen3": Family("qwen3", interleaved=False, normed=True),
}


@dataclass(frozen=True)
class Architecture:
    """The sizes of a model; lengths are in tokens or numbers.

    Attributes:
        family: Its family.
        context: Tokens that it can read at once and attend to all of them.
        window: Where it attends to fewer than it can read, to how many; else 0.
        layers: How many blocks it has.
        width: Numbers a token is.
        feed: Numbers inside a feed-forward layer.
        heads: Attention heads for queries.
        kv_heads: Attention heads for keys and values.
        head: Numbers of a head.
        vocabulary: Rows of the embeddings.
        epsilon: Of the root-mean-square norms.
        rope: The rotary embeddings' parameters, as transformers standardises them.
        ties: Whether the configuration ties the output layer to the embeddings.
        biased: Layers that have a bias.
    """

    family: Family
    context: int
    window: int
    layers: int
    width: int
    feed: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    epsilon: float
    rope: Mapping[str, Any]
    ties: bool
    biased: tuple[str, ...]


def architecture_of(folder: Path) -> Architecture:
    """Read a model folder's configuration.

    Raises:
        DataError: It is of another architecture, quantised, or has a part that llama.cpp computes otherwise.
    """
    said = read_json(folder / "config.json") if (folder / "config.json").is_file() else None
    if not isinstance(said, dict):
        raise DataError(f"{folder} has no config.json that describes a model")
    kind = said.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise DataError(f"{folder.name} is a model of type {kind}; as GGUF are written: {', '.join(FAMILIES)}")
    if said.get("quantization_config"):
        raise DataError(f"{folder.name} is quantised already", hint="name the model that it was made from")
    from transformers import AutoConfig

    with reading(f"the configuration of {folder}"):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        biased = [*FAMILIES[kind].biased]
        biased += _ATTENTION if getattr(config, "attention_bias", False) else ()
        biased += _FEED if getattr(config, "mlp_bias", False) else ()
        found = Architecture(
            family=FAMILIES[kind],
            context=config.max_position_embeddings,
            window=getattr(config, "sliding_window", None) or 0,
            layers=config.num_hidden_layers,
            width=config.hidden_size,
            feed=config.intermediate_size,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
            vocabulary=config.vocab_size,
            epsilon=config.rms_norm_eps,
            rope=dict(config.rope_parameters),
            ties=bool(config.tie_word_embeddings),
            biased=tuple(biased),
        )
    _check(found, str(config.hidden_act), folder.name)
    return found


def _check(found: Architecture, activation: str, name: str) -> None:
    sizes = (found.context, found.layers, found.width, found.feed, found.heads, found.kv_heads, found.vocabulary)
    if not all(type(size) is int and size > 0 for size in sizes) or found.heads % found.kv_heads or found.head % 2:
        raise DataError(f"{name} is said to have sizes that make no model: {sizes}")
    if activation != "silu":
        raise DataError(f"{name} has the activation {activation!r}; llama.cpp computes silu for its architecture")
    if found.family.normed and found.biased:
        raise DataError(f"{name} has biases, which llama.cpp has not for its architecture")
    kind = found.rope.get("rope_type", "default")
    needed = {"default": (), "linear": ("factor",), "llama3": _LLAMA3}.get(kind)
    if needed is None:
        raise DataError(
            f"{name} scales its rotary embeddings by {kind!r}; as GGUF are written: default, linear, llama3"
        )
    for key in ("rope_theta", *needed):
        value = found.rope.get(key)
        if not (isinstance(value, int | float) and 0 < value < math.inf):
            raise DataError(f"{name} has {key} {value!r} for its rotary embeddings; it must be a number above 0")
    if kind == "llama3" and not found.rope["low_freq_factor"] < found.rope["high_freq_factor"]:
        raise DataError(f"{name} has a low_freq_factor that is not below its high_freq_factor")
    if found.rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise DataError(f"{name} turns only a part of each head, which llama.cpp does not for its architecture")


_LLAMA3 = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")


def describe(writer: Any, found: Architecture) -> None:
    """Put the sizes into a GGUF writer."""
    from gguf import RopeScalingType

    writer.add_context_length(min(found.context, found.window or found.context))
    writer.add_embedding_length(found.width)
    writer.add_block_count(found.layers)
    writer.add_feed_forward_length(found.feed)
    writer.add_head_count(found.heads)
    writer.add_head_count_kv(found.kv_heads)
    writer.add_key_length(found.head)
    writer.add_value_length(found.head)
    writer.add_layer_norm_rms_eps(found.epsilon)
    writer.add_vocab_size(found.vocabulary)
    writer.add_rope_dimension_count(found.head)
    writer.add_rope_freq_base(float(found.rope["rope_theta"]))
    if found.rope.get("rope_type") == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(found.rope["factor"]))


def modules_of(found: Architecture, layer: int) -> dict[str, tuple[int, int]]:
    """The linear layers of a block: transformers' name to rows and columns of its weight."""
    queries, keys = found.heads * found.head, found.kv_heads * found.head
    shapes = {
        "self_attn.q_proj": (queries, found.width),
        "self_attn.k_proj": (keys, found.width),
        "self_attn.v_proj": (keys, found.width),
        "self_attn.o_proj": (found.width, queries),
        "mlp.gate_proj": (found.feed, found.width),
        "mlp.up_proj": (found.feed, found.width),
        "mlp.down_proj": (found.width, found.feed),
    }
    return {f"model.layers.{layer}.{name}": shape for name, shape in shapes.items()}


def head_of(found: Architecture, name: str) -> int:
    """Rows of a head where the rows of a tensor are interleaved by heads, else 0."""
    return found.head if found.family.interleaved and any(f".{part}." in name for part in _INTERLEAVED) else 0


def names_of(found: Architecture) -> Any:
    """The map of the gguf package from transformers' names of an architecture to GGUF's; ask it by ``get_name``."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    arch = next(key for key, name in MODEL_ARCH_NAMES.items() if name == found.family.name)
    return get_tensor_name_map(arch, found.layers)


def unties(found: Architecture, held: Mapping[str, Held]) -> bool:
    """Whether the output layer is a tensor of its own.

    As transformers has it: where the configuration ties it to the embeddings and the files hold both, they are tied
    only if they are the same.
    """
    return not found.ties or (HEAD in held and EMBEDDINGS in held and not same(held[HEAD], held[EMBEDDINGS]))


def lay_out(found: Architecture, held: Mapping[str, Held], precision: Precision, name: str) -> list[Laid]:
    """Give every tensor of a model its place in a GGUF file.

    Args:
        found: The architecture.
        held: The model's tensors.
        precision: How its matrices are stored.
        name: The model's, for errors.

    Raises:
        DataError: One is missing, left over, or of another shape than the configuration says.
    """
    wanted = _shapes(found, unties(found, held))
    spare = [] if HEAD in wanted else [HEAD]
    missing = [key for key in wanted if key not in held]
    extra = [key for key in held if key not in wanted and key not in spare]
    for keys, verb in ((missing, "lacks"), (extra, "has no place for")):
        if keys:
            more = f" and {len(keys) - 1} more" if keys[1:] else ""
            subject = name if verb == "lacks" else f"the architecture of {name}"
            raise DataError(f"{subject} {verb} {keys[0]}{more}")
    names = names_of(found)
    laid = []
    for key, shape in wanted.items():
        if held[key].shape != shape:
            raise DataError(f"{name} holds {key} as {held[key].shape}; its config.json says {shape}")
        stem, _, ending = key.rpartition(".")
        written = f"{names.get_name(stem)}.{ending}"
        laid.append(Laid(written, held[key], kind_of(shape, precision), head_of(found, key)))
    if found.rope.get("rope_type") == "llama3":
        laid.append(Laid("rope_freqs.weight", rotary_factors(found), "F32"))
    return laid


def _shapes(found: Architecture, untied: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {EMBEDDINGS: (found.vocabulary, found.width)}
    if untied:
        shapes[HEAD] = (found.vocabulary, found.width)
    shapes["model.norm.weight"] = (found.width,)
    for layer in range(found.layers):
        block = f"model.layers.{layer}."
        shapes |= {f"{block}{norm}_layernorm.weight": (found.width,) for norm in ("input", "post_attention")}
        for module, shape in modules_of(found, layer).items():
            shapes[f"{module}.weight"] = shape
            if module.removeprefix(block) in found.biased:
                shapes[f"{module}.bias"] = shape[:1]
        if found.family.normed:
            shapes |= {f"{block}self_attn.{norm}_norm.weight": (found.head,) for norm in ("q", "k")}
    return shapes


def rotary_factors(found: Architecture) -> NDArray[np.float32]:
    """What Llama 3.1 divides the frequencies of its rotary embeddings by, one for each pair of a head's numbers."""
    factor, low, high, trained = (float(found.rope[key]) for key in _LLAMA3)
    frequencies = float(found.rope["rope_theta"]) ** -(np.arange(0, found.head, 2) / found.head)
    turns = trained * frequencies / (2 * math.pi)  # within the length that it was first trained on
    share = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1.0 / ((1.0 - share) / factor + share)).astype(np.float32)

"""One token at a time through a small Llama on a CPU: transformers' forward pass in a third of the operations.

A model of 135M parameters spends most of a token's time on starting some thirty small operations a layer and on copying
its KV cache to make it one token longer. Here queries, keys and values come from one product, gate and up from another,
and the cache grows in place. For a model whose layers are `models.quick.QuickLinear`; any other gets no stepper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from models.quick import QuickLinear

_ROOM = 256  # tokens that a cache is given ahead
_STATIC_ROPE = ("default", "linear", "llama3")
_Weight = tuple[torch.Tensor, torch.Tensor]


class Stepper:
    """The weights of a model, ready for `step`.

    Args:
        model: A quickened `LlamaForCausalLM`.
    """

    def __init__(self, model: Any) -> None:
        config = model.config
        self.heads: int = config.num_attention_heads
        self.turned: int = config.num_attention_heads + config.num_key_value_heads
        self.width: int = model.model.layers[0].self_attn.head_dim
        self.eps: float = config.rms_norm_eps
        self.shape = (config.hidden_size,)
        self.rotary = model.model.rotary_emb
        self.words = model.model.embed_tokens.weight
        self.layers = [self._layer(layer) for layer in model.model.layers]
        self.norm = model.model.norm.weight
        self.head = _weight([model.lm_head])
        self.cos = self.sin = torch.empty(0, self.width)

    @staticmethod
    def _layer(layer: Any) -> tuple[torch.Tensor, _Weight, _Weight, torch.Tensor, _Weight, _Weight]:
        query, key, value, leave, gate, up, down = _linear(layer)
        return (
            layer.input_layernorm.weight,
            _weight([query, key, value]),
            _weight([leave]),
            layer.post_attention_layernorm.weight,
            _weight([gate, up]),
            _weight([down]),
        )

    def step(self, token: int, place: int, room: Room) -> torch.Tensor:
        """Read one token at its place, from 0, behind what the room's cache holds; returns the logits, float32."""
        room.fit(place)
        cos, sin = self._angles(place)
        states = self.words[token][None]
        with torch.inference_mode():
            for (first, join, leave, second, widen, narrow), (keys, values) in zip(
                self.layers, room.layers, strict=True
            ):
                heads = _product(functional.rms_norm(states, self.shape, first, self.eps), join).view(-1, self.width)
                turned, value = heads[: self.turned], heads[self.turned :]
                turned = torch.addcmul(turned * cos, turned.roll(self.width // 2, -1), sin)
                keys[0, :, place] = turned[self.heads :]
                values[0, :, place] = value
                seen = functional.scaled_dot_product_attention(
                    turned[: self.heads].view(1, self.heads, 1, self.width),
                    keys[:, :, : place + 1],
                    values[:, :, : place + 1],
                    enable_gqa=True,
                )
                states = states + _product(seen.view(1, -1), leave)
                gate, up = _product(functional.rms_norm(states, self.shape, second, self.eps), widen).chunk(2, -1)
                states = states + _product(functional.silu(gate) * up, narrow)
            states = functional.rms_norm(states, self.shape, self.norm, self.eps)
            logits: torch.Tensor = _product(states, self.head)[0].float()
        room.grown(place + 1)
        return logits

    def _angles(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and signed sines of a place: half of the channels turn with the other half, as in Llama."""
        if place >= len(self.cos):
            with torch.inference_mode():
                cos, sin = self.rotary(self.words[:1], torch.arange(place + 1024)[None])
                half = self.width // 2
                self.cos, self.sin = cos[0], torch.cat([-sin[0, :, :half], sin[0, :, half:]], dim=-1)
        return self.cos[place], self.sin[place]


class Room:
    """A KV cache with room ahead, so that a token more is written into it instead of copying all of it.

    The transformers cache stays whole throughout: its tensors are views of these.
    """

    def __init__(self, cache: Any) -> None:
        self.cache = cache
        self.layers: list[tuple[torch.Tensor, torch.Tensor]] = []

    def fit(self, place: int) -> None:
        """See that the buffers hold what the cache holds and have room at ``place``."""
        held = self.cache.layers
        ours = bool(self.layers) and held[0].keys.data_ptr() == self.layers[0][0].data_ptr()
        if not ours or place >= self.layers[0][0].shape[2]:
            self.layers = [(_roomy(layer.keys, place), _roomy(layer.values, place)) for layer in held]

    def grown(self, length: int) -> None:
        """Let the cache hold the buffers' first ``length`` tokens."""
        for layer, (keys, values) in zip(self.cache.layers, self.layers, strict=True):
            layer.keys, layer.values = keys[:, :, :length], values[:, :, :length]


def stepper_of(model: Any) -> Stepper | None:
    """A stepper for a model, or none where the model is not of the one kind that it computes."""
    if model.config.model_type != "llama" or model.config.hidden_act != "silu":
        return None
    quick = all(isinstance(part, QuickLinear) for layer in model.model.layers for part in _linear(layer))
    if not (quick and isinstance(model.lm_head, QuickLinear)) or model.model.rotary_emb.rope_type not in _STATIC_ROPE:
        return None
    return Stepper(model)


def _linear(layer: Any) -> list[Any]:
    attention, feed = layer.self_attn, layer.mlp
    joined = [attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj]
    return [*joined, feed.gate_proj, feed.up_proj, feed.down_proj]


def _weight(layers: Sequence[QuickLinear]) -> _Weight:
    """The 8-bit weights of layers that read the same states, below one another; the layers keep views of them."""
    small, scale = torch.cat([layer.small for layer in layers]), torch.cat([layer.scale for layer in layers])
    begin = 0
    for layer in layers:
        end = begin + len(layer.small)
        layer.small, layer.scale = small[begin:end], scale[begin:end]
        begin = end
    return small, scale


def _product(states: torch.Tensor, weight: _Weight) -> torch.Tensor:
    return torch._weight_int8pack_mm(states, *weight)


def _roomy(held: torch.Tensor, place: int) -> torch.Tensor:
    rows, heads, length, width = held.shape
    room = held.new_empty(rows, heads, place + _ROOM, width)
    room[:, :, :length] = held
    return room

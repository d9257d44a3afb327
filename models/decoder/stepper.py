"""One token at a time through a small Llama on a CPU: transformers' forward pass in a third of the operations.

A model of 135M parameters spends most of a token's time on starting some thirty small operations a layer and on copying
its KV cache to make it one token longer. Here queries, keys and values come from one product, gate and up from another,
and the cache grows in place. Several texts advance together, each behind a prefix that is held once. For a model whose
layers are `models.decoder.quick_linear.QuickLinear`; any other gets no stepper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from models.decoder.prefixes import Prefixes
from models.decoder.quick_linear import QuickLinear

_ROOM = 256  # tokens that the cache of one text is given ahead
_ROOM_EACH = 48  # and those of several
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
        self.parts = [_linear(layer) for layer in model.model.layers]
        self.layers = [self._layer(layer) for layer in model.model.layers]
        self.norm = model.model.norm.weight
        self.head, self.words_out = _weight([model.lm_head]), model.lm_head
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
        room.hold(place + 1)
        return logits

    def advance(
        self, tokens: torch.Tensor, places: torch.Tensor, counts: torch.Tensor, room: Room, shared: Prefixes | None
    ) -> torch.Tensor:
        """Read one token in each of several texts.

        Args:
            tokens: (rows,).
            places: (rows,), each token's place in its text, prefix included.
            counts: (rows, own), which of a row's own keys count; the last is the new token's.
            room: Of the rows' own keys and values.
            shared: What stands before the rows, if anything.

        Returns:
            The logits, (rows, words), float32.
        """
        rows, own = counts.shape
        room.fit(own - 1, _ROOM_EACH)
        self._angles(int(places.max()))
        cos, sin = self.cos[places][:, None], self.sin[places][:, None]
        states = self.words[tokens]
        near_bias = _bias(counts, states.dtype)
        far_bias = None if shared is None else _bias(~shared.missing, states.dtype)
        layers = zip(self.layers, self.parts, room.layers, strict=True)
        with torch.inference_mode():
            for number, ((first, _, _, second, _, _), parts, (keys, values)) in enumerate(layers):
                ask, key, value, leave, gate, up, down = parts
                read = functional.rms_norm(states, self.shape, first, self.eps)
                heads = torch.cat([ask(read), key(read)], dim=-1).view(rows, self.turned, self.width)
                turned = torch.addcmul(heads * cos, heads.roll(self.width // 2, -1), sin)
                keys[:, :, own - 1] = turned[:, self.heads :]
                values[:, :, own - 1] = value(read).view(rows, -1, self.width)
                wanted = turned[:, : self.heads].reshape(rows, keys.shape[1], -1, self.width)
                seen, weight = _seen(wanted, keys[:, :, :own], values[:, :, :own], near_bias)
                if shared is not None and far_bias is not None:
                    before, held = shared.layers[number]
                    far, far_weight = _seen(shared.gather(wanted), before, held, far_bias)
                    share = (shared.scatter(far_weight, wanted.shape[2]) - weight).sigmoid().to(seen.dtype)
                    seen = torch.lerp(seen, shared.scatter(far, wanted.shape[2]), share)
                states = states + leave(seen.reshape(rows, -1))
                read = functional.rms_norm(states, self.shape, second, self.eps)
                states = states + down(functional.silu(gate(read)) * up(read))
            logits: torch.Tensor = self.words_out(functional.rms_norm(states, self.shape, self.norm, self.eps)).float()
        room.hold(own)
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

    def fit(self, place: int, ahead: int = _ROOM) -> None:
        """See that the buffers hold what the cache holds and have room at ``place``; if not, for ``ahead`` more too."""
        held, size = self.cache.layers, place + ahead
        ours = bool(self.layers) and held[0].keys.data_ptr() == self.layers[0][0].data_ptr()
        if not ours or place >= self.layers[0][0].shape[2] or len(held[0].keys) != len(self.layers[0][0]):
            self.layers = [(_roomy(layer.keys, size), _roomy(layer.values, size)) for layer in held]

    def hold(self, length: int) -> None:
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


def _roomy(held: torch.Tensor, size: int) -> torch.Tensor:
    rows, heads, length, width = held.shape
    room = held.new_empty(rows, heads, size, width)
    room[:, :, :length] = held
    return room


def _bias(counts: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(rows, keys) of what counts as (rows, 1, 1, keys) to add to scores: 0 or minus infinity."""
    return torch.zeros(counts.shape, dtype=dtype).masked_fill(~counts, float("-inf"))[:, None, None, :]


def _seen(
    wanted: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention and the logarithm of its weights' sum, by which attention to other keys is joined to it."""
    seen, weight = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        wanted, keys, values, attn_mask=bias.expand(-1, -1, wanted.shape[2], -1)
    )
    return seen, weight[..., None]

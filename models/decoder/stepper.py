"""One token at a time through a small Llama on a CPU: transformers' forward pass in a third of the operations.

A model of 135M parameters spends most of a token's time on starting some thirty small operations a layer and on copying
its KV cache to make it one token longer. Here queries, keys and values come from one product, gate and up from another,
and the cache grows in place. Several texts advance together, each behind a prefix that is held once. For a model whose
layers are `models.decoder.quick_linear.QuickLinear`; any other gets no stepper.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from models.decoder.prefixes import Prefixes
from models.decoder.quick_linear import Integers, QuickLinear

_ROOM = 256  # tokens that the cache of one text is given ahead
_ROOM_EACH = 48  # and those of several
_STATIC_ROPE = ("default", "linear", "llama3")


class _Layer:
    """One layer's weights: integer products of what reads the same states as one, and the layer's own linear layers."""

    def __init__(self, layer: Any) -> None:
        self.parts = _linear(layer)
        query, key, value, leave, gate, up, down = (part.few for part in self.parts)
        self.first = layer.input_layernorm.weight.float()
        self.second = layer.post_attention_layernorm.weight.float()
        self.heads = Integers.joined([query, key, value], self.first, [None] * 3)
        self.leave: Integers = leave
        self.widen = Integers.joined([gate, up], self.second, [None, down.shrink])
        self.narrow: Integers = down.bare()


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
        self.layers = [_Layer(layer) for layer in model.model.layers]
        self.norm = model.model.norm.weight.float()
        self.words_out: QuickLinear = model.lm_head
        self.cos = self.sin = torch.empty(0, self.width)

    def step(self, token: int, place: int, room: Room) -> torch.Tensor:
        """Read one token at its place, from 0, behind what the room's cache holds; returns the logits, float32."""
        room.fit(place, _ROOM)
        cos, sin = self._angles(place)
        kept = [self.heads, self.turned - self.heads]
        with torch.inference_mode():
            states = self.words[token][None].to(torch.float32, copy=True)  # added to in place
            for layer, (keys, values) in zip(self.layers, room.layers, strict=True):
                heads = layer.heads(states).mul_(self._one_level(states)).view(-1, self.width)
                turned = heads[: self.turned]
                turned = (turned * cos).addcmul_(turned.roll(self.width // 2, -1), sin)
                asked, key = torch.split(turned, kept)
                keys.select(2, place).copy_(key)
                values.select(2, place).copy_(heads[self.turned :])
                asked = asked.view(1, kept[1], -1, self.width).to(keys.dtype)
                seen, _ = _seen(asked, keys.narrow(2, 0, place + 1), values.narrow(2, 0, place + 1), None)
                states.add_(layer.leave(seen.reshape(1, -1).float()))
                gate, up = layer.widen(states).mul_(self._one_level(states)).chunk(2, -1)
                states.add_(layer.narrow(functional.silu(gate).mul_(up)))
            logits: torch.Tensor = self.words_out.few((states * self.norm).mul_(self._one_level(states)))[0]
        room.hold(place + 1)
        return logits

    def _one_level(self, states: torch.Tensor) -> float:
        """What brings one row of states to a root mean square of 1; a product may be made before or after."""
        row = states[0]
        return float((torch.dot(row, row).item() / len(row) + self.eps) ** -0.5)

    def _levels(self, states: torch.Tensor) -> torch.Tensor:
        """What brings each row of states, float32, to a root mean square of 1: (rows, 1)."""
        size: torch.Tensor = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
        return size.mul_(states.shape[1] ** -0.5).square_().add_(self.eps).rsqrt_()

    def advance(
        self,
        tokens: torch.Tensor,
        places: torch.Tensor,
        counts: torch.Tensor,
        room: Room,
        shared: Prefixes | None,
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
        whole = self.words_out.takes_integers(rows)  # then all is float32 but the cache
        states = self.words[tokens].float() if whole else self.words[tokens]
        angles = self.cos[places][:, None].to(states.dtype), self.sin[places][:, None].to(states.dtype)
        held = room.layers[0][0].dtype
        near_bias = None if bool(counts.all()) else _bias(counts, held)
        far_bias = None if shared is None else _bias(~shared.missing, held)
        with torch.inference_mode():
            for number, (layer, (keys, values)) in enumerate(zip(self.layers, room.layers, strict=True)):
                if whole:
                    heads = layer.heads(states, self._levels(states))
                else:
                    read = self._normed(states, layer.first)
                    heads = torch.cat([part(read) for part in layer.parts[:3]], dim=-1)
                wanted = self._turned(
                    heads.view(rows, -1, self.width), angles, keys[:, :, own - 1], values[:, :, own - 1]
                )
                near = _seen(wanted, keys[:, :, :own], values[:, :, :own], near_bias)
                seen = near[0] if shared is None else _with_prefix(near, wanted, shared, number, far_bias)
                seen = seen.reshape(rows, -1).to(states.dtype)
                states = states + (layer.leave(seen) if whole else layer.parts[3](seen))
                if whole:
                    gate, up = layer.widen(states, self._levels(states)).chunk(2, -1)
                    states = states + layer.narrow(functional.silu(gate).mul_(up))
                else:
                    read = self._normed(states, layer.second)
                    *_, gate_by, up_by, narrow = layer.parts
                    states = states + narrow(functional.silu(gate_by(read)) * up_by(read))
            logits: torch.Tensor = self.words_out(self._normed(states, self.norm)).float()
        room.hold(own)
        return logits

    def _normed(self, states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(states, self.shape, weight.to(states.dtype), self.eps)

    def _turned(
        self, heads: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor], keys: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        """Turn queries and keys by their places, write keys and values down, and return the queries by key head."""
        turned = heads[:, : self.turned]
        turned = torch.addcmul(turned * angles[0], turned.roll(self.width // 2, -1), angles[1])
        keys.copy_(turned[:, self.heads :])
        values.copy_(heads[:, self.turned :])
        return turned[:, : self.heads].reshape(len(heads), keys.shape[1], -1, self.width).to(keys.dtype)

    def _angles(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and signed sines of a place: half of the channels turn with the other half, as in Llama."""
        if place >= len(self.cos):
            with torch.inference_mode():
                cos, sin = self.rotary(self.norm, torch.arange(place + 1024)[None])
                half = self.width // 2
                self.cos = cos[0].float()
                self.sin = torch.cat([-sin[0, :, :half], sin[0, :, half:]], dim=-1).float()
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


def _roomy(held: torch.Tensor, size: int) -> torch.Tensor:
    rows, heads, length, width = held.shape
    room = held.new_empty(rows, heads, size, width)
    room[:, :, :length] = held
    return room


def _bias(counts: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(rows, keys) of what counts as (rows, 1, 1, keys) to add to scores: 0 or minus infinity."""
    return torch.zeros(counts.shape, dtype=dtype).masked_fill(~counts, float("-inf"))[:, None, None, :]


def _seen(
    wanted: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, bias: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention and the logarithm of its weights' sum, by which attention to other keys is joined to it."""
    mask = None if bias is None else bias.expand(-1, -1, wanted.shape[2], -1)
    seen, weight = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(wanted, keys, values, attn_mask=mask)
    return seen, weight[..., None]


def _with_prefix(
    near: tuple[torch.Tensor, torch.Tensor],
    wanted: torch.Tensor,
    shared: Prefixes,
    number: int,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    """Join attention to the prefix of each row to its attention to its own keys."""
    keys, values = shared.layers[number]
    far, weight = _seen(shared.gather(wanted), keys, values, bias)
    share = (shared.scatter(weight, wanted.shape[2]) - near[1]).sigmoid().to(near[0].dtype)
    return torch.lerp(near[0], shared.scatter(far, wanted.shape[2]), share)

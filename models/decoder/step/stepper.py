"""One token at a time through a small Llama on a CPU, in each of several texts, as one compiled function.

A model of 135M parameters spends most of a token's time on starting some thirty small operations a layer and on copying
its KV cache to make it one token longer. Here a whole token is one call, weights are 8-bit integers with one scale an
output, rows are 16-bit integers with one scale a row, and the cache grows in place. Several texts advance together,
each behind a prefix that is held once. Any model of another kind gets no stepper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from models.decoder.prefixes import Prefixes
from models.decoder.quick_linear import MOST_WEIGHTS
from models.decoder.step import BLOCK, SPANS
from models.decoder.step.compiled import compiled
from models.decoder.step.crew import Crew
from models.decoder.step.room import Room, addresses
from models.decoder.step.together import Together
from models.decoder.turnstile import turnstile

_STEPS = 127  # of an 8-bit integer, on either side of zero
_ROOM = 256  # tokens that the cache of one text is given ahead
_ROOM_EACH = 48  # and those of several
_MOST_ROWS = 64  # of several threads' texts, in one pass
_MOST_THREADS = 8  # more wait for one another longer than they help
_STATIC_ROPE = ("default", "linear", "llama3")


class _Packing:
    """8-bit weights one behind the other, and their scales."""

    def __init__(self) -> None:
        self.weights: list[np.ndarray[Any, Any]] = []
        self.scales: list[np.ndarray[Any, Any]] = []

    def add(self, weight: torch.Tensor) -> None:
        """Take (outputs, inputs) in; outputs are filled up with zeros to whole blocks."""
        sizes = functional.pad(weight.detach().float(), (0, 0, 0, -len(weight) % BLOCK))
        scale = sizes.abs().amax(1).div_(_STEPS).clamp_(min=1e-12)
        whole = (sizes / scale[:, None]).round_().to(torch.int8)
        pairs = whole.view(-1, BLOCK, whole.shape[1] // 2, 2).transpose(1, 2)
        self.weights.append(pairs.reshape(-1).numpy())
        self.scales.append(scale.numpy())


@dataclass(frozen=True, eq=False)
class Part:
    """What is read next in texts of one cache, each token in its row.

    Attributes:
        tokens: int64, (rows,).
        places: int64, (rows,).
        counts: bool, which of the texts' own keys count, (texts * own,).
        told: int64, numbers of the rows whose logits are wanted.
        caches: int64, (rows, 4 * layers), where keys and values stand, as the kernel wants it.
        spans: int64, (rows, `SPANS`), as the kernel wants it.
        held: What the addresses point at.
    """

    tokens: np.ndarray[Any, Any]
    places: np.ndarray[Any, Any]
    counts: np.ndarray[Any, Any]
    told: np.ndarray[Any, Any]
    caches: np.ndarray[Any, Any]
    spans: np.ndarray[Any, Any]
    held: Any


class Stepper:
    """The weights of a model, ready for `step` and `advance`; threads that ask at the same time advance together.

    Args:
        model: A `LlamaForCausalLM` of the kind that the kernel computes.
        run: The compiled kernel, for caches like ``like``.
        like: An empty array of the cache's kind.
    """

    def __init__(self, model: Any, run: Callable[..., None], like: np.ndarray[Any, Any]) -> None:
        from models.decoder.step.kernel import PHASES

        config = model.config
        first = model.model.layers[0]
        self.width: int = first.self_attn.head_dim
        self.hidden: int = config.hidden_size
        self.asks: int = config.num_attention_heads
        self.keeps: int = config.num_key_value_heads
        self.inner: int = first.mlp.gate_proj.out_features
        self.vocabulary: int = model.lm_head.out_features
        self.words = self.vocabulary + -self.vocabulary % BLOCK
        self.eps: float = config.rms_norm_eps
        self.rotary = model.model.rotary_emb
        self.embedding = model.model.embed_tokens.weight.detach()
        packing, norms = _Packing(), []
        for layer in model.model.layers:
            attention, feed = layer.self_attn, layer.mlp
            norms += [layer.input_layernorm.weight, layer.post_attention_layernorm.weight]
            packing.add(torch.cat([part.weight for part in (attention.q_proj, attention.k_proj, attention.v_proj)]))
            packing.add(attention.o_proj.weight)
            gate, up = (part.weight.view(-1, BLOCK, self.hidden) for part in (feed.gate_proj, feed.up_proj))
            packing.add(torch.stack([gate, up], 1).view(-1, self.hidden))
            packing.add(feed.down_proj.weight)
        packing.add(model.lm_head.weight)
        self.layers = len(model.model.layers)
        self.phases = PHASES * self.layers + 1
        self.weights, self.scales = np.concatenate(packing.weights), np.concatenate(packing.scales)
        self.norms = torch.cat([*norms, model.model.norm.weight]).detach().float().numpy()
        self.angles: tuple[Any, Any] = np.empty(0, np.float32), np.empty(0, np.float32)
        self.run, self.like = run, like
        self.together = Together(self._pass, lambda part: len(part.tokens), _MOST_ROWS, turnstile("cpu"))

    def lay_out(self, cache: Any, texts: int) -> None:
        """Give an empty cache of so many texts its layers, which hold nothing yet."""
        kind = torch.bfloat16 if self.like.itemsize == 2 else torch.float32
        nothing = torch.empty((texts, self.keeps, 0, self.width), dtype=kind)
        for layer in range(self.layers):
            cache.update(nothing, nothing, layer)

    def step(self, token: int, place: int, room: Room) -> torch.Tensor:
        """Read one token at its place, from 0, behind what the room's cache holds; returns the logits, float32."""
        return self.follow([token], place, room)

    def follow(self, tokens: Sequence[int], place: int, room: Room) -> torch.Tensor:
        """Read tokens of a text, the first at its place, each as `step` reads it; returns the last one's logits."""
        for begin in range(0, len(tokens), _MOST_ROWS):
            some = np.array(tokens[begin : begin + _MOST_ROWS])
            room.fit(place + len(some) - 1, _ROOM)
            places = np.arange(place, place + len(some))
            counts = np.ones((1, place + len(some)), np.bool_)
            logits = self._read(some[None], places[None], counts, room, None, last=True)
            place += len(some)
        return logits[0, -1]

    def advance(
        self,
        tokens: torch.Tensor,
        places: torch.Tensor,
        counts: torch.Tensor,
        room: Room,
        shared: Prefixes | None,
        *,
        last: bool = True,
    ) -> torch.Tensor:
        """Read on in each of several texts.

        Args:
            tokens: (texts, tokens).
            places: (texts, tokens), each token's place in its text, prefix included.
            counts: (texts, own), which of a text's own keys count; the last are the new tokens', of which those that do
                not count are not read.
            room: Of the texts' own keys and values.
            shared: What stands before the texts, if anything.
            last: Whether the last token's logits alone are wanted.

        Returns:
            The logits, (texts, 1 or tokens, words), float32; those of tokens that are not read are zeros.
        """
        room.fit(counts.shape[1] - 1, _ROOM_EACH)
        return self._read(tokens.numpy(), places.numpy(), counts.numpy(), room, shared, last=last)

    def _read(
        self, tokens: Any, places: Any, counts: Any, room: Room, shared: Prefixes | None, *, last: bool
    ) -> torch.Tensor:
        """Read on, in one pass with what other threads read at about the same time."""
        own, new = counts.shape[1], tokens.shape[1]
        real = counts[:, own - new :]
        wanted = np.zeros_like(real)
        wanted[:, -1 if last else slice(None)] = True
        part = self._part(tokens, places, counts, real, wanted[real], room, shared)
        found = self.together.ask(part)
        room.hold(own)
        shape = len(tokens), 1 if last else new, self.words
        if len(found) == shape[0] * shape[1]:
            logits = found.reshape(shape)
        else:
            logits = np.zeros(shape, np.float32)
            logits[real[:, -shape[1] :]] = found
        return torch.from_numpy(logits)[:, :, : self.vocabulary]

    def _part(
        self, tokens: Any, places: Any, counts: Any, real: Any, wanted: Any, room: Room, shared: Prefixes | None
    ) -> Part:
        text, token = np.nonzero(real)
        own, new = counts.shape[1], tokens.shape[1]
        head = self.width * self.like.itemsize  # bytes of a token
        spans = np.zeros((len(text), SPANS), np.int64)
        spans[:, 0], spans[:, 1], spans[:, 2] = own - new + 1 + token, room.size, text * own
        near = room.addresses + (text * self.keeps * room.size * head)[:, None]
        far = np.zeros_like(near)
        if shared is not None:
            spans[:, 3], spans[:, 4] = shared.lengths[text], shared.reach
            far = addresses(shared.layers) + (shared.kinds[text] * self.keeps * shared.reach * head)[:, None]
        return Part(
            tokens[real], places[real], counts.reshape(-1), np.flatnonzero(wanted), np.hstack([near, far]), spans,
            (room.layers, shared),
        )  # fmt: skip

    def _pass(self, parts: Sequence[Part]) -> list[np.ndarray[Any, Any]]:
        """Read the parts' tokens in one pass over the weights; returns the wanted logits of each, (rows, words)."""
        tokens, places, caches, spans, counts, told = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("tokens", "places", "caches", "spans", "counts", "told")
        )
        first = begin = row = 0
        for part in parts:
            spans[row : row + len(part.tokens), 2] += begin
            told[first : first + len(part.told)] += row
            begin, row, first = begin + len(part.counts), row + len(part.tokens), first + len(part.told)
        rows, most = len(tokens), int((spans[:, 0] + spans[:, 3]).max())
        cos, sin = self._angles(int(places.max()))
        shape = (rows, self.layers, self.hidden, self.asks, self.keeps, self.width, self.inner, self.words)
        caches, spans = caches.reshape(-1), spans.reshape(-1)
        states = self.embedding[torch.from_numpy(tokens)].float().numpy().reshape(-1)
        heads, seen, middle = (
            np.empty(rows * size, np.float32)
            for size in ((self.asks + 2 * self.keeps) * self.width, self.asks * self.width, 2 * self.inner)
        )
        logits, every = np.empty(len(told) * self.words, np.float32), np.arange(rows)
        taken, done = np.zeros((2, self.phases), np.int64)
        widest = max(self.hidden, self.inner, self.asks * self.width)

        def work(held: Any = parts) -> None:  # what the addresses point at stays while a helper is at it
            mine = (
                np.empty(rows * widest, np.int16), np.empty(rows, np.float32), np.empty(rows * self.hidden, np.float32),
                np.empty((most + 1) * (self.asks // self.keeps), np.float32),
            )  # fmt: skip
            self.run(
                shape, self.weights, self.scales, self.norms, self.eps, cos, sin, places, self.like, caches, spans,
                counts, every, told, states, heads, seen, middle, logits, taken, done, *mine,
            )  # fmt: skip

        _crew(min(torch.get_num_threads(), _MOST_THREADS)).run(work)
        found = np.split(logits.reshape(-1, self.words), np.cumsum([len(part.told) for part in parts])[:-1])
        return found if len(found) == 1 else [one.copy() for one in found]  # no text keeps the others' alive

    def _angles(self, place: int) -> tuple[Any, Any]:
        """Cosines and sines of all places up to one."""
        half = self.width // 2
        angles = self.angles
        if place * half >= len(angles[0]):
            with torch.inference_mode():
                cos, sin = self.rotary(torch.zeros(1), torch.arange(place + 1024)[None])
            cos, sin = (part[0, :, :half].float().reshape(-1).numpy() for part in (cos, sin))
            angles = self.angles = cos, sin
        return angles


@cache
def _crew(size: int) -> Crew:
    return Crew(size)


def stepper_of(model: Any) -> Stepper | None:
    """A stepper for a model, or none where the model is not of the one kind that it computes."""
    if not _steps(model):
        return None
    like = np.empty(0, np.float32 if model.dtype == torch.float32 else np.uint16)
    run = compiled(like)
    return None if run is None else Stepper(model, run, like)


def _steps(model: Any) -> bool:
    config = model.config
    if config.model_type != "llama" or config.hidden_act != "silu":
        return False
    if model.model.rotary_emb.rope_type not in _STATIC_ROPE or model.dtype not in (torch.bfloat16, torch.float32):
        return False
    if model.device.type != "cpu" or sum(part.numel() for part in model.parameters()) > MOST_WEIGHTS:
        return False
    parts = [model.lm_head, *(part for layer in model.model.layers for part in _linear(layer))]
    plain = all(type(part) is torch.nn.Linear and part.bias is None for part in parts)
    width = model.model.layers[0].self_attn.head_dim
    return plain and all(size % BLOCK == 0 for size in (width, config.hidden_size, config.intermediate_size))


def _linear(layer: Any) -> list[Any]:
    attention, feed = layer.self_attn, layer.mlp
    joined = [attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj]
    return [*joined, feed.gate_proj, feed.up_proj, feed.down_proj]

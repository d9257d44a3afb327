"""Which way a model is read so that what comes out is what its plain forward pass gives. Knows caches; no texts.

A cache that keeps every key is rewound for nothing and many texts can share it. It is right for attention over
everything, and for attention within a window too, as long as the mask hides what lies outside. Recurrent and hybrid
models keep a state that cannot go back: theirs is advanced token by token, or made anew from the first token on.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_STATES = ("past_key_values", "cache_params", "state")
_WHOLE = frozenset({"prophetnet", "recurrent_gemma", "xlstm"})  # whose own caches give other numbers
_COUNT_OTHERWISE = frozenset(  # from the padding's id on; GPT-Neo hides a window from the cache
    {"camembert", "data2vec-text", "gpt_neo", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"}
)
_CHEAP = 8  # a token read alone costs about as much as this many read together


class Way(Enum):
    """How a model is read: with every key kept, the same but several texts each by itself, or by a state of its own."""

    PLAIN = "plain"
    APART = "apart"
    OWN = "own"


def way_of(model: Any, context: int) -> Way:
    """Say how a model is read when at most ``context`` tokens ever are."""
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    if _family(model) in _WHOLE or "past_key_values" not in inspect.signature(model.forward).parameters:
        return Way.OWN
    if not {type(layer) for layer in _layers(model)} <= {DynamicLayer, DynamicSlidingWindowLayer}:
        return Way.OWN
    return Way.PLAIN if reach_of(model) >= context else Way.APART


def reach_of(model: Any) -> float:
    """Up to how many tokens a batch of texts of unequal length is read rightly: the smallest window, or no limit.

    A model that takes no position from outside, or counts it otherwise, reads none so.
    """
    if not _takes_places(model) or _family(model) in _COUNT_OTHERWISE:
        return 0.0
    return min((getattr(layer, "sliding_window", None) or float("inf") for layer in _layers(model)), default=0.0)


def _layers(model: Any) -> list[Any]:
    from transformers import DynamicCache

    layers: list[Any] = DynamicCache(config=model.config.get_text_config(decoder=True)).layers
    return layers


def _family(model: Any) -> str:
    return str(model.config.get_text_config(decoder=True).model_type)


def _takes_places(model: Any) -> bool:
    return "position_ids" in inspect.signature(model.forward).parameters


class State:
    """What a model of its own way has read: its state, where it keeps one, else nothing but the tokens.

    Args:
        model: A causal language model.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.keeps = _family(model) not in _WHOLE
        self.takes_places = _takes_places(model)
        self.length = 0
        self.held: dict[str, Any] = {}

    def read(self, ids: Sequence[int], new: int) -> torch.Tensor:
        """Read on to the end of ``ids``, whose last ``new`` are new; returns the logits of those, (new, words)."""
        import torch

        if self.held and self.length == len(ids) - new and _CHEAP * new <= len(ids):
            return torch.cat([self._pass(ids[place : place + 1], 1) for place in range(self.length, len(ids))])
        self.held, self.length = {}, 0
        return self._pass(ids, new)

    def _pass(self, ids: Sequence[int], new: int) -> torch.Tensor:
        import torch

        inputs = {"input_ids": torch.tensor([list(ids)], device=self.model.device), **self.held}
        if self.held and self.takes_places:
            inputs["position_ids"] = torch.arange(self.length, self.length + len(ids), device=self.model.device)[None]
        with torch.inference_mode():
            out = self.model(**inputs, use_cache=self.keeps)
        self.held = {name: out[name] for name in _STATES if self.keeps and out.get(name) is not None}
        self.length += len(ids)
        logits: torch.Tensor = out.logits[0, -new:].float().cpu()
        return logits

    def copy(self) -> State:
        """The same, to be read on from by itself."""
        other = State(self.model)
        other.length, other.held = self.length, copy.deepcopy(self.held)
        return other

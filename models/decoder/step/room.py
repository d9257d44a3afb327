"""A KV cache with room ahead."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class Room:
    """A KV cache with room ahead, so that a token more is written into it instead of copying all of it.

    The transformers cache stays whole throughout: its tensors are views of these.
    """

    def __init__(self, cache: Any) -> None:
        self.cache = cache
        self.layers: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.size = 0
        self.addresses = np.empty(0, np.int64)

    def fit(self, place: int, ahead: int) -> None:
        """See that the buffers hold what the cache holds and have room at ``place``; if not, for ``ahead`` more too."""
        held = self.cache.layers
        ours = bool(self.layers) and held[0].keys.data_ptr() == self.layers[0][0].data_ptr()
        if ours and place < self.size and len(held[0].keys) == len(self.layers[0][0]):
            return
        self.size = place + ahead
        self.layers = [(_roomy(layer.keys, self.size), _roomy(layer.values, self.size)) for layer in held]
        self.addresses = addresses(self.layers)

    def hold(self, length: int) -> None:
        """Let the cache hold the buffers' first ``length`` tokens."""
        for layer, (keys, values) in zip(self.cache.layers, self.layers, strict=True):
            layer.keys, layer.values = keys[:, :, :length], values[:, :, :length]


def addresses(layers: Any) -> np.ndarray[Any, Any]:
    """Where the keys of all layers stand in memory, then the values."""
    return np.array([pair[which].data_ptr() for which in range(2) for pair in layers], np.int64)


def _roomy(held: torch.Tensor, size: int) -> torch.Tensor:
    rows, heads, length, width = held.shape
    room = held.new_zeros(rows, heads, size, width)  # what no token wrote, no query may find to be no number
    room[:, :, :length] = held
    return room

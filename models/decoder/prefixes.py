"""Attention in which many texts share a prefix: its keys and values are held once, not once a text.

Registered with transformers under a name of its own; without a shared prefix it is the usual attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

_NAME = "studio_shared"
_FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3", "smollm3", "phi3"})


def share_prefixes(model: Any) -> None:
    """Let a model attend to shared prefixes, if its attention is of the plain kind that this file computes."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(_NAME, _attend)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    if model.config.model_type in _FAMILIES and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(_NAME)


def shares(model: Any) -> bool:
    """Say whether a model attends to shared prefixes."""
    return bool(model.config._attn_implementation == _NAME)


class Prefixes:
    """The keys and values of a few prefixes, padded to one length, and which row follows which.

    Args:
        caches: One transformers cache for each prefix.
        lengths: Tokens in each.
        follows: For each row the number of its prefix.
    """

    def __init__(self, caches: Sequence[Any], lengths: Sequence[int], follows: Sequence[int]) -> None:
        import torch

        longest = max(lengths)
        self.layers = [
            tuple(
                torch.cat([_padded(part, longest) for part in parts])
                for parts in zip(*((layer.keys, layer.values) for layer in layers), strict=True)
            )
            for layers in zip(*(cache.layers for cache in caches), strict=True)
        ]
        device = self.layers[0][0].device
        self.reach = longest  # tokens that all are padded to
        self.counted = lengths
        self.missing = torch.arange(longest) >= torch.tensor(lengths)[:, None]  # (prefixes, longest)
        self.missing = self.missing.to(device)
        self.follow(follows)

    def follow(self, follows: Sequence[int]) -> None:
        """Say anew which row follows which prefix."""
        import torch

        kinds, device = len(self.missing), self.missing.device
        self.kinds = np.array(follows, np.int64)
        self.lengths = np.array([self.counted[kind] for kind in follows], np.int64)
        members = [[row for row, kind in enumerate(follows) if kind == wanted] for wanted in range(kinds)]
        self.most = max(map(len, members))
        spread = [[*rows, *[0] * (self.most - len(rows))] for rows in members]
        self.spread = torch.tensor(spread, device=device).flatten()  # rows by prefix, filled up with row 0
        seats = {row: kind * self.most + seat for kind, rows in enumerate(members) for seat, row in enumerate(rows)}
        self.seats = torch.tensor([seats[row] for row in range(len(follows))], device=device)

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """(rows, heads, n, m) to (prefixes, heads, most * n, m)."""
        _, heads, count, width = rows.shape
        apart = rows[self.spread].view(-1, self.most, heads, count, width).transpose(1, 2)
        return apart.reshape(-1, heads, self.most * count, width)

    def scatter(self, apart: torch.Tensor, count: int) -> torch.Tensor:
        """The way back from `gather`; ``count`` is its n."""
        kinds, heads, _, width = apart.shape
        rows = apart.view(kinds, heads, self.most, count, width).transpose(1, 2)
        return rows.reshape(-1, heads, count, width)[self.seats]


def _padded(part: torch.Tensor, length: int) -> torch.Tensor:
    from torch.nn.functional import pad

    return pad(part, (0, 0, 0, length - part.shape[2]))


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Attend to each row's prefix and to its own keys at once; ``attention_mask`` speaks of the own keys only."""
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    prefixes: Prefixes | None = more.pop("shared_prefix", None)
    if prefixes is None:
        out: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **more)
        return out
    assert attention_mask is not None  # a fork always says which of its own keys count
    keys, values = prefixes.layers[module.layer_idx]
    rows, heads, length, width = query.shape
    query = query.reshape(rows, keys.shape[1], -1, width) * (more.get("scaling") or width**-0.5)
    each, reach = query.shape[2], keys.shape[2]
    far = (prefixes.gather(query) @ keys.transpose(-1, -2)).float()
    far = prefixes.scatter(far.masked_fill(prefixes.missing[:, None, None, :], float("-inf")), each)
    near = (query @ key.transpose(-1, -2)).float()
    mask = attention_mask.expand(rows, heads, length, -1).reshape(near.shape)
    near = near.masked_fill(~mask, float("-inf"))
    weights = torch.cat([far, near], dim=-1).softmax(-1).to(query.dtype)
    mixed = prefixes.scatter(prefixes.gather(weights[..., :reach]) @ values, each) + weights[..., reach:] @ value
    return mixed.reshape(rows, heads, length, width).transpose(1, 2).contiguous(), None

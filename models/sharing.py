"""Attention in which many texts share one prefix: its keys and values are held once, not once a text.

Registered with transformers under a name of its own; without a shared prefix it is the usual attention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Attend to a prefix of one row and to each row's own keys at once.

    ``shared_prefix`` holds (keys, values) of one row for each layer; ``attention_mask`` then speaks of own keys only.
    """
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    prefix = more.pop("shared_prefix", None)
    if prefix is None:
        out: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **more)
        return out
    assert attention_mask is not None  # a fork always says which of its own keys count
    keys, values = (held[0] for held in prefix[module.layer_idx])
    rows, heads, length, width = query.shape
    kinds = keys.shape[0]
    query = query.reshape(rows, kinds, -1, width) * (more.get("scaling") or width**-0.5)
    flat = query.transpose(0, 1).reshape(kinds, -1, width)
    far = (flat @ keys.transpose(-1, -2)).view(kinds, rows, -1, keys.shape[1]).transpose(0, 1).float()
    near = (query @ key.transpose(-1, -2)).float()
    mask = attention_mask.expand(rows, heads, length, -1).reshape(near.shape)
    near = near.masked_fill(~mask, float("-inf"))
    weights = torch.cat([far, near], dim=-1).softmax(-1).to(query.dtype)
    far, near = weights[..., : keys.shape[1]], weights[..., keys.shape[1] :]
    mixed = (far.transpose(0, 1).reshape(kinds, -1, keys.shape[1]) @ values).view(kinds, rows, -1, width)
    mixed = mixed.transpose(0, 1) + near @ value
    return mixed.reshape(rows, heads, length, width).transpose(1, 2).contiguous(), None

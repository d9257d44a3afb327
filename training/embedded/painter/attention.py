"""FLUX's attention written for training a small transformer on a CPU: the same sums as diffusers', a third faster.

PyTorch's own attention spends, on a CPU and with a backward pass, as long on looking for rows that are masked out and
on turning the rotary embedding to float32 as on the products. Nothing is masked here, and places are few. For training
only: pictures are painted with the processor that diffusers installs.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import FluxTransformer2DModel
from torch.nn import functional

Rotary = tuple[torch.Tensor, torch.Tensor]


def _turned(states: torch.Tensor, rotary: Rotary) -> torch.Tensor:
    """Rotate pairs of neighbouring channels of (batch, tokens, heads, width) by the angle of each token's place."""
    cos, sin = (part[None, :, None, :].to(states.dtype) for part in rotary)
    real, imaginary = states.reshape(*states.shape[:-1], -1, 2).unbind(-1)
    return states * cos + torch.stack([-imaginary, real], dim=-1).flatten(-2) * sin


class TrainingAttention:
    """An attention processor for every block of a `FluxTransformer2DModel`."""

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: Rotary | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Attend over text and picture together; in a single-stream block they come as one sequence.

        Returns:
            What is added to the picture's states, and in a double-stream block also what is added to the text's.
        """
        if attention_mask is not None or image_rotary_emb is None:
            raise ValueError("no mask is known here, and places are needed")
        query = attn.norm_q(attn.to_q(hidden_states).unflatten(-1, (attn.heads, -1)))
        key = attn.norm_k(attn.to_k(hidden_states).unflatten(-1, (attn.heads, -1)))
        value = attn.to_v(hidden_states).unflatten(-1, (attn.heads, -1))
        words = 0
        if encoder_hidden_states is not None:
            words = encoder_hidden_states.shape[1]
            added = attn.norm_added_q(attn.add_q_proj(encoder_hidden_states).unflatten(-1, (attn.heads, -1)))
            query = torch.cat([added, query], dim=1)
            added = attn.norm_added_k(attn.add_k_proj(encoder_hidden_states).unflatten(-1, (attn.heads, -1)))
            key = torch.cat([added, key], dim=1)
            added = attn.add_v_proj(encoder_hidden_states).unflatten(-1, (attn.heads, -1))
            value = torch.cat([added, value], dim=1)
        scale = query.shape[-1] ** -0.5
        query = (_turned(query, image_rotary_emb) * scale).transpose(1, 2).flatten(0, 1)
        key = _turned(key, image_rotary_emb).transpose(1, 2).flatten(0, 1)
        seen = torch.bmm(functional.softmax(torch.bmm(query, key.transpose(1, 2)), dim=-1), _folded(value))
        seen = seen.reshape(-1, attn.heads, *seen.shape[1:]).transpose(1, 2).flatten(2)
        if encoder_hidden_states is None:
            return seen
        picture: torch.Tensor = attn.to_out[0](seen[:, words:])
        text: torch.Tensor = attn.to_add_out(seen[:, :words])
        return picture, text


def _folded(states: torch.Tensor) -> torch.Tensor:
    """(batch, tokens, heads, width) as (batch * heads, tokens, width)."""
    return states.transpose(1, 2).flatten(0, 1)


def quicken(model: FluxTransformer2DModel) -> FluxTransformer2DModel:
    """Let a transformer train with `TrainingAttention`; only its arithmetic changes, nothing that is saved."""
    model.set_attn_processor(TrainingAttention())
    return model

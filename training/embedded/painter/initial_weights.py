"""The weights a small FLUX transformer starts from: random ones that already know where tokens lie.

FLUX has no place embedding but rotary angles, relative to text that all lies at the origin. From random weights a small
transformer on few pictures needs hundreds of steps to make places out of them. Here the first block's heads start as
waves over the picture (they weigh the text against the picture by the angle between a fixed query and a fixed key), and
half of the later heads start as looks at one neighbour each.

Source of the idea, for vision transformers: Trockman and Kolter, "Mimetic initialization of self-attention layers"
(2023). The angles are those of Su et al., "RoFormer" (2021).
"""

from __future__ import annotations

import math

import torch
from diffusers import FluxTransformer2DModel
from diffusers.models.transformers.transformer_flux import FluxAttention

NEIGHBOURS = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))
_BASE = 10_000.0  # of the rotary angles, as in `FluxPosEmbed`
_CERTAIN = 3.0  # how far a fixed query or key outweighs what a token holds


@torch.no_grad()
def start_with_places(model: FluxTransformer2DModel, side: int) -> FluxTransformer2DModel:
    """Set the biases of queries and keys in place.

    Args:
        model: Freshly built; its rotary axes are (idle, down, across).
        side: Tokens along one side of the pictures it will see.

    Returns:
        The same model.
    """
    config = model.config
    heads, width, axes = config.num_attention_heads, config.attention_head_dim, config.axes_dims_rope
    starts = (0, axes[0], axes[0] + axes[1])
    first = model.transformer_blocks[0]
    _waves(first.attn, heads, width, axes, starts, side)
    size = heads * width
    first.norm1.linear.bias[2 * size : 3 * size] = 1  # the gate that lets attention into the picture's states
    later = [block.attn for block in (*model.transformer_blocks[1:], *model.single_transformer_blocks)]
    for number, attention in enumerate(later):
        _neighbours(attention, number * (heads // 2), heads, width, axes, starts)
    return model


def _waves(
    attention: FluxAttention, heads: int, width: int, axes: tuple[int, ...], starts: tuple[int, ...], side: int
) -> None:
    """Each head's attention to the text becomes a wave of one frequency, direction and phase over the picture."""
    waves = [(axis, wave, phase) for wave in (0, 1) for axis in (1, 2) for phase in (0.0, math.pi / 2)]
    attention.to_q.bias.zero_()
    attention.add_k_proj.bias.zero_()
    strength = _CERTAIN * math.sqrt(width) / 2
    for head in range(heads):
        axis, wave, phase = waves[head % len(waves)]
        channel = head * width + starts[axis] + 2 * wave
        angle = phase + _BASE ** (-2 * wave / axes[axis]) * side / 2  # the wave's middle is the picture's
        attention.to_q.bias[channel] = strength
        attention.add_k_proj.bias[channel] = strength * math.cos(angle)
        attention.add_k_proj.bias[channel + 1] = strength * math.sin(angle)
    attention.add_v_proj.bias.normal_()


def _neighbours(
    attention: FluxAttention, begin: int, heads: int, width: int, axes: tuple[int, ...], starts: tuple[int, ...]
) -> None:
    """The first half of the heads look at one neighbour each, counted on through `NEIGHBOURS` from ``begin``."""
    attention.to_q.bias.zero_()
    attention.to_k.bias.zero_()
    for head in range(heads // 2):
        step = NEIGHBOURS[(begin + head) % len(NEIGHBOURS)]
        for axis in (1, 2):
            for wave in (0, 1):
                channel = head * width + starts[axis] + 2 * wave
                angle = -(_BASE ** (-2 * wave / axes[axis])) * step[axis - 1]
                attention.to_q.bias[channel] = _CERTAIN
                attention.to_k.bias[channel] = _CERTAIN * math.cos(angle)
                attention.to_k.bias[channel + 1] = _CERTAIN * math.sin(angle)
    attention.norm_q.weight.fill_(1.5)
    attention.norm_k.weight.fill_(1.5)

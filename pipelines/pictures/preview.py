"""What a picture will look like, while it is painted. Knows latents and the autoencoder; not who looks.

Source: a flow between noise and picture is straight (Liu et al., "Flow straight and fast", 2022), so that two
neighbouring states foretell its end: with x at noise s, x + (x - before) / (before's s - s) * s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from PIL import Image

OnPreview = Callable[[int, "Image.Image"], None]
"""Takes the number of a picture of the call and how it looks by now."""

SIDE = 14
"""Latents a side that are decoded at most, for a preview of 112 pixels: a seventh of a small picture's own decoding."""

PARTS = 3
"""A preview follows the first step and each such part of them."""


def due(step: int, steps: int) -> bool:
    """Whether a preview is shown after a step, counted from 0; none after the last, when the picture itself comes."""
    if step + 1 >= steps:
        return False
    return step == 0 or (step + 1) * PARTS // steps > step * PARTS // steps


class Foretelling:
    """Foretells the end of a painting from its states.

    Args:
        pipe: The pipeline, while it paints.
        width: In pixels.
        height: In pixels.
        first: The noise it begins with, (n, tokens, channels).
    """

    def __init__(self, pipe: Any, width: int, height: int, first: torch.Tensor) -> None:
        self._pipe, self._size, self._before = pipe, (height, width), first

    def after(self, step: int, latents: torch.Tensor) -> torch.Tensor | None:
        """Take the state after a step; give pictures (n, 3, h, w) in 0..1, or ``None`` where none is due."""
        sigmas = self._pipe.scheduler.sigmas
        before, self._before = self._before, latents
        if not due(step, len(sigmas) - 1):
            return None
        now, then = float(sigmas[step + 1]), float(sigmas[step])
        if then <= now:
            return None
        return self._decoded(latents + (latents - before) * (now / (then - now)))

    def _decoded(self, latents: torch.Tensor) -> torch.Tensor:
        import torch
        from torch.nn.functional import interpolate

        pipe, (height, width) = self._pipe, self._size
        spread = pipe._unpack_latents(latents, height, width, pipe.vae_scale_factor)
        spread = spread / pipe.vae.config.scaling_factor + pipe.vae.config.shift_factor
        side = max(spread.shape[-2:])
        if side > SIDE:
            size = [max(1, round(one * SIDE / side)) for one in spread.shape[-2:]]
            spread = interpolate(spread.float(), size, mode="area").to(spread.dtype)
        pixels = pipe.vae.decode(spread, return_dict=False)[0]
        return torch.nan_to_num(pixels.float() / 2 + 0.5).clamp(0, 1)


def noise(pipe: Any, width: int, height: int, seeds: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """The noise that paintings of these seeds begin with, (n, tokens, channels), as the pipeline itself draws it."""
    import torch

    channels = pipe.transformer.config.in_channels // 4
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    device = pipe._execution_device
    drawn, _ = pipe.prepare_latents(len(seeds), channels, height, width, like.dtype, device, generators)
    return drawn  # type: ignore[no-any-return]


def noise_recipe(pipe: Any, width: int, height: int, seeds: Sequence[int], dtype: torch.dtype) -> dict[str, Any]:
    """How to draw again the noise that a picture begins with, as plain data: a painter is tuned on it later.

    For each seed ``torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed), dtype=dtype)``, which the
    pipeline then packs in squares of two by two.

    Args:
        pipe: What paints.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        seeds: Its seeds, one for each structure that is painted apart.
        dtype: In which it is drawn.
    """
    step = pipe.vae_scale_factor * 2
    shape = [1, pipe.transformer.config.in_channels // 4, 2 * (height // step), 2 * (width // step)]
    name = str(dtype).removeprefix("torch.")
    return {"generator": "torch cpu", "seeds": list(seeds), "shape": shape, "dtype": name, "packed": [2, 2]}

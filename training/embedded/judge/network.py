"""The judge's network, what it makes of pictures, and how pictures are distorted for it to learn from. Trains nothing.

It tells which families a picture shows; judges of before the frozen one also tell the leaf adapter's style.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from training.embedded.microstructures.wordings import FAMILIES
from workspace.errors import DataError, one_line

SIZE = 128
NAMES = tuple(FAMILIES)
_WIDTHS = (32, 64, 96, 160)


class Judge(nn.Module):
    """(n, 3, 128, 128) in -1..1 to the families' logits (n, families) and the leaf style's logit (n,)."""

    def __init__(self) -> None:
        super().__init__()
        before = 3
        stages: list[nn.Module] = []
        for width in _WIDTHS:
            stages += [nn.Conv2d(before, width, 3, 2, 1), _Block(width)]
            before = width
        self.stages = nn.Sequential(*stages, nn.GroupNorm(8, before), nn.SiLU())
        self.families = nn.Linear(2 * before, len(NAMES))
        self.style = nn.Linear(2 * before, 1)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Judge a batch."""
        seen = self.stages(pictures)
        pooled = torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], dim=1)
        return self.families(pooled), self.style(pooled)[:, 0]


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, 1, 1))
        self.second = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, 1, 1))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = states + self.second(self.first(states))
        return out


def as_input(images: Sequence[Image.Image]) -> torch.Tensor:
    """Pictures of any size as the judge takes them."""
    small = [np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX)) for image in images]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def load_judge(file: Path, sha256: str = "") -> Judge:
    """The judge in a file, which is refused unless it has the hash that is asked for.

    Raises:
        DataError: Its weights are missing, of other families than there are now, or another file's.
    """
    judge = Judge()
    try:
        if sha256 and hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
            raise DataError(f"{file} is not the judge that it was: its hash is not {sha256[:12]}...")
        judge.load_state_dict({name: one.float() for name, one in load_file(file).items()})
    except (OSError, RuntimeError, SafetensorError) as fault:
        raise DataError(f"the judge {file} cannot be read: {one_line(fault)}") from None
    return judge.eval()


@torch.no_grad()
def judged(judge: Judge, images: Sequence[Image.Image]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The probability of each family (n, families), in the order of `NAMES`, and of the leaf style (n,)."""
    parts = [judge(as_input(images[start : start + 64])) for start in range(0, len(images), 64)]
    families, style = (torch.cat(part) for part in zip(*parts, strict=True))
    return families.softmax(-1).numpy(), style.sigmoid().numpy()


def distorted(pictures: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Crop, turn, recolour, blur and roughen pictures at random, as painting might; (n, 3, 128, 128) in -1..1."""

    def draw_one(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=source))

    side = int(draw_one(0.8, 1.0) * SIZE)
    top, left = (int(draw_one(0, SIZE - side + 0.99)) for _ in range(2))
    pictures = pictures[:, :, top : top + side, left : left + side]
    pictures = functional.interpolate(pictures, (SIZE, SIZE), mode="bilinear", antialias=False)
    if draw_one(0, 1) < 0.5:
        pictures = pictures.flip(3)
    pictures = pictures.rot90(int(draw_one(0, 3.99)), (2, 3))[:, torch.randperm(3, generator=source)]
    if draw_one(0, 1) < 0.5:
        grid = functional.interpolate(
            torch.randn(len(pictures), 2, 6, 6, generator=source), (SIZE, SIZE), mode="bicubic", align_corners=False
        )
        ticks = torch.linspace(-1, 1, SIZE)
        places = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1) + 0.02 * grid.permute(0, 2, 3, 1)
        pictures = functional.grid_sample(pictures, places, padding_mode="reflection", align_corners=True)
    if draw_one(0, 1) < 0.5:
        pictures = functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="reflect"), 3, 1)
    rough = draw_one(0, 0.15) * torch.randn(pictures.shape, generator=source)
    return pictures * draw_one(0.7, 1.1) + draw_one(-0.15, 0.15) + rough

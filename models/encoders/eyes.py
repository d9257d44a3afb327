"""The eyes of a small vision model: a SigLIP tower and a LLaVA connector. Knows pictures; not what is asked of them.

The connector turns what the tower's states have in common, and what stands out in any of them, into a few tokens in the
language model's own space of words, which it reads before any text.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from workspace.errors import DataError, one_line

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP")
MOST_PIXELS = 4096 * 4096
WEIGHTS = "eyes.safetensors"
CONFIG = "config.json"
MODEL_TYPE: Literal["studio-eyes"] = "studio-eyes"


class Shape(BaseModel):
    """The sizes of a tower and its connector, and whose eyes they are, as they stand in ``config.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_type: Literal["studio-eyes"] = MODEL_TYPE
    base: str = Field("smollm2-135m-instruct", description="the language model's catalogue id, or its folder")
    size: int = Field(128, ge=16, le=1024, description="pixels a side")
    patch: int = Field(16, ge=2, le=64, description="pixels a side")
    width: int = Field(192, ge=8, le=2048)
    layers: int = Field(6, ge=1, le=48)
    heads: int = Field(6, ge=1, le=32)
    hidden: int = Field(96, ge=4, le=8192, description="width of the connector")
    tokens: int = Field(19, ge=1, le=1024, description="tokens that the language model reads")
    words: int = Field(576, ge=8, le=16384, description="width of the language model")


class Eyes(nn.Module):
    """A tower and a connector with random weights.

    Args:
        shape: Their sizes.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        from transformers import SiglipVisionConfig, SiglipVisionModel

        self.shape = shape
        config = SiglipVisionConfig(
            hidden_size=shape.width,
            intermediate_size=4 * shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            image_size=shape.size,
            patch_size=shape.patch,
            vision_use_head=False,
        )
        self.tower = SiglipVisionModel(config)
        self.connector = nn.Sequential(
            nn.LayerNorm(2 * shape.width),
            nn.Linear(2 * shape.width, shape.hidden),
            nn.GELU(),
            nn.Linear(shape.hidden, shape.tokens * shape.words),
            nn.Unflatten(-1, (shape.tokens, shape.words)),
        )

    def look(self, pictures: torch.Tensor) -> torch.Tensor:
        """(n, 3, size, size) in -1..1 to the mean and the maximum of the tower's states, (n, 2 * width)."""
        states = self.tower(pixel_values=pictures).last_hidden_state
        return torch.cat([states.mean(1), states.amax(1)], dim=-1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(n, 3, size, size) in -1..1 to what the language model reads, (n, tokens, words)."""
        words: torch.Tensor = self.connector(self.look(pictures))
        return words


def as_input(images: Sequence[Image.Image], size: int) -> torch.Tensor:
    """Pictures of any size as the tower takes them: (n, 3, size, size) in -1..1."""
    import numpy as np
    from PIL import Image

    small = [np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BOX)) for image in images]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def decoded(data: bytes) -> Image.Image:
    """A picture from its file's bytes.

    Raises:
        DataError: They are no PNG, JPEG or WebP, or of more pixels than are read.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise DataError(f"the picture has {image.width}x{image.height} pixels; at most {MOST_PIXELS} are read")
            return image.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as fault:
        raise DataError(f"cannot read the picture: {one_line(fault)}") from fault


def base_of(folder: Path) -> str | None:
    """The language model that a folder holds eyes for; none if it holds something else."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError):
        return None
    return str(config["base"]) if isinstance(config, dict) and config.get("model_type") == MODEL_TYPE else None


def load_eyes(folder: Path, words: int) -> Eyes:
    """The eyes in a folder, float32.

    Args:
        folder: With ``config.json`` and ``eyes.safetensors``.
        words: Width of the language model that they are for.

    Raises:
        DataError: They cannot be read, or are for another language model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        shape = Shape.model_validate(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
        eyes = Eyes(shape)
        eyes.load_state_dict({name: one.float() for name, one in load_file(folder / WEIGHTS).items()})
    except (OSError, ValueError, ValidationError, SafetensorError, RuntimeError) as fault:
        raise DataError(f"cannot read the eyes in {folder}: {one_line(fault)}") from fault
    if shape.words != words:
        raise DataError(f"the eyes in {folder} are for a language model of width {shape.words}, not {words}")
    return eyes.eval().requires_grad_(False)


def lay_eyes(eyes: Eyes, folder: Path) -> None:
    """Write the eyes into a folder, in bfloat16."""
    from safetensors.torch import save_file

    weights: dict[str, Any] = {name: one.detach().bfloat16().contiguous() for name, one in eyes.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    (folder / CONFIG).write_text(eyes.shape.model_dump_json(indent=1) + "\n", encoding="utf-8")

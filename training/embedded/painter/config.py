"""What the embedded painter's training depends on: the shape of the files in `training/configs`. Trains nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.embedded.microstructures.drawing import HYBRIDS
from workspace.errors import DataError, one_line, pydantic_fault


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AutoencoderRecipe(_Section):
    """How the autoencoder is built and trained."""

    size: int = Field(128, ge=32, description="pixels of the pictures it learns from; it works at every size")
    pictures: int = Field(12000, ge=2)
    width: int = Field(64, ge=4, le=512, description="channels of every layer")
    encoder_blocks: tuple[int, int, int, int] = (0, 1, 2, 2)
    decoder_blocks: tuple[int, int, int, int] = (2, 2, 2, 0)
    steps: int = Field(1500, ge=1)
    batch: int = Field(32, ge=1)
    crop: int = Field(64, ge=16, description="pixels, a multiple of 8")
    rate: float = Field(2e-3, gt=0)
    edges: float = Field(1.0, ge=0, description="weight of the gradient loss")
    noise: float = Field(0.08, ge=0, description="deviation of noise added to latents before decoding")
    anchor: float = Field(1.0, ge=0, description="weight of the distance to the patches' principal components")


class FlowRecipe(_Section):
    """How the transformer is built and trained."""

    layers: int = Field(2, ge=1)
    single_layers: int = Field(6, ge=1)
    heads: int = Field(4, ge=1)
    head_width: int = Field(64, ge=8)
    rope: tuple[int, int, int] = (16, 24, 24)
    steps: int = Field(2000, ge=1)
    batch: int = Field(32, ge=1)
    rate: float = Field(3e-3, gt=0, description="of AdamW, for everything but the blocks' matrices")
    matrix_rate: float = Field(1e-2, gt=0, description="of Muon, for the blocks' matrices")
    average: float = Field(0.999, ge=0, lt=1, description="decay of the moving average of the weights")
    reading: int = Field(
        1500, ge=0, description="steps in which the text embedder learns to read before the flow; 0 trains it along"
    )
    caption_dropout: float = Field(0.1, ge=0, le=1)
    emphasis: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {}, description="families and joins trained on more often than their share: how many times"
    )
    noisiness: float = Field(0.0, ge=-2, le=2, description="mean of the logit of the times trained on")
    shift: float = Field(1.0, gt=0, description="of the sampling schedule")


class SamplingDefaults(_Section):
    """What `studio.json` tells the pipelines to use."""

    steps: int = Field(20, ge=1)
    true_cfg: float = Field(3.0, ge=1)


class PainterConfig(_Section):
    """Everything the training depends on; the YAML file's shape."""

    seed: int = 42
    size: int = Field(128, ge=32, description="pixels, a multiple of 16")
    pictures: int = Field(16000, ge=2)
    captions: int = Field(2, ge=1, description="wordings of each picture")
    hybrids: float = Field(HYBRIDS, ge=0, le=1, description="share of pictures that join two families")
    held_out: int = Field(128, ge=1)
    tokens: int = Field(48, ge=8, le=512)
    log_every: int = Field(25, ge=1)
    save_every: int = Field(100, ge=1)
    autoencoder: AutoencoderRecipe = AutoencoderRecipe()
    flow: FlowRecipe = FlowRecipe()
    sampling: SamplingDefaults = SamplingDefaults()


def load_config(path: Path) -> PainterConfig:
    """Read a training file.

    Raises:
        DataError: If it is missing, not YAML, or has an unknown field or a value out of range.
    """
    try:
        return PainterConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        raise DataError(f"training file {path} cannot be read: {one_line(fault)}") from None
    except ValidationError as fault:
        raise DataError(f"{path}: {pydantic_fault(fault, PainterConfig)}") from None

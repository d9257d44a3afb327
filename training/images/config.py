"""What an adapter of a painter is trained by: the YAML file's shape, and where the result lies. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.yaml_text import read_yaml
from workspace.errors import DataError, one_line, pydantic_fault


class ImageLoraConfig(BaseModel):
    """The YAML file's shape; relative paths are read from where the file lies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{1,60}$", description="what the adapter is called")
    base: str = Field(min_length=1, description="a painter of the catalogue, or a folder in diffusers' layout")
    pictures: Path = Field(description="folder of pictures, each with a .txt or .caption of the same name")
    trigger: str = Field("", max_length=80, description="stands for [trigger] in captions")
    size: int = Field(512, ge=64, le=2048, multiple_of=16, description="pixels of a picture's side")
    flip: bool = Field(False, description="learn from mirrored pictures too")
    rank: int = Field(16, ge=1, le=256, description="of the low-rank updates")
    alpha: float | None = Field(None, gt=0, le=4096, description="scale of the updates times rank; the rank if none")
    targets: Literal["attention", "all"] = Field("all", description="linear layers of the blocks that are updated")
    steps: int = Field(1000, ge=1, le=200_000, description="updates in all")
    batch: int = Field(1, ge=1, le=256, description="pictures a batch")
    accumulate: int = Field(1, ge=1, le=256, description="batches a step")
    rate: float = Field(1e-4, gt=0, le=1, description="peak learning rate")
    warmup: int = Field(20, ge=0, le=200_000, description="steps over which the rate rises")
    caption_dropout: float = Field(0.05, ge=0, le=1, description="share of pictures learned without their caption")
    guidance: float = Field(1.0, ge=0, le=100, description="what a model with guidance embedded is trained at")
    device: str = Field("auto", min_length=1, description="auto, cpu, cuda, or cuda:N")
    dtype: Literal["auto", "bfloat16", "float32"] = Field("auto", description="precision in which pictures are encoded")
    checkpointing: bool = Field(False, description="recompute activations: slower, a third of the memory")
    eight_bit: bool = Field(False, description="8-bit Adam, where bitsandbytes is installed and there is a GPU")
    seed: int = Field(42, ge=0, le=2**31 - 1, description="of first weights, noise and the order of pictures")
    log_every: int = Field(10, ge=1, le=200_000, description="steps between rows of metrics.jsonl")
    save_every: int = Field(100, ge=1, le=200_000, description="steps between checkpoints")
    sample_every: int = Field(250, ge=0, le=200_000, description="steps between sample pictures; 0 for none")
    samples: tuple[str, ...] = Field((), max_length=16, description="prompts of sample pictures; may say [trigger]")
    sample_steps: int | None = Field(None, ge=1, le=200, description="of sampling; the painter's own if not given")


class TrainedImageLora(BaseModel):
    """What a training left, and where."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter: Path = Field(description="the adapter's file")
    trigger: str = Field(description="the phrase that wakes it; empty if it has none")
    loss: Path = Field(description="plot of the loss")
    metrics: Path = Field(description="rows of JSON, one a logged step")


class ImageLoraPlan(ImageLoraConfig):
    """What a training would do, its folder of pictures checked."""

    picture_count: int = Field(description="pictures found, each with its caption")
    epochs: float = Field(description="how often each is seen")
    remarks: tuple[str, ...] = Field((), description="how pictures are read, and what in the folder is not")
    out: Path = Field(description="where everything goes")
    missing: str | None = Field(None, description="what to do about a base or a text encoder that is not there")


def load_config(path: Path) -> ImageLoraConfig:
    """Read a training file.

    Raises:
        DataError: If it is missing, not YAML, or has an unknown key (with the nearest) or a value out of range.
    """
    try:
        config = ImageLoraConfig.model_validate(read_yaml(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError(f"training file {path} is not there") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        raise DataError(f"training file {path} cannot be read: {one_line(fault)}") from None
    except ValidationError as fault:
        raise DataError(f"{path}: {pydantic_fault(fault, ImageLoraConfig)}") from None
    pictures = config.pictures.expanduser()
    return config.model_copy(update={"pictures": pictures if pictures.is_absolute() else path.parent / pictures})

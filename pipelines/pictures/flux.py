"""A `FluxPipeline` from a folder: the defaults of each kind of FLUX, where it runs, and its parts read one by one.

Two layouts are read. The published one has CLIP and T5 beside the transformer. A small one has no text encoders of its
own; MiniLM then stands in both places. No class name in a file is ever imported: the parts are the ones named here.
Knows nothing of prompts, adapters or pictures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workspace.errors import DataError, ServiceError, StudioError, UsageError, check_loaded, one_line

if TYPE_CHECKING:
    import torch

CARD = "studio.json"
NEEDED = ("transformer/config.json", "vae/config.json", "scheduler/scheduler_config.json")
ENCODERS = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
LARGE = 4_000_000_000  # bytes of weights past which half precision is chosen on a CPU too


def hush() -> None:
    """Silence the libraries' progress bars."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()


class Defaults(BaseModel):
    """How a model is meant to be sampled."""

    model_config = ConfigDict(frozen=True)

    size: int = Field(ge=64, le=2048, multiple_of=16)
    steps: int = Field(ge=1, le=200)
    guidance: float = Field(default=0.0, ge=0, le=30)
    true_cfg: float = Field(default=1.0, ge=1, le=30)
    max_sequence_length: int = Field(default=512, ge=8, le=512)


# A model with guidance embedded is a dev, one without is a schnell; a studio.json in the folder goes before both.
DEFAULTS: dict[str, Defaults] = {
    "dev": Defaults(size=1024, steps=25, guidance=3.5, max_sequence_length=512),
    "schnell": Defaults(size=1024, steps=4, guidance=0.0, max_sequence_length=256),
}


class Card(Defaults):
    """A folder's studio.json: its defaults and the words it was trained on."""

    model_config = ConfigDict(frozen=True, extra="allow")

    vocabulary: Any = None
    palettes: Any = None
    densities: Any = None
    attributes: Any = None
    joins: Any = None
    text_encoder: str = "all-minilm-l6-v2"


def read_card(folder: Path) -> Card:
    """Read how the model in a folder is meant to be sampled.

    Raises:
        DataError: The folder is no FLUX model, or one of its JSON files does not hold.
    """
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder} is no FLUX model in diffusers' layout; it lacks {', '.join(missing)}")
    if (folder / CARD).is_file():
        try:
            return Card.model_validate(_json(folder / CARD))
        except ValidationError as fault:
            first = fault.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise DataError(f"{folder / CARD}: {place}: {first['msg']}") from None
    kind = "dev" if _json(folder / "transformer/config.json").get("guidance_embeds") else "schnell"
    return Card(**DEFAULTS[kind].model_dump())


def has_encoders(folder: Path) -> bool:
    """Say whether the folder brings its own text encoders.

    Raises:
        DataError: It brings some of them.
    """
    there = [name for name in ENCODERS if (folder / name).is_dir()]
    if there and len(there) < len(ENCODERS):
        raise DataError(f"{folder} lacks {', '.join(sorted(set(ENCODERS) - set(there)))}")
    return bool(there)


def choose_device(name: str) -> torch.device:
    """Turn a device's name into the device; ``auto`` is the first there is of CUDA, Apple's Metal and the CPU.

    Raises:
        UsageError: No such device, or torch was not built for it.
    """
    import torch

    if name == "auto":
        metal = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if metal else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"unknown device {name!r}; choices: auto, cpu, cuda, cuda:N, mps") from None
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, False):
        raise UsageError(f"device {name!r} is not there", hint="painter.device = auto takes what there is")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device {name!r} is not there; this machine has {torch.cuda.device_count()} CUDA devices")
    return device


def choose_dtype(name: str, device: torch.device, folder: Path) -> torch.dtype:
    """Turn a type's name into the type; ``auto`` is bfloat16, but float32 for a small model on a CPU.

    Raises:
        UsageError: No such type.
    """
    import torch

    if name == "auto":
        small = sum(file.stat().st_size for file in folder.rglob("*.safetensors")) < LARGE
        return torch.float32 if device.type == "cpu" and small else torch.bfloat16
    types = {"bfloat16": torch.bfloat16, "float32": torch.float32}
    if name not in types:
        raise UsageError(f"unknown dtype {name!r}; choices: auto, {', '.join(types)}")
    return types[name]


def assemble(
    folder: Path, encoder: Path | None, card: Card, device: torch.device, dtype: torch.dtype, offload: str
) -> Any:
    """Build the pipeline.

    Args:
        folder: The model, in diffusers' layout.
        encoder: MiniLM's folder, for a model without text encoders.
        card: The model's card.
        device: Where it computes.
        dtype: Type of its weights.
        offload: ``none``, ``model`` or ``sequential``: what is kept in main memory while it does not compute.

    Raises:
        DataError: A part is not whole.
        ServiceError: There is not enough memory.
    """
    hush()
    from diffusers import (
        AutoencoderKL,
        AutoencoderTiny,
        FlowMatchEulerDiscreteScheduler,
        FluxPipeline,
        FluxTransformer2DModel,
    )

    autoencoders = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}
    kind = _json(folder / "vae/config.json").get("_class_name")
    if kind not in autoencoders:
        raise DataError(f"{folder / 'vae/config.json'}: _class_name {kind!r}; choices: {', '.join(autoencoders)}")
    with readable(folder), enough_memory(f"loading {folder.name}"):
        pipe = FluxPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler", local_files_only=True),
            vae=_part(autoencoders[kind], folder / "vae", dtype),
            transformer=_part(FluxTransformer2DModel, folder / "transformer", dtype),
            **(_small_encoders(encoder, folder, card, dtype) if encoder else _encoders(folder, dtype)),
        )
        pipe.set_progress_bar_config(disable=True)
        place(pipe, device, offload)
    return pipe


def place(pipe: Any, device: torch.device, offload: str) -> None:
    """Put a pipeline where it computes. On a CPU nothing is offloaded, as the weights already lie in main memory."""
    if device.type == "cpu" or offload == "none":
        pipe.to(device)
    elif offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        raise UsageError(f"unknown painter.offload {offload!r}; choices: none, model, sequential")


def _part(model: Any, folder: Path, dtype: torch.dtype) -> Any:
    part, info = model.from_pretrained(
        folder, torch_dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
    )
    check_loaded(info, folder)
    return part.eval().requires_grad_(False)


def _encoders(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

    def encoder(model: Any, name: str) -> Any:
        part, info = model.from_pretrained(
            folder / name, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
        # T5 keeps its one embedding table under two names, of which a file holds either.
        tied = {"encoder.embed_tokens.weight"}
        check_loaded({kind: set(keys) - tied for kind, keys in info.items() if kind.endswith("_keys")}, folder / name)
        return part.eval().requires_grad_(False)

    return {
        "text_encoder": encoder(CLIPTextModel, "text_encoder"),
        "text_encoder_2": encoder(T5EncoderModel, "text_encoder_2"),
        "tokenizer": CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
        "tokenizer_2": T5TokenizerFast.from_pretrained(folder / "tokenizer_2", local_files_only=True),
    }


def _small_encoders(minilm: Path, painter: Path, card: Card, dtype: torch.dtype) -> dict[str, Any]:
    from models.encoders.minilm import load_minilm

    encoder, tokenizer = load_minilm(minilm, dtype, max_length=card.max_sequence_length, painter=painter)
    return {
        "text_encoder": encoder,
        "text_encoder_2": encoder,
        "tokenizer": tokenizer,
        "tokenizer_2": tokenizer,
    }


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise DataError(f"{path} cannot be read: {one_line(fault)}") from None
    if not isinstance(data, dict):
        raise DataError(f"{path} holds no JSON object")
    return data


@contextmanager
def readable(where: Path) -> Iterator[None]:
    """Turn the libraries' complaints about a file into a `DataError` that names it."""
    from safetensors import SafetensorError, safe_open

    try:
        yield
    except StudioError:
        raise
    except Exception as fault:  # a library that is handed a hostile folder raises what it likes
        if _out_of_memory(fault):
            raise
        for file in [where] if where.is_file() else sorted(where.rglob("*.safetensors")):
            try:
                with safe_open(file, framework="pt"):
                    pass
            except (SafetensorError, OSError) as broken:
                raise DataError(f"{file} is no whole safetensors file: {one_line(broken)}") from None
        raise DataError(f"{where} cannot be loaded: {one_line(fault)}") from None


@contextmanager
def enough_memory(doing: str) -> Iterator[None]:
    """Turn every way of running out of memory into one `ServiceError` that says what helps."""
    try:
        yield
    except (MemoryError, RuntimeError) as fault:
        if not _out_of_memory(fault):
            raise
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise ServiceError(
            f"out of memory while {doing}",
            hint="a smaller size, painter.batch = 1, or painter.offload = model or sequential",
        ) from None


def _out_of_memory(fault: BaseException) -> bool:
    text = str(fault).lower()
    return isinstance(fault, MemoryError) or "out of memory" in text or "can't allocate memory" in text

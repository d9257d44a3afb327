"""Turn trained parts into a folder that `FluxPipeline.from_pretrained` loads: the diffusers layout plus `studio.json`.

The text encoder and tokenizer are not in the folder; the loader passes them as components. `studio.json` holds the
sampling defaults that suit these weights and the words the painter was taught. Knows nothing of how the parts were
trained.
"""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderTiny, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel

from models.encoders.wishes import READER
from training.embedded.microstructures.wordings import (
    DENSITIES,
    DIRECTIONS,
    FAMILIES,
    GRADIENTS,
    JOINS,
    PALETTES,
    SCALES,
)
from workspace.files import publish


def vocabulary() -> dict[str, list[str]]:
    """What the captions call each family: what it is in nature first, then what it looks like."""
    return {name: [*row.biological, *row.geometric] for name, row in FAMILIES.items()}


def attributes() -> list[str]:
    """What the captions call density, scale, direction and gradient."""
    words = [word for row in DENSITIES.values() for word in row]
    words += [word for _, row in SCALES.values() for word in row]
    words += [word for _, row in DIRECTIONS.values() for word in row]
    words += [word for name, row in GRADIENTS.items() if name != "none" for word in row]
    return list(dict.fromkeys(words))


def write_pipeline(
    folder: Path,
    vae: AutoencoderTiny,
    transformer: FluxTransformer2DModel,
    normal: dict[str, float],
    shift: float,
    defaults: dict[str, Any],
    start: Path | None = None,
) -> Path:
    """Write the pipeline folder, whole or not at all.

    Args:
        folder: Where it goes; what stood there is replaced.
        vae: Trained autoencoder.
        transformer: Trained transformer.
        normal: ``scaling_factor`` and ``shift_factor`` of the latents the transformer was trained on.
        shift: Of the sampling schedule.
        defaults: Sampling defaults for `studio.json`; the vocabulary and the palettes are added.
        start: Folder of the painter that was trained on, whose reader goes along.

    Returns:
        ``folder``, with a manifest of its files' sha256.
    """
    index = {
        "_class_name": "FluxPipeline",
        "_diffusers_version": diffusers.__version__,
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": [None, None],
        "text_encoder_2": [None, None],
        "tokenizer": [None, None],
        "tokenizer_2": [None, None],
        "transformer": ["diffusers", "FluxTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
    }
    studio = {
        **defaults,
        "vocabulary": vocabulary(),
        "attributes": attributes(),
        "densities": {name: list(words) for name, words in DENSITIES.items()},
        "palettes": [row.words[0] for row in PALETTES.values()],
        "joins": {"into": JOINS["into"][0]},
    }

    def write(staged: Path) -> None:
        staged.mkdir()
        halved = copy.deepcopy(vae).to(torch.bfloat16)
        halved.register_to_config(**normal)
        halved.save_pretrained(staged / "vae")
        copy.deepcopy(transformer).to(torch.bfloat16).save_pretrained(staged / "transformer")
        scheduler = FlowMatchEulerDiscreteScheduler(shift=shift, use_dynamic_shifting=False)
        scheduler.save_pretrained(staged / "scheduler")
        _forget_origin(staged / "vae" / "config.json", staged / "transformer" / "config.json")
        if start is not None and (start / READER).is_file():
            shutil.copyfile(start / READER, staged / READER)
        for name, content in (("model_index.json", index), ("studio.json", studio)):
            (staged / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    publish(folder, write)
    return folder


def _forget_origin(*configs: Path) -> None:
    """Take the folder that weights were once read from out of their configurations."""
    for config in configs:
        kept = json.loads(config.read_text(encoding="utf-8"))
        kept.pop("_name_or_path", None)
        config.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")

"""What the embedded painter learns from: pictures drawn and turned into latents, captions read by MiniLM.

Every function leaves a whole file in the output folder and reads it back when it is there. Trains nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, FluxPipeline

from models.encoders.minilm import load_minilm
from models.encoders.wishes import FIELDS, READER, Reading, Structure
from training.embedded.microstructures.drawing import Microstructure, captions_of, numbered, spec_of
from training.embedded.painter.codes import NAMES
from training.embedded.painter.config import PainterConfig
from training.loop.checkpoints import load_tensors, save_tensors


def render(config: PainterConfig, out: Path, size: int, count: int) -> np.ndarray[Any, Any]:
    """Draw ``count`` pictures on all cores: uint8 (count, size, size, 3), memory-mapped."""
    pixels = out / f"pictures-{size}.npy"
    if not pixels.is_file():
        shape = (count, size, size, 3)
        canvas = np.lib.format.open_memmap(out / "pictures.part", mode="w+", dtype=np.uint8, shape=shape)
        one = partial(numbered, config.seed, size=size, hybrids=config.hybrids)
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as hands:
            for number, picture in enumerate(hands.map(one, range(count), chunksize=32)):
                canvas[number] = picture
        canvas.flush()
        os.replace(out / "pictures.part", pixels)
    return np.asarray(np.load(pixels, mmap_mode="r"))


def to_tensor(pictures: np.ndarray[Any, Any]) -> torch.Tensor:
    """uint8 (n, H, W, 3) to float (n, 3, H, W) in -1..1, channels last in memory."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div(127.5).sub(1)


@torch.no_grad()
def encode_pictures(
    config: PainterConfig, vae: AutoencoderTiny, pictures: np.ndarray[Any, Any], out: Path, start: Path | None = None
) -> Any:
    """Packed, normalised latents (pictures, tokens, 64) in half precision, and the scaling and shift that made them.

    A painter that is trained on keeps the scaling and shift it has.
    """
    path = out / "latents.safetensors"
    if not path.is_file():
        parts = []
        for begin in range(0, len(pictures), 64):
            with torch.autocast("cpu", torch.bfloat16):
                parts.append(vae.encode(to_tensor(np.array(pictures[begin : begin + 64]))).latents.float())
        latents = torch.cat(parts)
        shift, scaling = float(latents.mean()), float(1 / latents.std())
        if start is not None:
            shift, scaling = vae.config.shift_factor, vae.config.scaling_factor
        latents = (latents - shift) * scaling
        count, channels, height, width = latents.shape
        packed = FluxPipeline._pack_latents(latents, count, channels, height, width).half()
        save_tensors(path, {"latents": packed}, {"scaling_factor": scaling, "shift_factor": shift})
    tensors, note = load_tensors(path)
    return tensors["latents"], note


@torch.no_grad()
def encode_captions(config: PainterConfig, text_encoder: Path, out: Path, start: Path | None = None) -> Any:
    """MiniLM states of every caption, the last of them the empty one: (n, longest, 384) half, and pooled (n, 384).

    Where the painter to train on has a reader, captions are what that makes of prompts, in the painter's own names.
    """
    read = start is not None and (start / READER).is_file()
    numbers, share = range(config.pictures), config.hybrids
    if read:
        readings = [reading_of(spec_of(config.seed, number, share)) for number in numbers]
        lines = [NAMES.caption(one) for one in readings for _ in range(config.captions)] + [""]
    else:
        lines = [line for number in numbers for line in captions_of(config.seed, number, config.captions, share)] + [""]
    path = out / f"texts-{hashlib.sha256(json.dumps([lines, read]).encode()).hexdigest()[:12]}.safetensors"
    if not path.is_file():
        encoder, tokenizer = load_minilm(text_encoder, max_length=config.tokens, painter=start if read else None)
        ids = tokenizer(lines, padding="longest", truncation=True, max_length=config.tokens, return_tensors="pt")
        states, pooled = [], []
        for batch in ids.input_ids.split(128):
            with torch.autocast("cpu", torch.bfloat16):
                answer = encoder(batch)
            states.append(answer.last_hidden_state.half())
            pooled.append(answer.pooler_output.half())
        save_tensors(path, {"states": torch.cat(states), "pooled": torch.cat(pooled)})
    tensors, _ = load_tensors(path)
    return tensors["states"], tensors["pooled"]


def reading_of(spec: Microstructure) -> Reading:
    """What a prompt says that asks for exactly this microstructure; what is usual is left unsaid."""
    shown = (spec.family,) if spec.second is None else (spec.family, spec.second)
    said = {name: getattr(spec, name) for name in FIELDS}
    said = {name: value for name, value in said.items() if NAMES.usual.get(name) != value}
    return Reading(tuple(Structure(NAMES.families[key], key) for key in shown), spec.join, said)

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

from models.encoders.minilm import READER, load_minilm, load_reader
from training.embedded.microstructures.drawing import captions_of, numbered
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
def encode_captions(config: PainterConfig, text_encoder: Path, out: Path) -> Any:
    """MiniLM states of every caption, the last of them the empty one: (n, longest, 384) half, and pooled (n, 384)."""
    numbers, share = range(config.pictures), config.hybrids
    lines = [line for number in numbers for line in captions_of(config.seed, number, config.captions, share)] + [""]
    path = out / f"texts-{hashlib.sha256(json.dumps(lines).encode()).hexdigest()[:12]}.safetensors"
    if not path.is_file():
        encoder, tokenizer = load_minilm(text_encoder, max_length=config.tokens)
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


@torch.no_grad()
def read_by(start: Path | None, states: torch.Tensor, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The captions' states and, where the painter to train on has a reader, what that makes of them as ``pooled``."""
    if start is None or not (start / READER).is_file():
        return states, pooled
    reader = load_reader(start / READER)
    parts = [reader(part.float(), part.ne(0).any(-1).long()).half() for part in torch.split(states, 512)]
    return states, torch.cat(parts)

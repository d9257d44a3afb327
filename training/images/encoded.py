"""Pictures and captions as a painter's encoders make them, once, into a file: training needs no encoder then."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from training.images.config import ImageLoraConfig
from training.images.folder import Captioned, square
from training.loop.checkpoints import load_tensors, save_tensors

_READ_AS = "2"  # raise it when the same file becomes another picture


@torch.no_grad()
def encode(
    pipe: Any, config: ImageLoraConfig, length: int, pictures: list[Captioned], prompts: list[str], out: Path
) -> dict[str, torch.Tensor]:
    """Encode everything once, into ``out/cache.safetensors``.

    Latents (pictures, tokens, 64), mirrored pictures after the others; states and pooled states of every caption, then
    of the empty one, then of the sample prompts.
    """
    path, key = out / "cache.safetensors", hashlib.sha256("\n".join([_READ_AS, *prompts]).encode()).hexdigest()
    if path.is_file():
        tensors, note = load_tensors(path)
        if note.get("prompts") == key:
            return tensors
    device = pipe._execution_device
    latents = []
    for mirrored in (False, True)[: 1 + config.flip]:
        for picture in pictures:
            pixels = torch.from_numpy(square(picture.path, config.size, mirrored).copy()).permute(2, 0, 1)[None]
            encoded = pipe.vae.encode((pixels.float() / 127.5 - 1).to(device, pipe.vae.dtype))
            latent = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
            shift = pipe.vae.config.shift_factor or 0.0
            latent = (latent - shift) * pipe.vae.config.scaling_factor
            latents.append(pipe._pack_latents(latent, *latent.shape).float().cpu())
    states, pooled = [], []
    for text in [*(picture.caption for picture in pictures), "", *prompts]:
        wide, short, _ = pipe.encode_prompt(prompt=text, prompt_2=text, max_sequence_length=length)
        states.append(wide.float().cpu())
        pooled.append(short.float().cpu())
    tensors = {"latents": torch.cat(latents), "states": torch.cat(states).bfloat16(), "pooled": torch.cat(pooled)}
    save_tensors(path, tensors, {"prompts": key})
    return tensors

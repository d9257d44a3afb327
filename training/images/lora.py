"""Train a LoRA adapter of any FLUX on a folder of captioned pictures.

Read top to bottom: check the folder, encode pictures and captions once, drop the encoders, train low-rank updates of
the transformer by rectified flow, save them as `load_lora_weights` and ComfyUI read them. Killed at any moment, the
same command goes on from the last checkpoint. A loss that is no number stops it; the last good checkpoint stays.

    studio train image-lora training/configs/leaf-adapter.yaml
"""

from __future__ import annotations

import gc
import hashlib
import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch.nn import functional

from models.catalogue.fetch import fingerprint, locate
from pipelines.pictures.flux import assemble, choose_device, choose_dtype, enough_memory, has_encoders, place, read_card
from training.images.folder import Captioned, read_folder, same_caption, square
from training.loop.checkpoints import Trainee, load_tensors, own, save_tensors
from training.loop.plots import plot_loss
from workspace.errors import DataError, unknown
from workspace.files import publish

WEIGHTS = "pytorch_lora_weights.safetensors"
_ATTENTION = r"attn\.(to_q|to_k|to_v|to_out\.0|add_q_proj|add_k_proj|add_v_proj|to_add_out)"
_FORWARD = r"ff\.net\.0\.proj|ff\.net\.2|ff_context\.net\.0\.proj|ff_context\.net\.2|proj_mlp|proj_out"
TARGETS = {
    "attention": rf".*transformer_blocks\.\d+\.{_ATTENTION}",
    "all": rf".*transformer_blocks\.\d+\.({_ATTENTION}|{_FORWARD})",
}

Told = Callable[[dict[str, Any]], None]


class ImageLoraConfig(BaseModel):
    """The YAML file's shape; relative paths are read from where the file lies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{1,60}$", description="what the adapter is called")
    base: str = Field(description="a painter of the catalogue, or a folder in diffusers' layout")
    pictures: Path = Field(description="folder of pictures, each with a .txt caption of the same name")
    trigger: str = Field("", max_length=80, description="stands for [trigger] in captions")
    size: int = Field(512, ge=64, le=2048, multiple_of=16, description="pixels")
    flip: bool = Field(False, description="learn from mirrored pictures too")
    rank: int = Field(16, ge=1, le=256)
    alpha: float | None = Field(None, gt=0, description="rank if not given")
    targets: Literal["attention", "all"] = "all"
    steps: int = Field(1000, ge=1, le=200_000)
    batch: int = Field(1, ge=1, le=256)
    accumulate: int = Field(1, ge=1, le=256, description="batches a step")
    rate: float = Field(1e-4, gt=0, le=1)
    warmup: int = Field(20, ge=0, description="steps")
    caption_dropout: float = Field(0.05, ge=0, le=1)
    guidance: float = Field(1.0, ge=0, description="told to a model with guidance embedded")
    device: str = "auto"
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    checkpointing: bool = Field(False, description="recompute activations: slower, a third of the memory")
    eight_bit: bool = Field(False, description="8-bit Adam, where bitsandbytes is installed and there is a GPU")
    seed: int = Field(42, ge=0)
    log_every: int = Field(10, ge=1)
    save_every: int = Field(100, ge=1)
    sample_every: int = Field(250, ge=0, description="steps between sample pictures; 0 for none")
    samples: tuple[str, ...] = Field((), max_length=16, description="prompts; may say [trigger]")
    sample_steps: int | None = Field(None, ge=1, le=200)


def load_config(path: Path) -> ImageLoraConfig:
    """Read a training file.

    Raises:
        DataError: If it is missing, not YAML, or has an unknown key (with the nearest) or a value out of range.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        config = ImageLoraConfig.model_validate(data)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        raise DataError(f"training file {path} cannot be read: {' '.join(str(fault).split())[:200]}") from None
    except ValidationError as fault:
        first = fault.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        if first["type"] == "extra_forbidden":
            raise DataError(f"{path}: {unknown('key', key, ImageLoraConfig.model_fields)}") from None
        raise DataError(f"{path}: {key}: {first['msg']}") from None
    pictures = config.pictures.expanduser()
    return config.model_copy(update={"pictures": pictures if pictures.is_absolute() else path.parent / pictures})


def main(config: ImageLoraConfig, home: Path, out: Path, told: Told | None = None) -> Path:
    """Train the adapter.

    Args:
        config: What to train.
        home: STUDIO_HOME, where fetched models lie.
        out: Folder for the cache, the checkpoint, samples, metrics and the result; the same folder resumes.
        told: Takes a dictionary at every logged step: ``step``, ``of``, ``loss``, ``pictures_s``, ``left_s``.

    Returns:
        The adapter's file, ``out/adapter/pytorch_lora_weights.safetensors``.

    Raises:
        DataError: The folder of pictures does not hold, the checkpoint belongs to another training, or the loss stops
            being a number.
        ServiceError: The base is not fetched, or there is not enough memory.
    """
    tell = told or (lambda row: None)
    pictures = read_folder(config.pictures, config.trigger)
    if remark := same_caption(pictures):
        tell({"remark": remark})
    folder = locate(config.base, home, kind="painter")
    card = read_card(folder)
    encoder = None if has_encoders(folder) else locate(card.text_encoder, home)
    _own(out, config, pictures, folder)
    device = choose_device(config.device)
    dtype = choose_dtype(config.dtype, device, folder)
    pipe = assemble(folder, encoder, card, device, dtype, "model" if device.type == "cuda" else "none")
    prompts = [text.replace("[trigger]", config.trigger) for text in config.samples]
    cache = _encode(pipe, config, card.max_sequence_length, pictures, prompts, out)
    _drop_encoders(pipe, device)
    with enough_memory(f"training {config.name} with {config.batch} pictures of {config.size} pixels a batch"):
        trainee = _train(pipe, config, cache, out, tell, card)
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    plot_loss(rows, out / "loss.png", config.name)
    return _publish(trainee, config, folder, pictures, out)


def _own(out: Path, config: ImageLoraConfig, pictures: list[Captioned], folder: Path) -> None:
    """Note what is trained in a folder; refuse one where something else was begun."""
    aside = {"steps", "log_every", "save_every", "sample_every", "samples", "sample_steps", "device", "pictures"}
    recipe = config.model_dump(mode="json", exclude=aside)
    recipe["base_fingerprint"] = fingerprint(folder)
    recipe["data"] = hashlib.sha256("".join(picture.fingerprint for picture in pictures).encode()).hexdigest()
    own(out, recipe, name="training.json")


@torch.no_grad()
def _encode(
    pipe: Any, config: ImageLoraConfig, length: int, pictures: list[Captioned], prompts: list[str], out: Path
) -> dict[str, torch.Tensor]:
    """Encode everything once, into ``out/cache.safetensors``.

    Latents (pictures, tokens, 64), mirrored pictures after the others; states and pooled states of every caption, then
    of the empty one, then of the sample prompts.
    """
    path, key = out / "cache.safetensors", hashlib.sha256("\n".join(prompts).encode()).hexdigest()
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


def _drop_encoders(pipe: Any, device: torch.device) -> None:
    """Free the text encoders, of which nothing more is asked, and put the rest where it computes, in bfloat16."""
    pipe.remove_all_hooks()
    pipe.text_encoder = pipe.text_encoder_2 = None
    gc.collect()
    place(pipe, device, "none")
    pipe.to(torch.bfloat16)
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _train(
    pipe: Any, config: ImageLoraConfig, cache: dict[str, torch.Tensor], out: Path, tell: Told, card: Any
) -> Trainee:
    """Rectified flow on the cached latents: the transformer predicts noise minus picture.

    Times are logit-normal, moved towards noise as the base's schedule is for this size (Esser et al., 2024).
    """
    from peft import LoraConfig

    transformer = pipe.transformer
    torch.manual_seed(config.seed)
    alpha = config.alpha or float(config.rank)
    transformer.add_adapter(
        LoraConfig(
            r=config.rank,
            lora_alpha=alpha,
            init_lora_weights="gaussian",
            target_modules=TARGETS[config.targets],
        )
    )
    for weight in transformer.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    if config.checkpointing:
        transformer.enable_gradient_checkpointing()
    trainee = Trainee(
        transformer.train(), config.rate, 0.98, out / "checkpoint.safetensors", eight_bit=config.eight_bit
    )
    loss_at = _loss_of(pipe, config, cache)
    began, since, recent = time.monotonic(), trainee.step, []
    while trainee.step < config.steps:
        step, total = trainee.step, 0.0
        for part in range(config.accumulate):
            loss = loss_at(step * config.accumulate + part) / config.accumulate
            total += float(loss.detach())
            if part + 1 < config.accumulate:
                loss.backward()  # type: ignore[no-untyped-call]
        if not math.isfinite(total):
            raise DataError(
                f"the loss is {total} at step {step + 1}; the last good checkpoint is kept in {trainee.path}",
                hint="lower rate and run the same command again",
            )
        trainee.update(loss, _share(step, config))
        recent.append(total)
        if trainee.step % config.log_every == 0 or trainee.step == config.steps:
            spent = time.monotonic() - began
            done = trainee.step - since
            row = {"step": trainee.step, "of": config.steps, "loss": round(float(np.mean(recent)), 5)}
            row["pictures_s"] = round(done * config.batch * config.accumulate / spent, 2)
            row["left_s"] = round(spent / done * (config.steps - trainee.step))
            with (out / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            tell(row)
            recent = []
        if trainee.step % config.save_every == 0 or trainee.step == config.steps:
            trainee.save()
        if config.sample_every and trainee.step % config.sample_every == 0:
            _sample(pipe, config, cache, out, trainee.step, card)
    trainee.use_average()
    return trainee


def _share(step: int, config: ImageLoraConfig) -> float:
    """Share of the rate: up over the warm-up, then down a cosine to a tenth."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    along = (step - config.warmup) / max(1, config.steps - config.warmup)
    return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * along))


def _loss_of(pipe: Any, config: ImageLoraConfig, cache: dict[str, torch.Tensor]) -> Callable[[int], torch.Tensor]:
    transformer, device = pipe.transformer, pipe._execution_device
    latents, states, pooled = cache["latents"], cache["states"], cache["pooled"]
    captions = len(latents) // (1 + config.flip)
    side = config.size // 16
    places = pipe._prepare_latent_image_ids(1, side, side, device, torch.float32)
    words = torch.zeros(states.shape[1], 3, device=device)
    ahead = _shift(pipe, side * side)
    guided = bool(transformer.config.guidance_embeds)

    def loss_at(number: int) -> torch.Tensor:
        source = torch.Generator().manual_seed(config.seed * 1_000_003 + number)
        chosen = torch.randint(len(latents), (config.batch,), generator=source)
        lines = chosen % captions
        lines[torch.rand(config.batch, generator=source) < config.caption_dropout] = captions
        clean = latents[chosen].to(device)
        noise = torch.randn(clean.shape, generator=source).to(device)
        times = torch.randn(config.batch, generator=source).sigmoid()
        times = (ahead * times / (1 + (ahead - 1) * times)).to(device)
        (velocity,) = transformer(
            hidden_states=torch.lerp(clean, noise, times[:, None, None]).bfloat16(),
            timestep=times.bfloat16(),
            guidance=torch.full_like(times, config.guidance) if guided else None,
            encoder_hidden_states=states[lines].to(device),
            pooled_projections=pooled[lines].to(device).bfloat16(),
            img_ids=places,
            txt_ids=words,
            return_dict=False,
        )
        return functional.mse_loss(velocity.float(), noise - clean)

    return loss_at


def _shift(pipe: Any, tokens: int) -> float:
    """How far the base's schedule is moved towards noise at a picture of so many tokens."""
    shape = pipe.scheduler.config
    if not shape.get("use_dynamic_shifting"):
        return float(shape.get("shift") or 1.0)
    low, high = shape["base_image_seq_len"], shape["max_image_seq_len"]
    slope = (shape["max_shift"] - shape["base_shift"]) / (high - low)
    return math.exp(shape["base_shift"] + slope * (tokens - low))


@torch.no_grad()
def _sample(
    pipe: Any, config: ImageLoraConfig, cache: dict[str, torch.Tensor], out: Path, step: int, card: Any
) -> None:
    """Paint the sample prompts as the adapter stands: ``out/samples/STEP-N.png``."""
    first = len(cache["states"]) - len(config.samples)
    folder = out / "samples"
    folder.mkdir(exist_ok=True)
    device, empty = pipe._execution_device, first - 1
    pipe.transformer.eval()
    for number in range(len(config.samples)):
        told = {
            name: cache[part][place : place + 1].to(device, torch.bfloat16)
            for name, part, place in (
                ("prompt_embeds", "states", first + number),
                ("pooled_prompt_embeds", "pooled", first + number),
                ("negative_prompt_embeds", "states", empty),
                ("negative_pooled_prompt_embeds", "pooled", empty),
            )
        }
        if card.true_cfg <= 1:
            told = {name: value for name, value in told.items() if not name.startswith("negative")}
        image = pipe(
            **told,
            width=config.size,
            height=config.size,
            num_inference_steps=config.sample_steps or card.steps,
            guidance_scale=card.guidance,
            true_cfg_scale=card.true_cfg,
            generator=torch.Generator("cpu").manual_seed(config.seed + number),
        ).images[0]
        publish(folder / f"{step:06d}-{number}.png", partial(image.save, format="PNG"))
    pipe.transformer.train()


def _publish(trainee: Trainee, config: ImageLoraConfig, base: Path, pictures: list[Captioned], out: Path) -> Path:
    """Write the adapter under diffusers' names with its scale folded in, so that every loader reads it at scale 1."""
    from safetensors.torch import save_file

    factor = (config.alpha or config.rank) / config.rank
    tensors = {}
    for name, weight in trainee.weights.items():
        plain = f"transformer.{name.replace('.default.', '.')}"
        tensors[plain] = (weight.detach() * (factor if ".lora_B." in plain else 1)).cpu().half().contiguous()
    note = {
        "format": "pt",
        "modelspec.architecture": "flux-1-dev/lora",
        "modelspec.title": config.name,
        "modelspec.trigger_phrase": config.trigger,
        "ss_network_dim": str(config.rank),
        "studio.base": base.name,
        "studio.pictures": str(len(pictures)),
        "studio.steps": str(trainee.step),
    }
    folder = out / "adapter"
    folder.mkdir(exist_ok=True)
    publish(folder / WEIGHTS, lambda staged: save_file(tensors, staged, metadata=note))
    return folder / WEIGHTS

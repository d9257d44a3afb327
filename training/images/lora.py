"""Train a LoRA adapter of any FLUX on a folder of captioned pictures.

Read top to bottom: check the folder, encode pictures and captions once, drop the encoders, train low-rank updates of
the transformer by rectified flow, save them as `load_lora_weights` and ComfyUI read them. Killed at any moment, the
same command goes on from the last checkpoint. A loss that is no number stops it; the last good checkpoint stays.

    studio train image-lora training/configs/leaf-adapter.yaml
"""

from __future__ import annotations

import gc
import hashlib
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from models.catalogue.fetch import fingerprint, locate
from pipelines.pictures.flux import assemble, choose_device, choose_dtype, enough_memory, has_encoders, place, read_card
from training.images.config import ImageLoraConfig, TrainedImageLora
from training.images.encoded import encode
from training.images.folder import Captioned, read_folder, remarks
from training.loop.checkpoints import note_recipe
from training.loop.metrics import read_rows
from training.loop.plots import plot_loss
from training.loop.schedule import rise_then_fall
from training.loop.steps import METRICS, TrainingPlan, train
from training.loop.trainee import Trainee
from workspace.files import publish
from workspace.progress import Remark, StageStarted, Tell, silent, waiting, weighed

WEIGHTS = "pytorch_lora_weights.safetensors"
_ATTENTION = r"attn\.(to_q|to_k|to_v|to_out\.0|add_q_proj|add_k_proj|add_v_proj|to_add_out)"
_FORWARD = r"ff\.net\.0\.proj|ff\.net\.2|ff_context\.net\.0\.proj|ff_context\.net\.2|proj_mlp|proj_out"
TARGETS = {
    "attention": rf".*transformer_blocks\.\d+\.{_ATTENTION}",
    "all": rf".*transformer_blocks\.\d+\.({_ATTENTION}|{_FORWARD})",
}


def main(config: ImageLoraConfig, home: Path, out: Path, tell: Tell = silent) -> TrainedImageLora:
    """Train the adapter.

    Args:
        config: What to train.
        home: STUDIO_HOME, where fetched models lie.
        out: Folder for the cache, the checkpoint, samples, metrics and the result; the same folder resumes.
        tell: Takes the events of progress.

    Returns:
        Where the adapter, ``out/adapter/pytorch_lora_weights.safetensors``, and the rest lie.

    Raises:
        DataError: The folder of pictures does not hold, the checkpoint belongs to another training, or the loss stops
            being a number.
        ServiceError: The base is not fetched, or there is not enough memory.
    """
    pictures = read_folder(config.pictures, config.trigger)
    for remark in remarks(config.pictures, pictures):
        tell(Remark(text=remark))
    folder = locate(config.base, home, kind="painter")
    card = read_card(folder)
    encoder = None if has_encoders(folder) else locate(card.text_encoder, home)
    _note(out, config, pictures, folder)
    device = choose_device(config.device)
    dtype = choose_dtype(config.dtype, device, folder)
    with waiting(f"reading {weighed(*filter(None, [folder, encoder]))}"):
        pipe = assemble(folder, encoder, card, device, dtype, "model" if device.type == "cuda" else "none")
    prompts = [text.replace("[trigger]", config.trigger) for text in config.samples]
    tell(StageStarted(doing="encoding pictures"))
    cache = encode(pipe, config, card.max_sequence_length, pictures, prompts, out)
    _drop_encoders(pipe, device)
    with enough_memory(f"training {config.name} with {config.batch} pictures of {config.size} pixels a batch"):
        trainee = _train(pipe, config, cache, out, tell, card)
    metrics, plot = out / METRICS, out / "loss.png"
    plot_loss(read_rows(metrics), plot, config.name)
    adapter = _publish(trainee, config, folder, pictures, out)
    return TrainedImageLora(adapter=adapter, trigger=config.trigger, loss=plot, metrics=metrics)


def _note(out: Path, config: ImageLoraConfig, pictures: list[Captioned], folder: Path) -> None:
    """Note what is trained in a folder; refuse one where something else was begun."""
    aside = {"steps", "log_every", "save_every", "sample_every", "samples", "sample_steps", "device", "pictures"}
    aside |= {"checkpointing"}  # the same updates, computed twice
    recipe = config.model_dump(mode="json", exclude=aside)
    recipe["base_fingerprint"] = fingerprint(folder)
    recipe["data"] = hashlib.sha256("".join(picture.fingerprint for picture in pictures).encode()).hexdigest()
    note_recipe(out, recipe, name="training.json")


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
    pipe: Any, config: ImageLoraConfig, cache: dict[str, torch.Tensor], out: Path, tell: Tell, card: Any
) -> Trainee:
    """Rectified flow on the cached latents: the transformer predicts noise minus picture.

    Times are logit-normal, moved towards noise as the base's schedule is for this size (Esser et al., 2024).
    """
    adapted, checkpoint = _adapted(pipe.transformer, config), out / "checkpoint.safetensors"
    trainee = Trainee(adapted, config.rate, 0.98, checkpoint, eight_bit=config.eight_bit)
    batch_loss, parts = _loss_of(pipe, config, cache), config.accumulate
    plan = TrainingPlan(
        stage="",
        steps=config.steps,
        schedule=rise_then_fall(config.steps, config.warmup, 0.1),
        log_every=config.log_every,
        save_every=config.save_every,
        pictures=config.batch * parts,
    )

    def loss_at(step: int) -> Iterator[torch.Tensor]:
        return (batch_loss(step * parts + part) / parts for part in range(parts))

    def sample(step: int) -> None:
        if config.sample_every and step % config.sample_every == 0:
            _sample(pipe, config, cache, out, step, card)

    train(trainee, plan, loss_at, out, tell, after_step=sample)
    trainee.use_average()
    return trainee


def _adapted(transformer: Any, config: ImageLoraConfig) -> torch.nn.Module:
    """The transformer with a fresh adapter on it, whose weights alone are trained, in float32."""
    from peft import LoraConfig

    torch.manual_seed(config.seed)
    shape = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha or float(config.rank),
        init_lora_weights="gaussian",
        target_modules=TARGETS[config.targets],
    )
    transformer.add_adapter(shape)
    for weight in transformer.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    if config.checkpointing:
        transformer.enable_gradient_checkpointing()
    adapted: torch.nn.Module = transformer.train()
    return adapted


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
        given = {
            name: cache[part][place : place + 1].to(device, torch.bfloat16)
            for name, part, place in (
                ("prompt_embeds", "states", first + number),
                ("pooled_prompt_embeds", "pooled", first + number),
                ("negative_prompt_embeds", "states", empty),
                ("negative_pooled_prompt_embeds", "pooled", empty),
            )
        }
        if card.true_cfg <= 1:
            given = {name: value for name, value in given.items() if not name.startswith("negative")}
        image = pipe(
            **given,
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

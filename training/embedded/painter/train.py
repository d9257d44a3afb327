"""Train the embedded painter: procedural pictures in, a folder that an unchanged `FluxPipeline` loads out.

Read top to bottom: draw pictures, train an autoencoder on crops of them, turn pictures into latents and captions into
MiniLM states, train a small FLUX transformer by rectified flow, publish. Every stage leaves a whole file or none in the
output folder and is skipped when its file is there; the two trainings resume from their checkpoints, bit for bit.

    python -m training.embedded.painter.train --config training/configs/micro-flux.yaml \
        --text-encoder MINILM_FOLDER --out DIR
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, FluxPipeline, FluxTransformer2DModel
from torch.nn import functional

from training.embedded.microstructures.drawing import odds_of
from training.embedded.painter.attention import quicken
from training.embedded.painter.codes import learn
from training.embedded.painter.config import AutoencoderRecipe, FlowRecipe, PainterConfig, load_config
from training.embedded.painter.data import encode_captions, encode_pictures, render, to_tensor
from training.embedded.painter.initial_weights import start_with_places
from training.embedded.painter.pipeline_folder import write_pipeline
from training.loop.checkpoints import note_recipe
from training.loop.schedule import one_cycle
from training.loop.steps import TrainingPlan, train
from training.loop.terminal import show
from training.loop.trainee import Trainee, flushed
from workspace.errors import DataError
from workspace.progress import Tell, silent

LATENT_CHANNELS = 16
TEXT_WIDTH = 384


def build_autoencoder(recipe: AutoencoderRecipe) -> AutoencoderTiny:
    """A 16-channel, 8-times-smaller convolutional autoencoder with random weights."""
    widths = (recipe.width,) * 4
    return AutoencoderTiny(
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        num_encoder_blocks=recipe.encoder_blocks,
        num_decoder_blocks=recipe.decoder_blocks,
        latent_channels=LATENT_CHANNELS,
    )


def principal(pictures: np.ndarray[Any, Any], channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A linear encoder: the principal components of 8x8 patches, as the weight and bias of a convolution of stride 8.

    Its outputs have unit variance altogether; most of it lies in the first few, which hold colour and coarse shape.

    Args:
        pictures: uint8 (pictures, size, size, 3).
        channels: Components kept.

    Returns:
        Weight (channels, 3, 8, 8) and bias (channels,) for pictures in -1..1.
    """
    some = to_tensor(np.array(pictures[:: max(1, len(pictures) // 512)]))
    patches = functional.unfold(some, 8, stride=8).transpose(1, 2).reshape(-1, 3 * 8 * 8)
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
    basis = vectors[:, -channels:].flip(1).T
    basis = basis / (values[-channels:].sum() / channels).sqrt()
    return basis.reshape(channels, 3, 8, 8), -(basis @ mean)


def train_autoencoder(
    config: PainterConfig, pictures: np.ndarray[Any, Any], out: Path, tell: Tell = silent
) -> AutoencoderTiny:
    """Train the autoencoder on random crops, its latents anchored to the principal components of the patches.

    Anchored latents change smoothly as a structure shifts, and fine detail is faint in them, so that the transformer
    learns the coarse first.
    """
    recipe = config.autoencoder
    torch.manual_seed(config.seed)
    model = build_autoencoder(recipe).to(memory_format=torch.channels_last)
    trainee = Trainee(model, recipe.rate, 0.99, out / "autoencoder.safetensors")
    usable = len(pictures) - config.held_out
    weight, bias = principal(pictures[:usable], LATENT_CHANNELS)

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([config.seed, 1, step])
        chosen = rng.integers(usable, size=recipe.batch)
        top, left = rng.integers(recipe.size - recipe.crop + 1, size=(2, recipe.batch))
        crops = [
            pictures[n, t : t + recipe.crop, u : u + recipe.crop] for n, t, u in zip(chosen, top, left, strict=True)
        ]
        real = to_tensor(np.stack(crops))
        torch.manual_seed(int(rng.integers(2**31)))
        with torch.autocast("cpu", torch.bfloat16):
            latents = model.encode(real).latents
            painted = model.decode(latents + recipe.noise * torch.randn_like(latents)).sample
        adrift = functional.mse_loss(latents.float(), functional.conv2d(real, weight, bias, stride=8))
        return reconstruction_loss(painted.float(), real, recipe.edges) + recipe.anchor * adrift

    train(trainee, _plan(config, "autoencoder", recipe.steps), loss_at, out, tell)
    trainee.use_average()
    return model.eval()


def reconstruction_loss(painted: torch.Tensor, real: torch.Tensor, edges: float) -> torch.Tensor:
    """Mean absolute error plus ``edges`` times that of the horizontal and vertical pixel differences."""
    fault = painted - real
    return fault.abs().mean() + edges * (fault.diff(dim=-1).abs().mean() + fault.diff(dim=-2).abs().mean())


def build_transformer(recipe: FlowRecipe) -> FluxTransformer2DModel:
    """A small FLUX transformer with random weights, without guidance embedding."""
    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=4 * LATENT_CHANNELS,
        num_layers=recipe.layers,
        num_single_layers=recipe.single_layers,
        attention_head_dim=recipe.head_width,
        num_attention_heads=recipe.heads,
        joint_attention_dim=TEXT_WIDTH,
        pooled_projection_dim=TEXT_WIDTH,
        guidance_embeds=False,
        axes_dims_rope=recipe.rope,
    )


@flushed()
def train_flow(
    config: PainterConfig,
    latents: torch.Tensor,
    texts: Any,
    out: Path,
    steps: int | None = None,
    start: Path | None = None,
    tell: Tell = silent,
) -> FluxTransformer2DModel:
    """Rectified flow: predict noise minus picture from a straight mix of the two, at logit-normal times.

    Source: Esser et al., "Scaling rectified flow transformers" (2024); caption dropout for classifier-free guidance
    from Ho and Salimans (2022); Muon for the matrices from Jordan et al. (2024).
    ``steps`` stops earlier than the recipe; 0 takes the newest checkpoint as it stands. ``start`` is the folder of a
    painter to train on.
    """
    recipe = config.flow
    side = config.size // 16
    states, pooled = texts
    model, trainee = _student(config, pooled, out, start, tell)
    places = FluxPipeline._prepare_latent_image_ids(1, side, side, torch.device("cpu"), torch.float32)
    words = torch.zeros(config.tokens, 3)
    usable = len(latents) - config.held_out
    odds = torch.tensor(odds_of(config.seed, usable, recipe.emphasis, config.hybrids))

    def loss_of(chosen: torch.Tensor, lines: torch.Tensor, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        clean = latents[chosen].float()
        mixed = torch.lerp(clean, noise, times[:, None, None])
        text = functional.pad(states[lines], (0, 0, 0, config.tokens - states.shape[1]))
        (velocity,) = model(
            hidden_states=mixed.bfloat16(),
            timestep=times.bfloat16(),
            encoder_hidden_states=text.bfloat16(),
            pooled_projections=pooled[lines].bfloat16(),
            img_ids=places,
            txt_ids=words,
            return_dict=False,
        )
        return functional.mse_loss(velocity.float(), noise - clean)

    def loss_at(step: int) -> torch.Tensor:
        source = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        chosen = torch.multinomial(odds, recipe.batch, replacement=True, generator=source)
        lines = chosen * config.captions + torch.randint(config.captions, (recipe.batch,), generator=source)
        lines[torch.rand(recipe.batch, generator=source) < recipe.caption_dropout] = len(states) - 1
        noise = torch.randn(recipe.batch, *latents.shape[1:], generator=source)
        return loss_of(chosen, lines, noise, (recipe.noisiness + torch.randn(recipe.batch, generator=source)).sigmoid())

    @torch.no_grad()
    def held_out_loss() -> float:
        source = torch.Generator().manual_seed(config.seed)
        chosen = torch.arange(usable, len(latents))
        noise = torch.randn(len(chosen), *latents.shape[1:], generator=source)
        times = (torch.arange(len(chosen)) + 0.5) / len(chosen)
        return float(loss_of(chosen, chosen * config.captions, noise, times))

    plan = _plan(config, "flow", recipe.steps if steps is None else steps)
    train(trainee, plan, loss_at, out, tell, held_out=held_out_loss)
    trainee.use_average()
    return model.eval()


def _student(
    config: PainterConfig, pooled: torch.Tensor, out: Path, start: Path | None, tell: Tell
) -> tuple[FluxTransformer2DModel, Trainee]:
    """A transformer to train, with what trains it: a fresh one, or that of a painter's folder."""
    recipe = config.flow
    torch.manual_seed(config.seed)
    if start is None:
        fresh = start_with_places(build_transformer(recipe), config.size // 16)
        learn(fresh.time_text_embed.text_embedder, config, pooled, out, tell)
    else:
        fresh = _started(start, recipe)
        fresh.time_text_embed.text_embedder.requires_grad_(False)  # it reads; the flow is not to learn other codes
    model = quicken(fresh.bfloat16())
    matrices = frozenset(name for name, weight in model.named_parameters() if _in_block(name) and weight.ndim == 2)
    path = out / "flow.safetensors"
    return model, Trainee(model, recipe.rate, recipe.average, path, matrices, recipe.matrix_rate)


def _started(start: Path, recipe: FlowRecipe) -> FluxTransformer2DModel:
    """The transformer of a painter's folder, which must be of the recipe's shape."""
    model = FluxTransformer2DModel.from_pretrained(start / "transformer", torch_dtype=torch.float32)
    wanted, found = (json.loads(one.to_json_string()) for one in (build_transformer(recipe), model))
    odd = sorted(key for key in wanted if not key.startswith("_") and found.get(key) != wanted[key])
    if odd:
        raise DataError(f"{start} has a transformer of another shape than the recipe's; {', '.join(odd)} differ")
    return model.train()


def _in_block(name: str) -> bool:
    """Whether a weight is one of a block's attention or feed-forward layers, which Muon trains."""
    return "transformer_blocks." in name and ".norm" not in name


def _plan(config: PainterConfig, stage: str, steps: int) -> TrainingPlan:
    return TrainingPlan(stage, steps, one_cycle(steps), config.log_every, config.save_every)


def main(
    config: PainterConfig,
    text_encoder: Path,
    out: Path,
    publish_only: bool = False,
    start: Path | None = None,
    tell: Tell = silent,
) -> Path:
    """Train everything and publish it.

    Args:
        config: What to train.
        text_encoder: Folder of the MiniLM model.
        out: Folder for caches, checkpoints, metrics.jsonl and the result; the same folder resumes, and with a higher
            ``flow.steps`` trains on, by another ``flow.emphasis`` if need be.
        publish_only: Do not train the flow; publish the newest checkpoint's average.
        start: Folder of a painter to train on: its autoencoder is kept, its transformer is where training begins.
        tell: Takes the events of progress.

    Returns:
        The folder ``out/weights``, loadable by `FluxPipeline.from_pretrained` with MiniLM in both text places.

    Raises:
        DataError: If a loss stops being a number, a checkpoint belongs to another recipe, or the encoder is incomplete.
    """
    recipe = config.model_dump(mode="json", exclude={"sampling", "log_every", "save_every"})
    flow = recipe.pop("flow")  # more steps train on; the emphasis only says on what
    note_recipe(out, recipe | {f"flow.{key}": flow[key] for key in flow}, free=("flow.steps", "flow.emphasis"))
    if start is not None:
        vae = AutoencoderTiny.from_pretrained(start / "vae", torch_dtype=torch.float32).eval()
    else:
        drawn = render(config, out, config.autoencoder.size, config.autoencoder.pictures)
        vae = train_autoencoder(config, drawn, out, tell)
    pictures = render(config, out, config.size, config.pictures)
    latents, normal = encode_pictures(config, vae, pictures, out, start)
    texts = encode_captions(config, text_encoder, out, start)
    transformer = train_flow(config, latents, texts, out, 0 if publish_only else None, start, tell)
    sampling = sampling_defaults(config)
    return write_pipeline(out / "weights", vae, transformer, normal, config.flow.shift, sampling, start)


def sampling_defaults(config: PainterConfig) -> dict[str, Any]:
    """The sampling part of `studio.json`. Guidance is true CFG: the transformer has no guidance embedding."""
    chosen = config.sampling
    return {
        "size": config.size,
        "steps": chosen.steps,
        "guidance": 0.0,
        "true_cfg": chosen.true_cfg,
        "negative_prompt": "",
        "max_sequence_length": config.tokens,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--text-encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="folder of a painter to train on, instead of from nothing")
    parser.add_argument("--publish-only", action="store_true", help="publish the newest checkpoint as it stands")
    chosen = parser.parse_args()
    print(main(load_config(chosen.config), chosen.text_encoder, chosen.out, chosen.publish_only, chosen.start, show))

"""The transformer trains with the sums diffusers makes, and starts with heads that know where tokens lie."""

import torch
from diffusers import FluxPipeline

from training.embedded.painter.attention import quicken
from training.embedded.painter.config import FlowRecipe
from training.embedded.painter.initial_weights import start_with_places
from training.embedded.painter.train import build_transformer

RECIPE = FlowRecipe(layers=2, single_layers=1, heads=8, head_width=32, rope=(4, 14, 14))
SIDE = 8


def inputs(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return {
        "hidden_states": torch.randn(2, SIDE * SIDE, 64),
        "timestep": torch.tensor([0.9, 0.4]),
        "encoder_hidden_states": torch.randn(2, 6, 384),
        "pooled_projections": torch.randn(2, 384),
        "img_ids": FluxPipeline._prepare_latent_image_ids(1, SIDE, SIDE, torch.device("cpu"), torch.float32),
        "txt_ids": torch.zeros(6, 3),
    }


def test_training_attention_gives_what_diffusers_gives_and_the_same_gradients():
    torch.manual_seed(0)
    model = build_transformer(RECIPE)
    outcomes = []
    for change in (lambda same: same, quicken):
        model.zero_grad()
        velocity = change(model)(**inputs(1)).sample
        velocity.square().mean().backward()
        outcomes.append((velocity.detach(), model.transformer_blocks[0].attn.add_k_proj.weight.grad.clone()))
    for plain, quick in zip(*outcomes, strict=True):
        assert torch.allclose(plain, quick, atol=1e-4)


@torch.no_grad()
def states_after_the_first_block(model, seed: int) -> torch.Tensor:
    """What the first block adds to every picture token by attention, (tokens, channels), for a picture of noise."""
    kept = []
    handle = model.transformer_blocks[0].attn.register_forward_hook(lambda _, __, out: kept.append(out[0]))
    model(**inputs(seed))
    handle.remove()
    return kept[0][0]


def test_a_started_transformer_tells_places_apart_whatever_the_noise():
    def recognised(model) -> float:
        one, other = (states_after_the_first_block(model, seed) for seed in (1, 2))
        one, other = one - one.mean(0), other - other.mean(0)
        nearest = torch.cdist(one, other).argmin(1)
        return float((nearest == torch.arange(SIDE * SIDE)).float().mean())

    torch.manual_seed(0)
    plain = build_transformer(RECIPE)
    torch.manual_seed(0)
    started = start_with_places(build_transformer(RECIPE), SIDE)
    assert recognised(plain) < 0.2
    assert recognised(started) > 0.6

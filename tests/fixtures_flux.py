"""Tiny FLUX models of the real classes, a MiniLM-like encoder, and LoRA files in the published formats.

Everything is built here with random weights and saved once a session; the folders are only read.
"""

from __future__ import annotations

import json
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

LATENT = 4
WIDTH = 32
HEADS = 2
CHARS = string.ascii_lowercase + string.digits + string.punctuation


@dataclass(frozen=True)
class MicroFlux:
    """A small FLUX without text encoders, and the home in which its MiniLM lies."""

    folder: Path
    home: Path


def _transformer(guidance: bool) -> Any:
    from diffusers import FluxTransformer2DModel

    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=4 * LATENT,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=WIDTH // HEADS,
        num_attention_heads=HEADS,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        guidance_embeds=guidance,
        axes_dims_rope=(4, 6, 6),
    )


def _scheduler() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)


def _clip() -> tuple[Any, Any]:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    tokenizer = CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[], model_max_length=77)
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        max_position_embeddings=77,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return CLIPTextModel(config), tokenizer


def _t5() -> tuple[Any, Any]:
    from transformers import T5Config, T5EncoderModel, T5TokenizerFast

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((char, -3.0) for char in CHARS)]
    tokenizer = T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=512)
    config = T5Config(
        vocab_size=len(pieces), d_model=WIDTH, d_kv=WIDTH // HEADS, d_ff=WIDTH, num_layers=1, num_heads=HEADS
    )
    return T5EncoderModel(config), tokenizer


def _minilm(folder: Path) -> None:
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *CHARS, *(f"##{char}" for char in CHARS)]
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        intermediate_size=WIDTH,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}).save_pretrained(folder)


@pytest.fixture(scope="session")
def flux_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny FLUX.1-dev in the published layout: CLIP, T5, AutoencoderKL, a transformer with guidance embedded."""
    import torch
    from diffusers import AutoencoderKL, FluxPipeline

    torch.manual_seed(0)
    clip, tokenizer = _clip()
    t5, tokenizer_2 = _t5()
    blocks = 4
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        block_out_channels=(8,) * blocks,
        norm_num_groups=4,
        latent_channels=LATENT,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=0.36,
        shift_factor=0.12,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny-flux-dev"
    pipe = FluxPipeline(
        scheduler=_scheduler(),
        vae=vae,
        text_encoder=clip,
        tokenizer=tokenizer,
        text_encoder_2=t5,
        tokenizer_2=tokenizer_2,
        transformer=_transformer(guidance=True),
    )
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def micro_flux(tmp_path_factory: pytest.TempPathFactory) -> MicroFlux:
    """A tiny model in the embedded painter's layout, and a home with a tiny MiniLM in it."""
    import torch
    from diffusers import AutoencoderTiny

    torch.manual_seed(1)
    root = tmp_path_factory.mktemp("micro")
    folder, home = root / "tiny-micro-flux", root / "home"
    _minilm(home / "models" / "all-minilm-l6-v2")
    widths = (8,) * 4
    vae = AutoencoderTiny(
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
        latent_channels=LATENT,
    )
    vae.save_pretrained(folder / "vae")
    _transformer(guidance=False).save_pretrained(folder / "transformer")
    _scheduler().save_pretrained(folder / "scheduler")
    parts = {
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "transformer": ["diffusers", "FluxTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
    }
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline", **parts}), encoding="utf-8")
    card = {
        "size": 64,
        "steps": 3,
        "guidance": 0.0,
        "true_cfg": 3.0,
        "max_sequence_length": 48,
        "vocabulary": {"families": ["leaf venation", "honeycomb"]},
        "palettes": ["green", "amber"],
    }
    (folder / "studio.json").write_text(json.dumps(card), encoding="utf-8")
    return MicroFlux(folder, home)


def _pairs(layers: dict[str, tuple[int, int]], down: str, up: str, seed: int) -> dict[str, Any]:
    """Random low-rank pairs for layers of given input and output width."""
    import torch

    source = torch.Generator().manual_seed(seed)
    weights = {}
    for name, (inner, outer) in layers.items():
        weights[f"{name}{down}"] = torch.randn(4, inner, generator=source)
        weights[f"{name}{up}"] = torch.randn(outer, 4, generator=source)
    return weights


def _save(weights: dict[str, Any], file: Path, **metadata: str) -> Path:
    from safetensors.torch import save_file

    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, file, metadata={"format": "pt", **metadata})
    return file


PUBLISHED = {
    "transformer.transformer_blocks.0.attn.to_q": (WIDTH, WIDTH),
    "transformer.transformer_blocks.0.attn.to_k": (WIDTH, WIDTH),
    "transformer.transformer_blocks.0.attn.to_v": (WIDTH, WIDTH),
    "transformer.transformer_blocks.0.attn.to_out.0": (WIDTH, WIDTH),
    "transformer.single_transformer_blocks.0.attn.to_q": (WIDTH, WIDTH),
    "transformer.single_transformer_blocks.0.proj_mlp": (WIDTH, 4 * WIDTH),
}


@pytest.fixture(scope="session")
def leaf_lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a LoRA for both tiny models, in the format and under the file name of the published leaf LoRA."""
    folder = tmp_path_factory.mktemp("adapters") / "leaf"
    weights = _pairs(PUBLISHED, ".lora_A.weight", ".lora_B.weight", seed=5)
    _save(weights, folder / "pytorch_lora_weights.safetensors")
    return folder


@pytest.fixture(scope="session")
def kohya_lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA file as kohya's scripts and ComfyUI name the keys, with alphas and a trigger phrase in its metadata."""
    import torch

    layers = {"lora_unet_double_blocks_0_img_attn_proj": (WIDTH, WIDTH)}
    weights = _pairs(layers, ".lora_down.weight", ".lora_up.weight", seed=6)
    weights["lora_unet_double_blocks_0_img_attn_proj.alpha"] = torch.tensor(4.0)
    file = tmp_path_factory.mktemp("adapters") / "kohya.safetensors"
    return _save(weights, file, **{"modelspec.trigger_phrase": "wovenleaf"})


@pytest.fixture(scope="session")
def foreign_loras(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """LoRA files for other architectures, which match no layer, other layers, or layers of another width."""
    folder = tmp_path_factory.mktemp("adapters")
    far = {"transformer.transformer_blocks.7.attn.to_q": (WIDTH, WIDTH)}
    wide = {"transformer.transformer_blocks.0.attn.to_q": (96, 96)}
    unet = {"unet.down_blocks.0.attentions.0.to_q": (WIDTH, WIDTH)}
    sdxl = {"lora_unet_input_blocks_4_1_proj_in": (WIDTH, WIDTH)}
    peft = (".lora_A.weight", ".lora_B.weight")
    kohya = (".lora_down.weight", ".lora_up.weight")
    return {
        "unet": _save(_pairs(unet, *peft, seed=1), folder / "unet.safetensors"),
        "sdxl": _save(_pairs(sdxl, *kohya, seed=2), folder / "sdxl.safetensors"),
        "far": _save(_pairs(far | PUBLISHED, *peft, seed=3), folder / "far.safetensors"),
        "wide": _save(_pairs(wide, *peft, seed=4), folder / "wide.safetensors"),
    }

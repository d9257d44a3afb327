"""A family of tiny models to merge: a base and three that were moved away from it, and mergekit itself as an oracle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures_local import word_tokenizer

LAYERS = 4
Weights = dict[str, Any]


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models base, one, two and three: four layers, tied, bfloat16, one file each."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("family")
    tokenizer = word_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    start = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for number, (name, noise) in enumerate({"base": 0.0, "one": 0.2, "two": 0.5, "three": 1.0}.items()):
        drawn = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for key, weight in model.named_parameters():
                little = 0.001 if "layers.3.mlp" in key else noise  # so close that mergekit goes straight
                weight.copy_(start[key] + little * 0.02 * torch.randn(weight.shape, generator=drawn))
        LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder / name)
        save(folder / name, {key: weight.detach().to(torch.bfloat16) for key, weight in model.named_parameters()})
        tokenizer.save_pretrained(folder / name)
    return folder


def save(folder: Path, weights: Mapping[str, Any], files: int = 1) -> None:
    """Replace a model's weights, in one file or several."""
    from safetensors.torch import save_file

    for file in folder.glob("*.safetensors*"):
        file.unlink()
    names = sorted(weights)
    placed = {}
    for number in range(files):
        file = "model.safetensors" if files == 1 else f"model-{number + 1:05d}-of-{files:05d}.safetensors"
        mine = names[number::files]
        save_file({name: weights[name].contiguous() for name in mine}, folder / file, metadata={"format": "pt"})
        placed |= dict.fromkeys(mine, file)
    if files > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": placed}))


def load(folder: Path) -> Weights:
    """Every tensor of a model."""
    from safetensors.torch import load_file

    found: Weights = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= load_file(file)
    return found


def changed(
    source: Path,
    folder: Path,
    change: Callable[[Weights], Weights] | None = None,
    files: int = 1,
    **config: Any,
) -> Path:
    """A copy of a model with other weights or another configuration."""
    shutil.copytree(source, folder)
    (folder / "manifest.json").unlink(missing_ok=True)
    save(folder, (change or dict)(load(source)), files)
    if config:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return folder


def mergekit_merge(document: Mapping[str, Any], folder: Path) -> Weights:
    """What mergekit itself makes of its YAML."""
    from mergekit.config import MergeConfiguration
    from mergekit.io.tasks import LoaderCache
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    options = MergeOptions(write_model_card=False, copy_tokenizer=False, quiet=True, clone_tensors=True, random_seed=42)
    try:
        run_merge(MergeConfiguration.model_validate(dict(document)), str(folder), options)
    finally:
        LoaderCache.loaders.clear()
    return load(folder)


def ulps(made: Any, wanted: Any, *parents: Any) -> int:
    """The most that two tensors differ by, in steps of bfloat16; where parents cancel, in steps of the parents."""
    import torch

    scale = torch.stack([one.float().abs() for one in (made, wanted, *parents)]).amax(0).clamp(min=1e-30)
    step = torch.exp2(torch.floor(torch.log2(scale)) - 7)
    return int(torch.ceil((made.float() - wanted.float()).abs() / step - 1e-3).max()) if made.numel() else 0

"""LoRA adapters in GGUF files: with their base they are the model that they are folded into."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.decoder.lora import fold_adapter
from models.serving.gguf_writing import write_adapter, write_model
from tests.fixtures_written_gguf import Make, nothing_in, rewrite, tensors_in, value_of
from workspace.errors import DataError


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("llama", {}),
        ("mistral", {"use_rslora": True}),
        ("llama", {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.self_attn.k_proj": 3, "up_proj": 9}}),
        ("qwen2", {"target_modules": ["q_proj", "k_proj", "lm_head"]}),
    ],
    ids=["all layers", "by the root of the rank", "by patterns", "no interleaving"],
)
def test_base_and_adapter_are_the_model_with_the_adapter_folded_in(
    tiny_folder: Make, lora_folder: Make, home: Path, kind: str, settings: dict[str, Any]
) -> None:
    from transformers import AutoModelForCausalLM

    base = tiny_folder(kind)
    adapter = lora_folder(base, **settings)
    whole = base.parent / "whole"
    shutil.copytree(base, whole)
    fold_adapter(AutoModelForCausalLM.from_pretrained(base), adapter).save_pretrained(whole)
    bare, folded = (tensors_in(write_model(folder, home, "f32")) for folder in (base, whole))
    file = write_adapter(adapter, base, home)
    change, alpha = tensors_in(file), value_of(file, "adapter.lora.alpha")
    assert value_of(file, "general.type") == "adapter" and value_of(file, "adapter.type") == "lora"
    layers = {name.removesuffix(".lora_a") for name in change if name.endswith(".lora_a")}
    assert (
        len(layers) * 2 == len(change)
        and {name for name in bare if not np.array_equal(bare[name], folded[name])} == layers
    )
    for name in layers:
        first, second = change[f"{name}.lora_a"], change[f"{name}.lora_b"]
        summed = bare[name] + alpha / first.shape[0] * second @ first
        np.testing.assert_allclose(summed, folded[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"use_dora": True}, "uses use_dora, which a GGUF adapter has no place for"),
        ({"modules_to_save": ["lm_head"]}, "uses modules_to_save"),
        ({"bias": "lora_only"}, "uses bias"),
        ({"target_modules": ["embed_tokens"]}, "changes base_model.model.model.embed_tokens.lora_embedding_A"),
    ],
)
def test_adapters_without_a_place_are_refused(
    tiny_folder: Make, lora_folder: Make, home: Path, settings: dict[str, Any], why: str
) -> None:
    base = tiny_folder()
    adapter = lora_folder(base, **settings)
    with pytest.raises(DataError, match=why):
        write_adapter(adapter, base, home)
    assert nothing_in(home)


def test_an_adapter_of_another_base_is_refused(tiny_folder: Make, lora_folder: Make, home: Path) -> None:
    adapter = lora_folder(tiny_folder())
    for name, sizes in (("narrow", {"hidden_size": 32}), ("short", {"num_hidden_layers": 1})):
        with pytest.raises(DataError, match=rf"of another base than {name}|no place in {name}"):
            write_adapter(adapter, tiny_folder(name=name, **sizes), home)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"peft_type": "IA3"}, "is a IA3; as GGUF is written: LORA"),
        ({"lora_alpha": 0}, "has the alpha 0"),
        ({"lora_alpha": float("nan")}, "has the alpha nan"),
    ],
)
def test_settings_that_are_no_lora_are_refused(
    tiny_folder: Make, lora_folder: Make, home: Path, values: dict[str, Any], why: str
) -> None:
    base = tiny_folder()
    adapter = lora_folder(base)
    rewrite(adapter, "adapter_config.json", **values)
    with pytest.raises(DataError, match=why):
        write_adapter(adapter, base, home)


def test_half_an_adapter_is_refused(tiny_folder: Make, lora_folder: Make, home: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = tiny_folder()
    adapter = lora_folder(base)
    held = load_file(adapter / "adapter_model.safetensors")
    held.pop(next(key for key in held if key.endswith("lora_B.weight")))
    save_file(held, adapter / "adapter_model.safetensors")
    with pytest.raises(DataError, match="holds one half of"):
        write_adapter(adapter, base, home)
    (adapter / "adapter_model.safetensors").rename(adapter / "other.safetensors")
    with pytest.raises(DataError, match=r"has no adapter_model\.safetensors"):
        write_adapter(adapter, base, home)

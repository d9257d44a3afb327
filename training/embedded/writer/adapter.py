"""An adapter of the embedded writer or critic: laid on its base, its training planned and noted, written."""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from training.loop.schedule import falling
from training.loop.steps import TrainingPlan
from workspace.errors import DataError
from workspace.files import sha256

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
SAVE_EVERY = 20
"""Steps from one checkpoint to the next."""


def load(base: Path, rank: int, seed: int, start: Path | None = None) -> tuple[Any, Any]:
    """The base model in bfloat16 with an adapter on all linear layers, and its tokenizer.

    The adapter is a fresh one or that of a folder, ``start``, to train on.

    Raises:
        DataError: The folder's adapter does not fit the base and the rank.
    """
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    model = AutoModelForCausalLM.from_pretrained(
        base,
        dtype=torch.bfloat16,
        attn_implementation="studio-branches",
        local_files_only=True,
        trust_remote_code=False,
    )
    shape = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by a former name
        model = get_peft_model(model, shape, autocast_adapter_dtype=False)
    if start is not None:
        held = load_file(start / "adapter_model.safetensors")
        wanted = {name: one.shape for name, one in get_peft_model_state_dict(model).items()}
        if wanted != {name: one.shape for name, one in held.items()}:  # peft would leave out what does not fit
            raise DataError(f"the adapter in {start} does not fit {base} at rank {rank}", hint="see its --rank")
        set_peft_model_state_dict(model, held)
    return model, tokenizer


def plan(stage: str, steps: int) -> TrainingPlan:
    """How an adapter is trained: a row a step, and a rate that falls to a twentieth."""
    return TrainingPlan(stage, steps, falling(steps, 15, 0.05), log_every=1, save_every=SAVE_EVERY)


def recipe_note(recipe: Any, start: Path | None) -> dict[str, Any]:
    """A recipe and the adapter that is trained on, as a training's folder notes them."""
    return asdict(recipe) | {"start": sha256(start / "adapter_model.safetensors") if start else None}


def lay_adapter(model: Any, folder: Path) -> None:
    """Write an adapter into a folder as peft lays it out, for the base as the hub calls it."""
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"base_model_name_or_path": BASE}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def add_options(parser: argparse.ArgumentParser, recipe: type[Any]) -> None:
    """Give a command an option for every field of a recipe."""
    for field in fields(recipe):
        name, default = f"--{field.name.replace('_', '-')}", field.default
        parser.add_argument(name, type=type(default), default=default, help=str(default))

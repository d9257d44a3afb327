"""An adapter of the embedded writer or critic: laid on its base, trained by steps, noted, written."""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from training.loop.checkpoints import Trainee
from workspace.errors import DataError
from workspace.files import sha256

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"


_SAVE_EVERY = 20


def load(base: Path, rank: int, seed: int, start: Path | None = None) -> tuple[Any, Any]:
    """The base model in bfloat16 with an adapter on all linear layers, and its tokenizer.

    The adapter is a fresh one or that of a folder, ``start``, to train on.

    Raises:
        DataError: The folder's adapter does not fit the base and the rank.
    """
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.bfloat16, attn_implementation="studio-branches", local_files_only=True
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


def train(
    trainee: Trainee, stage: str, steps: int, losses: Callable[[int], list[Callable[[], torch.Tensor]]], out: Path
) -> None:
    """Step until done, with a line of JSON a step and a checkpoint every so often; stop at a loss that is no number."""
    began = time.monotonic()
    while trainee.step < steps:
        parts = losses(trainee.step)
        value = 0.0
        for place, part in enumerate(parts):
            loss = part()
            value += float(loss.detach())
            if place < len(parts) - 1:
                loss.backward()  # type: ignore[no-untyped-call]
        if not math.isfinite(value):
            raise DataError(
                f"{stage} loss is {value} at step {trainee.step}; the last good checkpoint is kept at {trainee.path}",
                hint="lower the rate",
            )
        share = min(1.0, (trainee.step + 1) / 15) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * trainee.step / steps)))
        trainee.update(loss, share)
        row = {"stage": stage, "step": trainee.step, "of": steps, "loss": round(value, 4)}
        row["seconds"] = round(time.monotonic() - began, 1)
        with (out / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(" ".join(f"{key} {value}" for key, value in row.items()), flush=True)
        if trainee.step % _SAVE_EVERY == 0 or trainee.step == steps:
            trainee.save()


def noted(recipe: Any, start: Path | None) -> dict[str, Any]:
    """A recipe and the adapter that is trained on, as a training folder notes them."""
    return asdict(recipe) | {"start": sha256(start / "adapter_model.safetensors") if start else None}


def lay_adapter(model: Any, folder: Path) -> None:
    """Write an adapter into a folder as peft lays it out, for the base as the hub calls it."""
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    told = json.loads(path.read_text(encoding="utf-8")) | {"base_model_name_or_path": BASE}
    path.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")

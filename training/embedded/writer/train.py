"""Tune the embedded writer: a LoRA adapter of SmolLM2-135M-Instruct, by SFT and then DPO on
`training.embedded.writer.rows`.

Read top to bottom: attach an adapter, learn the answers of so many designs (SFT), then learn to tell a design's own
sentences from plausible wrong ones (DPO), publish. Killed at any moment, the same command goes on from its last
checkpoint.

    python -m training.embedded.writer.train --base ~/.studio/models/smollm2-135m-instruct --out DIR

``--start`` trains an adapter on; with ``--steps 0`` by DPO alone.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.nn import functional

from training.embedded.writer.branches import lay_out, log_likelihoods
from training.embedded.writer.rows import pairs, rows
from training.loop.checkpoints import Trainee, flushed, load_tensors, own, save_tensors
from workspace.errors import DataError
from workspace.files import publish, sha256

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
LONGEST = 1024
_SAVE_EVERY = 20


@dataclass(frozen=True)
class Recipe:
    """How the writer is trained: steps and rates of both stages, designs a step, and the adapter's rank."""

    steps: int = 300
    dpo_steps: int = 60
    batch: int = 2
    rank: int = 16
    rate: float = 8e-4
    dpo_rate: float = 5e-5
    beta: float = 0.1
    seed: int = 42


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


@flushed()
def sft(model: Any, tokenizer: Any, out: Path, recipe: Recipe) -> None:
    """Learn the answers, fields and picture words of new designs at every step; the model ends with the average."""
    trainee, batch = Trainee(model, recipe.rate, 0.98, out / "sft.safetensors"), recipe.batch

    def losses(step: int) -> list[Callable[[], torch.Tensor]]:
        trees = [tree for n in range(batch) for tree in rows(recipe.seed, step * batch + n, tokenizer)]
        laid = [lay_out(tree, LONGEST) for tree in trees]
        total = sum(len(one.learned) for one in laid)
        return [lambda one=one: -log_likelihoods(model, one).sum() / total for one in laid]  # type: ignore[misc]

    train(trainee, "sft", recipe.steps, losses, out)
    trainee.use_average()


@flushed()
def dpo(model: Any, tokenizer: Any, out: Path, recipe: Recipe) -> None:
    """Prefer a design's own sentences to plausible wrong ones; the reference is the model as it comes in.

    Source: Rafailov et al., "Direct preference optimization" (2023), with the chosen answers' own loss added at a
    tenth so that they stay likely (Pang et al., "Iterative reasoning preference optimization", 2024).
    """
    batch, seed = recipe.batch, recipe.seed + 1
    trees = [pairs(seed, number, tokenizer) for number in range(recipe.dpo_steps * batch)]
    laid = [lay_out(tree, LONGEST) for tree in trees]
    path = out / "reference.safetensors"
    if not path.is_file() or len(load_tensors(path)[0]) < len(laid):
        with torch.no_grad():
            known = [_by_branch(log_likelihoods(model, one), one.branch) for one in laid]
        save_tensors(path, {str(number): one for number, one in enumerate(known)})
    reference, _ = load_tensors(path)
    trainee = Trainee(model, recipe.dpo_rate, 0.98, out / "dpo.safetensors")

    def loss_of(number: int) -> torch.Tensor:
        found = log_likelihoods(model, laid[number])
        gain = (_by_branch(found, laid[number].branch) - reference[str(number)]).view(-1, 2)
        chosen = found[laid[number].branch % 2 == 0].mean()
        return (-functional.logsigmoid(recipe.beta * (gain[:, 0] - gain[:, 1])).mean() - 0.1 * chosen) / batch

    def losses(step: int) -> list[Callable[[], torch.Tensor]]:
        return [lambda number=step * batch + n: loss_of(number) for n in range(batch)]  # type: ignore[misc]

    train(trainee, "dpo", recipe.dpo_steps, losses, out)
    trainee.use_average()


def _by_branch(found: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
    """The log-probability of every branch as a whole."""
    return torch.zeros(int(branch.max()) + 1).index_add(0, branch, found)


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


def main(base: Path, out: Path, recipe: Recipe, start: Path | None = None) -> Path:
    """Train the adapter and publish it.

    Args:
        base: Folder of SmolLM2-135M-Instruct.
        out: Folder for checkpoints, metrics.jsonl and the adapters; the same folder resumes.
        recipe: How.
        start: Folder of a writer's adapter to train on.

    Returns:
        The adapter's folder, ``out/adapter``; the one after SFT alone is ``out/sft-adapter``.

    Raises:
        DataError: If a loss stops being a number, the adapter in ``start`` does not fit, or ``out`` holds another
            training.
    """
    referred = (out / "reference.safetensors").is_file()  # to the model after so many steps
    own(out, noted(recipe, start), free=("dpo_steps",) if referred else ("steps", "dpo_steps"))
    model, tokenizer = load(base, recipe.rank, recipe.seed, start)
    sft(model, tokenizer, out, recipe)
    write(model, out / "sft-adapter")
    if recipe.dpo_steps:
        dpo(model, tokenizer, out, recipe)
    return write(model, out / "adapter")


def noted(recipe: Any, start: Path | None) -> dict[str, Any]:
    """A recipe and the adapter that is trained on, as a training folder notes them."""
    return asdict(recipe) | {"start": sha256(start / "adapter_model.safetensors") if start else None}


def write(model: Any, folder: Path) -> Path:
    """Publish the adapter as peft lays it out, in bfloat16, with what it was taught; whole or not at all."""

    def lay(staged: Path) -> None:
        lay_adapter(model, staged)
        (staged / "studio.json").write_text(json.dumps({"taught": ["design", "picture"]}) + "\n", encoding="utf-8")

    publish(folder, lay)
    return folder


def lay_adapter(model: Any, folder: Path) -> None:
    """Write an adapter into a folder as peft lays it out, for the base as the hub calls it."""
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    told = json.loads(path.read_text(encoding="utf-8")) | {"base_model_name_or_path": BASE}
    path.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="folder of a writer's adapter to train on")
    for field in fields(Recipe):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(field.default),
            default=field.default,
            help=str(field.default),
        )
    told = vars(parser.parse_args())
    base, out, start = (told.pop(name) for name in ("base", "out", "start"))
    print(main(base, out, Recipe(**told), start))

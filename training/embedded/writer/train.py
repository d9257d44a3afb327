"""Tune the embedded writer: a LoRA adapter of SmolLM2-135M-Instruct, by SFT and then DPO on the rows beside this.

Read top to bottom: attach an adapter, learn the answers of so many designs (SFT), then learn to tell a design's own
sentences from plausible wrong ones (DPO), publish. Killed at any moment, the same command goes on from its last
checkpoint.

    python -m training.embedded.writer.train --base ~/.studio/models/smollm2-135m-instruct --out DIR

``--start`` trains an adapter on; with ``--steps 0`` by DPO alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from training.embedded.writer.adapter import add_options, lay_adapter, load, plan, recipe_note
from training.embedded.writer.branches import lay_out, log_likelihoods, together
from training.embedded.writer.rows import pairs, rows
from training.loop.checkpoints import load_tensors, note_recipe, save_tensors
from training.loop.steps import train
from training.loop.terminal import show
from training.loop.trainee import Trainee, flushed
from workspace.files import publish
from workspace.progress import Tell, silent

LONGEST = 1024


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


@flushed()
def sft(model: Any, tokenizer: Any, out: Path, recipe: Recipe, tell: Tell = silent) -> None:
    """Learn the answers, fields and picture words of new designs at every step; the model ends with the average."""
    trainee, batch = Trainee(model, recipe.rate, 0.98, out / "sft.safetensors"), recipe.batch

    def loss_at(step: int) -> Iterator[torch.Tensor]:
        trees = [tree for n in range(batch) for tree in rows(recipe.seed, step * batch + n, tokenizer)]
        yield -together(model, [lay_out(tree, LONGEST) for tree in trees]).mean()

    train(trainee, plan("sft", recipe.steps), loss_at, out, tell)
    trainee.use_average()


@flushed()
def dpo(model: Any, tokenizer: Any, out: Path, recipe: Recipe, tell: Tell = silent) -> None:
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

    def loss_at(step: int) -> Iterator[torch.Tensor]:
        return (loss_of(step * batch + n) for n in range(batch))

    train(trainee, plan("dpo", recipe.dpo_steps), loss_at, out, tell)
    trainee.use_average()


def _by_branch(found: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
    """The log-probability of every branch as a whole."""
    return torch.zeros(int(branch.max()) + 1).index_add(0, branch, found)


def main(base: Path, out: Path, recipe: Recipe, start: Path | None = None, tell: Tell = silent) -> Path:
    """Train the adapter and publish it.

    Args:
        base: Folder of SmolLM2-135M-Instruct.
        out: Folder for checkpoints, metrics.jsonl and the adapters; the same folder resumes.
        recipe: How.
        start: Folder of a writer's adapter to train on.
        tell: Takes the events of progress.

    Returns:
        The adapter's folder, ``out/adapter``; the one after SFT alone is ``out/sft-adapter``.

    Raises:
        DataError: If a loss stops being a number, the adapter in ``start`` does not fit, or ``out`` holds another
            training.
    """
    referred = (out / "reference.safetensors").is_file()  # to the model after so many steps
    note_recipe(out, recipe_note(recipe, start), free=("dpo_steps",) if referred else ("steps", "dpo_steps"))
    model, tokenizer = load(base, recipe.rank, recipe.seed, start)
    sft(model, tokenizer, out, recipe, tell)
    write(model, out / "sft-adapter")
    if recipe.dpo_steps:
        dpo(model, tokenizer, out, recipe, tell)
    return write(model, out / "adapter")


def write(model: Any, folder: Path) -> Path:
    """Publish the adapter as peft lays it out, in bfloat16, with what it was taught; whole or not at all."""

    def lay(staged: Path) -> None:
        lay_adapter(model, staged)
        (staged / "studio.json").write_text(json.dumps({"taught": ["design", "picture"]}) + "\n", encoding="utf-8")

    publish(folder, lay)
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="folder of a writer's adapter to train on")
    add_options(parser, Recipe)
    options = vars(parser.parse_args())
    base, out, start = (options.pop(name) for name in ("base", "out", "start"))
    print(main(base, out, Recipe(**options), start, show))

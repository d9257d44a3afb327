"""Teach the embedded critic to speak of what its eyes see: a connector and a LoRA adapter of SmolLM2-135M-Instruct.

The second half of the critic, after `training.embedded.critic.tower`. The tower stays as it is; what it sees of every
picture is made once. The connector first learns alone to say the verdict of the tower's heads in the language model's
own word embeddings, a matter of a minute: a verdict is sharp where a truth that is not seen would come out as two words
blurred. Adapter and connector then learn together to answer. Each row is a picture and a brief, half of the time
another picture's, laid out as the critic is asked.
Killed at any moment, the same command goes on from its last checkpoint.

    python -m training.embedded.critic.train --base ~/.studio/models/smollm2-135m-instruct --tower DIR \
        --painted DIR --out DIR --start models/weights/studio-critic
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.encoders.eyes import Eyes, lay_eyes
from training.embedded.critic.rows import WEIGHTS, Truth, spelled, tree, wanted_of
from training.embedded.critic.tower import NAMES, Seer, data, load_seer, to_input, verdicts
from training.embedded.microstructures.families import Rng
from training.embedded.writer.adapter import add_options, lay_adapter, load, plan, recipe_note
from training.embedded.writer.branches import Laid, lay_out, log_likelihoods
from training.loop.checkpoints import load_tensors, note_recipe, save_tensors
from training.loop.fit import fit
from training.loop.steps import train
from training.loop.terminal import show
from training.loop.trainee import Trainee, flushed
from workspace.files import publish
from workspace.progress import Remark, Tell, silent

LONGEST = 512
_HELD_OUT = 400


@dataclass(frozen=True)
class Recipe:
    """How the critic learns to speak: steps of the connector alone and of both, pictures a step, rank, rates."""

    introduction: int = 1500
    steps: int = 300
    batch: int = 6
    rank: int = 8
    rate: float = 8e-4
    count: int = 14000
    painted_share: float = 0.5
    seed: int = 42


class Speaker(torch.nn.Module):
    """What learns: the connector and, inside the language model, the adapter."""

    def __init__(self, connector: torch.nn.Module, model: Any) -> None:
        super().__init__()
        self.connector, self.model = connector, model


@torch.no_grad()
def looked_at(seer: Seer, pictures: np.ndarray[Any, Any], path: Path) -> torch.Tensor:
    """What the tower sees of every picture, (n, 2 * width) in half precision; made once."""
    if not path.is_file():
        parts = [seer.eyes.look(to_input(pictures[start : start + 64])).half() for start in range(0, len(pictures), 64)]
        save_tensors(path, {"states": torch.cat(parts)})
    return load_tensors(path)[0]["states"]


@torch.no_grad()
def believable(seer: Seer, states: torch.Tensor, truths: Sequence[Truth], drawn: int) -> list[int]:
    """The painted pictures in which the tower sees what was asked for; in the others the painter went astray."""
    kept = []
    for number in range(drawn, len(truths)):
        chances = seer.heads(states[number][None].float())[0][0].sigmoid()
        if all(chances[NAMES.index(name)] > 0.15 for name in truths[number].families):
            kept.append(number)
    return kept


def in_order(truth: Truth, seen: Truth) -> Truth:
    """A truth with the family first that is seen most plainly."""
    return replace(truth, families=tuple(sorted(truth.families, key=lambda name: name != seen.families[0])))


def introduce(
    connector: torch.nn.Module, states: torch.Tensor, spelled: torch.Tensor, words: torch.Tensor, steps: int
) -> float:
    """Teach a connector alone to say what is seen of each picture in word embeddings.

    Args:
        connector: Trained in place, float32.
        states: What the tower sees, (n, 2 * width).
        spelled: What is to be said as token ids, (n, tokens), from `training.embedded.critic.rows.spelled`.
        words: The language model's embeddings, (vocabulary, words).
        steps: Of 256 pictures each.

    Returns:
        The squared error of the last fifty steps as a share of the embeddings' variance.
    """
    known, places = torch.unique(spelled, return_inverse=True)
    table = words[known].float()
    spread = table[places[:2000]].var((0, 1)).mean()

    def loss_at(step: int) -> torch.Tensor:
        chosen = torch.randint(len(states), (256,), generator=torch.Generator().manual_seed(step))
        return torch.as_tensor((connector(states[chosen].float()) - table[places[chosen]]).square().mean() / spread)

    last = fit(connector, steps, loss_at)[-50:]
    return sum(last) / len(last)


@dataclass(frozen=True)
class Lesson:
    """What the critic learns from.

    Attributes:
        states: What the tower sees of every picture, (n, 2 * width).
        seen: The verdict of the tower's heads on each.
        truths: What each shows, the family first that is seen most plainly.
        drawn: Numbers of the drawn pictures, without the held-out ones.
        painted: Numbers of the painted ones that show what was asked for.
    """

    states: torch.Tensor
    seen: Sequence[Truth]
    truths: Sequence[Truth]
    drawn: Sequence[int]
    painted: Sequence[int]

    def draw(self, rng: Rng, painted_share: float) -> int:
        """The number of a picture, drawn or painted."""
        painted = bool(self.painted) and rng.random() < painted_share
        numbers = self.painted if painted else self.drawn
        return numbers[int(rng.integers(len(numbers)))]


def lesson_of(seer: Seer, tower: Path, painted: Path | None, out: Path, count: int, tell: Tell) -> Lesson:
    """Look at every picture and keep those whose truth is believed."""
    pictures, truths, drawn = data(tower, count, seer.eyes.shape.size, painted)
    eyes = hashlib.sha256((tower / "seer.safetensors").read_bytes()).hexdigest()[:12]
    states = looked_at(seer, pictures, out / f"states-{eyes}-{len(pictures)}.safetensors")
    sure = believable(seer, states, truths, drawn)
    counts = f"{drawn} drawn pictures, {len(truths) - drawn} painted ones of which {len(sure)} are believable"
    tell(Remark(stage="critic", text=counts))
    seen = verdicts(seer, states)
    return Lesson(states, seen, list(map(in_order, truths, seen)), range(drawn - _HELD_OUT), sure)


@flushed()
def main(
    base: Path,
    tower: Path,
    painted: Path | None,
    out: Path,
    recipe: Recipe,
    start: Path | None = None,
    tell: Tell = silent,
) -> Path:
    """Train connector and adapter and publish the critic.

    Args:
        base: Folder of SmolLM2-135M-Instruct.
        tower: Output folder of `training.embedded.critic.tower`.
        painted: Output folder of `training.embedded.critic.painted`.
        out: Folder for checkpoints, metrics.jsonl and the result; the same folder resumes.
        recipe: How.
        start: Folder of a critic whose adapter is trained on.
        tell: Takes the events of progress.

    Returns:
        The folder ``out/critic``: eyes, adapter and what it was taught.

    Raises:
        DataError: If the loss stops being a number, the adapter in ``start`` does not fit, or ``out`` holds another
            training.
    """
    note_recipe(out, recipe_note(recipe, start), free=("steps",))
    seer = load_seer(tower / "seer.safetensors")
    lesson = lesson_of(seer, tower, painted, out, recipe.count, tell)
    model, tokenizer = load(base, recipe.rank, recipe.seed, start)
    tokens, connector = seer.eyes.shape.tokens, seer.eyes.connector.requires_grad_(True)
    if not (checkpoint := out / "critic.safetensors").is_file():
        usable = [*lesson.drawn, *lesson.painted]
        verdict = torch.tensor([spelled(lesson.seen[number], tokenizer, tokens) for number in usable])
        words = model.get_input_embeddings().weight.detach()
        left = introduce(connector, lesson.states[usable], verdict, words, recipe.introduction)
        tell(Remark(stage="critic", text=f"{left:.4f} of the embeddings' variance is left to the connector"))
    trainee = Trainee(Speaker(connector.bfloat16(), model), recipe.rate, 0.98, checkpoint)
    weights = torch.tensor(WEIGHTS)

    def row(rng: Rng) -> tuple[int, Laid]:
        number = lesson.draw(rng, recipe.painted_share)
        truth = lesson.truths[number]
        wanted = wanted_of(truth, rng, matching=rng.random() < 0.5)
        return number, lay_out(tree(truth, wanted, rng, tokenizer, tokens), LONGEST)

    def loss_at(step: int) -> Iterator[torch.Tensor]:
        rng = np.random.default_rng([recipe.seed, step])
        rows = [row(rng) for _ in range(recipe.batch)]
        total = sum(float(weights[laid.branch].sum()) for _, laid in rows)
        for number, laid in rows:
            picture = connector(lesson.states[number].bfloat16())
            yield -(log_likelihoods(model, laid, picture) * weights[laid.branch]).sum() / total

    train(trainee, plan("critic", recipe.steps), loss_at, out, tell)
    trainee.use_average()
    return write(model, seer.eyes, out / "critic")


def write(model: Any, eyes: Eyes, folder: Path) -> Path:
    """Publish the critic: the adapter as peft lays it out, the eyes, and what it was taught; whole or not at all."""

    def lay(staged: Path) -> None:
        lay_adapter(model, staged)
        lay_eyes(eyes, staged)
        (staged / "studio.json").write_text(json.dumps({"taught": ["critique"]}) + "\n", encoding="utf-8")

    publish(folder, lay)
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--tower", type=Path, required=True)
    parser.add_argument("--painted", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="folder of a critic whose adapter is trained on")
    add_options(parser, Recipe)
    options = vars(parser.parse_args())
    base, tower, painted, out, start = (options.pop(name) for name in ("base", "tower", "painted", "out", "start"))
    print(main(base, tower, painted, out, Recipe(**options), start, show))

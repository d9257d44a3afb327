"""Train the frozen judge, once: from drawings by two hands that no painter, reader or critic of Studio learns from.

`pen` draws as an illustrator does and `fields` by distances, noise and growth; neither was made with sight of the
painter's own drawings (`training.embedded.microstructures`). Any two colours, either polarity; two pictures in five
join two families, one over the other or one giving way to the other. It is trained for as long as was decided before,
looked at on drawings that it did not see, and then never touched: `benchmarks/judge.py` holds its hash.

    python -m training.embedded.judge.train --out DIR

Killed at any moment, the same command goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional

from training.embedded.judge import fields, pen
from training.embedded.judge.network import NAMES, SIZE, Judge, distorted, judged
from training.loop.schedule import falling
from training.loop.steps import TrainingPlan, train
from training.loop.terminal import show
from training.loop.trainee import Trainee, flushed
from workspace.files import publish
from workspace.progress import Remark, Tell, silent

Draw = Callable[[int, np.random.Generator], np.ndarray[Any, Any]]

HANDS: tuple[Mapping[str, Draw], ...] = (pen.KINDS, fields.KINDS)

_SEED = 31_000_003
_MIXED = 0.4
_HELD_OUT = 680
_CONTRAST = 0.28  # of two colours' lightness, at least

Mask = np.ndarray[Any, Any]


def solid_of(number: int) -> Mask:
    """The numbered drawing: how much of each pixel is solid, uint8 (128, 128); hands and families take turns."""
    rng = np.random.default_rng([_SEED, number])
    hand = HANDS[number // len(NAMES) % len(HANDS)]
    cover = hand[NAMES[number % len(NAMES)]](SIZE, rng)
    return np.asarray(np.clip(np.round(cover * 255), 0, 255), dtype=np.uint8)


def _solids(out: Path, count: int) -> Mask:
    """Every drawing, made once."""
    path = out / "solids.npy"
    if not path.is_file():
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as hands:
            rows = list(hands.map(solid_of, range(count), chunksize=68))
        part = out / "solids.part"
        with part.open("wb") as file:
            np.save(file, np.stack(rows))
        os.replace(part, path)
    return np.asarray(np.load(path, mmap_mode="r"))


def _colours(rng: np.random.Generator) -> Mask:
    """Ground, solid and a third colour, each in 0..1, (3, 3), the first two apart in lightness."""
    light = np.array([0.299, 0.587, 0.114])
    while True:
        found = rng.uniform(0, 1, (3, 3))
        if abs(float((found[0] - found[1]) @ light)) > _CONTRAST:
            return np.asarray(found, dtype=np.float32)


def coloured(solids: Mask, usable: range, rng: np.random.Generator) -> tuple[Mask, list[int]]:
    """A picture (128, 128, 3) in 0..1 of one or two of the drawings, and the numbers of its families."""
    ground, solid, tint = _colours(rng)
    first = int(rng.choice(usable))
    cover = solids[first].astype(np.float32)[..., None] / 255
    below = ground + rng.uniform(0, 0.5) * (tint - ground) if rng.random() < 0.5 else ground
    if rng.random() >= _MIXED:
        return below + (solid - below) * cover, [first % len(NAMES)]
    second = int(rng.choice(usable))
    other = solids[second].astype(np.float32)[..., None] / 255
    shown = sorted({first % len(NAMES), second % len(NAMES)})
    if rng.random() < 0.5:
        under = below + rng.uniform(0.3, 0.75) * (solid - below) * other
        return under + (solid - under) * cover, shown
    across = (np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE - 0.5
    share = np.clip(0.5 + (across - rng.uniform(-0.1, 0.1)) / rng.uniform(0.1, 0.4), 0, 1)[None, :, None]
    return below + (solid - below) * (cover + (other - cover) * share), shown


def batch_of(solids: Mask, usable: range, seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Distorted pictures (count, 3, 128, 128) in -1..1, and what they show, (count, families), each row of sum one."""
    rng, source = np.random.default_rng([_SEED, 1, seed]), torch.Generator().manual_seed(seed)
    rows = [coloured(solids, usable, rng) for _ in range(count)]
    pictures = torch.from_numpy(np.stack([picture for picture, _ in rows])).float().permute(0, 3, 1, 2).mul(2).sub(1)
    wanted = torch.zeros(count, len(NAMES))
    for row, (_, shown) in zip(wanted, rows, strict=True):
        row[shown] = 1 / len(shown)
    return torch.cat([distorted(part, source) for part in pictures.chunk(4)]), wanted


@flushed()
def main(out: Path, count: int = 13_600, steps: int = 2400, batch: int = 48, tell: Tell = silent) -> Path:
    """Train the judge and publish it.

    Returns:
        The folder ``out/judge``.

    Raises:
        DataError: The loss stops being a number.
    """
    out.mkdir(parents=True, exist_ok=True)
    solids = _solids(out, count)
    usable = range(count - _HELD_OUT)
    torch.manual_seed(_SEED)
    judge = Judge()
    judge.style.requires_grad_(False)
    trainee = Trainee(judge, 2e-3, 0.998, out / "checkpoint.safetensors")

    def loss_at(step: int) -> torch.Tensor:
        pictures, wanted = batch_of(solids, usable, step, batch)
        with torch.autocast("cpu", torch.bfloat16):
            families, _ = judge(pictures.contiguous(memory_format=torch.channels_last))
        return functional.cross_entropy(families.float(), wanted, label_smoothing=0.05)

    train(trainee, TrainingPlan("judge", steps, falling(steps, 50), 50, 50), loss_at, out, tell)
    trainee.use_average()
    told = {"families": list(NAMES), **held_out(judge.eval(), solids, range(count - _HELD_OUT, count))}
    tell(Remark(stage="judge", text=json.dumps(told)))

    def write(staged: Path) -> None:
        staged.mkdir()
        weights = {name: one.detach().contiguous().bfloat16() for name, one in judge.state_dict().items()}
        save_file(weights, staged / "judge.safetensors")
        (staged / "config.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")

    publish(out / "judge", write)
    return out / "judge"


def held_out(judge: Judge, solids: Mask, left: range) -> dict[str, float]:
    """On drawings it was not trained on: single families that it puts first, pairs that are among its first three."""
    rng = np.random.default_rng([_SEED, 2])
    rows = [coloured(solids, left, rng) for _ in range(len(left))]
    images = [Image.fromarray(np.asarray(np.clip(picture * 255, 0, 255), dtype=np.uint8)) for picture, _ in rows]
    chances, _ = judged(judge, images)
    pairs = list(zip(chances, (shown for _, shown in rows), strict=True))
    single = [found.argmax() == shown[0] for found, shown in pairs if len(shown) == 1]
    both = [set(shown) <= set(np.argsort(-found)[:3].tolist()) for found, shown in pairs if len(shown) == 2]
    return {
        "held_out_top1": round(float(np.mean(single)), 4),
        "held_out_hybrid_top3": round(float(np.mean(both)), 4),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=13_600)
    parser.add_argument("--steps", type=int, default=2400)
    chosen = parser.parse_args()
    print(main(chosen.out, chosen.count, chosen.steps, tell=show))

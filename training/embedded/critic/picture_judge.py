"""Train the judge: a small convolutional classifier of drawn microstructures that never sees a painted picture.

It tells which families a picture shows and whether it is in the leaf adapter's style. Benchmarks judge painted pictures
with it; no part of the studio does. Read top to bottom: draw pictures, distort them at random, train, publish. Killed
at any moment, the same command goes on from its last checkpoint.

    python -m training.embedded.critic.picture_judge --out DIR
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from models.catalogue.fetch import weights_folder
from training.embedded.microstructures import leaf_pictures
from training.embedded.microstructures.drawing import draw, sample
from training.embedded.microstructures.wordings import FAMILIES
from training.loop.schedule import falling
from training.loop.steps import TrainingPlan, train
from training.loop.terminal import show
from training.loop.trainee import Trainee, flushed
from workspace.errors import DataError, one_line
from workspace.files import publish
from workspace.progress import Remark, Tell, silent

SIZE = 128
NAMES = tuple(FAMILIES)
_WIDTHS = (32, 64, 96, 160)
_STYLED = 0.1
_MIXED = 0.4
_HELD_OUT = 400
_LOG_EVERY = 25
_SEED = 2_000_003


class Judge(nn.Module):
    """(n, 3, 128, 128) in -1..1 to the families' logits (n, families) and the leaf style's logit (n,)."""

    def __init__(self) -> None:
        super().__init__()
        before = 3
        stages: list[nn.Module] = []
        for width in _WIDTHS:
            stages += [nn.Conv2d(before, width, 3, 2, 1), _Block(width)]
            before = width
        self.stages = nn.Sequential(*stages, nn.GroupNorm(8, before), nn.SiLU())
        self.families = nn.Linear(2 * before, len(NAMES))
        self.style = nn.Linear(2 * before, 1)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Judge a batch."""
        seen = self.stages(pictures)
        pooled = torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], dim=1)
        return self.families(pooled), self.style(pooled)[:, 0]


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, 1, 1))
        self.second = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, 1, 1))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = states + self.second(self.first(states))
        return out


def as_input(images: Sequence[Image.Image]) -> torch.Tensor:
    """Pictures of any size as the judge takes them."""
    small = [np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX)) for image in images]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def load_judge(folder: Path | None = None) -> Judge:
    """The judge of a folder; the one that comes with Studio if none is named.

    Raises:
        DataError: Its weights are missing or of other families than there are now.
    """
    folder = folder or weights_folder("studio-judge")
    judge, path = Judge(), folder / "judge.safetensors"
    try:
        judge.load_state_dict({name: one.float() for name, one in load_file(path).items()})
    except (OSError, RuntimeError) as fault:
        raise DataError(f"the judge in {folder} cannot be read: {one_line(fault)}") from None
    return judge.eval()


@torch.no_grad()
def judged(judge: Judge, images: Sequence[Image.Image]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The probability of each family (n, families), in the order of `NAMES`, and of the leaf style (n,)."""
    parts = [judge(as_input(images[start : start + 64])) for start in range(0, len(images), 64)]
    families, style = (torch.cat(part) for part in zip(*parts, strict=True))
    return families.softmax(-1).numpy(), style.sigmoid().numpy()


def drawn(number: int) -> tuple[np.ndarray[Any, Any], list[int], bool]:
    """The numbered training picture, the numbers of its families, and whether it is in the leaf style."""
    rng = np.random.default_rng([_SEED, number])
    spec = sample(rng, _MIXED)
    if rng.random() < _STYLED:
        kind = leaf_pictures.KINDS[int(rng.integers(len(leaf_pictures.KINDS)))]
        plain = {"scale": "medium"} if spec.scale == "fine" else {}
        one = type(spec)(**{**spec.__dict__, "family": kind, "second": None, "join": None, "gradient": "none", **plain})
        return leaf_pictures.outlined(one, SIZE, rng), [NAMES.index(kind)], True
    shown = [spec.family] if spec.second is None else [spec.family, spec.second]
    return draw(spec, SIZE, rng), [NAMES.index(name) for name in shown], False


def _data(out: Path, count: int) -> tuple[np.ndarray[Any, Any], list[tuple[list[int], bool]]]:
    """Every training picture, and the numbers of its families with whether it is in the leaf style; drawn once."""
    pixels, truths = out / "pictures.npy", out / "truths.json"
    if not truths.is_file():
        canvas = np.lib.format.open_memmap(pixels, mode="w+", dtype=np.uint8, shape=(count, SIZE, SIZE, 3))
        rows = []
        for number in range(count):
            canvas[number], shown, styled = drawn(number)
            rows.append((shown, styled))
        canvas.flush()
        publish(truths, json.dumps(rows))
    return np.load(pixels, mmap_mode="r"), json.loads(truths.read_text(encoding="utf-8"))


def distorted(pictures: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Crop, turn, recolour, blur and roughen pictures at random, as painting might; (n, 3, 128, 128) in -1..1."""

    def draw_one(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=source))

    side = int(draw_one(0.8, 1.0) * SIZE)
    top, left = (int(draw_one(0, SIZE - side + 0.99)) for _ in range(2))
    pictures = pictures[:, :, top : top + side, left : left + side]
    pictures = functional.interpolate(pictures, (SIZE, SIZE), mode="bilinear", antialias=False)
    if draw_one(0, 1) < 0.5:
        pictures = pictures.flip(3)
    pictures = pictures.rot90(int(draw_one(0, 3.99)), (2, 3))[:, torch.randperm(3, generator=source)]
    if draw_one(0, 1) < 0.5:
        grid = functional.interpolate(
            torch.randn(len(pictures), 2, 6, 6, generator=source), (SIZE, SIZE), mode="bicubic", align_corners=False
        )
        ticks = torch.linspace(-1, 1, SIZE)
        places = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1) + 0.02 * grid.permute(0, 2, 3, 1)
        pictures = functional.grid_sample(pictures, places, padding_mode="reflection", align_corners=True)
    if draw_one(0, 1) < 0.5:
        pictures = functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="reflect"), 3, 1)
    rough = draw_one(0, 0.15) * torch.randn(pictures.shape, generator=source)
    return pictures * draw_one(0.7, 1.1) + draw_one(-0.15, 0.15) + rough


@dataclass(frozen=True)
class HeldOut:
    """How the judge does on drawings it was not trained on.

    Attributes:
        top1: Share of single structures whose family it puts first.
        hybrid_top3: Share of hybrids both of whose families are among its first three.
        style: Share whose style it tells rightly.
    """

    top1: float
    hybrid_top3: float
    style: float


@flushed()
def main(
    out: Path,
    count: int = 12000,
    steps: int = 1800,
    batch: int = 48,
    rate: float = 2e-3,
    start: Path | None = None,
    tell: Tell = silent,
) -> Path:
    """Train the judge and publish it; ``start`` is the folder of a judge to train on.

    Returns:
        The folder ``out/judge``.

    Raises:
        DataError: The loss stops being a number.
    """
    out.mkdir(parents=True, exist_ok=True)
    pictures, truths = _data(out, count)
    torch.manual_seed(0)
    judge = Judge() if start is None else load_judge(start).train()
    trainee = Trainee(judge, rate, 0.998, out / "checkpoint.safetensors")
    wanted = torch.zeros(count, len(NAMES))
    for number, (shown, _) in enumerate(truths):
        wanted[number, shown] = 1 / len(shown)
    styles = torch.tensor([float(styled) for _, styled in truths])
    usable = count - _HELD_OUT

    def loss_at(step: int) -> torch.Tensor:
        source = torch.Generator().manual_seed(step)
        chosen = torch.randint(usable, (batch,), generator=source)
        real = torch.from_numpy(pictures[chosen.numpy()]).permute(0, 3, 1, 2).float().div(127.5).sub(1)
        halves = [distorted(half, source) for half in real.chunk(4)]
        with torch.autocast("cpu", torch.bfloat16):
            families, style = judge(torch.cat(halves).contiguous(memory_format=torch.channels_last))
        loss = functional.cross_entropy(families.float(), wanted[chosen], label_smoothing=0.05)
        return loss + 0.5 * functional.binary_cross_entropy_with_logits(style.float(), styles[chosen])

    train(trainee, TrainingPlan("judge", steps, falling(steps, 50), _LOG_EVERY, 50), loss_at, out, tell)
    trainee.use_average()
    found = held_out(judge.eval(), pictures[usable:], truths[usable:])
    tell(Remark(stage="judge", text=json.dumps(asdict(found))))

    def write(staged: Path) -> None:
        staged.mkdir()
        weights = {name: one.contiguous().bfloat16() for name, one in judge.state_dict().items()}
        save_file(weights, staged / "judge.safetensors")
        figures = {f"held_out_{name}": share for name, share in asdict(found).items()}
        (staged / "config.json").write_text(json.dumps({"families": NAMES, **figures}, indent=1) + "\n")

    publish(out / "judge", write)
    return out / "judge"


def held_out(judge: Judge, pictures: np.ndarray[Any, Any], truths: Sequence[tuple[list[int], bool]]) -> HeldOut:
    """Judge drawings whose truth is known."""
    families, styles = judged(judge, [Image.fromarray(np.array(one)) for one in pictures])
    rows = list(zip(families, styles, truths, strict=True))
    right = [chances.argmax() == shown[0] for chances, _, (shown, _) in rows if len(shown) == 1]
    both = [set(shown) <= set(np.argsort(-chances)[:3]) for chances, _, (shown, _) in rows if len(shown) == 2]
    styled = [(chance > 0.5) == is_styled for _, chance, (_, is_styled) in rows]
    return HeldOut(*(round(float(np.mean(hits)), 4) for hits in (right, both, styled)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=12000)
    parser.add_argument("--steps", type=int, default=1800)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--start", type=Path, help="folder of a judge to train on, instead of from nothing")
    chosen = parser.parse_args()
    print(main(chosen.out, chosen.count, chosen.steps, rate=chosen.rate, start=chosen.start, tell=show))

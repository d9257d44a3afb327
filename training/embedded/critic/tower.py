"""Train the critic's eyes: a SigLIP tower that tells families, density, palette and gradient of pictures.

The first half of the critic; `training.embedded.critic.train` then teaches a language model to speak of what the tower
sees. Drawn pictures come with their truth; painted ones (`training.embedded.critic.painted`) with what was asked for,
corrected by measuring. Killed at any moment, the same command goes on from its last checkpoint.

    python -m training.embedded.critic.tower --out DIR --painted DIR --start models/weights/studio-critic
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from models.encoders.eyes import Eyes, Shape, load_eyes
from pipelines.pictures.measure import measure
from training.embedded.critic import painted
from training.embedded.critic.rows import Truth
from training.embedded.microstructures.drawing import draw, sample
from training.embedded.microstructures.wordings import DENSITIES, FAMILIES, GRADIENTS, PALETTES
from training.loop.checkpoints import load_tensors, save_tensors
from training.loop.schedule import falling
from training.loop.steps import TrainingPlan, train
from training.loop.terminal import show
from training.loop.trainee import Trainee, flushed
from workspace.files import publish
from workspace.progress import Remark, Tell, silent

NAMES = tuple(FAMILIES)
_TABLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("density", tuple(DENSITIES)),
    ("palette", tuple(PALETTES)),
    ("gradient", tuple(GRADIENTS)),
)
_SEED = 4_000_003
_USUAL = Shape()
_HELD_OUT = 400
_JOINED = 1500  # pictures of two structures that are put together from painted ones
_ODDS = 3.0  # how often a painted picture is looked at, a drawn one being 1
_SEEN = 0.4  # probability from which a second family counts as seen


class Heads(nn.Module):
    """From what the tower sees (n, 2 * width) to logits: families (n, families), then each table's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2 * width)
        sizes = [len(NAMES), *(len(table) for _, table in _TABLES)]
        self.out = nn.ModuleList([nn.Linear(2 * width, size) for size in sizes])

    def forward(self, states: torch.Tensor) -> list[torch.Tensor]:
        """Tell what is seen."""
        normal = self.norm(states)
        return [out(normal) for out in self.out]


class Seer(nn.Module):
    """The eyes and their heads; with the eyes of a critic's folder to train on, or fresh ones."""

    def __init__(self, shape: Shape, start: Path | None = None) -> None:
        super().__init__()
        self.eyes = Eyes(shape) if start is None else load_eyes(start, shape.words).requires_grad_(True).train()
        self.heads = Heads(self.eyes.shape.width)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """(n, 3, size, size) in -1..1 to the heads' logits."""
        logits: list[torch.Tensor] = self.heads(self.eyes.look(pictures))
        return logits


def drawn(size: int, number: int) -> tuple[np.ndarray[Any, Any], Truth]:
    """The numbered training picture and what it shows."""
    rng = np.random.default_rng([_SEED, number])
    spec = sample(rng)
    return draw(spec, size, rng), Truth.of(spec)


def nearest_density(picture: np.ndarray[Any, Any], spec: Any) -> str:
    """The density that a painted picture has, by its measured solid fraction."""
    row = PALETTES[spec.palette]
    solid = "dark" if sum(row.solid) < sum(row.background) else "light"
    fraction = measure(Image.fromarray(picture), solid=solid).solid_fraction
    steps = FAMILIES[spec.family].fractions
    return list(DENSITIES)[int(np.argmin([abs(fraction - step) for step in steps]))]


def data(out: Path, count: int, size: int, folder: Path | None) -> tuple[np.ndarray[Any, Any], list[Truth], int]:
    """Drawn pictures, then painted ones, with their truths, and how many are drawn."""
    pixels, rows = out / "pictures.npy", out / "truths.json"
    if not rows.is_file():
        canvas = np.lib.format.open_memmap(pixels, mode="w+", dtype=np.uint8, shape=(count, size, size, 3))
        drawn_truths = []
        with ProcessPoolExecutor(max(1, torch.get_num_threads()), mp_context=get_context("spawn")) as hands:
            for number, (picture, truth) in enumerate(hands.map(partial(drawn, size), range(count), chunksize=32)):
                canvas[number] = picture
                drawn_truths.append(truth.__dict__)
        canvas.flush()
        publish(rows, json.dumps(drawn_truths))
    pictures = np.load(pixels, mmap_mode="r")
    truths = [
        Truth(**{**row, "families": tuple(row["families"])}) for row in json.loads(rows.read_text(encoding="utf-8"))
    ]
    drawn_count = len(truths)
    if folder is not None:
        more, specs = painted.load(folder)
        joined, both = painted.pairs(more, specs, _JOINED)
        more, specs = np.concatenate([more, joined]), [*specs, *both]
        for picture, spec in zip(more, specs, strict=True):
            plain = Truth.of(spec)
            density = plain.density if spec.second else nearest_density(picture, spec)
            truths.append(Truth(plain.families, density, plain.palette, plain.gradient))
        pictures = np.concatenate([pictures, more])
    return pictures, truths, drawn_count


def targets(truths: Sequence[Truth]) -> list[torch.Tensor]:
    """The truths as the heads learn them."""
    shown = torch.zeros(len(truths), len(NAMES))
    for number, truth in enumerate(truths):
        shown[number, [NAMES.index(name) for name in truth.families]] = 1
    rest = [torch.tensor([table.index(getattr(truth, name)) for truth in truths]) for name, table in _TABLES]
    return [shown, *rest]


def to_input(pictures: np.ndarray[Any, Any]) -> torch.Tensor:
    """uint8 (n, size, size, 3) to (n, 3, size, size) in -1..1."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def disturbed(pictures: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Flip, shift, blur and roughen pictures at random, as painting might; what they show stays the same."""
    if torch.rand((), generator=source) < 0.5:
        pictures = pictures.flip(2)
    down, across = torch.randint(-6, 7, (2,), generator=source).tolist()
    pictures = functional.pad(pictures, (6, 6, 6, 6), mode="reflect")
    pictures = pictures[:, :, 6 + down : pictures.shape[2] - 6 + down, 6 + across : pictures.shape[3] - 6 + across]
    if torch.rand((), generator=source) < 0.4:
        pictures = functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="reflect"), 3, 1)
    rough = 0.12 * torch.rand((), generator=source) * torch.randn(pictures.shape, generator=source)
    return pictures + rough + 0.1 * torch.randn((len(pictures), 3, 1, 1), generator=source)


@flushed()
def main(
    out: Path,
    folder: Path | None,
    count: int,
    steps: int,
    batch: int = 48,
    rate: float = 1e-3,
    matrix: float = 6e-3,
    shape: Shape = _USUAL,
    start: Path | None = None,
    tell: Tell = silent,
) -> Path:
    """Train the tower; ``start`` is the folder of a critic whose tower is trained on, under fresh heads.

    Returns:
        ``out/seer.safetensors``: the average weights of eyes and heads, float32.

    Raises:
        DataError: The loss stops being a number.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    seer = Seer(shape, start)
    shape = seer.eyes.shape
    pictures, truths, drawn_count = data(out, count, shape.size, folder)
    wanted = targets(truths)
    seer = seer.bfloat16()
    matrices = frozenset(name for name, one in seer.named_parameters() if ".encoder.layers." in name and one.ndim == 2)
    seer.eyes.connector.requires_grad_(False)
    seer.eyes.tower.set_attn_implementation("eager")  # of so few tokens the quickest on a CPU, with a backward pass
    trainee = Trainee(seer, rate, 0.998, out / "tower.safetensors", matrices, matrix)
    usable = torch.cat([torch.arange(drawn_count - _HELD_OUT), torch.arange(drawn_count, len(truths))])
    odds = torch.cat([torch.ones(drawn_count - _HELD_OUT), torch.full((len(truths) - drawn_count,), _ODDS)])

    def loss_at(step: int) -> torch.Tensor:
        source = torch.Generator().manual_seed(step)
        chosen = usable[torch.multinomial(odds, batch, replacement=True, generator=source)]
        real = to_input(pictures[chosen.numpy()])
        logits = seer(torch.cat([disturbed(part, source) for part in real.chunk(6)]).bfloat16())
        return losses(logits, [one[chosen] for one in wanted])

    train(trainee, TrainingPlan("tower", steps, falling(steps, 60), 50, 50), loss_at, out, tell)
    trainee.use_average()
    seer = seer.float().eval()
    save_tensors(out / "seer.safetensors", seer.state_dict(), {"shape": shape.model_dump()})
    held = torch.arange(drawn_count - _HELD_OUT, drawn_count)
    found = shares_right(seer, pictures[held.numpy()], [truths[number] for number in held.tolist()])
    tell(Remark(stage="tower", text=json.dumps(asdict(found))))
    return out / "seer.safetensors"


def losses(logits: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> torch.Tensor:
    """Families by binary cross-entropy (a picture may show two), the rest by cross-entropy."""
    families = functional.binary_cross_entropy_with_logits(logits[0].float(), wanted[0]) * 6
    return families + sum(
        (functional.cross_entropy(one.float(), right) for one, right in zip(logits[1:], wanted[1:], strict=True)),
        start=torch.zeros(()),
    )


def load_seer(path: Path) -> Seer:
    """What `main` trained."""
    tensors, note = load_tensors(path)
    seer = Seer(Shape.model_validate(note["shape"]))
    seer.load_state_dict(tensors)
    return seer.eval()


@dataclass(frozen=True)
class SharesRight:
    """The share of pictures of which the heads tell each rightly; families: all of them and no other."""

    families: float
    density: float
    palette: float
    gradient: float


@torch.no_grad()
def shares_right(seer: Seer, pictures: np.ndarray[Any, Any], truths: Sequence[Truth]) -> SharesRight:
    """How the heads do on pictures whose truth is known."""
    parts = [seer.eyes.look(to_input(pictures[start : start + 64])) for start in range(0, len(pictures), 64)]
    pairs = list(zip(verdicts(seer, torch.cat(parts)), truths, strict=True))
    found = {"families": [set(one.families) == set(truth.families) for one, truth in pairs]}
    for name, _ in _TABLES:
        found[name] = [getattr(one, name) == getattr(truth, name) for one, truth in pairs]
    return SharesRight(**{name: round(sum(hits) / len(hits), 3) for name, hits in found.items()})


@torch.no_grad()
def verdicts(seer: Seer, states: torch.Tensor) -> list[Truth]:
    """What the heads tell of the tower's states (n, 2 * width): the plainest family first, a second if it is seen."""
    logits = seer.heads(states.float())
    rows = []
    for families, *rest in zip(logits[0].sigmoid(), *(one.argmax(-1).tolist() for one in logits[1:]), strict=True):
        first, second = families.topk(2).indices.tolist()
        names = (NAMES[first], NAMES[second]) if families[second] > _SEEN else (NAMES[first],)
        rows.append(Truth(names, *(table[place] for (_, table), place in zip(_TABLES, rest, strict=True))))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--painted", type=Path, help="folder that training.embedded.critic.painted filled")
    parser.add_argument("--count", type=int, default=14000, help="drawn pictures")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--start", type=Path, help="folder of a critic whose tower is trained on")
    chosen = parser.parse_args()
    print(main(chosen.out, chosen.painted, chosen.count, chosen.steps, start=chosen.start, tell=show))

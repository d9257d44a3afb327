"""Paint pictures as designs are painted, for the critic to learn from: what people will show it, faults included.

    python -m training.embedded.critic.painted --out DIR --count 1000

The painter is the settings' own, or ``--painter FOLDER``. Prompts are in its own names, so that what was asked for is
what was read. Killed at any moment, the same command goes on after the last whole chunk.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipelines.pictures.mixing import laid_over, side_by_side
from pipelines.pictures.painter import Painter
from training.embedded.microstructures.drawing import Microstructure, sample
from training.embedded.microstructures.wordings import PALETTES
from training.embedded.painter.codes import NAMES
from training.embedded.painter.data import reading_of
from training.loop.checkpoints import note_recipe
from training.loop.terminal import show
from workspace.files import publish
from workspace.progress import Remark, Tell, silent
from workspace.settings import load_settings

SIZE = 128
CHUNK = 25
_SEED = 6_000_003


def spec_of(number: int) -> tuple[Microstructure, str]:
    """What the numbered picture is asked to show, and in which words."""
    spec = sample(np.random.default_rng([_SEED, number]))
    return spec, NAMES.caption(reading_of(spec))


def main(painter: Painter, out: Path, count: int, tell: Tell = silent) -> Path:
    """Paint ``count`` pictures; they are kept at the size that the critic looks at.

    Returns:
        ``out``, with ``NNNNNN.npy`` of uint8 (25, 128, 128, 3) each.

    Raises:
        DataError: ``out`` holds another painter's pictures.
    """
    note_recipe(out, {"seed": _SEED, "painter": painter.model_fingerprint})
    for start in range(0, count, CHUNK):
        file = out / f"{start:06d}.npy"
        if file.is_file():
            continue
        numbers = range(start, min(count, start + CHUNK))
        pictures = [painter.paint([painter.spec(spec_of(number)[1], seed=_SEED + number)])[0] for number in numbers]
        small = np.stack([np.asarray(one.resize((SIZE, SIZE), Image.Resampling.BOX)) for one in pictures])
        publish(file, lambda staged, small=small: _save(staged, small))  # type: ignore[misc]
        tell(Remark(stage="painted", text=f"painted {start + len(pictures)} of {count}"))
    return out


def _save(staged: Path, pictures: np.ndarray[Any, Any]) -> None:
    with staged.open("wb") as file:
        np.save(file, pictures)


def load(folder: Path) -> tuple[np.ndarray[Any, Any], list[Microstructure]]:
    """Every picture painted so far, uint8 (n, 128, 128, 3), and what each was asked to show."""
    parts = [(int(file.stem), np.load(file)) for file in sorted(folder.glob("*.npy"))]
    specs = [spec_of(start + number)[0] for start, part in parts for number in range(len(part))]
    return np.concatenate([part for _, part in parts]), specs


def pairs(
    pictures: np.ndarray[Any, Any], specs: Sequence[Microstructure], count: int
) -> tuple[np.ndarray[Any, Any], list[Microstructure]]:
    """Pictures of two structures put together from painted ones of one, as a painter puts its own together.

    Args:
        pictures: Painted ones, uint8 (n, size, size, 3).
        specs: What each was asked to show; those of two structures are not used.
        count: How many are made, each of two of the same palette and density.

    Returns:
        The pictures, uint8 (count, size, size, 3), and what they show.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for number, spec in enumerate(specs):
        if spec.second is None and spec.gradient == "none":
            groups.setdefault((spec.palette, spec.density), []).append(number)
    fit = [group for group in groups.values() if len({specs[number].family for number in group}) > 1]
    rng = np.random.default_rng(_SEED)
    made: list[np.ndarray[Any, Any]] = []
    shown: list[Microstructure] = []
    while fit and len(made) < count:
        one, other = (int(number) for number in rng.choice(fit[int(rng.integers(len(fit)))], 2, replace=False))
        if specs[one].family == specs[other].family:
            continue
        first, second = (torch.from_numpy(pictures[number]).permute(2, 0, 1) / 255 for number in (one, other))
        join = ("over", "into")[len(made) % 2]
        row = PALETTES[specs[one].palette]
        colours = torch.tensor([[*row.background], [*row.solid]]) / 255
        whole = laid_over(first, second, colours) if join == "over" else side_by_side(first, second)
        made.append(whole.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy())
        shown.append(replace(specs[one], second=specs[other].family, join=join))
    return np.stack(made) if made else pictures[:0], shown


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--painter", help="a painter's name or folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1000)
    chosen = parser.parse_args()
    settings = load_settings("embedded", {"painter.model": chosen.painter} if chosen.painter else {})
    print(main(Painter.load(settings.painter, settings.home), chosen.out, chosen.count, show))

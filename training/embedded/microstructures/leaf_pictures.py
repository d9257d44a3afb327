"""Captioned pictures in the leaf adapter's own style: veins in outline, with contour rings in the space between.

The embedded painter never saw this style. The pictures lie in a folder as any adapter is trained from: ``NNNN.png``
beside ``NNNN.txt``, the caption with ``[trigger]`` in it. Numbers make them; the same seed, the same folder.

    python -m training.embedded.microstructures.leaf_pictures --out DIR --count 240
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from training.embedded.microstructures.drawing import UNITS, Microstructure, caption, field_of, sample
from training.embedded.microstructures.wordings import PALETTES
from workspace.files import publish

KINDS = ("leaf", "leaf", "parallel", "vessels")
RING = 3.4
"""Design units from one contour to the next."""


def outlined(spec: Microstructure, size: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Paint one structure in outline with contour rings: uint8 (size, size, 3)."""
    height = field_of(spec, size, rng)
    sharp = size / UNITS
    row = PALETTES[spec.palette]
    background, solid, tint = (np.asarray(part, dtype=np.float32) for part in (row.background, row.solid, row.tint))
    edge = np.clip((1.1 - np.abs(height)) * sharp + 0.5, 0, 1)
    phase = np.abs(height / RING - np.round(height / RING)) * RING
    rings = np.clip((0.6 - phase) * sharp + 0.5, 0, 1) * (height < -RING / 2)
    hollow = np.clip(height * sharp + 0.5, 0, 1)
    ground = background + (tint - background) * np.maximum(0.75 * hollow, 0.9 * rings)[..., None]
    return np.asarray(np.clip(np.round(ground + (solid - ground) * edge[..., None]), 0, 255), dtype=np.uint8)


def numbered(seed: int, number: int, size: int) -> tuple[np.ndarray[Any, Any], str]:
    """The numbered picture and its caption."""
    rng = np.random.default_rng([seed, 7, number])
    kind = KINDS[number % len(KINDS)]
    drawn = sample(rng)
    scale = "coarse" if drawn.scale == "fine" else drawn.scale  # contours need room
    spec = Microstructure(kind, drawn.palette, drawn.density, scale, drawn.direction)
    return outlined(spec, size, rng), f"[trigger], {caption(spec, rng)}"


def main(out: Path, count: int, size: int, seed: int) -> None:
    """Write ``count`` pictures and captions into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels, text = numbered(seed, number, size)
        picture = Image.fromarray(pixels)
        publish(out / f"{number:04d}.png", partial(picture.save, format="PNG"))
        publish(out / f"{number:04d}.txt", text + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=42)
    chosen = parser.parse_args()
    main(chosen.out, chosen.count, chosen.size, chosen.seed)

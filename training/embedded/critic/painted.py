"""Paint pictures with a trained painter for the critic to learn from: what people will show it, faults included.

    python -m training.embedded.critic.painted --weights PAINTER_FOLDER --text-encoder MINILM_FOLDER --out DIR \
        --count 1500

Killed at any moment, the same command goes on after the last whole chunk.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from training.embedded.microstructures.drawing import Microstructure, caption, sample
from training.embedded.painter.contact_sheet import load_painter, paint
from training.loop.terminal import show
from workspace.files import publish
from workspace.progress import Remark, Tell, silent

SIZE = 128
CHUNK = 25
_SEED = 6_000_003


def spec_of(number: int) -> tuple[Microstructure, str]:
    """What the numbered picture is asked to show, and in which words."""
    rng = np.random.default_rng([_SEED, number])
    spec = sample(rng)
    return spec, caption(spec, rng)


def main(weights: Path, text_encoder: Path, out: Path, count: int, steps: int, tell: Tell = silent) -> Path:
    """Paint ``count`` pictures; they are kept at the size that the critic looks at.

    Returns:
        ``out``, with ``NNNNNN.npy`` of uint8 (25, 128, 128, 3) each.
    """
    pipeline, card = load_painter(weights, text_encoder)
    card = {**card, "steps": steps}
    out.mkdir(parents=True, exist_ok=True)
    publish(out / "painted.json", json.dumps({"seed": _SEED, "count": count, "steps": steps}))
    for start in range(0, count, CHUNK):
        file = out / f"{start:06d}.npy"
        if file.is_file():
            continue
        pictures = [
            paint(pipeline, card, [spec_of(number)[1]], number)[0] for number in range(start, min(count, start + CHUNK))
        ]
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--text-encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=12)
    chosen = parser.parse_args()
    print(main(chosen.weights, chosen.text_encoder, chosen.out, chosen.count, chosen.steps, show))

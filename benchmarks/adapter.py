"""The leaf adapter: how often a classifier that saw drawings alone recognises its style at three scales. Prints JSON.

The same prompts, with the trigger, and the same seeds at every scale; scale 0 is the bare painter.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from home import fresh_home
from judge import LAST, judge

SCALES = (0.0, 0.5, 1.0)
SEED = 500


def prompts(count: int, trigger: str) -> list[str]:
    """Leaf-like structures in wordings that no training caption holds."""
    from training.embedded.microstructures.leaf_pictures import KINDS
    from training.embedded.microstructures.wordings import FAMILIES, PALETTES

    rows, colours = [FAMILIES[kind] for kind in dict.fromkeys(KINDS)], list(PALETTES.values())
    return [
        f"{trigger}, {rows[number % len(rows)].held_out[number % 2]}, {colours[number % len(colours)].words[0]}"
        for number in range(count)
    ]


def figures(home: Path, count: int = 16, adapter: str = "leaf-micro-lora", out: Path | None = None) -> dict[str, Any]:
    """Paint at every scale and have the style recognised."""
    from pipelines.pictures.painter import Painter
    from training.embedded.judge.network import judged
    from workspace.settings import load_settings

    painter = Painter.load(load_settings("embedded", {"home": str(home)}).painter, home)
    told, shares = judge(LAST), {}
    for scale in SCALES:
        painter.set_adapter(adapter, scale)
        assert painter.trigger is not None
        asked = prompts(count, painter.trigger)
        specs = [painter.spec(prompt, seed=SEED + number) for number, prompt in enumerate(asked)]
        images = [painter.paint([spec])[0] for spec in specs]
        if out:
            out.mkdir(parents=True, exist_ok=True)
            for number, image in enumerate(images):
                image.save(out / f"{scale}-{number:02d}.png")
        _, style = judged(told, images)
        shares[scale] = round(float((style > 0.5).mean()), 3)
    return {
        "adapter_off": shares[0.0],
        "adapter_half": shares[0.5],
        "adapter_on": shares[1.0],
        "adapter_rises": shares[0.0] <= shares[0.5] <= shares[1.0],
        "adapter_pictures": count * len(SCALES),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=16, help="pictures a scale")
    parser.add_argument("--adapter", default="leaf-micro-lora")
    parser.add_argument("--out", type=Path, help="folder for the pictures")
    options = parser.parse_args()
    with fresh_home() as home:
        print(json.dumps({"benchmark": "adapter", **figures(home, options.count, options.adapter, options.out)}))


if __name__ == "__main__":
    main()

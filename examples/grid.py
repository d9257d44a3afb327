"""A grid: every pair of two lists of natural materials, and which pair promises the toughest design.

    python examples/grid.py [GRID.yaml] [FOLDER]

The grid may name briefs, inspirations, programs, models, seeds and more; see pairs.yaml beside this file.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean

import studio

GRID = Path(__file__).parent / "pairs.yaml"


def main(grid: Path = GRID, out: Path = Path("pairs")) -> None:
    """Make the designs, and list the pairs by the toughness that their designs aim at."""
    summary = studio.batch(grid, out=out, images=1)
    toughness = defaultdict(list)
    for line in (out / "results.jsonl").read_text(encoding="utf-8").splitlines():
        made = json.loads(line)
        for figure in made["design"]["properties"]:
            if "toughness" in figure["name"].lower() and figure["unit"] == "MJ/m3":
                toughness[" + ".join(made["options"]["inspirations"])].append(figure["value"])
    for pair, values in sorted(toughness.items(), key=lambda one: -mean(one[1])):
        print(f"{mean(values):8.1f} MJ/m3 in {len(values)} designs  {pair}")
    print(f"{summary.done} designs: {summary.page}")
    if summary.again:
        sys.exit(f"not all are made: {summary.again}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))

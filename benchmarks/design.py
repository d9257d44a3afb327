"""A warm embedded design: how long it takes as a person starts it, and whether it comes out the same twice (JSON)."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from home import environment, fresh_home

LIMIT = 90.0
BRIEF = "A tough, light panel that joins the veins of leaves with the waves of collagen fibres"


def make(env: dict[str, str], images: int, seed: int) -> tuple[float, dict[str, Any]]:
    words = [sys.executable, "-m", "ui.cli", "design", BRIEF, "--images", str(images), "--seed", str(seed), "--json"]
    begun = time.perf_counter()
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - begun, json.loads(done.stdout)


def steps(folder: Path) -> dict[str, float]:
    return {step["key"]: step["seconds"] for step in json.loads((folder / "manifest.json").read_text())["steps"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with fresh_home() as home:
        env = environment(home)
        made = [make(env, options.images, options.seed) for _ in range(2)]
        texts = [(Path(run["folder"]) / "design.json").read_bytes() for _, run in made]
        pixels = [[image["pixels_sha256"] for image in run["images"]] for _, run in made]
        seconds = [took for took, _ in made]
        print(
            json.dumps(
                {
                    "benchmark": "design",
                    "profile": "embedded",
                    "images": options.images,
                    "process_seconds": [round(took, 1) for took in seconds],
                    "run_seconds": [run["seconds"] for _, run in made],
                    "steps": steps(Path(made[1][1]["folder"])),
                    "limit_seconds": LIMIT,
                    "same_design": texts[0] == texts[1],
                    "same_pixels": pixels[0] == pixels[1],
                    "title": made[0][1]["design"]["title"],
                    "passed": min(seconds) <= LIMIT and texts[0] == texts[1] and pixels[0] == pixels[1],
                }
            )
        )


if __name__ == "__main__":
    main()

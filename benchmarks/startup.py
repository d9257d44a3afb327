"""How long ``studio --help`` takes: a fresh process each time, the fastest and the median printed as JSON."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    took = []
    for _ in range(options.repeats):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ui.cli", "--help"], cwd=ROOT, check=True, capture_output=True)
        took.append(time.perf_counter() - begun)
    heavy = ("torch", "gradio", "langgraph", "transformers", "pydantic")
    check = f"import sys, ui.cli; print([name for name in {heavy!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True, capture_output=True, text=True)
    print(
        json.dumps(
            {
                "benchmark": "startup",
                "command": "studio --help",
                "repeats": options.repeats,
                "fastest_seconds": round(min(took), 3),
                "median_seconds": round(statistics.median(took), 3),
                "limit_seconds": LIMIT,
                "heavy_imports": loaded.stdout.strip(),
                "passed": statistics.median(took) <= LIMIT,
            }
        )
    )


if __name__ == "__main__":
    main()

"""How fast microstructures are drawn at 256 pixels on all cores, families alike. Prints JSON.

``pictures_per_second`` is over pictures as the trainings draw them (hybrids and gradients among them), in as many
processes as there are cores; ``milliseconds`` is what a picture of each family takes on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import home  # noqa: F401 - makes the project importable
import numpy as np

SEED, SIZE = 44, 256


def _draw(number: int) -> int:
    from training.embedded.microstructures.drawing import numbered

    return int(numbered(SEED, number, SIZE).shape[0])


def family_times(each: int) -> dict[str, float]:
    """Milliseconds a picture, by family, slowest first."""
    from training.embedded.microstructures.drawing import Microstructure, draw
    from training.embedded.microstructures.wordings import FAMILIES

    taken = {}
    for name in FAMILIES:
        draw(Microstructure(name), SIZE, np.random.default_rng(0))
        begun = time.perf_counter()
        for number in range(each):
            draw(Microstructure(name), SIZE, np.random.default_rng(number))
        taken[name] = round((time.perf_counter() - begun) / each * 1000, 1)
    return dict(sorted(taken.items(), key=lambda item: -item[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=800)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as hands:
        list(hands.map(_draw, range(cores * 8), chunksize=4))
        begun = time.perf_counter()
        drawn = len(list(hands.map(_draw, range(options.count), chunksize=16)))
        rate = drawn / (time.perf_counter() - begun)
    told = {"benchmark": "drawing", "pictures_per_second": round(rate, 1), "cores": cores, "pictures": drawn}
    print(json.dumps(told | {"milliseconds": family_times(10)}))


if __name__ == "__main__":
    main()

"""Designs an hour by the embedded writer in this process: one at a time, and several in flight. Prints JSON.

The same briefs with the same seeds go through the Scientist's turns, the Engineer and the Illustrator, as in a design
without pictures: first one after the other, then by so many threads on the same weights. Each design has to come out
the same, letter by letter.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from decoding import cpu
from home import fresh_home
from team import kit_for

SEED = 21
RATIO = 2.5
SOURCES = ("nacre", "leaf veins", "collagen", "dragline silk", "bone", "honeycomb", "bamboo", "spider web")
WISHES = ("A tough, light panel", "A roof that sheds water", "A damper for machines", "A filter that does not clog")
PROGRAMS = ("relate-and-design", "architecture", "microstructure", "city")


def written(kit: Any, number: int) -> dict[str, Any]:
    """One brief to a design and a prompt, and how long each part took."""
    from agents.documents import Brief
    from agents.programs import load_program
    from agents.roles import engineer, illustrator, scientist
    from agents.state import initial_state

    pair = [SOURCES[number % 8], SOURCES[(number + 1 + number // 8) % 8]]
    wanted = f"{WISHES[number % 4]} that joins the ways of {pair[0]} and {pair[1]}"
    kit = replace(kit, program=load_program(PROGRAMS[number // 4 % 4]), seed=SEED + number)
    state: Any = initial_state(Brief(text=wanted, inspirations=pair))
    marks = [time.perf_counter()]
    while state["turn"] < len(kit.program.turns):
        changes = scientist.scientist(kit, state)
        state |= changes | {name: state[name] + changes[name] for name in ("messages", "evidence")}
    marks.append(time.perf_counter())
    state |= engineer.engineer(kit, state)
    marks.append(time.perf_counter())
    told = illustrator.illustrator(kit, state)["prompts"][-1]
    marks.append(time.perf_counter())
    took = {name: marks[place + 1] - marks[place] for place, name in enumerate(("turns", "design", "prompt"))}
    return {"text": json.dumps([state["messages"], state["design"], told]), "took": took}


def run(kit: Any, designs: int, threads: int) -> tuple[list[str], dict[str, Any]]:
    """Write so many designs by so many threads."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        made = list(pool.map(lambda number: written(kit, number), range(designs)))
    took = time.perf_counter() - begun
    parts = {name: sum(one["took"][name] for one in made) / designs for name in made[0]["took"]}
    return [one["text"] for one in made], {
        "in_flight": threads,
        "seconds": round(took, 1),
        "designs_an_hour": round(3600 * designs / took, 1),
        "mean_seconds": {name: round(seconds, 2) for name, seconds in parts.items()},
    }


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--designs", type=int, default=8)
    parser.add_argument("--in-flight", type=int, default=8)
    options = parser.parse_args()
    import torch

    with fresh_home() as home:
        kit = kit_for(home, SEED)
        written(kit, options.designs)  # everything is read and made before it is timed
        alone, one = run(kit, options.designs, 1)
        print(json.dumps(one), file=sys.stderr, flush=True)
        together, several = run(kit, options.designs, options.in_flight)
    same = sum(ours == theirs for ours, theirs in zip(alone, together, strict=True))
    ratio = several["designs_an_hour"] / one["designs_an_hour"]
    found = {
        "benchmark": "in_flight",
        "cpu": cpu(),
        "threads": torch.get_num_threads(),
        "designs": options.designs,
        "one": one,
        "several": several,
        "ratio": math.floor(100 * ratio) / 100,
        "limit_ratio": RATIO,
        "same_texts": same,
        "passed": ratio >= RATIO and same == options.designs,
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

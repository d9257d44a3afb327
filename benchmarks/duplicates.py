"""How fast passages that say the same twice are found among many, and how many of them. Prints JSON.

Passages of 200 words drawn from the sample corpus; one in twenty says again what one of the last thousand said: half of
those in capitals and other spaces, half with one to three words changed (a Jaccard similarity of .86 to .95).

- ``duplicates_seconds``, ``duplicates_gb``: of looking alone, and of the whole process at its largest (bars for
  100,000: 300 s, 4 GB);
- ``exact_share``, ``near_share``: of what was planted, found; ``false``: found, though not planted.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

import home  # noqa: F401 - makes the project importable
import numpy as np

WORDS, KEPT, EACH = 200, 1000, 20


def measured(count: int) -> dict[str, Any]:
    """Seconds, gigabytes and what was found among so many passages."""
    from pipelines.corpus.duplicates import Duplicates
    from training.sample.rows import passages

    words = np.array(sorted({word for one in passages() for word in one["text"].split()}))
    rng, seen = np.random.default_rng(0), Duplicates(0.8)
    recent: list[list[str]] = []
    planted, found, took = {"exact": 0, "near": 0}, {"exact": 0, "near": 0, "": 0}, 0.0
    for number in range(count):
        kind = "" if number % EACH != EACH - 1 else "near" if (number // EACH) % 2 else "exact"
        if kind:
            planted[kind] += 1
            text = again(recent[rng.integers(len(recent))], kind, words, rng)
        else:
            recent = [*recent[1 - KEPT :], list(rng.choice(words, WORDS))]
            text = " ".join(recent[-1])
        begun = time.perf_counter()
        same = seen.seen(str(number), text)
        took += time.perf_counter() - begun
        found[kind] += same is not None
    return {
        "passages": count,
        "duplicates_seconds": round(took, 1),
        "duplicates_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "duplicates_found": found["exact"] + found["near"],
        "planted": sum(planted.values()),
        "exact_share": round(found["exact"] / max(1, planted["exact"]), 4),
        "near_share": round(found["near"] / max(1, planted["near"]), 4),
        "false": found[""],
    }


def again(passage: list[str], kind: str, words: Any, rng: Any) -> str:
    """The same passage written otherwise, or with a few words changed."""
    if kind == "exact":
        return "  ".join(passage).upper()
    changed = list(passage)
    for place in rng.choice(len(changed), rng.integers(1, 4), replace=False):
        changed[place] = str(rng.choice(words))
    return " ".join(changed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=100_000)
    print(json.dumps({"benchmark": "duplicates", **measured(parser.parse_args().passages)}))


if __name__ == "__main__":
    main()

"""How fast papers become a corpus. Prints JSON.

- ``pages_per_second``: PDF to Markdown on all cores by the built-in converter, over the sample's papers several times
  (bar 40); ``pdftext_pages_per_second`` the same by pdftext's single letters;
- ``duplicates_seconds``, ``duplicates_gb``: exact and near duplicates among passages of 200 words (bars for 100,000:
  300 s, 4 GB).
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

import home  # noqa: F401 - makes the project importable
import numpy as np


def pages_per_second(converter: str, times: int) -> float:
    """Pages of the sample's papers a second, processes started before."""
    from training.parsing import Limits, parse
    from training.sample_papers import SAMPLE

    papers = sorted((SAMPLE / "papers").glob("*.pdf"))
    begun, pages = 0.0, 0
    for number, one in enumerate(parse([*papers[:2], *papers * times], converter, Limits())):
        if number == 1:  # both processes have read one
            begun = time.perf_counter()
        elif number > 1:
            pages += len(one.pages)
    return round(pages / (time.perf_counter() - begun), 1)


def duplicates(count: int) -> dict[str, Any]:
    """Seconds and gigabytes for so many passages, one in twenty a near duplicate of another."""
    from training.duplicates import Duplicates
    from training.sample import passages

    words = np.array(sorted({word for one in passages() for word in one["text"].split()}))
    rng, seen, found = np.random.default_rng(0), Duplicates(0.8), 0
    begun, before = time.perf_counter(), ""
    for number in range(count):
        near = number % 20 == 19
        text = before.replace(" ", "  ", 1) + " and more" if near else " ".join(rng.choice(words, 200))
        found += seen.seen(str(number), text) is not None
        before = text
    return {
        "duplicates_seconds": round(time.perf_counter() - begun, 1),
        "duplicates_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "duplicates_found": found,
        "passages": count,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10, help="rounds over the papers")
    parser.add_argument("--passages", type=int, default=100_000)
    options = parser.parse_args()
    told: dict[str, Any] = {"benchmark": "corpus"}
    told["pages_per_second"] = pages_per_second("pdfium", options.times)
    told["pdftext_pages_per_second"] = pages_per_second("pdftext", max(1, options.times // 5))
    print(json.dumps(told | duplicates(options.passages)))


if __name__ == "__main__":
    main()

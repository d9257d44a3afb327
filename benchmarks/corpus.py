"""How fast papers become a corpus. Prints JSON.

- ``pages_per_second``: PDF to Markdown on all cores by the built-in converter, over the sample's papers several times
  (bar 40); ``pdftext_pages_per_second`` the same by pdftext's single letters;
- exact and near duplicates among passages of 200 words, as ``benchmarks/duplicates.py`` measures them.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import home  # noqa: F401 - makes the project importable
from duplicates import measured


def pages_per_second(converter: Any, times: int) -> float:
    """Pages of the sample's papers a second, processes started before."""
    from pipelines.corpus.parsing import Limits, parse
    from training.sample.papers import SAMPLE

    papers = sorted((SAMPLE / "papers").glob("*.pdf"))
    begun, pages = 0.0, 0
    for number, one in enumerate(parse([*papers[:2], *papers * times], converter, Limits())):
        if number == 1:  # both processes have read one
            begun = time.perf_counter()
        elif number > 1:
            pages += len(one.pages)
    return round(pages / (time.perf_counter() - begun), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10, help="rounds over the papers")
    parser.add_argument("--passages", type=int, default=100_000)
    options = parser.parse_args()
    figures: dict[str, Any] = {"benchmark": "corpus"}
    figures["pages_per_second"] = pages_per_second("pdfium", options.times)
    figures["pdftext_pages_per_second"] = pages_per_second("pdftext", max(1, options.times // 5))
    print(json.dumps(figures | measured(options.passages)))


if __name__ == "__main__":
    main()

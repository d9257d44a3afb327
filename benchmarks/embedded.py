"""Every figure of the embedded models in one run of half an hour on two cores. The last line is one JSON object.

Each part is a benchmark of its own with fewer samples here: `painter.py`, `adapter.py`, `critic.py`, `writer.py` and
`loop.py` tell what each figure means and take as many samples as one has time for. A model that is not there leaves its
figures null and is named under ``missing``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from home import ROOT, fresh_home

KEYS = [
    "family_top1",
    "family_worst",
    "hybrid_top3",
    "density_spearman",
    "palette",
    "seconds_per_picture",
    "weights_mb",
    "adapter_on",
    "adapter_off",
    "critic_attributes_renders",
    "critic_attributes_painted",
    "critic_auroc",
    "critic_valid",
    "critic_seconds",
    "writer_both_inspirations",
    "writer_components",
    "writer_units",
    "writer_repetition",
    "writer_prompt",
    "writer_baseline",
    "round2_minus_round1",
    "round2_p",
]


def painter_part(home: Path) -> dict[str, Any]:
    import painter

    return painter.figures(home, each=6, pairs=24)


def adapter_part(home: Path) -> dict[str, Any]:
    import adapter

    return adapter.figures(home, count=12)


def critic_part(home: Path) -> dict[str, Any]:
    import critic

    return critic.figures(home, drawn=34, painted=34)


def loop_part(home: Path) -> dict[str, Any]:
    import loop

    return loop.figures(home, briefs=16)


def writer_part(home: Path) -> dict[str, Any]:
    import writer

    words, count = writer.vocabulary_of(home)
    tuned = writer.rates(writer.run(home, "studio-writer", 12), words, count)
    untuned = writer.rates(writer.run(home, "none", 4), words, count)
    return {f"writer_{name}": value for name, value in tuned.items()} | {"writer_baseline": untuned}


PARTS: tuple[tuple[str, str, Callable[[Path], dict[str, Any]]], ...] = (
    ("painter", "studio-micro-flux", painter_part),
    ("adapter", "leaf-micro-lora", adapter_part),
    ("critic", "studio-critic", critic_part),
    ("writer", "studio-writer", writer_part),
    ("loop", "studio-critic", loop_part),
)


def weights_mb() -> float:
    """Size of all weights that ship with Studio, in megabytes."""
    files = (ROOT / "models" / "weights").rglob("*")
    return round(sum(path.stat().st_size for path in files if path.is_file()) / 1e6, 1)


def main() -> None:
    from models.catalogue import MODELS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=[name for name, _, _ in PARTS], help="these parts alone")
    options = parser.parse_args()
    told: dict[str, Any] = {"benchmark": "embedded", "weights_mb": weights_mb()}
    missing, minutes, begun = set(), {}, time.perf_counter()
    with fresh_home() as home:
        for name, model, part in PARTS:
            if options.only and name not in options.only:
                continue
            if model not in MODELS:
                missing.add(model)
                continue
            print(f"== {name}", file=sys.stderr, flush=True)
            started = time.perf_counter()
            told |= part(home)
            minutes[name] = round((time.perf_counter() - started) / 60, 1)
    told |= {
        "missing": sorted(missing),
        "minutes": minutes,
        "minutes_all": round((time.perf_counter() - begun) / 60, 1),
    }
    print(json.dumps({key: told.get(key) for key in KEYS} | told))


if __name__ == "__main__":
    main()

"""Every figure of the embedded models in one run of half an hour on two cores. The last line is one JSON object.

Each part is a benchmark of its own: `painter.py`, `reading.py`, `adapter.py`, `critic.py`, `writer.py` and `loop.py`
tell what each figure means and take as many samples as one has time for. The writer works beside the rest, each on half
of the cores, and where time runs short on fewer than its fifty pairs (``writer_pairs``); the times a picture and a
critique take are measured before, with nothing beside them. A model that is not there leaves its figures null and is
named under ``missing``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from home import ROOT, fresh_home

KEYS = [
    "family_top1",
    "family_interval",
    "family_worst",
    "hybrid_top3",
    "hybrid_interval",
    "judges",
    "reading",
    "density_spearman",
    "palette",
    "seconds_per_picture",
    "weights_mb",
    "adapter_on",
    "adapter_off",
    "critic_attributes_renders",
    "critic_attributes_painted",
    "critic_painted",
    "critic_auroc",
    "critic_auroc_hard",
    "critic_valid",
    "critic_seconds",
    "writer_both_inspirations",
    "writer_components",
    "writer_units",
    "writer_repetition",
    "writer_prompt",
    "writer_baseline",
    "round2_minus_repaint",
    "round2_p",
]


def painter_part(home: Path) -> dict[str, Any]:
    import painter
    import reading

    return painter.figures(home, each=12, pairs=40) | {"reading": reading.figures(home)}


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
    untuned = writer.rates(writer.run(home, "none", 6), words, count)
    tuned = writer.rates(writer.run(home, "studio-writer", 50, seconds=22 * 60), words, count)
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


def alone(home: Path) -> dict[str, Any]:
    """The times that have a bar, on all cores: a few pictures, a few critiques."""
    import critic
    import painter

    from models.catalogue.table import MODELS
    from pipelines.pictures.painter import Painter
    from workspace.settings import load_settings

    hand = Painter.load(load_settings("embedded", {"home": str(home)}).painter, home)
    told: dict[str, Any] = {"seconds_per_picture": painter.median_seconds(hand, 8)}
    if "studio-critic" in MODELS:
        told["critic_seconds"] = critic.figures(home, drawn=6, painted=2)["critic_seconds"]
    return told


def lanes() -> dict[str, Any]:
    """The writer beside everything else, each in a process of its own on half of the cores."""
    half = str(max(1, (os.cpu_count() or 2) // 2))
    names = [name for name, _, _ in PARTS]
    running = [
        subprocess.Popen(
            [sys.executable, __file__, "--only", *lane],
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": half},
        )
        for lane in (["writer"], [name for name in names if name != "writer"])
    ]
    told: dict[str, Any] = {"missing": [], "minutes": {}}
    for one in running:
        out, _ = one.communicate()
        if one.returncode:
            raise SystemExit(one.returncode)
        found = json.loads(out.decode().splitlines()[-1])
        told["missing"] = sorted({*told["missing"], *found.pop("missing")})
        told["minutes"] |= found.pop("minutes")
        told |= {key: value for key, value in found.items() if value is not None}
    return told


def parts(names: list[str]) -> dict[str, Any]:
    """So many parts, one after another."""
    from models.catalogue.table import MODELS

    told: dict[str, Any] = {}
    missing, minutes = set(), {}
    with fresh_home() as home:
        for name, model, part in PARTS:
            if name not in names:
                continue
            if model not in MODELS:
                missing.add(model)
                continue
            print(f"== {name}", file=sys.stderr, flush=True)
            started = time.perf_counter()
            made = part(home)
            print(json.dumps({"part": name} | made), file=sys.stderr, flush=True)  # kept, whatever a later part does
            told |= made
            minutes[name] = round((time.perf_counter() - started) / 60, 1)
    return told | {"missing": sorted(missing), "minutes": minutes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=[name for name, _, _ in PARTS], help="these parts alone")
    options = parser.parse_args()
    begun = time.perf_counter()
    told: dict[str, Any] = {"benchmark": "embedded", "weights_mb": weights_mb()}
    if options.only:
        told |= parts(options.only)
    else:
        with fresh_home() as home:
            timed = alone(home)
        told |= lanes() | timed
    told["minutes_all"] = round((time.perf_counter() - begun) / 60, 1)
    print(json.dumps({key: told.get(key) for key in KEYS} | told))


if __name__ == "__main__":
    main()

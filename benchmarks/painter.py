"""The embedded painter on the grammar's held-out wordings, judged by classifiers fixed by their hashes. Prints JSON.

Every family is asked for in its held-out wordings, with a palette and a density; hybrids join two of them. Judges
(`benchmarks/judge.py`) tell the families; palette and density are measured on the pixels. How the painter does in other
people's words, to their eyes, `benchmarks/blind.py` tells.

- ``family_top1``, ``family_worst``: share of pictures whose family the judge names first, over all and of the
  worst, with the exact 95% interval; ``judges``: the same of every judge;
- ``hybrid_top3``: share of hybrids both of whose families are among the judge's first three;
- ``density_spearman``: rank correlation of the solid fraction asked for (the family's own at that density) with the one
  measured; ``density_within`` is the mean of the same within each family;
- ``palette``: share of pictures nearest to the palette asked for;
- ``seconds_per_picture``: median, one picture at a time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from home import fresh_home
from judge import JUDGES, STANDING, chances_of, share, shows
from judge import names as judge_names

SEED = 19_077


def asked(each: int) -> list[dict[str, Any]]:
    """What is asked for: every family ``each`` times."""
    from training.embedded.microstructures.wordings import DENSITIES, FAMILIES, PALETTES

    rows = []
    for place, (family, row) in enumerate(FAMILIES.items()):
        for number in range(each):
            palette = list(PALETTES)[(place + number) % len(PALETTES)]
            density = list(DENSITIES)[number % len(DENSITIES)]
            words = (
                row.held_out[number % len(row.held_out)],
                PALETTES[palette].words[number % 2],
                DENSITIES[density][number // 3 % 3],
            )
            fraction = row.fractions[list(DENSITIES).index(density)]
            rows.append({"families": [family], "palette": palette, "fraction": fraction, "prompt": ", ".join(words)})
    return rows


def hybrids(count: int) -> list[dict[str, Any]]:
    """Pairs of families, laid over each other or grading into each other."""
    from training.embedded.microstructures.wordings import FAMILIES, JOINS, PALETTES

    rng, names, rows = np.random.default_rng(SEED), list(FAMILIES), []
    for number in range(count):
        first, second = (names[int(place)] for place in rng.permutation(len(names))[:2])
        join = ("over", "into")[number % 2]
        palette = list(PALETTES)[number % len(PALETTES)]
        words = JOINS[join][0].format(a=FAMILIES[first].held_out[0], b=FAMILIES[second].held_out[0])
        rows.append(
            {"families": [first, second], "palette": palette, "prompt": f"{words}, {PALETTES[palette].words[0]}"}
        )
    return rows


def nearest_palette(picture: Any) -> str:
    """The palette whose three colours lie nearest to the picture's pixels."""
    from training.embedded.microstructures.wordings import PALETTES

    pixels = np.asarray(picture.convert("RGB").resize((64, 64)), dtype=float).reshape(-1, 3)
    losses = {}
    for name, row in PALETTES.items():
        colours = np.array([row.background, row.solid, row.tint], dtype=float)
        losses[name] = float(np.linalg.norm(pixels[:, None] - colours[None], axis=-1).min(1).mean())
    return min(losses, key=lambda name: losses[name])


def solid_fraction(picture: Any, palette: str) -> float:
    """Share of the picture's area that is solid; which phase that is follows from the palette."""
    from pipelines.pictures.measure import measure
    from training.embedded.microstructures.wordings import PALETTES

    row = PALETTES[palette]
    return measure(picture, solid="dark" if sum(row.solid) < sum(row.background) else "light").solid_fraction


def painted(painter: Any, rows: list[dict[str, Any]], out: Path | None) -> tuple[list[Any], list[float]]:
    """The picture of every row and the seconds each took; with ``out`` they are kept, and not painted again."""
    from PIL import Image

    images, seconds = [], []
    for number, row in enumerate(rows):
        file = out / f"{'-'.join(row['families'])}-{number:03d}.png" if out else None
        if file and file.is_file():
            images.append(Image.open(file, formats=["PNG"]).convert("RGB"))
            continue
        begun = time.perf_counter()
        images += painter.paint([painter.spec(row["prompt"], seed=SEED + number)])
        seconds.append(time.perf_counter() - begun)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            images[-1].save(file)
        if number % 20 == 19:
            print(f"painted {number + 1} of {len(rows)}", file=sys.stderr, flush=True)
    return images, seconds


def median_seconds(painter: Any, count: int) -> float:
    """What a picture takes, one at a time, after a first one that warms up."""
    seconds = painted(painter, asked(1)[: count + 1], None)[1]
    return round(float(np.median(seconds[1:])), 2)


def figures(home: Path, each: int = 12, pairs: int = 40, out: Path | None = None, weights: str = "") -> dict[str, Any]:
    """Paint, judge and measure."""
    from scipy.stats import spearmanr

    from pipelines.pictures.painter import Painter
    from workspace.settings import load_settings

    changes = {"home": str(home)} | ({"painter.model": weights} if weights else {})
    painter = Painter.load(load_settings("embedded", changes).painter, home)
    rows = asked(each)
    images, seconds = painted(painter, rows, out)
    chances, names = chances_of(images), judge_names()
    right: dict[str, list[bool]] = {}
    missed: dict[str, dict[str, int]] = {}
    for row, chance in zip(rows, chances, strict=True):
        family, named = row["families"][0], names[int(chance.argmax())]
        right.setdefault(family, []).append(named == family)
        if named != family:
            missed.setdefault(family, {})[named] = missed.get(family, {}).get(named, 0) + 1
    shares = {family: float(np.mean(hits)) for family, hits in right.items()}
    measured = [solid_fraction(image, row["palette"]) for row, image in zip(rows, images, strict=True)]
    wanted = [row["fraction"] for row in rows]
    within = [
        float(spearmanr(wanted[start : start + each], measured[start : start + each]).statistic)
        for start in range(0, len(rows), each)
    ]
    mixed = hybrids(pairs)
    more, slower = painted(painter, mixed, out / "hybrids" if out else None)
    judges = {
        name: {
            "families": share(
                [shows(c, row["families"]) for c, row in zip(chances_of(images, name), rows, strict=True)]
            ),
            "hybrids": share([shows(c, row["families"]) for c, row in zip(chances_of(more, name), mixed, strict=True)]),
        }
        for name in JUDGES
    }
    hybrid = judges[STANDING]["hybrids"]
    worst = min(shares, key=lambda family: shares[family])
    times = seconds + slower
    return {
        "family_top1": round(float(np.mean([hit for hits in right.values() for hit in hits])), 3),
        "family_interval": judges[STANDING]["families"]["interval"],
        "family_worst": round(shares[worst], 3),
        "family_worst_name": worst,
        "families": {family: round(share, 2) for family, share in shares.items()},
        "missed": missed,
        "hybrid_top3": hybrid["share"],
        "hybrid_interval": hybrid["interval"],
        "judges": judges,
        "density_spearman": round(float(spearmanr(wanted, measured).statistic), 3),
        "density_within": round(float(np.nanmean(within)), 3),
        "palette": round(
            float(np.mean([nearest_palette(i) == row["palette"] for i, row in zip(images, rows, strict=True)])), 3
        ),
        "seconds_per_picture": round(float(np.median(times)), 2) if times else None,
        "pictures": len(rows) + len(mixed),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=12, help="pictures a family")
    parser.add_argument("--pairs", type=int, default=40, help="hybrids")
    parser.add_argument("--out", type=Path, help="folder for the pictures; the same folder resumes")
    parser.add_argument("--weights", default="", help="another painter's folder")
    options = parser.parse_args()
    with fresh_home() as home:
        told = figures(home, options.each, options.pairs, options.out, options.weights)
    print(json.dumps({"benchmark": "painter", **told}))


if __name__ == "__main__":
    main()

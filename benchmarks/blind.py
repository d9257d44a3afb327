"""What eyes see that know nothing else: numbered, shuffled pictures for raters, and their labels against the key.

    python benchmarks/blind.py paint words.json --out DIR          # words.json: {"known": {family: [wording, ...]}}
    python benchmarks/blind.py paint words.json --hybrids --out DIR   # {"hybrids": [{"text": ..., "families": [a, b]}]}
    python benchmarks/blind.py score DIR rater-1.json rater-2.json

``paint`` has every wording painted once, with a palette behind it and a seed that no other report has, and writes
``sheets`` (twelve numbered pictures each) and ``names.md`` for the raters and ``key.json``, which they do not see. A
rater's file maps a picture's number to a family's key, of hybrids to a list of one or two, or to "none". ``score``
prints JSON: each rater's share right, that of the majority (of two raters: where both are right), exact 95% intervals,
the worst family, agreement by Cohen's kappa, and what the judges, frozen and former, say of the same pictures.

Rounds and critiques are rated the same way: ``sheets`` of pairs, or of a picture and a sentence (`benchmarks/loop.py`,
`benchmarks/critic.py`), and ``score --truth`` with the answers that are meant.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from home import fresh_home
from judge import JUDGES, chances_of, share, shows

SHEET = (4, 3)
"""Pictures side by side on a sheet, and rows of them."""
SIDE, STRIP = 256, 22

LOOKS = {
    "leaf": "a midrib or main vein with side veins and a fine closed mesh between them",
    "parallel": "long lengthwise lines side by side, some thicker, few short cross links",
    "web": "straight spokes from a hub, crossed by a spiral or rings of thread",
    "sheet": "straight threads crossing at every angle, a tangle",
    "honeycomb": "regular hexagons of one size",
    "collagen": "lines side by side that all wave in step",
    "plywood": "rows of nested arcs, stacked bands of bow-shaped lines",
    "nacre": "staggered rows of flat bricks with thin joints",
    "bone": "a random labyrinth of thick struts around rounded holes",
    "nautilus": "one growing spiral, divided into chambers by cross walls",
    "cork": "irregular many-sided cells, uneven in size",
    "diatom": "a round disc with rings of small round holes",
    "scales": "rows of overlapping half circles",
    "gyroid": "evenly wide bands that meander in step and touch, regular",
    "vessels": "one trunk that forks into ever thinner branches",
    "skin": "separate round dots of nearly one size that keep their distance",
    "tracheids": "rounded boxes in straight files with thick walls, wide ones and flat ones",
}


def asked(words: Mapping[str, Any], hybrids: bool, seed: int, each: int = 0) -> list[dict[str, Any]]:
    """What is painted: prompt, families and seed of every wording, or some a family, in an order that says nothing."""
    from training.embedded.microstructures.wordings import PALETTES

    if hybrids:
        rows = [(row["text"], list(row["families"])) for row in words["hybrids"]]
    else:
        known = {family: lines[: each or len(lines)] for family, lines in words["known"].items()}
        rows = [(line, [family]) for family, lines in known.items() for line in lines]
    palettes = [row.words[0] for row in PALETTES.values()]
    made = [
        {
            "words": text,
            "prompt": f"{text}, {palettes[place % len(palettes)]}",
            "families": families,
            "seed": seed + place,
        }
        for place, (text, families) in enumerate(rows)
    ]
    return [made[place] for place in np.random.default_rng(seed).permutation(len(made))]


def paint(rows: Sequence[dict[str, Any]], out: Path, weights: str = "", size: int | None = None) -> None:
    """Paint every row into ``out/pictures``; what is there is not painted again."""
    from pipelines.pictures.painter import Painter
    from workspace.settings import load_settings

    (out / "pictures").mkdir(parents=True, exist_ok=True)
    with fresh_home() as home:
        changes = {"home": str(home)} | ({"painter.model": weights} if weights else {})
        painter = Painter.load(load_settings("embedded", changes).painter, home)
        for number, row in enumerate(rows, start=1):
            file = out / "pictures" / f"{number:03d}.png"
            if not file.is_file():
                told: list[str] = []
                spec = painter.spec(row["prompt"], seed=row["seed"], size=size)
                painter.paint([spec], on_notice=told.append)[0].save(file)
                row["told"] = told
            if number % 20 == 0:
                print(f"painted {number} of {len(rows)}", file=sys.stderr, flush=True)


def sheets(pictures: Sequence[Sequence[Any]], lines: Sequence[str], out: Path) -> None:
    """Numbered pictures, or groups of them side by side, with a line under each, on sheets ``out/NN.png``."""
    from PIL import Image, ImageDraw

    out.mkdir(parents=True, exist_ok=True)
    wide = max(len(group) for group in pictures)
    across, down = max(1, SHEET[0] // wide), SHEET[1]
    cell = wide * SIDE + 8
    rows = [textwrap.wrap(line, cell // 7) for line in lines]
    strip = STRIP + 14 * max((len(row) for row in rows), default=0)
    for start in range(0, len(pictures), across * down):
        sheet = Image.new("RGB", (across * cell, down * (SIDE + strip)), "white")
        pen = ImageDraw.Draw(sheet)
        for place, group in enumerate(pictures[start : start + across * down]):
            left, top = place % across * cell, place // across * (SIDE + strip)
            pen.text((left + 4, top + 4), f"{start + place + 1:03d}", fill="black", font_size=16)
            for step, line in enumerate(rows[start + place] if rows else []):
                pen.text((left + 50, top + 4 + 14 * step), line, fill="black", font_size=13)
            for step, image in enumerate(group):
                sheet.paste(image.convert("RGB").resize((SIDE, SIDE)), (left + step * SIDE, top + strip - 2))
        sheet.save(out / f"{start // (across * down) + 1:02d}.png")


def named() -> str:
    """The list of names that raters get."""
    return "\n".join(["# Names", "", *(f"- `{key}`: {look}" for key, look in LOOKS.items()), "- `none`: none of these"])


def kappa(one: Sequence[Any], two: Sequence[Any]) -> float:
    """Cohen's kappa of two raters' labels. Source: Cohen (1960), Educational and Psychological Measurement 20."""
    agree = float(np.mean([a == b for a, b in zip(one, two, strict=True)]))
    first, second, count = Counter(one), Counter(two), len(one)
    chance = sum(first[label] * second[label] for label in first) / count**2
    return 1.0 if chance == 1 else round((agree - chance) / (1 - chance), 3)


UNDECIDED = ("same", "none", None)
"""What a rater answers who sees no difference, or nothing at all."""


def label(value: Any) -> tuple[str, ...]:
    """A rater's label as the families that it names, in order."""
    return tuple(sorted({str(one) for one in (value if isinstance(value, list) else [value])}))


def scored(out: Path, raters: Sequence[Path]) -> dict[str, Any]:
    """What raters and judges say of the pictures in a folder, against its key."""
    from PIL import Image

    key = json.loads((out / "key.json").read_text(encoding="utf-8"))
    numbers = [f"{number:03d}" for number in range(1, len(key) + 1)]
    labels = []
    for file in raters:
        given = json.loads(file.read_text(encoding="utf-8"))
        if missing := [number for number in numbers if number not in given]:
            raise SystemExit(f"{file} has no label for {len(missing)} pictures, the first {missing[0]}")
        labels.append([label(given[number]) for number in numbers])
    wanted = [set(row["families"]) for row in key]
    right = [[want == set(seen) for want, seen in zip(wanted, rater, strict=True)] for rater in labels]
    votes = [2 * sum(row) > len(raters) for row in zip(*right, strict=True)]
    told: dict[str, Any] = {
        "eyes": share(votes),
        "raters": [share(rater) for rater in right],
        "kappa": [kappa(one, two) for one, two in combinations(labels, 2)],
    }
    if all(len(row["families"]) == 1 for row in key):
        by: dict[str, list[bool]] = {}
        for row, hit in zip(key, votes, strict=True):
            by.setdefault(row["families"][0], []).append(hit)
        worst = min(by, key=lambda family: sum(by[family]) / len(by[family]))
        told["worst"] = {"family": worst, **share(by[worst])}
        told["families"] = {family: f"{sum(hits)}/{len(hits)}" for family, hits in by.items()}
    images = [Image.open(out / "pictures" / f"{number}.png") for number in numbers]
    for name in JUDGES:
        hits = [shows(row, asked["families"]) for row, asked in zip(chances_of(images, name), key, strict=True)]
        same = float(np.mean([a == b for a, b in zip(hits, votes, strict=True)]))
        told[f"judge {name}"] = {**share(hits), "agrees_with_eyes": round(same, 3)}
    told["missed"] = [
        f"{number} {row['words']}: {'+'.join(row['families'])}, seen {[' '.join(rater[place]) for rater in labels]}"
        for place, (number, row, hit) in enumerate(zip(numbers, key, votes, strict=True))
        if not hit
    ]
    return told


def against_truth(truth: Path, raters: Sequence[Path]) -> dict[str, Any]:
    """Raters' answers to pairs or sentences, by number, against what is meant; answers of none are left out, told.

    ``p`` is exact, two-sided, of the pairs that a majority decides.
    """
    from scipy.stats import binomtest

    meant = json.loads(truth.read_text(encoding="utf-8"))
    given = [json.loads(file.read_text(encoding="utf-8")) for file in raters]
    told: dict[str, Any] = {"raters": []}
    for one in given:
        sure = {number: one[number] for number in meant if one.get(number) not in UNDECIDED}
        hits = [sure[number] == meant[number] for number in sure]
        told["raters"].append({**share(hits), "undecided": len(meant) - len(sure)} if hits else {"of": 0})
    told["kappa"] = [kappa([a.get(n) for n in meant], [b.get(n) for n in meant]) for a, b in combinations(given, 2)]
    votes = [sum(vote(one.get(number), right) for one in given) for number, right in meant.items()]
    decided = [one > 0 for one in votes if one]
    told["majority"] = {**share(decided), "undecided": len(votes) - len(decided)} if decided else {"of": 0}
    if decided:
        told["p"] = round(float(binomtest(sum(decided), len(decided)).pvalue), 5)
    return told


def vote(answer: Any, right: str) -> int:
    """1 for the answer that is meant, -1 for another, 0 for none."""
    return 0 if answer in UNDECIDED else 1 if answer == right else -1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser("paint", help="pictures, sheets and key")
    make.add_argument("words", type=Path)
    make.add_argument("--hybrids", action="store_true", help="the file's hybrids instead of its known wordings")
    make.add_argument("--out", type=Path, required=True)
    make.add_argument("--seed", type=int, required=True, help="a new one for every report")
    make.add_argument("--weights", default="", help="another painter's folder")
    make.add_argument("--size", type=int, help="pixels of a side, if not the painter's own")
    make.add_argument("--each", type=int, default=0, help="wordings a family, the first of each; 0: all")
    rate = verbs.add_parser("score", help="labels against the key")
    rate.add_argument("folder", type=Path)
    rate.add_argument("labels", type=Path, nargs="+")
    rate.add_argument("--truth", type=Path, help="answers that are meant, of pairs or sentences")
    options = parser.parse_args()
    if options.verb == "paint" and (options.each < 0 or (options.each and options.hybrids)):
        parser.error("--each counts known wordings, 1 or more; hybrids are all painted")
    if options.verb == "score":
        found = (
            against_truth(options.truth, options.labels) if options.truth else scored(options.folder, options.labels)
        )
        print(json.dumps({"benchmark": "blind", **found}, indent=1))
        return
    from PIL import Image

    words = json.loads(options.words.read_text(encoding="utf-8"))
    rows = asked(words, options.hybrids, options.seed, options.each)
    paint(rows, options.out, options.weights, options.size)
    files = sorted((options.out / "pictures").glob("*.png"))
    sheets([[Image.open(file)] for file in files], [], options.out / "sheets")
    (options.out / "names.md").write_text(named() + "\n", encoding="utf-8")
    (options.out / "key.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps({"benchmark": "blind", "pictures": len(rows), "sheets": str(options.out / "sheets")}))


if __name__ == "__main__":
    main()

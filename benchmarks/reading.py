"""How the embedded painter reads prompts before it paints anything, by tiers of wording. Prints JSON.

``benchmarks/words`` holds wordings that nobody trained on: each was written by somebody who had not seen the grammar or
the lexicon, was used once to measure (the log tells when), and is a paraphrase since. ``--words FILE`` reads new ones
of the same form: ``known`` wordings by family, ``hybrids`` (text, families, join), ``unknown`` wishes, ``attributes``
(text, attribute, value).

- ``families``: wordings read as their family, a palette behind them; ``by_family`` each; ``taken_for_unknown`` of them;
- ``hybrids``: both families read; ``in_order`` with the join and its order, where the file tells it;
- ``unknown``: wishes said to be unknown; ``attributes``: attributes read;
- ``held_out``: the grammar's held-out wordings; ``atlas``: entries of the atlas with a known pattern, read as that.

Shares have exact 95% intervals.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from home import ROOT, fresh_home
from judge import share

WORDS = ROOT / "benchmarks" / "words"

Read = Callable[[str], Any]


def reader(home: Path, weights: str = "") -> Read:
    """What the embedded painter, or that of a folder, makes of a prompt."""
    from pipelines.pictures.painter import Painter
    from workspace.settings import load_settings

    changes = {"home": str(home)} | ({"painter.model": weights} if weights else {})
    return Painter.load(load_settings("embedded", changes).painter, home).meant


def tier(read: Read, words: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of one file of wordings."""
    from training.embedded.microstructures.wordings import PALETTES

    palettes = [row.words[0] for row in PALETTES.values()]
    told: dict[str, Any] = {}
    hits: dict[str, list[bool]] = {}
    strange: list[bool] = []
    for family, lines in words.get("known", {}).items():
        for place, line in enumerate(lines):
            found = read(f"{line}, {palettes[place % len(palettes)]}")
            hits.setdefault(family, []).append([one.family for one in found.structures] == [family])
            strange.append(bool(found.unknown))
    if hits:
        told["families"] = share([hit for row in hits.values() for hit in row])
        told["by_family"] = {family: f"{sum(row)}/{len(row)}" for family, row in hits.items()}
        told["taken_for_unknown"] = share(strange)
    if rows := words.get("hybrids"):
        found = [read(row["text"]) for row in rows]
        both = [
            {one.family for one in got.structures} == set(row["families"]) for got, row in zip(found, rows, strict=True)
        ]
        told["hybrids"] = share(both)
        if "join" in rows[0]:
            told["in_order"] = share(
                [
                    [one.family for one in got.structures] == list(row["families"]) and got.join == row["join"]
                    for got, row in zip(found, rows, strict=True)
                ]
            )
    if lines := words.get("unknown"):
        told["unknown"] = share([bool(read(line).unknown) for line in lines])
    if rows := words.get("attributes"):
        usual = {"scale": "medium", "direction": "horizontal", "gradient": "none"}
        told["attributes"] = share(
            [read(row["text"]).said.get(row["attribute"], usual.get(row["attribute"])) == row["value"] for row in rows]
        )
    return told


def atlas_entries(read: Read) -> dict[str, Any]:
    """Entries of the atlas that are said to show a family, read by their names alone."""
    from training.embedded.microstructures.looks import pattern
    from training.embedded.microstructures.wordings import FAMILIES
    from workspace.atlas.table import atlas

    keys = {"foam": "cork"}
    rows = [(entry, keys.get(pattern(entry), pattern(entry))) for entry in atlas().values()]
    found = {entry.name: (read(entry.name), key) for entry, key in rows if key in FAMILIES}
    hits = {name: [one.family for one in got.structures] == [key] for name, (got, key) in found.items()}
    missed = {
        name: f"{key}, read as {' and '.join(one.family for one in got.structures)}"
        for name, (got, key) in found.items()
        if not hits[name]
    }
    return {**share(list(hits.values())), "missed": missed}


def figures(home: Path, words: Path | None = None, weights: str = "") -> dict[str, Any]:
    """Read and count."""
    from training.embedded.microstructures.wordings import FAMILIES

    read = reader(home, weights)
    if words is not None:
        return {words.stem: tier(read, json.loads(words.read_text(encoding="utf-8")))}
    told = {"held_out": tier(read, {"known": {name: row.held_out for name, row in FAMILIES.items()}})}
    for file in sorted(WORDS.glob("*.json")):
        told[file.stem] = tier(read, json.loads(file.read_text(encoding="utf-8")))
    return {**told, "atlas": atlas_entries(read)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="", help="another painter's folder")
    parser.add_argument("--words", type=Path, help="new wordings")
    options = parser.parse_args()
    with fresh_home() as home:
        print(json.dumps({"benchmark": "reading", **figures(home, options.words, options.weights)}, indent=1))


if __name__ == "__main__":
    main()

"""Conversations and documents that teach the embedded writer its roles: put together from the atlas and from tables.

A row joins a wish, two materials of the atlas and the tables of their patterns (`tables/*.json`) into one
design: what the Scientist says in three turns, the filled document, the picture in words. The sentences were written
for this purpose; which of them meet is drawn from a seed. Materials in `HELD_OUT` are in no row.

    python -m training.embedded.writer.data --out rows.jsonl --count 2000
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from agents.experience import quantities
from training.embedded.microstructures.families import Rng
from training.embedded.microstructures.wordings import FAMILIES, PALETTES
from workspace.atlas.table import Material, atlas
from workspace.files import publish

TABLES = Path(__file__).with_name("tables")
HELD_OUT = frozenset(
    {
        *("spider-capture-silk", "mussel-byssus", "wool-keratin", "feather-rachis", "conch-crossed-lamellar"),
        *("cuttlebone", "echinoderm-stereom", "euplectella-lattice", "deer-antler", "arapaima-scale"),
        *("grass-leaf-parallel-venation", "balsa-wood", "pomelo-peel-foam", "honeybee-comb", "lobster-cuticle"),
    }
)
"""Materials for measuring alone: in no training row."""

_PATTERNS = {
    "leaf venation": "leaf",
    "parallel venation": "parallel",
    "orb web": "web",
    "sheet web": "sheet",
    "honeycomb": "honeycomb",
    "voronoi foam": "foam",
    "cork cells": "foam",
    "wavy collagen": "collagen",
    "helicoidal plywood": "plywood",
    "nacre": "nacre",
    "trabecular bone": "bone",
    "diatom pores": "diatom",
    "nautilus spiral": "nautilus",
    "gyroid": "gyroid",
    "branching vessels": "vessels",
    "reaction-diffusion skin": "skin",
    "wood tracheids": "tracheids",
    "fish scales": "scales",
}
_DRAWN = {"foam": "cork", "fibril": "collagen"}
_MEASURES = frozenset({"height", "width", "size", "depth", "impact", "whole", "single"})
_FIBRES = frozenset({"silk", "fibre", "horn", "feather"})
_SCALES = {"material microstructure": ("micrometre", "millimetre", "centimetre"), "building": ("metre",)}

# What a need means for the thing that is designed, after "so that".
_EFFECTS: Mapping[str, tuple[str, ...]] = {
    "Toughness": ("a crack stops after a short way", "a blow is taken up before anything breaks"),
    "Fracture energy": ("a split has to take a long way", "cracks are turned aside again and again"),
    "Stiffness": ("it keeps its shape under load", "it bends little for its weight"),
    "Tensile strength": ("pulling loads run along continuous paths", "it can be pulled hard without tearing"),
    "Compressive strength": ("it carries weight without buckling", "pressing loads reach the ground on short paths"),
    "Density": ("it stays light", "little material carries the load"),
    "Porosity": ("air and water can pass", "most of its volume stays open"),
    "Permeability": ("a fluid passes with little resistance", "flow is spread evenly"),
    "Pore size": ("only what is small enough gets through", "openings keep one size throughout"),
    "Layer thickness": ("each layer fails by itself", "layers stay thin enough to bend"),
    "Fibre diameter": ("fine fibres share the load", "threads stay supple"),
    "Elongation at break": ("it stretches far before it breaks", "it gives way softly"),
    "Energy absorption": ("a knock is soaked up slowly", "the force of an impact stays low"),
    "Thermal conductivity": ("heat passes slowly", "it keeps warmth on one side"),
    "Solid fraction": ("material lies only where load passes", "it saves material"),
}
_SUMMARIES = (
    "A {thing} that joins {fa} with {fb}, so that {effect}.",
    "A {thing} in which {fa} work with {fb}, so that {effect} and {effect2}.",
    "{Fa} and {fb} meet in one {thing}, so that {effect}.",
    "A {thing} after {a} and {b}: {fa}, with {fb}, so that {effect}.",
)
_TITLES = (
    "{w1} {A}-{B} {Thing}",
    "{w1} {Thing} with {Aw}",
    "{w1}, {w2} {Thing}",
    "{A} and {B} {Thing}",
    "{w2} {Aw} {Thing}",
)
_MADE = (
    "{The} {name} {be} made of {material}.",
    "{material_} {makes} the {name}.",
    "For the {name}, {material} is used.",
)


@cache
def tables() -> Mapping[str, Mapping[str, Any]]:
    """The tables of every pattern, by its key."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(TABLES.glob("*.json"))}
    return {key: table for key, table in found.items() if key != "wishes"}


@cache
def wishes() -> Sequence[Mapping[str, Any]]:
    """Every wish."""
    rows: list[Mapping[str, Any]] = json.loads((TABLES / "wishes.json").read_text(encoding="utf-8"))
    return rows


@cache
def _ranges() -> Mapping[str, tuple[str, float, float]]:
    return {row.name: (row.unit, row.low, row.high) for row in quantities()}


def pattern(material: Material) -> str:
    """The key of the tables that tell of a material's structure."""
    first = _PATTERNS[material.families[0]]
    return "fibril" if material.group in _FIBRES and first in ("parallel", "collagen") else first


def _pick(rng: Rng, items: Sequence[Any], count: int) -> list[Any]:
    """``count`` different items in random order; all of them if there are fewer."""
    order = rng.permutation(len(items))[:count]
    return [items[int(place)] for place in order]


def _one(rng: Rng, items: Sequence[Any]) -> Any:
    return items[int(rng.integers(len(items)))]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    """A sentence as a clause: no capital unless the word is a name, no full stop."""
    head = text.split(" ", 1)[0]
    keeps = head.isupper() and len(head) > 1
    return (text if keeps else text[:1].lower() + text[1:]).rstrip(".")


def _call(rng: Rng, material: Material) -> str:
    """A name for a material as a person would type it."""
    return str(_one(rng, [call for call in material.calls if len(call) <= 40])).lower()


class _Source:
    """One inspiration of a row."""

    def __init__(self, rng: Rng, material: Material) -> None:
        self.material, self.name, self.table = material, _call(rng, material), tables()[pattern(material)]
        own = [part.structure for part in material.levels if _plain_feature(part.structure)]
        self.feature = str(_one(rng, own)) if own and rng.random() < 0.3 else str(_one(rng, self.table["features"]))
        short = [line for line in material.mechanisms if len(line) <= 190]
        self.principle = (
            str(_one(rng, short)) if short and rng.random() < 0.6 else str(_one(rng, self.table["principles"]))
        )


def _plain_feature(text: str) -> bool:
    """Whether a level's structure reads as a feature: short, one clause, and no mere measure."""
    measure = text.split(" ", 1)[0].lower() in _MEASURES or re.search(r"\b(diameter|thickness|spacing|length)\b", text)
    return len(text) <= 70 and not re.search(r"[;,:(0-9]", text) and not measure


def design(rng: Rng, wish: Mapping[str, Any], materials: Sequence[Material]) -> dict[str, Any]:
    """One row: brief, inspirations, target, the three answers, the document and the picture's prompt."""
    sources = [_Source(rng, material) for material in materials]
    a, b = sources
    parts = _components(rng, sources)
    needs = [need for need in wish["needs"] if need in _ranges()] or ["Toughness"]
    effects = _pick(rng, [effect for need in wish["needs"] for effect in _EFFECTS[need]], 2)
    slots = {
        "thing": wish["thing"], "a": a.name, "b": b.name, "fa": a.feature, "fb": b.feature, "Fa": _upper(a.feature),
        "effect": effects[0], "effect2": effects[-1],
    }  # fmt: skip
    words = _pick(rng, wish["title_words"], 2)
    title = str(_one(rng, _TITLES)).format(
        w1=_upper(words[0]), w2=_upper(words[-1]), A=_short(a.name), B=_short(b.name), Aw=_short(a.name),
        Thing=str(wish["thing"]).title(),
    )  # fmt: skip
    arrangement = str(_one(rng, _one(rng, sources).table["arrangements"]))
    document: dict[str, Any] = {
        "title": title[:80],
        "summary": _fit(str(_one(rng, _SUMMARIES)).format(**slots)),
        "inspirations": [{"name": one.name, "feature": one.feature, "principle": one.principle} for one in sources],
        "components": parts,
        "architecture": {"scale": _scale(rng, str(wish["target"]), arrangement), "description": arrangement},
        "mechanisms": [str(_one(rng, one.table["mechanisms"])) for one in _pick(rng, sources, 2)],
        "properties": _properties(rng, needs, sources),
        "fabrication": _mixed(rng, sources, "fabrication", 3),
        "applications": _pick(rng, wish["applications"], 3),
        "risks": _mixed(rng, sources, "risks", 2),
    }
    extra = _one(rng, sources)
    third = str(_one(rng, [line for line in extra.table["mechanisms"] if line not in document["mechanisms"]]))
    document["mechanisms"].append(third)
    return {
        "brief": wish["wish"],
        "target": wish["target"],
        "inspirations": [one.name for one in sources],
        "materials": [one.material.id for one in sources],
        "answers": [_relate(rng, sources, effects), _describe(rng, wish, sources, document), _sum_up(rng, document)],
        "document": document,
        "picture": _picture(rng, sources),
    }


def _picture(rng: Rng, sources: Sequence[_Source]) -> dict[str, Any]:
    """What the painter is told, with the patterns and colours that are given when it is written."""
    seen = [str(_one(rng, one.table["visual"])).rstrip(".") for one in _pick(rng, sources, 2)]
    families = [FAMILIES[_DRAWN.get(pattern(one.material), pattern(one.material))] for one in sources]
    return {
        "motifs": [str(_one(rng, family.geometric)) for family in families],
        "palette": str(_one(rng, PALETTES[str(_one(rng, tuple(PALETTES)))].words)),
        "short": _lower(seen[0]),
        "long": f"{_upper(seen[0])}. {_upper(seen[1])}.",
    }


def _short(name: str) -> str:
    """A source's name for a title: at most two words."""
    words = name.replace("'s", "").split()[:2]
    return " ".join(words[:1] if words[-1] in ("and", "of", "the", "with") else words).title()


def _fit(text: str, most: int = 390) -> str:
    return text if len(text) <= most else text[: text.rfind(",", 0, most)] + "."


def _components(rng: Rng, sources: Sequence[_Source]) -> list[dict[str, str]]:
    wanted = int(_one(rng, (3, 3, 3, 4, 4, 5)))
    first = wanted - wanted // 2
    parts: dict[str, dict[str, str]] = {}
    for source, count in zip(_pick(rng, sources, 2), (first, wanted - first), strict=True):
        for part in _pick(rng, [row for row in source.table["components"] if row["name"] not in parts], count):
            parts[part["name"]] = {
                "name": part["name"],
                "material": str(_one(rng, part["materials"])),
                "role": str(_one(rng, part["roles"])),
            }
    used: set[str] = set()
    for part in parts.values():
        if part["material"] in used:
            options = [row for one in sources for row in one.table["components"] if row["name"] == part["name"]]
            part["material"] = next((m for m in options[0]["materials"] if m not in used), part["material"])
        used.add(part["material"])
    return list(parts.values())


def _scale(rng: Rng, target: str, arrangement: str) -> str:
    for word, scale in (
        ("nanomet", "nanometre"),
        ("micromet", "micrometre"),
        ("millimet", "millimetre"),
        (" mm", "millimetre"),
    ):
        if word in arrangement:
            return scale
    if "centimet" in arrangement or " cm" in arrangement:
        return "centimetre"
    return "kilometre" if target == "city" else str(_one(rng, _SCALES.get(target, ("metre",))))


def _properties(rng: Rng, needs: Sequence[str], sources: Sequence[_Source]) -> list[dict[str, Any]]:
    reasons: dict[str, str] = {}
    for one in _pick(rng, sources, 2):
        for row in _pick(rng, one.table["bases"], 99):
            if row["property"] in _ranges():
                reasons.setdefault(row["property"], row["sentence"])
    chosen = [need for need in needs if need in reasons]
    chosen += [name for name in _pick(rng, sorted(reasons), 99) if name not in chosen]
    rows = []
    for name in chosen[:3]:
        unit, low, high = _ranges()[name]
        middle, spread = np.log(low * high) / 2, np.log(high / low) / 6
        value = float(f"{np.exp(rng.normal(middle, spread)):.1g}")
        rows.append({"name": name, "value": value, "unit": unit, "basis": reasons[name]})
    return rows


def _mixed(rng: Rng, sources: Sequence[_Source], key: str, count: int) -> list[str]:
    order = _pick(rng, sources, 2)
    lines = [str(line) for n in range(count) for line in _pick(rng, order[n % 2].table[key], 3)[:1]]
    return list(dict.fromkeys(lines))


def _relate(rng: Rng, sources: Sequence[_Source], effects: Sequence[str]) -> str:
    """The first turn: what each source is, how it works, what tells them apart."""
    a, b = sources
    relation = str(_one(rng, a.table["relations"])).format(self=a.name, other=b.name)
    lines = [
        f"{_upper(a.name)} shows {a.feature}. {a.principle}",
        f"{_upper(b.name)} shows {b.feature}. {b.principle}",
        _upper(relation),
        f"Together they can be used so that {effects[0]}.",
    ]
    return " ".join(lines)


def _describe(rng: Rng, wish: Mapping[str, Any], sources: Sequence[_Source], document: Mapping[str, Any]) -> str:
    """The second turn: the new material as a paragraph."""
    a, b = sources
    lead = "The new material" if wish["target"] == "material microstructure" else f"The {wish['target']}"
    lines = [f"{lead} joins {a.feature} with {b.feature}."]
    for part in document["components"][:3]:
        lines += [_made(rng, part), part["role"]]
    return " ".join([*lines, document["architecture"]["description"], document["mechanisms"][0]])


def _made(rng: Rng, part: Mapping[str, str]) -> str:
    name, material = part["name"].lower(), part["material"]
    many = name.endswith("s") and not name.endswith("ss")
    return str(_one(rng, _MADE)).format(
        The="The", name=name, be="are" if many else "is", material=material, material_=_upper(material), makes="makes"
    )


def _sum_up(rng: Rng, document: Mapping[str, Any]) -> str:
    """The third turn: five short sentences."""
    parts = ", ".join(f"{part['name'].lower()} of {part['material']}" for part in document["components"])
    aim = document["properties"][0]
    unit = "" if aim["unit"] == "1" else f" {aim['unit']}"
    return " ".join(
        [
            f"Its parts are {parts}.",
            document["architecture"]["description"],
            f"It aims at a {aim['name'].lower()} of {aim['value']:g}{unit}.",
            str(_one(rng, document["fabrication"])),
            str(_one(rng, document["risks"])),
        ]
    )


def row(seed: int, number: int, held_out: bool = False) -> dict[str, Any]:
    """The numbered row: of training materials, or of held-out ones."""
    rng = np.random.default_rng([seed, number, int(held_out)])
    names = sorted(name for name in atlas() if (name in HELD_OUT) == held_out)
    while True:
        chosen = [atlas()[name] for name in _pick(rng, names, 2)]
        if pattern(chosen[0]) != pattern(chosen[1]):
            return design(rng, _one(rng, wishes()), chosen)


def main(out: Path, count: int, seed: int) -> None:
    """Write ``count`` rows as lines of JSON."""
    publish(out, "".join(json.dumps(row(seed, number), ensure_ascii=False) + "\n" for number in range(count)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=42)
    chosen = parser.parse_args()
    main(chosen.out, chosen.count, chosen.seed)

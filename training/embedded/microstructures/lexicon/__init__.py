"""What people call the families, colours and attributes, in the words of writers who did not see each other's.

``writer-NN.json`` holds phrasings by family, ``attributes.json`` those of palettes, densities, scales, directions,
gradients and joins, and colours that no palette has (``strange``); ``unknown.json`` wishes that are of no family;
``frames.json`` what stands around them in a prompt; ``pairs-NN.json`` whole prompts for two. Knows words alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from training.embedded.microstructures.wordings import FAMILIES
from workspace.atlas.table import atlas

_SHOWN = {
    "parallel venation": "parallel",
    "orb web": "web",
    "sheet web": "sheet",
    "voronoi foam": "cork",
    "cork cells": "cork",
    "wood tracheids": "tracheids",
    "helicoidal plywood": "plywood",
    "branching vessels": "vessels",
    "fish scales": "scales",
    "wavy collagen": "collagen",
    "reaction-diffusion skin": "skin",
    "trabecular bone": "bone",
    "leaf venation": "leaf",
    "diatom pores": "diatom",
    "nautilus spiral": "nautilus",
}
_MARKED = re.compile(r"\{([ab])\|\w+:[^}]*\}")
_HERE = Path(__file__).parent

Wordings = Mapping[str, Sequence[str]]


def _json(name: str) -> Any:
    return json.loads((_HERE / name).read_text(encoding="utf-8"))


@cache
def writers() -> Mapping[str, Wordings]:
    """Every writer's phrasings by family; those that are held out for measuring are left out."""
    kept = {words.lower() for row in FAMILIES.values() for words in row.held_out}
    return {
        file.stem: {
            family: [words for words in lines if words.lower() not in kept]
            for family, lines in _json(file.name).items()
        }
        for file in sorted(_HERE.glob("writer-*.json"))
    }


@cache
def atlas_names() -> Wordings:
    """What the atlas calls its materials, by the family that shows them first."""
    rows: dict[str, list[str]] = {key: [] for key in FAMILIES}
    for entry in atlas().values():
        rows[_SHOWN.get(entry.families[0], entry.families[0])] += entry.calls
    return rows


@cache
def unknown() -> Sequence[str]:
    """Wishes that are of no family, near misses among them."""
    return tuple(_json("unknown.json"))


@cache
def attributes() -> Mapping[str, Any]:
    """Wordings by field and value, of joins as ``{a}`` and ``{b}``, and a list of colours that no palette has."""
    found: Mapping[str, Any] = _json("attributes.json")
    return found


@cache
def pairs() -> Sequence[tuple[str, str]]:
    """Prompts for two structures with ``{a}`` and ``{b}`` in their places, and each's join.

    ``pairs-NN.json`` holds them with the words of their writers, as ``{a|FAMILY:words}``.
    """
    rows = [row for file in sorted(_HERE.glob("pairs-*.json")) for row in _json(file.name)]
    return tuple((_MARKED.sub(r"{\1}", row["text"]), row["join"]) for row in rows)


@cache
def frames() -> Wordings:
    """What stands around a structure, ``{s}``: ``lead``, ``whole`` with attributes, and ``filler`` to append."""
    found: Wordings = _json("frames.json")
    return found

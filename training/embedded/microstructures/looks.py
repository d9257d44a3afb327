"""How the structures of biological materials look, in words: features and sights of each pattern, and which is whose.

The words were written for the embedded models' training data. Knows the atlas; draws nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from workspace.atlas.table import Material

HELD_OUT = frozenset(
    {
        *("spider-capture-silk", "mussel-byssus", "wool-keratin", "feather-rachis", "conch-crossed-lamellar"),
        *("cuttlebone", "echinoderm-stereom", "euplectella-lattice", "deer-antler", "arapaima-scale"),
        *("grass-leaf-parallel-venation", "balsa-wood", "pomelo-peel-foam", "honeybee-comb", "lobster-cuticle"),
    }
)
"""Materials of which the critic's training names none."""

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
_FIBRES = frozenset({"silk", "fibre", "horn", "feather"})


@cache
def looks() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """The ``features`` and ``visual`` sentences of every pattern, by its key."""
    found: Mapping[str, Mapping[str, Sequence[str]]] = json.loads(
        Path(__file__).with_name("looks.json").read_text(encoding="utf-8")
    )
    return found


def pattern(material: Material) -> str:
    """The key of the pattern that shows a material's structure."""
    first = _PATTERNS[material.families[0]]
    return "fibril" if material.group in _FIBRES and first in ("parallel", "collagen") else first

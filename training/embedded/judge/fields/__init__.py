"""Seventeen kinds of natural microstructure as two-phase pictures, drawn from distance fields, noise and growth."""

from collections.abc import Callable

import numpy as np

from training.embedded.judge.fields.branches import leaf, vessels
from training.embedded.judge.fields.cells import cork, honeycomb, nacre, tracheids
from training.embedded.judge.fields.fibres import collagen, parallel, plywood, sheet
from training.embedded.judge.fields.labyrinths import bone, gyroid, skin
from training.embedded.judge.fields.rounds import diatom, nautilus, scales, web

KINDS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "leaf": leaf,
    "parallel": parallel,
    "web": web,
    "sheet": sheet,
    "honeycomb": honeycomb,
    "collagen": collagen,
    "plywood": plywood,
    "nacre": nacre,
    "bone": bone,
    "nautilus": nautilus,
    "cork": cork,
    "diatom": diatom,
    "scales": scales,
    "gyroid": gyroid,
    "vessels": vessels,
    "skin": skin,
    "tracheids": tracheids,
}

"""Seventeen kinds of natural microstructure drawn with a pen: lines, arcs and dots, as an illustrator draws them."""

from collections.abc import Callable

import numpy as np

from training.embedded.judge.pen.plants import cork, leaf, parallel, tracheids
from training.embedded.judge.pen.shells import diatom, nacre, nautilus, scales
from training.embedded.judge.pen.threads import collagen, plywood, sheet, web
from training.embedded.judge.pen.tissues import bone, gyroid, honeycomb, skin, vessels

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

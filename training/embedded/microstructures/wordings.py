"""What can be asked of a microstructure, and in which words: the only lists of it. Knows no model and writes no file.

The held-out wordings of a family are for measuring alone; no training caption holds one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from training.embedded.microstructures import families
from training.embedded.microstructures import grown_families as grown
from training.embedded.microstructures.families import Array, Field, Rng


@dataclass(frozen=True)
class Family:
    """One row of `FAMILIES`: how it is drawn, how full it is (solid fractions), and what people call it.

    ``keeps`` says what stays two units wide however extreme the density: the lines, the gaps, or neither.
    """

    field: Callable[[Array, Array, float, Rng], Field]
    fractions: tuple[float, float, float]
    biological: tuple[str, ...]
    geometric: tuple[str, ...]
    network: str
    held_out: tuple[str, ...]
    keeps: Literal["line", "gap", "neither"] = "line"
    directed: bool = False


FAMILIES: Mapping[str, Family] = {
    "leaf": Family(
        families.leaf,
        (0.36, 0.46, 0.58),
        ("leaf venation", "reticulate leaf veins", "a leaf skeleton with a midrib", "netted dicot leaf veins"),
        ("a central line with branching side lines and a fine mesh", "branching lines that close into small polygons"),
        "leaf vein network",
        ("net-like veins of a broad leaf", "a midrib with side veins and a mesh between them"),
        directed=True,
    ),
    "parallel": Family(
        grown.parallel,
        (0.34, 0.46, 0.58),
        ("parallel leaf veins", "grass leaf venation", "veins of a palm leaf", "parallel venation of a bamboo leaf"),
        ("long parallel lines with a few short cross lines", "straight stripes side by side, some thicker"),
        "parallel leaf veins",
        ("the straight veins of a blade of grass", "lengthwise lines with rare short links"),
        directed=True,
    ),
    "web": Family(
        families.web,
        (0.24, 0.32, 0.42),
        ("a spider orb web", "dragline silk orb web", "spider silk web", "an orb weaver's wheel web"),
        ("thin radial lines crossed by a spiral", "straight spokes from a hub joined by rings of thread"),
        "spider silk web",
        ("the wheel-shaped web of a garden spider", "rays from one centre with a spiral over them"),
    ),
    "sheet": Family(
        grown.sheet,
        (0.20, 0.30, 0.42),
        ("a spider sheet web", "tangled sheet web silk", "crossing threads of a hammock web"),
        ("straight lines crossing at every angle", "a random tangle of straight threads"),
        "sheet web threads",
        ("the hammock web of a money spider", "straight strokes thrown in all directions"),
    ),
    "honeycomb": Family(
        families.honeycomb,
        (0.24, 0.36, 0.50),
        ("honeycomb", "a beeswax honeycomb", "bee honeycomb cells", "the comb of honeybees"),
        ("regular hexagons", "a grid of regular hexagonal cells"),
        "honeycomb lattice",
        ("wax cells of a beehive", "six-sided cells of one size"),
    ),
    "collagen": Family(
        families.collagen,
        (0.34, 0.48, 0.62),
        ("wavy collagen fibres", "crimped collagen fibrils", "tendon collagen bundles"),
        ("parallel wavy lines", "a stack of sine waves side by side"),
        "wavy collagen fibres",
        ("crimped fibres of a tendon", "lines that wave in step"),
        directed=True,
    ),
    "plywood": Family(
        grown.plywood,
        (0.34, 0.46, 0.60),
        (
            "helicoidal plywood",
            "Bouligand layers of beetle cuticle",
            "twisted plywood of a crab shell",
            "helicoidal chitin layers",
        ),
        ("rows of nested arcs", "stacked bands of curved parallel lines"),
        "helicoidal plywood arcs",
        ("the Bouligand pattern of a lobster", "bow-shaped lines nested in layers"),
        directed=True,
    ),
    "nacre": Family(
        families.nacre,
        (0.54, 0.64, 0.76),
        ("nacre bricks", "mother of pearl tablets", "nacre brick and mortar"),
        ("staggered rows of flat rectangles", "a brick wall with thin gaps"),
        "nacre brick rows",
        ("the tablets of an abalone shell", "flat blocks laid in rows with thin joints"),
        keeps="gap",
        directed=True,
    ),
    "bone": Family(
        families.bone,
        (0.44, 0.55, 0.67),
        ("trabecular bone", "spongy bone foam", "cancellous bone struts"),
        ("a random labyrinth of thick struts and rounded holes", "a spongy maze of blobs and pores"),
        "trabecular bone foam",
        ("the spongy inside of a bone", "thick joined struts around rounded holes"),
        keeps="neither",
    ),
    "nautilus": Family(
        families.nautilus,
        (0.22, 0.30, 0.40),
        ("a nautilus shell", "a spiral seashell with chambers", "nautilus shell cut open"),
        ("one growing spiral divided into chambers", "a logarithmic spiral with curved cross walls"),
        "nautilus spiral",
        ("a chambered shell sawn in half", "a spiral that widens with each turn, with cross walls"),
    ),
    "cork": Family(
        families.cork,
        (0.28, 0.40, 0.54),
        ("cork cells", "plant tissue cells", "irregular cork foam", "Voronoi foam"),
        ("irregular rounded polygons", "a Voronoi pattern of uneven cells"),
        "plant cell walls",
        ("the cells of cork bark", "uneven many-sided cells packed together"),
    ),
    "diatom": Family(
        families.diatom,
        (0.42, 0.54, 0.66),
        ("a diatom shell", "a round diatom frustule", "diatom silica plate", "diatom pores"),
        ("a disc with concentric rings of round holes", "circles of small pores inside a thick ring"),
        "diatom plate with pores",
        ("the pored glass shell of an alga", "a round plate with rings of holes"),
        keeps="neither",
    ),
    "scales": Family(
        families.scales,
        (0.26, 0.36, 0.48),
        ("fish scales", "overlapping pangolin scales", "overlapping fish scale armour"),
        ("rows of overlapping arcs", "staggered rows of overlapping half circles"),
        "fish scales",
        ("the scales of a carp", "half circles laid over each other in rows"),
        directed=True,
    ),
    "gyroid": Family(
        grown.gyroid,
        (0.30, 0.42, 0.54),
        ("a butterfly wing gyroid", "a gyroid slice", "gyroid sheet of a butterfly scale"),
        ("periodic bands that wave in step and touch", "winding bands of even width in a regular pattern"),
        "gyroid slice",
        ("the minimal surface of a wing scale, cut", "evenly spaced meandering bands"),
    ),
    "vessels": Family(
        grown.vessels,
        (0.18, 0.26, 0.36),
        ("branching vessels", "a blood vessel tree", "branching coral vessels", "a vascular tree"),
        ("one trunk that divides into ever thinner branches", "a tree of forking lines"),
        "branching vessels",
        ("arteries that fork and fork again", "a line that splits until it fills the space"),
        directed=True,
    ),
    "skin": Family(
        grown.skin,
        (0.22, 0.32, 0.43),
        ("reaction-diffusion skin", "puffer fish skin spots", "spotted animal skin"),
        ("round dots that keep their distance", "evenly spaced round spots"),
        "spotted skin",
        ("the dotted hide of a puffer fish", "separate discs of nearly one size"),
        keeps="neither",
    ),
    "tracheids": Family(
        grown.tracheids,
        (0.30, 0.42, 0.54),
        ("wood tracheids", "softwood cells in files", "spruce wood cell walls", "pine wood growth rings"),
        ("rounded rectangles in straight files, wide then flat", "rows of rounded boxes with thick walls"),
        "wood tracheid cells",
        ("the cross-section of a pine trunk", "files of box-shaped cells that grow narrow and wide"),
        directed=True,
    ),
}


@dataclass(frozen=True)
class Palette:
    """One row of `PALETTES`: three colours (RGB, 0..255) and the words for them."""

    background: tuple[int, int, int]
    solid: tuple[int, int, int]
    tint: tuple[int, int, int]
    words: tuple[str, ...]


PALETTES: Mapping[str, Palette] = {
    "emerald": Palette((250, 243, 220), (10, 105, 62), (196, 222, 178), ("emerald green on cream", "green on cream")),
    "gold": Palette((14, 10, 8), (255, 184, 28), (84, 46, 10), ("gold on black", "amber on black")),
    "bone": Palette((47, 60, 74), (245, 240, 226), (84, 102, 118), ("bone white on slate", "white on slate grey")),
    "indigo": Palette((224, 238, 250), (36, 38, 140), (150, 186, 232), ("indigo on pale blue", "indigo blue on ice")),
    "terracotta": Palette(
        (244, 220, 176), (168, 60, 28), (226, 168, 98), ("terracotta on sand", "terracotta red on ochre")
    ),
    "coral": Palette((12, 42, 62), (255, 124, 100), (22, 92, 106), ("coral on deep teal", "coral pink on dark teal")),
}

DENSITIES: Mapping[str, tuple[str, ...]] = {
    "open": ("open and airy", "sparse with thin walls", "low density"),
    "medium": ("medium density", "evenly filled", "balanced"),
    "dense": ("dense with thick walls", "heavy and solid", "high density"),
}
SCALES: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "fine": (15.0, ("fine", "small cells", "fine grained")),
    "medium": (22.0, ("medium scale", "medium cells")),
    "coarse": (31.0, ("coarse", "large cells", "coarse and bold")),
}
DIRECTIONS: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "horizontal": (0.0, ("horizontal", "running left to right")),
    "rising": (-45.0, ("diagonal, rising to the right", "slanting upwards")),
    "vertical": (90.0, ("vertical", "running top to bottom")),
    "falling": (45.0, ("diagonal, falling to the right", "slanting downwards")),
}
GRADIENTS: Mapping[str, tuple[str, ...]] = {
    "none": ("uniform",),
    "linear": ("thicker towards the right", "graded from thin on the left to thick on the right"),
    "radial": ("thicker towards the centre", "dense in the middle and open at the edge"),
}
JOINS: Mapping[str, tuple[str, ...]] = {
    "over": (
        "{a} laid over {b}",
        "{a} on top of {b}",
        "a hybrid of {a} over {b}",
        "{a} combined with {b}",
        "{a} with {b}",
        "{a} and {b}",
        "{a} with {b} beneath",
        "{a} joined with {b}",
        "{a} covering {b}",
        "a blend of {a} and {b}",
        "{a} merged with {b}",
        "{a} above {b}",
        "{a} woven through {b}",
        "{a} crossed with {b}",
    ),
    "into": (
        "{a} on the left grading into {b} on the right",
        "{a} turning into {b} from left to right",
        "a gradient from {a} to {b}",
        "{a} that becomes {b} towards the right",
        "left {a}, right {b}",
        "{a} fading into {b}",
    ),
}

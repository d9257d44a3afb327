"""Captioned pictures of bio-inspired microstructures, drawn from numbers: the embedded painter's training data.

A `Microstructure` names what is drawn; `draw` paints it, `caption` describes it in a biological or a geometric voice,
`sample` picks one at random. The literal tables `FAMILIES`, `PALETTES`, `DENSITIES`, `SCALES`, `DIRECTIONS` and
`GRADIENTS` are the only lists of what can be asked for. This module knows no model and writes no file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training import families
from training.families import Array, Field, Rng
from workspace.errors import UsageError

UNITS = 128.0
"""Width of every picture in design units; lines and gaps are at least two units wide."""


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
    keeps: Literal["line", "gap", "neither"] = "line"
    directed: bool = False


FAMILIES: Mapping[str, Family] = {
    "leaf": Family(
        families.leaf,
        (0.36, 0.46, 0.58),
        ("leaf venation", "reticulate leaf veins", "a leaf skeleton with a midrib"),
        ("a central line with branching side lines and a fine mesh", "branching lines that close into small polygons"),
        "leaf vein network",
        directed=True,
    ),
    "web": Family(
        families.web,
        (0.24, 0.32, 0.42),
        ("a spider orb web", "dragline silk orb web", "spider silk web"),
        ("thin radial lines crossed by a spiral", "straight spokes from a hub joined by rings of thread"),
        "spider silk web",
    ),
    "honeycomb": Family(
        families.honeycomb,
        (0.24, 0.36, 0.50),
        ("honeycomb", "a beeswax honeycomb", "bee honeycomb cells"),
        ("regular hexagons", "a grid of regular hexagonal cells"),
        "honeycomb lattice",
    ),
    "collagen": Family(
        families.collagen,
        (0.34, 0.48, 0.62),
        ("wavy collagen fibres", "crimped collagen fibrils", "tendon collagen bundles"),
        ("parallel wavy lines", "a stack of sine waves side by side"),
        "wavy collagen fibres",
        directed=True,
    ),
    "nacre": Family(
        families.nacre,
        (0.54, 0.64, 0.76),
        ("nacre bricks", "mother of pearl tablets", "nacre brick and mortar"),
        ("staggered rows of flat rectangles", "a brick wall with thin gaps"),
        "nacre brick rows",
        keeps="gap",
        directed=True,
    ),
    "bone": Family(
        families.bone,
        (0.44, 0.55, 0.67),
        ("trabecular bone", "spongy bone foam", "cancellous bone struts"),
        ("a random labyrinth of thick struts and rounded holes", "a spongy maze of blobs and pores"),
        "trabecular bone foam",
        keeps="neither",
    ),
    "nautilus": Family(
        families.nautilus,
        (0.22, 0.30, 0.40),
        ("a nautilus shell", "a spiral seashell with chambers", "nautilus shell cut open"),
        ("one growing spiral divided into chambers", "a logarithmic spiral with curved cross walls"),
        "nautilus spiral",
    ),
    "cork": Family(
        families.cork,
        (0.28, 0.40, 0.54),
        ("cork cells", "plant tissue cells", "irregular cork foam"),
        ("irregular rounded polygons", "a Voronoi pattern of uneven cells"),
        "plant cell walls",
    ),
    "diatom": Family(
        families.diatom,
        (0.42, 0.54, 0.66),
        ("a diatom shell", "a round diatom frustule", "diatom silica plate"),
        ("a disc with concentric rings of round holes", "circles of small pores inside a thick ring"),
        "diatom plate with pores",
        keeps="neither",
    ),
    "scales": Family(
        families.scales,
        (0.26, 0.36, 0.48),
        ("fish scales", "overlapping pangolin scales", "overlapping fish scale armour"),
        ("rows of overlapping arcs", "staggered rows of overlapping half circles"),
        "fish scales",
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
    "over": ("{a} laid over {b}", "{a} on top of {b}", "a hybrid of {a} over {b}", "{a} combined with {b}"),
    "into": ("{a} on the left grading into {b} on the right", "{a} turning into {b} from left to right"),
}


@dataclass(frozen=True)
class Microstructure:
    """What to draw. Every name is a key of the table of the same name; ``second`` and ``join`` make a hybrid."""

    family: str
    palette: str = "emerald"
    density: str = "medium"
    scale: str = "medium"
    direction: str = "horizontal"
    gradient: str = "none"
    second: str | None = None
    join: str | None = None


def _check(spec: Microstructure) -> None:
    """Raise UsageError for a name that is in no table, naming the field and the choices."""
    rows: list[tuple[str, str | None, Mapping[str, object]]] = [
        ("family", spec.family, FAMILIES),
        ("palette", spec.palette, PALETTES),
        ("density", spec.density, DENSITIES),
        ("scale", spec.scale, SCALES),
        ("direction", spec.direction, DIRECTIONS),
        ("gradient", spec.gradient, GRADIENTS),
    ]
    if spec.second is not None or spec.join is not None:
        rows += [("second", spec.second, FAMILIES), ("join", spec.join, JOINS)]
    for field, value, table in rows:
        if value not in table:
            raise UsageError(f"microstructure {field} is {value!r}; choose one of: {', '.join(table)}")


def _wanted(x: Array, y: Array, spec: Microstructure, fraction: float) -> Array:
    """Wanted solid fraction at every point."""
    if spec.gradient == "none":
        return np.full(x.shape, fraction, dtype=np.float32)
    lift = x / 64 if spec.gradient == "linear" else 1.0 - np.hypot(x, y) / 42
    return np.asarray(np.clip(fraction * (1 + 0.6 * lift), 0.05, 0.92), dtype=np.float32)


def _surface(name: str, spec: Microstructure, x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """One family's field with the solid's surface at height zero, for the wanted solid fraction, and its tone."""
    family = FAMILIES[name]
    angle = np.deg2rad((DIRECTIONS[spec.direction][0] if family.directed else 0.0) + rng.uniform(-3, 3))
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    height, tone = family.field(x * cos + y * sin, y * cos - x * sin, cell, rng)
    fraction = family.fractions[list(DENSITIES).index(spec.density)]
    ranks = np.linspace(0, 1, 101)
    levels = np.quantile(height[::2, ::2], ranks)
    threshold = np.interp(1 - _wanted(x, y, spec, fraction), ranks, levels)
    if family.keeps == "line":
        threshold = np.minimum(threshold, -1.0)
    elif family.keeps == "gap":
        threshold = np.maximum(threshold, 1.0)
    return np.asarray(height - threshold, dtype=np.float32), tone


def _cover(height: Array, sharpness: float) -> Array:
    """Share of each pixel inside the solid: an anti-aliased step at height zero, one pixel wide."""
    return np.asarray(np.clip(height * sharpness + 0.5, 0, 1), dtype=np.float32)


def _mix(low: Array, high: Array, share: Array) -> Array:
    """Colours (H, W, 3) between ``low`` and ``high`` by ``share`` (H, W)."""
    return np.asarray(low + (high - low) * share[..., None], dtype=np.float32)


def draw(spec: Microstructure, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Paint one microstructure.

    Args:
        spec: What to draw.
        size: Side of the picture in pixels.
        rng: Source of the design's random numbers; the same state gives the same design at every size.

    Returns:
        RGB picture, uint8, shape (size, size, 3).

    Raises:
        UsageError: If the spec names something that is in no table, or the size is below 16 pixels.
    """
    _check(spec)
    if size < 16:
        raise UsageError(f"picture size is {size}; it must be at least 16 pixels")
    ticks = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32) * np.float32(UNITS)
    x, y = np.meshgrid(ticks, ticks)
    sharpness, cell = size / UNITS, SCALES[spec.scale][0] * rng.uniform(0.92, 1.08)
    background, solid, tint = (np.asarray(colour, dtype=np.float32) for colour in _colours(spec.palette))
    if spec.join == "over" and spec.second is not None:
        height, tone = _surface(spec.family, spec, x, y, max(cell, 22.0) * 1.2, rng)
        below, _ = _surface(spec.second, spec, x, y, 14.0, rng)
        ground = _mix(background, tint, _cover(below, sharpness))
    else:
        height, tone = _surface(spec.family, spec, x, y, cell, rng)
        if spec.second is not None:
            other, other_tone = _surface(spec.second, spec, x, y, cell, rng)
            share = np.clip(0.5 + x / 36, 0, 1)
            height, tone = height + (other - height) * share, tone + (other_tone - tone) * share
        ground = _mix(background, tint, 0.7 * tone)
    face = _mix(solid, tint, 0.30 * tone) if FAMILIES[spec.family].keeps == "gap" else _mix(solid, solid, tone)
    picture = ground + (face - ground) * _cover(height, sharpness)[..., None]
    return np.asarray(np.clip(np.round(picture), 0, 255), dtype=np.uint8)


def _colours(palette: str) -> tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]:
    row = PALETTES[palette]
    return row.background, row.solid, row.tint


def _pick(words: tuple[str, ...], rng: Rng) -> str:
    return words[int(rng.integers(len(words)))]


def _subject(spec: Microstructure, rng: Rng) -> str:
    """The family or the pair of families, in a voice drawn at random; a hybrid may mix the two voices."""

    def name(family: Family) -> str:
        voice = rng.random()
        if voice < 0.15:
            return family.network
        return _pick(family.biological if voice < 0.6 else family.geometric, rng)

    first = FAMILIES[spec.family]
    if spec.second is None or spec.join is None:
        both = f"{_pick(first.biological, rng)}, {_pick(first.geometric, rng)}"
        return both if rng.random() < 0.2 else name(first)
    return _pick(JOINS[spec.join], rng).format(a=name(first), b=name(FAMILIES[spec.second]))


def caption(spec: Microstructure, rng: np.random.Generator) -> str:
    """Describe a microstructure in one line, biologically or geometrically, with some attributes left unsaid.

    Args:
        spec: What was drawn.
        rng: Chooses the voice, the wording, the order and what is left out.

    Returns:
        The caption, without a full stop, at most about forty words.

    Raises:
        UsageError: If the spec names something that is in no table.
    """
    _check(spec)
    palette = _pick(PALETTES[spec.palette].words, rng)
    extras = []
    if rng.random() < 0.6:
        extras.append(_pick(DENSITIES[spec.density], rng))
    if rng.random() < 0.6:
        extras.append(_pick(SCALES[spec.scale][1], rng))
    if rng.random() < 0.6 and (FAMILIES[spec.family].directed or FAMILIES[spec.second or spec.family].directed):
        extras.append(_pick(DIRECTIONS[spec.direction][1], rng))
    if spec.gradient != "none" and rng.random() < 0.85:
        extras.append(_pick(GRADIENTS[spec.gradient], rng))
    rng.shuffle(extras)
    opening = _pick(("", "", "", "a microstructure of ", "a material pattern of ", "close-up of "), rng)
    parts = [opening + _subject(spec, rng), *extras]
    if rng.random() < 0.92:
        parts.insert(int(rng.choice([1, len(parts)])), palette)
    return ", ".join(parts)


def sample(rng: np.random.Generator) -> Microstructure:
    """One microstructure at random: every family and palette alike, one in five a hybrid, one in four graded."""

    def key(table: Mapping[str, object]) -> str:
        return _pick(tuple(table), rng)

    first, second, join = key(FAMILIES), None, None
    if rng.random() < 0.2:
        second = _pick(tuple(name for name in FAMILIES if name != first), rng)
        join = key(JOINS)
    return Microstructure(
        family=first,
        palette=key(PALETTES),
        density=key(DENSITIES),
        scale=key(SCALES),
        direction=key(DIRECTIONS),
        gradient=_pick(("none",) * 6 + ("linear", "radial"), rng),
        second=second,
        join=join,
    )


def numbered(seed: int, number: int, size: int, captions: int) -> tuple[NDArray[np.uint8], list[str]]:
    """The numbered picture of a training set and its captions; the same design and words at every size."""
    rng = np.random.default_rng([seed, number])
    spec = sample(rng)
    picture = draw(spec, size, rng)
    words = np.random.default_rng([seed, number, 1])
    return picture, [caption(spec, words) for _ in range(captions)]

"""Captioned pictures of bio-inspired microstructures, drawn from numbers: the embedded painter's training data.

A `Microstructure` names what is drawn; `draw` paints it, `caption` describes it in a biological or a geometric voice,
`sample` picks one at random. The literal tables `FAMILIES`, `PALETTES`, `DENSITIES`, `SCALES`, `DIRECTIONS` and
`GRADIENTS` are the only lists of what can be asked for. This module knows no model and writes no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.embedded.microstructures.families import Array, Field, Rng
from training.embedded.microstructures.phrases import DENSITY_PHRASES, PHRASES, expand
from training.embedded.microstructures.wordings import (
    DENSITIES,
    DIRECTIONS,
    FAMILIES,
    GRADIENTS,
    JOINS,
    PALETTES,
    SCALES,
)
from workspace.errors import DataError, UsageError, unknown

UNITS = 128.0
"""Width of every picture in design units; lines and gaps are at least two units wide."""

HYBRIDS = 0.2
"""Share of pictures that join two families, unless another is asked for."""

GRADED = 36.0
"""Width of the band in which one structure grades into another, in design units."""

USUAL_SCALE, USUAL_DIRECTION = "medium", "horizontal"
"""What a caption means that names no scale, or no direction; half of all pictures are of these."""

_THINNER, _BELOW = 0.75, 0.5
"""A structure laid over another covers less, and the lower one has half of the solid's colour: both stay plain."""


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


def _surface(name: str, spec: Microstructure, x: Array, y: Array, cell: float, rng: Rng, share: float = 1.0) -> Field:
    """One family's field with the solid's surface at height zero, and its tone.

    The solid covers ``share`` of the fraction that the density asks for.
    """
    family = FAMILIES[name]
    angle = np.deg2rad((DIRECTIONS[spec.direction][0] if family.directed else 0.0) + rng.uniform(-3, 3))
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    height, tone = family.field(x * cos + y * sin, y * cos - x * sin, cell, rng)
    fraction = share * family.fractions[list(DENSITIES).index(spec.density)]
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


def field_of(spec: Microstructure, size: int, rng: np.random.Generator) -> Array:
    """The height of a structure of one family over its solid's surface, in design units, (size, size)."""
    _check(spec)
    ticks = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32) * np.float32(UNITS)
    x, y = np.meshgrid(ticks, ticks)
    return _surface(spec.family, spec, x, y, SCALES[spec.scale][0] * rng.uniform(0.92, 1.08), rng)[0]


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
        height, tone = _surface(spec.family, spec, x, y, max(cell, 22.0) * 1.2, rng, _THINNER)
        below, _ = _surface(spec.second, spec, x, y, 18.0, rng)
        ground = _mix(background, background + _BELOW * (solid - background), _cover(below, sharpness))
    else:
        height, tone = _surface(spec.family, spec, x, y, cell, rng)
        if spec.second is not None:
            other, other_tone = _surface(spec.second, spec, x, y, cell, rng)
            share = np.clip(0.5 + x / GRADED, 0, 1)
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
    """The family or the pair of families, in a voice drawn at random; a hybrid may mix them."""

    def name(key: str) -> str:
        family, voice = FAMILIES[key], rng.random()
        if voice < 0.08:
            return family.network
        if voice < 0.4:
            return _pick(family.biological if voice < 0.26 else family.geometric, rng)
        return expand(_pick(PHRASES[key], rng), rng)

    first = FAMILIES[spec.family]
    if spec.second is None or spec.join is None:
        both = f"{_pick(first.biological, rng)}, {_pick(first.geometric, rng)}"
        return both if rng.random() < 0.12 else name(spec.family)
    join = _pick(JOINS[spec.join], rng)
    return join.format(a=name(spec.family), b=name(spec.second))


def caption(spec: Microstructure, rng: np.random.Generator) -> str:
    """Describe a microstructure in one line, biologically or geometrically; what is usual may be left unsaid.

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
    if (chance := rng.random()) < 0.85:
        known = chance < 0.4
        extras.append(expand(_pick((DENSITIES if known else DENSITY_PHRASES)[spec.density], rng), rng))
    if rng.random() < 0.4 or spec.scale != USUAL_SCALE:
        extras.append(_pick(SCALES[spec.scale][1], rng))
    directed = FAMILIES[spec.family].directed or FAMILIES[spec.second or spec.family].directed
    if (rng.random() < 0.4 or spec.direction != USUAL_DIRECTION) and directed:
        extras.append(_pick(DIRECTIONS[spec.direction][1], rng))
    if spec.gradient != "none":
        extras.append(_pick(GRADIENTS[spec.gradient], rng))
    rng.shuffle(extras)
    lead = _pick(("", "", "", "a microstructure of ", "a material pattern of ", "close-up of "), rng)
    parts = [lead + _subject(spec, rng), *extras]
    if rng.random() < 0.92:
        parts.insert(int(rng.choice([1, len(parts)])), palette)
    return ", ".join(parts)


def sample(rng: np.random.Generator, hybrids: float = HYBRIDS) -> Microstructure:
    """One microstructure at random: every family and palette alike, a share of hybrids, one in four graded."""

    def key(table: Mapping[str, object]) -> str:
        return _pick(tuple(table), rng)

    first, second, join = key(FAMILIES), None, None
    if rng.random() < hybrids:
        second = _pick(tuple(name for name in FAMILIES if name != first), rng)
        join = key(JOINS)
    return Microstructure(
        family=first,
        palette=key(PALETTES),
        density=key(DENSITIES),
        scale=_pick((USUAL_SCALE, *SCALES), rng),
        direction=_pick((USUAL_DIRECTION, USUAL_DIRECTION, *DIRECTIONS), rng),
        gradient=_pick(("none",) * 6 + ("linear", "radial"), rng),
        second=second,
        join=join,
    )


def numbered(seed: int, number: int, size: int, hybrids: float = HYBRIDS) -> NDArray[np.uint8]:
    """The numbered picture of a training set; the same design at every size."""
    rng = np.random.default_rng([seed, number])
    return draw(sample(rng, hybrids), size, rng)


def spec_of(seed: int, number: int, hybrids: float = HYBRIDS) -> Microstructure:
    """What a training set's numbered picture shows."""
    return sample(np.random.default_rng([seed, number]), hybrids)


def captions_of(seed: int, number: int, captions: int, hybrids: float = HYBRIDS) -> list[str]:
    """The captions of a training set's numbered picture."""
    spec, words = spec_of(seed, number, hybrids), np.random.default_rng([seed, number, 1])
    return [caption(spec, words) for _ in range(captions)]


def odds_of(seed: int, count: int, emphasis: Mapping[str, float], hybrids: float = HYBRIDS) -> list[float]:
    """How often each of a training set's first pictures is trained on: the emphasis on what it shows.

    Args:
        seed: Of the training set.
        count: Of pictures.
        emphasis: How many times as often, by family, or for a join of two by its name; the largest counts.
        hybrids: Their share of the set.

    Raises:
        DataError: If the emphasis names no family and no join.
    """
    for name in emphasis:
        if name not in FAMILIES and name not in JOINS:
            raise DataError(f"flow.emphasis: {unknown('family', name, [*FAMILIES, *JOINS])}")
    drawn = (spec_of(seed, number, hybrids) for number in range(count))
    return [max(emphasis.get(name or "", 1.0) for name in (one.family, one.second, one.join)) for one in drawn]

"""The geometry of each family: how far every point of a plane lies from the family's solid network.

Each function takes coordinates ``x, y`` (float arrays of one shape, in design units: a picture is 128 units wide,
centred on the origin), a typical cell size ``cell`` in the same units and a random generator. It returns ``(height,
tone)``, both of the coordinates' shape: ``height`` grows towards the middle of the solid and is a distance in design
units near its surface, so a threshold turns it into a picture of any solid fraction; ``tone`` in 0..1 shades the space
between. Random numbers are drawn independently of the grid, so one seed gives one design at every resolution.

This module knows no colours, captions or densities; ``training.embedded.microstructures.drawing`` holds those.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float32]
Field = tuple[Array, Array]
Rng = np.random.Generator

REACH = 96.0
"""Half the side of the square that point patterns cover: enough for a 128-unit picture at any rotation."""


def _f32(values: Any) -> Array:
    return np.asarray(values, dtype=np.float32)


def _tones(index: Any, rng: Rng) -> Array:
    """A repeatable random tone in 0..1 for each integer in ``index``."""
    table = rng.random(1021).astype(np.float32)
    return _f32(table[np.mod(np.asarray(index, dtype=np.int64), 1021)])


def _to_line(phase: Any, period: Any) -> Array:
    """Distance to the nearest of the lines where ``phase`` is a whole number, ``period`` units apart."""
    return _f32(np.abs(phase - np.round(phase)) * period)


def _jittered_points(spacing: float, jitter: float, rng: Rng) -> NDArray[np.float64]:
    """Points on a staggered grid, each moved by up to ``jitter`` spacings: even cover without order."""
    ticks = np.arange(-REACH, REACH + spacing, spacing)
    grid = np.stack(np.meshgrid(ticks, ticks * 0.9), axis=-1)
    grid[1::2, :, 0] += spacing / 2
    return np.asarray(grid.reshape(-1, 2) + rng.uniform(-jitter, jitter, (ticks.size**2, 2)) * spacing)


def _cell_walls(x: Array, y: Array, points: NDArray[np.float64]) -> tuple[Array, NDArray[np.int64]]:
    """Distance to the wall between the two nearest of ``points`` and the nearest one's index.

    Source: Worley, "A cellular texture basis function" (SIGGRAPH 1996), with the exact distance to the bisector in
    place of F2 - F1.
    """
    where = np.stack([x.ravel(), y.ravel()], axis=1)
    distance, index = cKDTree(points, balanced_tree=False).query(where, k=2)
    apart = np.linalg.norm(points[index[:, 0]] - points[index[:, 1]], axis=1) + 1e-6
    wall = (distance[:, 1] ** 2 - distance[:, 0] ** 2) / (2 * apart)
    return _f32(wall.reshape(x.shape)), np.asarray(index[:, 0].reshape(x.shape), dtype=np.int64)


def leaf(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """Reticulate venation: a midrib along x, curved side veins, and closed areoles between them.

    Source: the hierarchy of vein orders in Runions et al., "Modeling and visualization of leaf venation patterns"
    (SIGGRAPH 2005); the smallest order is drawn as Voronoi walls instead of being grown.
    """
    spacing = 12.0 + 0.9 * cell
    y = _f32(y + rng.uniform(-2, 2) + rng.uniform(1, 3) * np.sin(x / rng.uniform(32, 42) + rng.uniform(0, 2)))
    side = np.where(y > 0, 0.5, 0.0)
    away = np.abs(y)
    along = (
        (x - away * rng.uniform(0.65, 0.75) - away**2 * rng.uniform(0.003, 0.004)) / spacing
        + side
        + 0.15 * rng.random()
    )
    veins = _to_line(along, spacing * 0.75)
    areoles, index = _cell_walls(x, y, _jittered_points(cell * 0.72, 0.35, rng))
    height = np.maximum(np.maximum(3.2 - away, 1.5 - veins), -areoles)
    return _f32(height), _tones(index, rng)


def web(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """Orb web: straight radial threads and a capture spiral that runs in chords from thread to thread.

    Source: the standard description of the araneid orb (Foelix, "Biology of Spiders"): hub, radii, sticky spiral.
    """
    x, y = _f32(x - rng.uniform(-3, 3)), _f32(y - rng.uniform(-3, 3))
    count = int(np.clip(round(215 / cell), 9, 17))
    threads = 2 * np.pi * (np.arange(count) + rng.uniform(-0.12, 0.12, count)) / count
    radius, theta = np.hypot(x, y), np.mod(np.arctan2(y, x) - threads[0], 2 * np.pi)
    edges = np.append(threads - threads[0], 2 * np.pi)
    sector = np.clip(np.searchsorted(edges, theta, side="right") - 1, 0, count - 1)
    low, high = edges[sector], edges[sector + 1]
    nearest = np.minimum(np.abs(np.sin(theta - low)), np.abs(np.sin(high - theta)))
    chord = radius * np.cos(theta - (low + high) / 2) / np.cos((high - low) / 2)
    sag = 1 + 0.10 * np.sin(np.pi * (theta - low) / (high - low))
    pitch = 0.75 * cell
    turn = chord * sag / pitch - theta / (2 * np.pi)
    spiral = np.where(turn < 0.5, 9.0, _to_line(turn, pitch))
    return _f32(-np.minimum(radius * nearest, spiral)), _tones(sector, rng)


def honeycomb(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """Regular hexagonal cells with straight walls.

    Source: the two-rectangular-lattices construction of the hexagonal tiling.
    """
    apothem = 0.55 * cell
    x, y = x + rng.uniform(-0.3, 0.3) * apothem, y + rng.uniform(-0.3, 0.3) * apothem
    step = np.array([2 * apothem, 2 * apothem * np.sqrt(3)])
    centred = []
    for shift in (0.0, 0.5):
        column, row = np.round(x / step[0] - shift), np.round(y / step[1] - shift)
        centred.append(
            (x - (column + shift) * step[0], y - (row + shift) * step[1], column * 2 + row * 74 + shift * 38)
        )
    (ax, ay, ai), (bx, by, bi) = centred
    first = ax**2 + ay**2 < bx**2 + by**2
    dx, dy = np.abs(np.where(first, ax, bx)), np.abs(np.where(first, ay, by))
    inside = apothem - np.maximum(dx, dx / 2 + dy * np.sqrt(3) / 2)
    return _f32(-inside), _tones(np.where(first, ai, bi), rng)


def collagen(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """Aligned fibres along x that share a crimp (a sine wave), each fibre with a thickness of its own.

    Source: the planar sine crimp of tendon (Diamant, Keller, Baer, Litt and Arridge, Proc. R. Soc. B 1972).
    """
    spacing, wave = 0.62 * cell, rng.uniform(2.9, 3.3) * cell + 8
    swing = rng.uniform(0.11, 0.16) * wave
    drift = rng.uniform(-0.03, 0.03) * y + 0.5 * np.sin(y / 19 + rng.uniform(0, 2))
    across = y + swing * np.sin(2 * np.pi * x / wave + drift + rng.uniform(0, 1.5))
    slope = np.sqrt(1 + (2 * np.pi * swing / wave * np.cos(2 * np.pi * x / wave + drift)) ** 2)
    phase = across / spacing
    thickness = (_tones(np.round(phase), rng) - 0.5) * 0.22 * spacing
    return _f32(thickness - _to_line(phase, spacing) / np.sqrt(slope)), _tones(np.round(phase) * 7, rng)


def nacre(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """Rows of flat bricks, each row shifted by half a brick or a little off, thin gaps between.

    Source: the brick-and-mortar picture of nacre (Jackson, Vincent and Turner, Proc. R. Soc. B 1988).
    """
    high, wide = 7.0 + 0.4 * cell, (15.0 + 1.5 * cell) * rng.uniform(1.0, 1.5)
    y = (
        y
        + rng.uniform(0.3, 0.8) * np.sin(x / rng.uniform(18, 30) + rng.uniform(0, 6.3))
        + rng.uniform(-0.1, 0.1) * high
    )
    row = np.floor(y / high)
    shift = np.mod(row, 2) * 0.5 + (_tones(row, rng) - 0.5) * 0.05
    column = np.floor(x / wide + shift)
    rise, run = _to_line(y / high, high), _to_line(x / wide + shift, wide)
    return _f32(np.minimum(rise, run)), 0.25 * _tones(row * 31 + column, rng)


def bone(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """Trabecular foam: a random, connected labyrinth of struts and rounded holes.

    Source: the levelled random wave of Cahn, "Phase separation by spinodal decomposition" (J. Chem. Phys. 1965).
    """
    count, pitch = 28, 8.0 + 0.8 * cell
    angle = rng.uniform(0, 2 * np.pi, count)
    wave = 2 * np.pi / pitch * rng.normal(1.0, 0.10, count)
    kx, ky = (wave * np.cos(angle) * 0.8).astype(np.float32), (wave * np.sin(angle)).astype(np.float32)
    start = rng.uniform(0, 2 * np.pi, count).astype(np.float32)
    field = np.zeros_like(x)
    for a, b, c in zip(kx, ky, start, strict=True):
        field += np.cos(a * x + b * y + c)
    scale = pitch / (2 * np.pi) / np.sqrt(count / 2)
    return _f32(field * scale), _f32(0.5 + 0.3 * np.tanh(field / 4))


def nautilus(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """A logarithmic spiral shell, cut open: one growing whorl wall and curved chamber walls (septa).

    Source: the equiangular spiral of the nautilus (Thompson, "On Growth and Form", 1917).
    """
    x, y = x - rng.uniform(-2, 2), y - rng.uniform(-2, 2)
    growth = np.log(rng.uniform(2.8, 3.1))
    radius = np.hypot(x, y) + 1e-3
    theta = np.mod(np.arctan2(y, x) + rng.uniform(-0.2, 0.2), 2 * np.pi)
    turn = np.log(radius / rng.uniform(34, 37)) / growth - theta / (2 * np.pi)
    chambers = int(np.clip(round(190 / cell), 7, 18))
    within = turn - np.floor(turn)
    wall = _to_line(turn, growth * radius * 0.95)
    along = chambers * theta / (2 * np.pi) - 0.9 * np.sin(np.pi * within)
    septa = _to_line(along, 2 * np.pi * radius / chambers)
    outside = np.floor(turn) >= 0
    height = np.where(outside, -wall, np.maximum(1.3 - wall, np.where(radius < 5, -9, -septa)))
    height = np.where(outside & (turn > 0.12), -40.0, height)
    return _f32(height), _f32(np.where(outside, 0.0, 0.35 + 0.65 * _tones(np.floor(along) + 40 * np.floor(turn), rng)))


def cork(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """Irregular polygonal cells of unlike sizes with rounded corners.

    Source: Voronoi walls (Worley, SIGGRAPH 1996) around unevenly spread points.
    """
    points = _jittered_points(cell * 1.15, 0.5, rng)
    kept = points[rng.random(len(points)) < 0.85]
    walls, index = _cell_walls(x, y, kept)
    nearest = np.hypot(x - kept[index][..., 0], y - kept[index][..., 1])
    rounded = np.maximum(-walls, 0.45 * (nearest - 0.72 * cell) - 1.0)
    return _f32(rounded), _tones(index, rng)


def diatom(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """A round plate with a thick rim and concentric rings of round pores.

    Source: the centric diatom valve's radial areolae (Round, Crawford and Mann, "The Diatoms", 1990).
    """
    x, y = x - rng.uniform(-3, 3), y - rng.uniform(-3, 3)
    radius, theta = np.hypot(x, y), np.arctan2(y, x)
    pitch, rim = 3.0 + 0.62 * cell, rng.uniform(56, 60)
    rings = np.floor((rim - 2.0) / pitch)
    pitch = (rim - 2.0) / (rings + 0.5)
    ring = np.minimum(np.round(radius / pitch), rings)
    count = np.maximum(np.round(ring * 2 * np.pi * 0.92), 1)
    turn = theta / (2 * np.pi) * count
    arc = (turn - np.round(turn)) * 2 * np.pi * radius / count
    pore = np.where(ring == 0, radius, np.hypot(arc, radius - ring * pitch))
    plate = np.where(ring == rings, np.minimum(pore, 99.0), pore) - 0.30 * pitch
    height = np.minimum(np.maximum(plate, 3.0 - np.abs(radius - rim)), (rim + 3.0 - radius) * 2)
    return _f32(height), _f32(np.where(radius < rim, 0.6, 0.0))


def scales(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """Overlapping round scales in staggered rows; each row covers the foot of the next one.

    Source: the classic scallop (seigaiha) tiling.
    """
    wide, high = 6.0 + 1.0 * cell, 3.0 + 0.5 * cell
    reach = wide * 0.56
    x, y = x + rng.uniform(-0.05, 0.05) * wide, y + rng.uniform(-0.05, 0.05) * high
    top = np.floor(y / high)
    rim = np.full(x.shape, -1.0)
    tone = np.zeros(x.shape)
    for back in range(3, -1, -1):
        row = top - back + 1
        shift = np.mod(row, 2) * 0.5
        column = np.round(x / wide - shift)
        inside = reach - np.hypot(x - (column + shift) * wide, y - row * high)
        covers = inside > 0
        rim = np.where(covers, inside, rim)
        tone = np.where(covers, 1 - inside / reach, tone)
    return _f32(-np.abs(rim)), _f32(np.clip(tone, 0, 1))

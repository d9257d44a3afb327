"""Kinds made of cells and bricks: honeycomb, cork, nacre, tracheids."""

import numpy as np
from scipy.spatial import cKDTree

from training.embedded.judge.fields.field import (
    Array,
    Rng,
    bent,
    frame,
    ink,
    lattice,
    log_uniform,
    rough,
    rounded,
    turned,
    uneven,
)


def foam(points: Array, x: Array, y: Array, rng: Rng, radius: float, broken: float = 0.0) -> Array:
    """Distance to the nearest wall of the Voronoi diagram of the points, a share of the walls being left out."""
    where = np.column_stack((x.ravel(), y.ravel()))
    far, near = cKDTree(points).query(where, k=3)
    key = rng.random(4099)
    walls = []
    for other in (1, 2):
        apart = np.linalg.norm(points[near[:, other]] - points[near[:, 0]], axis=1)
        wall = (far[:, other] ** 2 - far[:, 0] ** 2) / (2 * apart + 1e-9)
        pair = near[:, 0] * near[:, other] + near[:, 0] + near[:, other]
        walls.append(np.where(key[pair % 4099] < broken, 3 * radius, wall))
    return rounded(walls[0], walls[1], radius).reshape(x.shape)


def hexagonal(size: float, spacing: float, rng: Rng) -> Array:
    """Points of a turned hexagonal lattice that covers the picture."""
    n = int(0.85 * size / spacing) + 3
    i, j = np.meshgrid(np.arange(-n, n + 1), np.arange(-int(1.2 * n), int(1.2 * n) + 1))
    a = (i + 0.5 * (j % 2) + rng.uniform()) * spacing
    b = (j + rng.uniform()) * spacing * np.sqrt(0.75)
    u, v = turned(a.ravel(), b.ravel(), rng.uniform(0, 2 * np.pi))
    inside = np.maximum(np.abs(u), np.abs(v)) < size / 2 + 2 * spacing
    points: Array = np.column_stack((u, v))[inside]
    return points


def _some_broken(rng: Rng, most: float) -> float:
    """The share of walls to leave out: none in most pictures, else up to `most`."""
    return rng.uniform(0, most) if rng.random() < 0.4 else 0.0


def honeycomb(size: int, rng: Rng) -> Array:
    """Regular hexagons of one size."""
    spacing = log_uniform(rng, 9, 38)
    x, y = bent(size, rng, 0.07)
    points = hexagonal(size, spacing, rng)
    points = points + rng.normal(0, spacing * rng.uniform(0, 0.035), points.shape)
    wall = max(spacing * log_uniform(rng, 0.08, 0.36), 1.2)
    radius = wall / 2 + 0.5 + spacing * rng.uniform(0, 0.08)
    distance = foam(points, x, y, rng, radius, _some_broken(rng, 0.04))
    return ink(distance - wall * uneven(size, rng, 0.2) / 2 + rough(size, rng, 0.3))


def apart_points(size: float, spacing: float, rng: Rng) -> Array:
    """Random points that have pushed each other apart, covering a square of the size and a margin."""
    reach = size / 2 + 1.5 * spacing
    count = int((2 * reach / spacing) ** 2 * 1.1)
    points = rng.uniform(-reach, reach, (count, 2))
    closest = spacing * rng.uniform(0.5, 0.85)
    for _ in range(4):
        pairs = cKDTree(points).query_pairs(closest, output_type="ndarray")
        apart = points[pairs[:, 0]] - points[pairs[:, 1]]
        length = np.linalg.norm(apart, axis=1, keepdims=True) + 1e-6
        push = apart * (0.45 * (closest - length) / length)
        np.add.at(points, pairs[:, 0], push)
        np.add.at(points, pairs[:, 1], -push)
    return points


def cork(size: int, rng: Rng) -> Array:
    """A foam of uneven many-sided cells."""
    spacing = log_uniform(rng, 9, 34)
    x, y = bent(size, rng, 0.1)
    stretch = rng.uniform(1, 1.5) if rng.random() < 0.4 else 1.0
    u, v = turned(x, y, rng.uniform(0, np.pi))
    points = apart_points(1.42 * size, spacing, rng)
    wall = max(spacing * log_uniform(rng, 0.07, 0.32), 1.2)
    radius = wall / 2 + 0.7 + spacing * rng.uniform(0, 0.12)
    distance = foam(points, u / stretch, v, rng, radius, _some_broken(rng, 0.04))
    return ink(distance - wall * uneven(size, rng) / 2 + rough(size, rng, 0.4))


def nacre(size: int, rng: Rng) -> Array:
    """Staggered rows of flat solid bricks with thin gaps."""
    u, v = frame(size, rng, 0.1)
    height = log_uniform(rng, 6.5, 20)
    length = height * log_uniform(rng, 2, 5)
    row, low, high = lattice(v / height, 0, rng.uniform(0, 0.2), rng)
    half = 0.5 * (row % 2)
    free = rng.uniform(0, 1, 61)[row % 61]
    offset = half + rng.choice([0.1, 0.3, 1.0], p=[0.45, 0.35, 0.2]) * (free - 0.5)
    q = (u + rng.uniform(-0.35, 0.35) * (v - height * (low + high) / 2)) / length + offset
    brick, left, right = lattice(q, row, rng.uniform(0.02, 0.25), rng)
    joined = rng.random((61, 257)) < rng.uniform(-0.05, 0.08)
    to_left = np.where(joined[row % 61, brick % 257], 99, (q - left) * length)
    to_right = np.where(joined[row % 61, (brick + 1) % 257], 99, (right - q) * length)
    gap = np.maximum(np.clip(height * rng.uniform(0.09, 0.24), 1.2, 3.5) * uneven(size, rng, 0.2), 1.1)
    radius = gap / 2 + 0.7 + height * rng.uniform(0, 0.2)
    sides = np.minimum(to_left, to_right) * rng.uniform(0.8, 1.2)
    inside = rounded(sides, np.minimum(v - low * height, high * height - v), radius)
    return ink(gap / 2 - inside + rough(size, rng, 0.25))


def _rings(size: int, early: float, late: float, rng: Rng) -> tuple[Array, Array, Array]:
    """Along a file: place, cells counted so far, and how late in its year the wood there is."""
    place = np.arange(-1.3 * size, 1.3 * size, 0.25)
    ring = rng.uniform(46, 110)
    _, start, end = lattice(place / ring, 0, 0.15, rng)
    season = (place / ring - start) / (end - start)
    onset = rng.uniform(0.2, 0.55)
    lateness = np.clip((season - onset) / (rng.uniform(0.75, 0.95) - onset), 0, 1)
    lateness = lateness**2 * (3 - 2 * lateness)
    counted = np.cumsum(0.25 / (early + (late - early) * lateness))
    return place, counted, lateness


def tracheids(size: int, rng: Rng) -> Array:
    """Rounded boxes in straight files, thick-walled, wide then flat with the seasons."""
    u, v = frame(size, rng, 0.05)
    width = log_uniform(rng, 8.5, 19)
    early = width * rng.uniform(0.9, 1.5)
    late = max(width * rng.uniform(0.34, 0.46), 4.4)
    file, low, high = lattice(v / width, 0, rng.uniform(0.03, 0.2), rng)
    place, counted, lateness = _rings(size, early, late, rng)
    offset = rng.uniform(0, 1, 61)[file % 61]
    q = np.interp(u, place, counted) + offset
    _, left, right = lattice(q, file, rng.uniform(0.08, 0.28), rng)
    start, end = np.interp(left - offset, counted, place), np.interp(right - offset, counted, place)
    lengthwise, sideways = np.minimum(u - start, end - u), np.minimum(v - low * width, high * width - v)
    lateness = np.interp((start + end) / 2, place, lateness)
    thin = max(width * rng.uniform(0.07, 0.15), 0.9)
    thick = min(thin * rng.uniform(1, 1.8), late * 0.31)
    wall = (thin + (max(thick, 0.9) - thin) * lateness) * uneven(size, rng, 0.15)
    shorter = np.minimum(end - start, (high - low) * width) / 2
    radius = np.maximum(wall + 0.6, shorter * rng.uniform(0.55, 0.95))
    return ink(rounded(lengthwise, sideways, radius) - wall + rough(size, rng, 0.3))

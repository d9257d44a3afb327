"""More families of microstructure: tissues that grow or react, and slices through periodic solids.

The same contract as `training.embedded.microstructures.families`: coordinates in design units in, ``(height, tone)``
out, one seed one design at every resolution. What is simulated here is simulated on a grid of its own and read off
between its points.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from training.embedded.microstructures.families import Array, Field, Rng, _f32, _jittered_points, _to_line, _tones

_SKINS, _SKIN_SIDE, _SKIN_STEPS = 6, 96, 9000
_SKIN_PITCH = 8.7
_STRIDE = 2.6


def parallel(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """Parallel venation: long straight veins side by side along x, rarely joined by short cross veins at odd places.

    Source: the monocot leaf (Nelson and Dengler, "Leaf vascular pattern formation", The Plant Cell 1997).
    """
    spacing, apart = 2.0 + 0.42 * cell, 120.0 + 10.0 * cell
    bend = rng.uniform(0.0002, 0.0006) * (x + rng.uniform(-20, 20)) ** 2
    lane = (y + bend + rng.uniform(-0.5, 0.5) * spacing) / (spacing * (1 + rng.uniform(0.0005, 0.0015) * x))
    between = np.floor(lane)
    veins = _to_line(lane, spacing)
    crosses = _to_line(x / apart + _tones(between, rng), apart)
    main = np.where(np.mod(np.round(lane), 4) == 0, 2.2, 0.6)
    return _f32(np.maximum(main - veins, -0.6 - crosses)), _tones(between * 13, rng)


def sheet(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """Sheet web: straight threads thrown at every angle, crossing without a centre.

    Source: the Poisson line process (Miles, "Random polygons determined by random lines in a plane", PNAS 1964).
    """
    count = round(300 / cell) + 6
    angles = np.pi * (np.arange(count) + rng.uniform(-0.4, 0.4, count)) * 0.618034
    offsets = 70 * np.sign(rng.uniform(-1, 1, count)) * (rng.permutation(count) + rng.uniform(0.1, 0.9, count)) / count
    nearest, side = np.full(x.shape, 99.0, dtype=np.float32), np.zeros(x.shape, dtype=np.int64)
    for number, (angle, offset) in enumerate(zip(angles, offsets, strict=True)):
        away = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)) - np.float32(offset)
        np.minimum(nearest, np.abs(away), out=nearest)
        side += (away > 0) * (number * number + 1)
    return _f32(-nearest), _tones(side, rng)


def plywood(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """Helicoidal plywood cut at a slant: rows of nested arcs, each row half a turn of the fibres.

    Source: the arced pattern of Bouligand, "Twisted fibrous arrangements in biological materials" (Tissue and Cell
    1972): in a slanted cut fibres run along ``dx/dy = tan(pi y / L)``, so that ``x = -L / pi ln|cos(pi y / L)|``.
    """
    pitch, spacing = 16.0 + 1.15 * cell, 3.2 + 0.34 * cell
    y = y + rng.uniform(-0.5, 0.5) * pitch
    turn = np.pi * y / pitch
    steep = np.abs(np.cos(turn)) + 0.02
    phase = (x + rng.uniform(-1, 1) * spacing + pitch / np.pi * np.log(steep)) / spacing
    arcs = _to_line(phase, spacing) * np.minimum(1, steep * 1.15)
    seams = np.abs(np.mod(y / pitch + 0.5, 1.0) - np.round(np.mod(y / pitch + 0.5, 1.0))) * pitch
    layer = np.floor(y / pitch + 0.5)
    return _f32(-np.minimum(arcs, seams)), _f32(0.6 * _tones(layer, rng) + 0.4 * _tones(np.round(phase), rng))


def gyroid(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """A slanted slice through a gyroid sheet, as in butterfly scales: bands that wave in step and touch.

    Source: Schoen, "Infinite periodic minimal surfaces without self-intersections" (NASA TN D-5541, 1970), with the
    level set ``sin x cos y + sin y cos z + sin z cos x = 0``.
    """
    period = 8.0 + 1.35 * cell
    wave = np.float32(2 * np.pi / period)
    a, b = wave * (x + rng.uniform(-0.5, 0.5) * period), wave * (y + rng.uniform(-0.5, 0.5) * period)
    c = wave * np.float32(rng.uniform(0.05, 0.2) * period) + np.float32(rng.uniform(0.0, 0.12)) * (a + b)
    field = np.sin(a) * np.cos(b) + np.sin(b) * np.cos(c) + np.sin(c) * np.cos(a)
    ga = np.cos(a) * np.cos(b) - np.sin(c) * np.sin(a)
    gb = np.cos(b) * np.cos(c) - np.sin(a) * np.sin(b)
    slope = wave * np.sqrt(ga**2 + gb**2 + 0.15)
    return _f32(-np.abs(field) / slope), _f32(0.5 + 0.45 * np.tanh(2 * field))


def vessels(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """Branching vessels: one trunk from the left that divides until it reaches everywhere, thinner at each fork.

    Source: space colonisation (Runions, Lane and Prusinkiewicz, "Modeling trees with a space colonization algorithm",
    2007) with radii after Murray's law, the cube of a parent's the sum of its children's (Murray, PNAS 1926).
    """
    grown = _colonise(_jittered_points(0.75 * cell + 3.0, 0.45, rng), np.array([-72.0, rng.uniform(-8, 8)]))
    places, parents = _pruned(*grown, 6)
    flow = np.full(len(places), 0.25)
    for node in range(len(places) - 1, 0, -1):
        flow[parents[node]] += flow[node]
    radius = 0.34 * np.cbrt(flow)
    middle = (places[1:] + places[parents[1:]]) / 2
    points, thick = np.concatenate([places, middle]), np.concatenate([radius, radius[1:]])
    where = np.stack([x.ravel(), y.ravel()], axis=1)
    distance, index = cKDTree(points, balanced_tree=False).query(where, k=3)
    height = (thick[index] - distance).max(axis=1)
    return _f32(height.reshape(x.shape)), _f32(np.full(x.shape, 0.15))


def _colonise(goals: NDArray[np.float64], root: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Grow a tree from ``root`` towards ``goals``: node places (n, 2) and each node's parent; a parent comes first."""
    goals = goals[np.abs(goals).max(axis=1) < 74]
    places, parents = [root], [0]
    for _ in range(160):
        apart, nearest = cKDTree(np.asarray(places), balanced_tree=False).query(goals)
        open_goals = apart > 2.0 * _STRIDE
        if not open_goals.any():
            break
        goals, nearest = goals[open_goals], nearest[open_goals]
        pull = goals - np.asarray(places)[nearest]
        pull /= np.linalg.norm(pull, axis=1, keepdims=True)
        total = np.zeros((len(places), 2))
        np.add.at(total, nearest, pull)
        length = np.linalg.norm(total, axis=1)
        grown = 0
        for node in np.flatnonzero(length > 1e-3):
            step = places[node] + _STRIDE * total[node] / length[node]
            if np.abs(np.asarray(places[-40:]) - step).sum(axis=1).min() > 0.2:
                places.append(step)
                parents.append(int(node))
                grown += 1
        if not grown:
            break
    return np.asarray(places), np.asarray(parents)


def _pruned(
    places: NDArray[np.float64], parents: NDArray[np.int64], least: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The tree without side branches of fewer than ``least`` nodes."""
    below = np.zeros(len(places), dtype=np.int64)
    for node in range(len(places) - 1, 0, -1):
        below[parents[node]] = max(below[parents[node]], below[node] + 1)
    kept = np.ones(len(places), dtype=bool)
    for node in range(1, len(places)):
        stub = below[node] + 1 < least and below[parents[node]] > below[node] + 1
        kept[node] = kept[parents[node]] and not stub
    return places[kept], (np.cumsum(kept) - 1)[parents[kept]]


def skin(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """Reaction-diffusion skin: round spots that keep their distance, as on a puffer fish.

    Source: Turing (Phil. Trans. R. Soc. B 1952) in the model of Gray and Scott, with the spot-forming rates of Pearson,
    "Complex patterns in a simple system" (Science 1993).
    """
    field = _skins()[int(rng.integers(_SKINS))]
    scale = _SKIN_PITCH / (4.0 + 0.72 * cell)
    angle = rng.uniform(0, 2 * np.pi)
    a, b = rng.uniform(0, _SKIN_SIDE, 2)
    row = (x * np.cos(angle) + y * np.sin(angle)) * scale + a
    column = (y * np.cos(angle) - x * np.sin(angle)) * scale + b
    value = map_coordinates(field, [row, column], order=1, mode="grid-wrap")
    return _f32((value - 0.5) * 4.2 / scale), _f32(0.3 + 0.4 * value)


@lru_cache(maxsize=1)
def _skins() -> NDArray[np.float32]:
    """Finished Gray-Scott fields on a torus, (skins, side, side), scaled to 0..1 and always the same."""
    rng = np.random.default_rng(1952)
    u = np.ones((_SKINS, _SKIN_SIDE, _SKIN_SIDE), dtype=np.float32)
    v = np.repeat(
        np.repeat(rng.random((_SKINS, _SKIN_SIDE // 6, _SKIN_SIDE // 6)) < 0.3, 6, axis=1), 6, axis=2
    ) * np.float32(0.5)
    feed, kill = np.float32(0.037), np.float32(0.0645)

    def spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
        padded = np.pad(values, ((0, 0), (1, 1), (1, 1)), mode="wrap")
        near = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
        return near - 4 * values

    for _ in range(_SKIN_STEPS):
        reaction = u * v * v
        u += np.float32(0.16) * spread(u) - reaction + feed * (1 - u)
        v += np.float32(0.08) * spread(v) + reaction - (feed + kill) * v
    low, high = np.quantile(v, [0.02, 0.98])
    return np.asarray(np.clip((v - low) / (high - low), -0.2, 1.2), dtype=np.float32)


def tracheids(x: Array, y: Array, cell: float, rng: Rng) -> Field:
    """Wood cells in straight files along x, wide in early wood and flat in late wood, with thick walls.

    Source: the softwood cross-section (Gibson, "The hierarchical structure and mechanics of plant materials", J. R.
    Soc. Interface 2012).
    """
    wide, long = 3.0 + 0.66 * cell, 2.5 + 0.66 * cell
    ring, swing = rng.uniform(52, 60), 0.55
    turn = 2 * np.pi * (x / ring + rng.random())
    lane = y / wide + rng.random()
    file = np.floor(lane)
    along = x / long + swing * ring / (2 * np.pi * long) * np.sin(turn) + 0.8 * _tones(file, rng)
    here = long / (1 + swing * np.cos(turn))
    dx = np.abs(along - np.floor(along) - 0.5) * here
    dy = np.abs(lane - file - 0.5) * wide
    corner = 0.42 * np.minimum(here, wide)
    qx, qy = dx - here / 2 + corner, dy - wide / 2 + corner
    lumen = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0)) + np.minimum(np.maximum(qx, qy), 0) - corner
    return _f32(lumen), _tones(file * 57 + np.floor(along), rng)

"""Kinds that branch: leaf and vessels."""

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import Delaunay

from training.embedded.judge.fields.cells import apart_points, foam
from training.embedded.judge.fields.field import (
    Array,
    Rng,
    bent,
    ink,
    lattice,
    log_uniform,
    noise,
    rough,
    turned,
    uneven,
)


def strokes(size: int, points: Array, radii: Array) -> Array:
    """Signed distance to discs along curves (points lie within a pixel of each other), thick ones apart from thin."""
    sort = np.digitize(radii, (1.2, 2.6))
    alike = [_strokes_alike(size, points[sort == k], radii[sort == k]) for k in np.unique(sort)]
    distance: Array = np.min(alike, axis=0)
    return distance


def _strokes_alike(size: int, points: Array, radii: Array) -> Array:
    """The same from the nearest disc and its neighbours along the curve only."""
    pad = 6
    wide = size + 2 * pad
    cell = np.floor(points + size / 2 + pad).astype(int)
    inside = np.all((cell >= 0) & (cell < wide), axis=1)
    points, radii, cell = points[inside], radii[inside], cell[inside]
    if not len(points):
        return np.full((size, size), 99.0)
    order = np.argsort(radii)
    owner = np.full((wide, wide), -1)
    owner[cell[order, 1], cell[order, 0]] = order
    nearest = distance_transform_edt(owner < 0, return_distances=False, return_indices=True)
    crop = slice(pad, wide - pad)
    found = owner[nearest[0][crop, crop], nearest[1][crop, crop]]
    axis = np.arange(size) - (size - 1) / 2
    best = np.full((size, size), 99.0)
    for step in range(-3, 4):
        disc = np.clip(found + step, 0, len(points) - 1)
        away = np.hypot(axis[None, :] - points[disc, 0], axis[:, None] - points[disc, 1])
        np.minimum(best, away - radii[disc], out=best)
    return best


def leaf(size: int, rng: Rng) -> Array:
    """A midrib with side veins and a fine closed mesh between them."""
    x, y = bent(size, rng, 0.05, (40, 90))
    u, v = turned(x, y, rng.uniform(0, 2 * np.pi))
    v = v + rng.uniform(-0.2, 0.2) * size + rng.uniform(-1, 1) * 0.0015 * u**2
    side = (v > 0).astype(int)
    away = np.abs(v)
    spacing = log_uniform(rng, 20, 44)
    climb = 1 / np.tan(rng.uniform(0.7, 1.3))
    curl = rng.uniform(0, 0.01)
    along = u - climb * away - curl * away**2 + rng.uniform(0, 1.5) * noise(size, 20, rng)
    shift = side * rng.choice([0.0, 0.5]) + rng.uniform(0, 1)
    q = along / spacing + shift
    _, low, high = lattice(q, side, rng.uniform(0, 0.2), rng)
    slant = np.sqrt(1 + (climb + 2 * curl * away) ** 2)
    veins = np.minimum(q - low, high - q) * spacing / slant
    taper = np.exp(-away / (size * rng.uniform(0.4, 1.2)))
    rib = log_uniform(rng, 3.6, 8) * np.clip(1 - rng.uniform(0, 0.5) * u / size, 0.4, 1.5)
    second = np.maximum(rib * rng.uniform(0.45, 0.7) * taper, 2)
    mesh = log_uniform(rng, 6.5, 11)
    fine = np.clip(mesh * rng.uniform(0.09, 0.15), 1, 1.4)
    net = foam(apart_points(size, mesh, rng), x, y, rng, fine + 1.2, rng.uniform(-0.03, 0.05))
    distance = np.minimum(net - fine * uneven(size, rng, 0.15) / 2, veins - second / 2)
    distance = np.minimum(distance, away - rib / 2)
    if rng.random() < 0.28:
        length, girth = size * rng.uniform(0.52, 0.68), size * rng.uniform(0.28, 0.42)
        blade = (np.hypot(u / length, np.abs(v) / girth / np.clip(1 - 0.4 * u / length, 0.3, 2)) - 1) * girth * 0.9
        stalk = np.where(u < 0, away - rib / 2, 99)
        distance = np.minimum(np.maximum(np.minimum(distance, -blade - fine * 0.8), blade), stalk)
        distance = np.minimum(distance, np.abs(blade + fine * 0.5) - fine * 0.6)
    return ink(distance + rough(size, rng, 0.2))


def _fork(size: int, rng: Rng) -> tuple[Array, Array]:
    """Discs of a tree that forks level by level, radii by Murray's law."""
    heading = np.array([np.pi / 2 + rng.uniform(-0.2, 0.2)])
    tip = np.array([[rng.uniform(-0.1, 0.1) * size, -0.66 * size]])
    radius = np.array([log_uniform(rng, 2.6, 6)])
    length = np.array([size * rng.uniform(0.26, 0.38)])
    spread, law, bend = rng.uniform(0.6, 1), rng.uniform(2, 3), rng.uniform(0.05, 0.3)
    shrink = rng.uniform(0.76, 0.88)
    points, radii = [], []
    t = np.linspace(0, 1, 80)
    for _ in range(8):
        turn = heading[:, None] + bend * rng.normal(0, 1, (len(heading), 1)) * np.sin(2 * np.pi * (t + rng.uniform()))
        step = length[:, None, None] / 80 * np.stack((np.cos(turn), np.sin(turn)), axis=2)
        path = tip[:, None, :] + np.cumsum(step, axis=1)
        points.append(path.reshape(-1, 2))
        radii.append((radius[:, None] * (1 - 0.15 * t)).ravel())
        share = rng.uniform(0.34, 0.5, len(tip))
        flip = rng.choice([-1, 1], len(tip))
        tip, heading = np.repeat(path[:, -1], 2, axis=0), np.repeat(turn[:, -1], 2)
        part = np.column_stack((share, 1 - share)).ravel()
        swing = np.column_stack((flip * (1.5 - share), -flip * (0.5 + share) * 0.75)).ravel()
        heading = heading + spread * 0.6 * swing * rng.uniform(0.7, 1.2, len(swing))
        radius = np.maximum(np.repeat(radius * 0.9, 2) * part ** (1 / law), 0.75)
        length = np.repeat(length, 2) * shrink * rng.uniform(0.7, 1.2, len(part)) * (0.8 + 0.4 * part)
    return np.concatenate(points), np.concatenate(radii)


def _drain(size: int, rng: Rng) -> tuple[Array, Array]:
    """Discs of the tree by which scattered places drain to one outlet, paths growing cheaper the more they carry."""
    spacing = log_uniform(rng, 8, 14)
    places = apart_points(size * 1.25, spacing, rng)
    outlet = np.array([rng.uniform(-0.25, 0.25), -0.66]) * size
    mouth = outlet + np.array([rng.uniform(-0.1, 0.1), rng.uniform(0.22, 0.4)]) * size
    places = np.vstack((mouth, places[np.linalg.norm(places - mouth, axis=1) > spacing]))
    triangles = Delaunay(places).simplices
    ends = np.unique(np.sort(np.vstack((triangles[:, :2], triangles[:, 1:], triangles[:, ::2])), axis=1), axis=0)
    one, two = ends.T
    cost = np.linalg.norm(places[one] - places[two], axis=1) ** rng.uniform(1, 1.5) * rng.uniform(0.8, 1.5, len(ends))
    n = len(places)
    flow = np.ones(n)
    thrift = rng.uniform(0.2, 0.5)
    for _ in range(4):
        carried = np.minimum(flow[one], flow[two])
        graph = csr_array((cost / carried**thrift, (one, two)), shape=(n, n))
        far, parent = dijkstra(graph, directed=False, indices=0, return_predecessors=True)
        flow = np.ones(n)
        for node in np.argsort(far)[:0:-1]:
            flow[parent[node]] += flow[node]
    parent[0] = 0
    flow[0] *= rng.uniform(1, 1.3)
    heaviest = np.zeros(n, dtype=int)
    heaviest[parent[np.argsort(flow)]] = np.argsort(flow)
    inner = (flow > 1) & (np.arange(n) > 0)
    for _ in range(3):
        smooth = 0.5 * places + 0.25 * (places[parent] + places[heaviest])
        places = np.where(inner[:, None], smooth, places)
    places[0] = mouth
    t = np.linspace(0, 1, 28)[None, :, None]
    path = places[:, None, :] * (1 - t) + places[parent][:, None, :] * t
    radius = log_uniform(rng, 3, 6.5) * (flow / flow[0]) ** rng.uniform(0.36, 0.5)
    radius = np.repeat(np.maximum(radius, 0.75)[:, None], 28, axis=1)
    trunk = outlet + (mouth - outlet) * np.linspace(0, 1, 120)[:, None]
    path = np.vstack((trunk, path[1:].reshape(-1, 2)))
    return path, np.concatenate((np.full(120, radius[0, 0]), radius[1:].ravel()))


def vessels(size: int, rng: Rng) -> Array:
    """One trunk that forks again and again, ever thinner."""
    points, radii = _fork(size, rng) if rng.random() < 0.55 else _drain(size, rng)
    angle = rng.choice([0, np.pi / 2]) + rng.uniform(-0.3, 0.3)
    points = np.column_stack(turned(points[:, 0], points[:, 1], angle)) * rng.choice([-1, 1])
    wobble = rng.uniform(0, 2) * np.stack((noise(size, 18, rng), noise(size, 18, rng)), axis=2)
    cell = np.clip((points + size / 2).astype(int), 0, size - 1)
    points = points + wobble[cell[:, 1], cell[:, 0]]
    return ink(strokes(size, points, radii) + rough(size, rng, 0.3))

"""Five drawings of tissues and surfaces: honeycomb, spongy bone, gyroid, vessels, spotted skin."""

import numpy as np
from scipy import ndimage

from training.embedded.judge.pen.canvas import (
    Array,
    Canvas,
    Rng,
    any_angle,
    chance,
    density,
    inked,
    log_uniform,
    plane,
    scattered,
    turned,
    voronoi_walls,
    warped,
    wobble,
)


def _hexagon_field(size: int, rng: Rng, pitch: float, wall: float) -> Array:
    """Hexagons from distances to the walls, their inner corners sharp or rounded."""
    scale = 2
    u, v = plane(size, any_angle(rng), scale)
    u, v = u + rng.uniform(0, pitch), v + rng.uniform(0, pitch)
    high = pitch * np.sqrt(3)
    nearest, found = np.full(u.shape, np.inf), (u, v)
    for du, dv in ((0, 0), (pitch / 2, high / 2)):
        x = (u - du + pitch / 2) % pitch - pitch / 2
        y = (v - dv + high / 2) % high - high / 2
        closer = x * x + y * y < nearest
        nearest = np.where(closer, x * x + y * y, nearest)
        found = np.where(closer, x, found[0]), np.where(closer, y, found[1])
    x, y = found
    sides = [np.abs(x), np.abs(x / 2 + y * np.sqrt(0.75)), np.abs(x / 2 - y * np.sqrt(0.75))]
    power = rng.choice([0.0, rng.uniform(10, 22)])
    reach = np.maximum.reduce(sides) if not power else sum((s / pitch) ** power for s in sides) ** (1 / power) * pitch
    breadth = wall * density(rng, size)(u + size / 2, v + size / 2)
    return inked(reach - (pitch - breadth) / 2, scale)


def honeycomb(size: int, rng: Rng) -> Array:
    """Regular hexagons of one size."""
    pitch = log_uniform(rng, 8.5, 38)
    wall = np.clip(pitch * log_uniform(rng, 0.07, 0.36), 1.0, 9)
    if chance(rng, 0.5):
        return _hexagon_field(size, rng, pitch, wall)
    starts, ends = voronoi_walls(scattered(size, pitch, rng, 0.004, 0), size)
    amount = rng.choice([0, 1]) * rng.uniform(0, 0.05) * pitch
    bent = warped(np.stack([starts, ends]), rng, amount, rng.uniform(30, 90))
    kept = rng.random(len(starts)) > rng.choice([0, 0, 0.015, 0.035])
    middle = bent.mean(0)[kept]
    canvas = Canvas(size)
    canvas.segments(bent[0][kept], bent[1][kept], wall * density(rng, size)(middle[:, 0], middle[:, 1]))
    return canvas.picture()


def _band_noise(size: int, rng: Rng, wavelength: float, breadth: float, stretch: float) -> Array:
    """Random heights whose waves are all about one length."""
    fx, fy = np.fft.rfftfreq(size), np.fft.fftfreq(size)[:, None]
    angle = any_angle(rng)
    along, across = fx * np.cos(angle) + fy * np.sin(angle), fy * np.cos(angle) - fx * np.sin(angle)
    rate = np.hypot(along * stretch, across) * wavelength
    weight = np.exp(-0.5 * ((rate - 1) / breadth) ** 2) * (rate > 0.25)
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(size, size))) * weight, (size, size))
    heights: Array = field / field.std()
    return heights


def bone(size: int, rng: Rng) -> Array:
    """A random labyrinth of thick struts around rounded holes."""
    pitch, scale = log_uniform(rng, 13, 38), 2
    filled = rng.uniform(0.36, 0.62)
    stretch = rng.choice([1.0, rng.uniform(1.0, 1.9)])
    if chance(rng, 0.4):
        pitch, filled = min(pitch, 30), rng.uniform(0.46, 0.64)
        wide = int(size * 1.25) // 2 * 2
        field = _band_noise(wide, rng, pitch, rng.uniform(0.22, 0.4), stretch)[:size, :size]
        field = ndimage.zoom(field, scale, order=1)
    else:
        points = scattered(size, pitch, rng, rng.uniform(0.3, 0.6), int(rng.integers(0, 2)), stretch)
        starts, ends = voronoi_walls(points, size)
        kept = rng.random(len(starts)) > rng.uniform(0.05, 0.28)
        canvas = Canvas(size, scale)
        canvas.segments(starts[kept], ends[kept], pitch * rng.uniform(0.22, 0.34) * rng.uniform(0.5, 1.4, kept.sum()))
        field = ndimage.gaussian_filter(np.asarray(canvas.image, np.float32), pitch * rng.uniform(0.22, 0.32))
    if chance(rng, 0.3):
        u, _ = plane(size, any_angle(rng), scale)
        field = field + field.std() * rng.uniform(0.2, 0.5) * (u / size) * 2
    level = np.quantile(field, 1 - filled)
    steep = np.hypot(*np.gradient(field)) * scale
    return inked((field - level) / (steep + 0.25 * steep.mean()), scale)


def gyroid(size: int, rng: Rng) -> Array:
    """A flat cut through the gyroid: even bands that wave in step and touch."""
    scale = 2
    sheets = chance(rng, 0.6)
    period = log_uniform(rng, 20, 60 if sheets else 44)
    u, v = plane(size, any_angle(rng), scale)
    bend = rng.choice([0, 1]) * rng.uniform(0, 0.03) * period
    u = 2 * np.pi * (u + bend * wobble(rng, size, 2)(u, v)) / period + rng.uniform(0, 6.3)
    v = 2 * np.pi * v / period + rng.uniform(0, 6.3)
    z = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.012) * u + rng.normal(0, 0.012) * v
    x, y = u, v
    if sheets and chance(rng, 0.25):
        deep = rng.uniform(0.3, 0.5) + np.pi / 2 * rng.integers(0, 4)
        x, z = u / np.sqrt(2) + deep, deep - u / np.sqrt(2)
    field = np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)
    down, right = np.gradient(field)
    steep = np.hypot(down, right) * scale
    if sheets:
        steep = np.maximum(steep, 0.35 * steep.max())
        width = period * rng.uniform(0.1, 0.27)
        return inked(width / 2 - np.abs(field - rng.uniform(-0.25, 0.25)) / steep, scale)
    return inked((field - rng.uniform(-0.45, 0.35)) / (steep + 0.2 * steep.mean()), scale)


def _edge_point(size: int, heading: float, aside: float) -> Array:
    """Where something that comes in with this heading crosses the picture's edge."""
    return turned(-0.5 * size / max(abs(np.cos(heading)), abs(np.sin(heading))), aside, heading, size)


def _grow(canvas: Canvas, rng: Rng, look: dict[str, float]) -> None:
    """A tree that forks in two, each child thinner and shorter than its parent."""
    size = canvas.size
    heading = any_angle(rng)
    root = _edge_point(size, heading, rng.uniform(-0.12, 0.12) * size)
    tips = [(root, heading, look["trunk"], look["length"], 0)]
    while tips:
        start, heading, width, length, depth = tips.pop()
        steps = np.linspace(0, 1, 10)
        way = heading + look["curl"] * np.sin(np.pi * steps * rng.uniform(0.6, 2) + rng.uniform(0, 6.3))
        moves = np.stack([np.cos(way), np.sin(way)], 1)[1:] * length / 9
        points = start + np.vstack([[0, 0], np.cumsum(moves, axis=0)])
        share = np.clip(rng.normal(0.5, look["uneven"]), 0.2, 0.8)
        canvas.path(points, np.linspace(width, width * 0.86, 10))
        end = points[-1]
        if depth >= look["depth"] or width < 0.9 or np.any((end < -12) | (end > size + 12)) or len(tips) > 500:
            continue
        turn = look["fork"] * rng.uniform(0.75, 1.25)
        for side, part in ((1, share), (-1, 1 - share)):
            thin = 0.9 * width * part ** (1 / look["murray"])
            toward = heading + side * 2 * turn * (1 - part)
            reach = length * look["shorter"] * rng.uniform(0.8, 1.2) * (0.6 + 0.8 * part)
            tips.append((end, toward, thin, reach, depth + 1))


def _colonise(size: int, rng: Rng, step: float, pitch: float) -> tuple[Array, Array]:
    """Nodes and parents of a tree that grows toward scattered places and keeps out of its own way."""
    heading = any_angle(rng)
    places = scattered(size, pitch, rng, 0.35, 0)
    root = _edge_point(size, heading, 0)
    nodes, parents = [root], [-1]
    for _ in range(int(rng.uniform(2, 5))):
        parents.append(len(nodes) - 1)
        nodes.append(nodes[-1] + 2 * step * np.array([np.cos(heading), np.sin(heading)]))
    reach, kill = rng.uniform(1.5, 3.5) * pitch, 0.45 * pitch
    best, owner, seen = np.full(len(places), np.inf), np.zeros(len(places), int), 0
    for _ in range(90):
        fresh = np.array(nodes[seen:])
        far = np.linalg.norm(places[:, None] - fresh[None], axis=-1)
        near = far.argmin(1)
        gap = far[np.arange(len(places)), near]
        owner, best, seen = np.where(gap < best, near + seen, owner), np.minimum(gap, best), len(nodes)
        alive = best > kill
        places, owner, best = places[alive], owner[alive], best[alive]
        pulled = best < max(reach, best.min(initial=reach) + 1)
        if not pulled.any():
            break
        here = np.array(nodes)
        pull = np.zeros_like(here)
        np.add.at(pull, owner[pulled], (places[pulled] - here[owner[pulled]]) / best[pulled, None])
        grown = np.unique(owner[pulled])
        ways = pull[grown] + rng.normal(0, 0.15, (len(grown), 2))
        ways /= np.linalg.norm(ways, axis=1, keepdims=True) + 1e-9
        nodes.extend(here[grown] + step * ways)
        parents.extend(grown.tolist())
    return np.array(nodes), np.array(parents)


def vessels(size: int, rng: Rng) -> Array:
    """One trunk from an edge that forks into ever thinner branches."""
    canvas = Canvas(size)
    trunk = rng.uniform(4.5, 14)
    if chance(rng, 0.6):
        look = {
            "trunk": trunk,
            "length": size * rng.uniform(0.25, 0.36),
            "curl": rng.choice([0.06, 0.2, 0.45]),
            "uneven": rng.choice([0.02, 0.1, 0.16]),
            "fork": np.radians(rng.uniform(22, 42)),
            "murray": rng.uniform(1.9, 3.0),
            "shorter": rng.uniform(0.74, 0.88),
            "depth": float(rng.integers(5, 8)),
        }
        _grow(canvas, rng, look)
        return canvas.picture()
    nodes, parents = _colonise(size, rng, rng.uniform(2.2, 3.5), log_uniform(rng, 7, 14))
    load = np.ones(len(nodes))
    for child in range(len(nodes) - 1, 0, -1):
        load[parents[child]] += load[child]
    widths = np.maximum(trunk * (load / load[0]) ** (1 / rng.uniform(1.8, 2.6)), rng.uniform(0.7, 1.3))
    kept = (load >= 3) & (parents >= 0)
    canvas.segments(nodes[parents[kept]], nodes[kept], widths[kept])
    return canvas.picture()


def skin(size: int, rng: Rng) -> Array:
    """Separate round dots of nearly one size that keep their distance."""
    pitch = log_uniform(rng, 8, 32)
    points = scattered(size, pitch, rng, rng.uniform(0.3, 0.5), int(rng.integers(2, 4)))
    radii = pitch * rng.uniform(0.2, 0.4) * (1 + rng.uniform(0, 0.12) * rng.normal(size=len(points)).clip(-2, 2))
    radii = radii * density(rng, size, 0.25)(points[:, 0], points[:, 1])
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(gaps, np.inf)
    kept = rng.random(len(points)) > rng.choice([0, 0, 0.05])
    radii = np.minimum(radii, 0.43 * gaps.min(1))[kept]
    kept[kept] = radii > 0.13 * pitch
    radii, points = radii[radii > 0.13 * pitch], points[kept]
    canvas = Canvas(size)
    if chance(rng, 0.5):
        canvas.dots(points, radii)
        return canvas.picture()
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    oval, egg = rng.uniform(0, 0.16, (2, len(points), 1))
    lean, tilt = rng.uniform(0, 2 * np.pi, (2, len(points), 1))
    reach = radii[:, None] * (1 + oval * np.cos(2 * turns + lean) + 0.5 * egg * np.cos(3 * turns + tilt))
    canvas.polygons(points[:, None] + np.stack([reach * np.cos(turns), reach * np.sin(turns)], -1))
    return canvas.picture()

"""Four drawings from plants: the net of a leaf, the lines of a grass blade, cork and softwood."""

from itertools import pairwise

import numpy as np
from scipy import ndimage

from training.embedded.judge.pen.canvas import (
    Array,
    Canvas,
    Rng,
    any_angle,
    chance,
    density,
    log_uniform,
    scattered,
    shrink,
    turned,
    voronoi_walls,
    warped,
    wobble,
)


def _mesh(canvas: Canvas, rng: Rng, pitch: float, width: float) -> None:
    """Fine closed loops between the veins."""
    points = scattered(canvas.size, pitch, rng, rng.uniform(0.12, 0.4), 0, rng.uniform(1, 1.4))
    starts, ends = voronoi_walls(points, canvas.size)
    kept = rng.random(len(starts)) > rng.choice([0.0, 0.0, 0.04, 0.1])
    canvas.segments(starts[kept], ends[kept], width * rng.uniform(0.8, 1.2, kept.sum()))


def _side_veins(size: int, rng: Rng, spacing: float, bend: float, offset: float) -> list[list[Array]]:
    """Curves leaving the midrib on both sides, as (points, 2) of the leaf's own coordinates."""
    opening, curl = np.radians(rng.uniform(42, 80)), np.radians(rng.choice([0, 1]) * rng.uniform(8, 45))
    reach = size * rng.uniform(0.9, 1.3)
    along = np.linspace(0, reach, 30)
    sides = []
    for side in (-1, 1):
        veins = []
        shift = rng.uniform(0, spacing) if side < 0 else spacing / 2 * rng.integers(0, 2)
        for start in np.arange(-1.6 * size, 1.2 * size, spacing) + shift:
            first = start + rng.normal(0, 0.08 * spacing)
            heading = opening + rng.normal(0, 0.05) - curl * along / reach
            heading += 0.05 * np.sin(along / 9 + rng.uniform(0, 6))
            u = first + np.concatenate([[0], np.cumsum(np.cos(heading[1:]))]) * along[1]
            v = side * np.concatenate([[0], np.cumsum(np.sin(heading[1:]))]) * along[1]
            veins.append(np.stack([u, v + offset + bend * first**2], 1))
        sides.append(veins)
    return sides


def _blade(canvas: Canvas, rng: Rng, angle: float, offset: float, bend: float, width: float) -> Array:
    """Cuts the drawing to a pointed leaf and draws its margin."""
    size = canvas.size
    t = np.linspace(0, 1, 60)
    u = (t - 0.5) * size * rng.uniform(0.95, 1.3)
    half = size * rng.uniform(0.28, 0.45) * np.sin(np.pi * t ** rng.uniform(0.75, 1.2)) ** rng.uniform(0.8, 1.2)
    edge = np.vstack([np.stack([u, half], 1), np.stack([u, -half], 1)[::-1]])
    outline = turned(edge[:, 0], edge[:, 1] + offset + bend * edge[:, 0] ** 2, angle, size)
    mask = Canvas(size)
    mask.polygon(outline)
    rim = Canvas(size)
    rim.segments(outline[:-1], outline[1:], width)
    cut: Array = np.maximum(canvas.picture() * mask.picture(), rim.picture())
    return cut


def leaf(size: int, rng: Rng) -> Array:
    """A midrib, side veins and a closed polygon net between them."""
    canvas, angle = Canvas(size), any_angle(rng)
    whole = chance(rng, 0.12)
    offset = 0.0 if whole else rng.choice([0.06, 0.3]) * rng.uniform(-1, 1) * size
    bend = rng.normal(0, 0.0012)
    pitch = log_uniform(rng, 6, 15)
    fine = np.clip(pitch * rng.uniform(0.07, 0.15), 0.6, 1.7)
    _mesh(canvas, rng, pitch, fine)
    spacing = max(log_uniform(rng, 15, 46), 2.2 * pitch)
    second = max(fine * rng.uniform(1.7, 3), 1.5)
    first = max(second * rng.uniform(1.6, 2.6), 3.2)
    taper = rng.uniform(0.2, 0.65)
    ladder = chance(rng, 0.3)
    for veins in _side_veins(size, rng, spacing, bend, offset):
        drawn = [turned(v[:, 0], v[:, 1], angle, size) for v in veins]
        for points in drawn:
            canvas.path(points, np.linspace(second, second * (1 - taper), len(points)))
        for before, after in pairwise(drawn):
            if ladder:
                rungs = np.sort(rng.choice(28, rng.integers(3, 6), replace=False)) + 1
                canvas.segments(before[rungs], after[np.maximum(rungs - rng.integers(0, 3), 0)], min(fine * 1.2, 1.6))
    u = np.linspace(-0.9 * size, 0.9 * size, 40)
    canvas.path(turned(u, offset + bend * u**2, angle, size), np.linspace(first * 1.2, first * 0.7, 40))
    return _blade(canvas, rng, angle, offset, bend, second) if whole else canvas.picture()


def _vein_widths(count: int, rng: Rng, thin: float) -> Array:
    """Two or three classes of thickness, in turn or at random."""
    thick = thin * rng.uniform(2.0, 4.0)
    if chance(rng, 0.7):
        every = int(rng.integers(3, 8))
        rank = (np.arange(count) + rng.integers(every)) % every
        widths = np.where(rank == 0, thick, thin)
        if every % 2 == 0 and chance(rng, 0.6):
            widths = np.where(rank == every // 2, (thin + thick) / 2, widths)
    else:
        widths = rng.choice([thin, thick, (thin + thick) / 2], count, p=[0.68, 0.2, 0.12])
    return widths * rng.uniform(0.88, 1.12, count)


def parallel(size: int, rng: Rng) -> Array:
    """Long lines, some thicker, with few short cross links."""
    canvas, angle = Canvas(size), any_angle(rng)
    pitch = log_uniform(rng, 5.5, 20)
    count = int(2.2 * size / pitch)
    steps = pitch * np.clip(1 + rng.uniform(0, 0.3) * rng.normal(size=count), 0.4, 1.8)
    rows = np.cumsum(steps) - steps.sum() / 2
    converge = rng.choice([0, 1]) * rng.uniform(-0.45, 0.45)
    bow, sway = rng.normal(0, 0.0008), wobble(rng, 1.2 * size, 2)
    drift = rng.choice([0, 1]) * rng.uniform(0, 3)
    thin = max(0.7, pitch * rng.uniform(0.07, 0.16))
    widths, gain = _vein_widths(count, rng, thin), density(rng, size)

    def place(u: Array, v: Array) -> Array:
        return turned(u, v * (1 + converge * u / size) + bow * u**2 + drift * sway(u, v * 0.3), angle, size)

    u = np.linspace(-0.8 * size, 0.8 * size, 40)
    for row, width in zip(rows, widths, strict=True):
        points = place(u, np.full_like(u, row))
        canvas.path(points, width * gain(points[:, 0], points[:, 1]))
        if chance(rng, 0.03):
            gap = rng.uniform(-0.6, 0.6) * size
            canvas.path(place(np.linspace(gap, gap + rng.uniform(4, 12), 4), np.full(4, row)), width + 0.8, 0)
    links = rng.poisson(1.6 * size / log_uniform(rng, 24, 170), count - 1)
    between = np.repeat(np.arange(count - 1), links)
    at = rng.uniform(-0.75, 0.75, len(between)) * size
    slant = rng.normal(0, rng.uniform(0, 0.35) * pitch, len(between))
    width = max(0.7, thin * rng.uniform(0.6, 1))
    canvas.segments(place(at, rows[between]), place(at + slant, rows[between + 1]), width)
    return canvas.picture()


def cork(size: int, rng: Rng) -> Array:
    """Irregular many-sided cells with walls of even width."""
    pitch = log_uniform(rng, 9, 38)
    stretch = rng.choice([1.0, rng.uniform(1, 1.9)])
    rounds = int(rng.integers(0, 3))
    points = scattered(size, pitch, rng, rng.uniform(0.3, 0.6), rounds, stretch)
    if chance(rng, 0.2):
        points = (points - size / 2) * (1 + 0.35 * (points[:, :1] / size - 0.5)) + size / 2
    starts, ends = voronoi_walls(points, size)
    width, gain = np.clip(pitch * log_uniform(rng, 0.06, 0.24), 0.9, 6), density(rng, size)
    kept = rng.random(len(starts)) > rng.choice([0, 0, 0.02, 0.05])
    starts, ends = starts[kept], ends[kept]
    middle = (starts + ends) / 2
    widths = width * gain(middle[:, 0], middle[:, 1]) * rng.uniform(1 - rng.uniform(0, 0.3), 1.1, len(starts))
    canvas = Canvas(size)
    canvas.segments(starts, ends, widths)
    if chance(rng, 0.3) and pitch > 14:
        soft = ndimage.gaussian_filter(np.asarray(canvas.image, np.float32) / 255, min(width * 1.2, pitch * 0.12))
        sharp = np.clip((soft - 0.42) * 8 + 0.5, 0, 1)
        return shrink(sharp, canvas.scale)
    return canvas.picture()


def _file_of_cells(size: int, rng: Rng, look: dict[str, float], lead: float) -> tuple[Array, Array]:
    """Where the cells of one file begin, and how late in the growth ring each of them is (0 to 1)."""
    starts, late = [], []
    at = -0.8 * size + rng.uniform(0, look["long"])
    while at < 0.8 * size:
        season = ((at + lead) / look["ring"] + look["phase"]) % 1
        lateness = np.clip((season - look["early"]) / (0.95 - look["early"]), 0, 1) * look["rings"]
        starts.append(at)
        late.append(lateness)
        at += look["long"] * (1 + (look["flat"] - 1) * lateness) * rng.uniform(0.85, 1.15)
    return np.array([*starts, at]), np.array(late)


def tracheids(size: int, rng: Rng) -> Array:
    """Straight files of rounded boxes with thick walls, wide and then flat."""
    canvas, angle = Canvas(size, paper=1), any_angle(rng)
    wide = log_uniform(rng, 8.5, 26)
    look = {
        "long": wide * rng.uniform(0.9, 1.6),
        "flat": rng.uniform(0.3, 0.5),
        "ring": rng.uniform(0.5, 1.3) * size,
        "phase": rng.random(),
        "early": rng.uniform(0.2, 0.65),
        "rings": float(chance(rng, 0.75)),
    }
    wall = max(wide * log_uniform(rng, 0.13, 0.34), 1.3)
    thicken, power = rng.uniform(1.0, 1.5), rng.uniform(2.6, 6)
    turns = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    rounded = np.stack([np.sign(f) * np.abs(f) ** (2 / power) for f in (np.cos(turns), np.sin(turns))], 1)
    ripple, bow = rng.choice([0, 1]) * rng.uniform(0, 2), rng.normal(0, 0.0006)
    row, wander = -0.8 * size, 0.0
    while row < 0.8 * size:
        across = wide * rng.uniform(0.85, 1.15)
        wander += rng.normal(0, 1.0)
        starts, late = _file_of_cells(size, rng, look, wander)
        long = np.diff(starts)
        walls = wall * (1 + (thicken - 1) * late)
        half = np.stack([np.maximum(long - walls, 0.22 * long) / 2, np.maximum(across - walls, 0.3 * across) / 2], 1)
        half *= rng.uniform(0.93, 1.04, half.shape)
        u = (starts[:-1] + long / 2)[:, None] + half[:, :1] * rounded[:, 0]
        v = row + across / 2 + half[:, 1:] * rounded[:, 1]
        canvas.polygons(warped(turned(u, v + bow * u**2, angle, size), rng, 0.15 * ripple, size), 0)
        row += across
    return canvas.picture()

"""Four drawings of hard skins: mother of pearl, nautilus, diatom and fish scales."""

import numpy as np

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
    turned,
    wobble,
)


def nacre(size: int, rng: Rng) -> Array:
    """Staggered rows of flat solid bricks with thin open joints."""
    scale = 2
    u, v = plane(size, any_angle(rng) if chance(rng, 0.6) else rng.normal(0, 0.1), scale)
    thick = log_uniform(rng, 6, 19)
    long = thick * log_uniform(rng, 2.3, 7)
    ripple = rng.uniform(45, 130)
    swell = rng.choice([0, 1, 1]) * min(rng.uniform(0.05, 0.45) * thick, rng.uniform(0.01, 0.045) * ripple)
    v = v + swell * wobble(rng, ripple, 2)(u, 0.3 * v)
    heights = thick * rng.uniform(1 - rng.uniform(0, 0.4), 1.1, 80)
    edges = np.cumsum(heights) - heights.sum() / 2
    place = np.interp(v, edges, np.arange(80.0))
    row = np.minimum(place.astype(int), 78)
    t = place - row
    half = chance(rng, 0.55)
    shifts = 0.5 * (np.arange(80) % 2) + rng.normal(0, 0.05, 80) if half else rng.uniform(0, 1, 80)
    along = u / long + shifts[row] + rng.choice([0, 1]) * rng.normal(0, 0.08) * (t - 0.5)
    column = np.floor(along).astype(int)
    f = along - column
    jitter = rng.uniform(-1, 1, (80, 64)) * rng.uniform(0, 0.12 if half else 0.28)
    fused = rng.random((80, 64)) < rng.choice([0, 0, 0.04])
    jitter_here, jitter_next = jitter[row, column % 64], jitter[row, (column + 1) % 64]
    left = np.abs(f - jitter_here) + 9 * fused[row, column % 64]
    right = np.abs(f - 1 - jitter_next) + 9 * fused[row, (column + 1) % 64]
    gap = max(thick * rng.uniform(0.08, 0.26), 1.1) * density(rng, size)(u + size / 2, v + size / 2)
    to_end = np.minimum(left, right) * long - gap / 2 * rng.uniform(0.8, 1.1)
    to_side = np.minimum(t, 1 - t) * heights[np.minimum(row + 1, 79)] - gap / 2
    depth = np.minimum(to_end, to_side)
    rounding = rng.choice([0, 1]) * rng.uniform(0.1, 0.35) * thick
    if rounding:
        corner = rounding - np.hypot(np.maximum(rounding - to_end, 0), np.maximum(rounding - to_side, 0))
        depth = np.minimum(depth, corner)
    return inked(depth, scale)


def _spiral(turn: Array | float, outer: float, growth: float) -> Array:
    """Radius after `turn` full turns; 0 is the shell's mouth."""
    return outer * growth ** np.asarray(turn)


def nautilus(size: int, rng: Rng) -> Array:
    """One growing spiral divided by curved walls."""
    canvas = Canvas(size)
    growth, hand, start = rng.uniform(2.1, 3.6), rng.choice([-1, 1]), any_angle(rng)
    whole = chance(rng, 0.8)
    rim = start + hand * np.linspace(-2 * np.pi, 0, 80)
    reach = growth ** np.linspace(-1, 0, 80)[:, None] * np.stack([np.cos(rim), np.sin(rim)], 1)
    low, high = reach.min(0), reach.max(0)
    outer = size * (rng.uniform(0.82, 1.02) / (high - low).max() if whole else rng.uniform(0.62, 0.85))
    centre = size / 2 - whole * outer * (low + high) / 2 + rng.normal(0, 0.02 * size, 2)
    shell, evenness = rng.uniform(1.6, 5), rng.uniform(0.25, 0.7)

    def place(turn: Array, radius: Array) -> Array:
        angle = start + hand * 2 * np.pi * turn
        points: Array = centre + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        return points

    def thickness(turn: Array | float, full: float) -> Array:
        return np.maximum(full * _spiral(turn, 1, growth) ** evenness, 0.8)

    turns = np.linspace(-5, 0, 500)
    radii = _spiral(turns, outer, growth)
    turns, radii = turns[radii > 0.8], radii[radii > 0.8]
    points, widths = place(turns, radii), thickness(turns, shell)
    canvas.segments(points[:-1], points[1:], widths[:-1])
    chamber, bow, slant = rng.uniform(0.035, 0.085), rng.uniform(0.02, 0.075), rng.normal(0, 0.03)
    wall = shell * rng.uniform(0.45, 0.95)
    at = -(rng.uniform(0.12, 0.34) if whole else rng.uniform(0, 0.05))
    across = np.linspace(0, 1, 16)
    siphon = []
    broken = rng.choice([0, 0, 0.04])
    while _spiral(at, outer, growth) > 5:
        inner, edge = _spiral(at - 1, outer, growth), _spiral(at, outer, growth)
        turn = at - 4 * bow * across * (1 - across) + slant * (across - 0.5)
        radius = (inner + (edge - inner) * across) * growth ** (turn - at)
        if not chance(rng, broken):
            canvas.path(place(turn, radius), thickness(at, wall))
        siphon.append(place(turn[8:9], radius[8:9])[0])
        at -= chamber * rng.uniform(0.88, 1.12)
    if chance(rng, 0.25):
        canvas.segments(np.array(siphon[:-1]), np.array(siphon[1:]), wall)
    if chance(rng, 0.4):
        lip = place(0.03 * np.sin(np.pi * across), np.linspace(_spiral(-1, outer, growth), outer, 16))
        canvas.path(lip, wall)
    return canvas.picture()


def _pores(rng: Rng, radius: float, pitch: float, first: float) -> tuple[Array, Array]:
    """Polar coordinates of rings of holes, about a pitch apart or on shared rays."""
    distances, angles = [], []
    close = pitch * rng.uniform(0.72, 1.0)
    rays, turn = int(rng.integers(14, 40)), any_angle(rng)
    radial, lock = chance(rng, 0.3), chance(rng, 0.5)
    for ring, distance in enumerate(np.linspace(first, radius, max(round((radius - first) / pitch), 2) + 1)):
        fit = int(2 * np.pi * distance / close)
        if radial:
            fit = rays if fit >= rays else rays // 2 if fit >= rays // 2 else max(rays // 4, 1)
        if fit < 3:
            continue
        shift = turn + (np.pi / fit * (ring % 2) if lock else rng.uniform(0, 2 * np.pi) * (not radial))
        angles.append(shift + 2 * np.pi * np.arange(fit) / fit)
        distances.append(np.full(fit, distance))
    return np.concatenate(distances), np.concatenate(angles)


def diatom(size: int, rng: Rng) -> Array:
    """A round disc with a thick rim and concentric rings of round holes."""
    canvas = Canvas(size)
    outer = size * (rng.uniform(0.36, 0.5) if chance(rng, 0.75) else rng.uniform(0.5, 0.64))
    centre = size / 2 + rng.uniform(-1, 1, 2) * max(0.04, 0.48 - outer / size) * size
    rim, pitch = outer * rng.uniform(0.06, 0.2), log_uniform(rng, 5.5, outer / 4.5)
    first = pitch * rng.choice([1.05, rng.uniform(1.2, 2.2)])
    distance, angle = _pores(rng, outer - rim - 0.4 * pitch, pitch, first)
    hole = pitch * rng.uniform(0.22, 0.34) * (1 + rng.uniform(-0.35, 0.25) * (distance / outer - 0.3))
    hole *= rng.uniform(1 - rng.uniform(0, 0.2), 1, len(hole))
    points = centre + distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    points += rng.normal(0, rng.uniform(0, 0.05) * pitch, points.shape)
    dark = int(not chance(rng, 0.1))
    canvas.dots(centre[None], outer)
    if not dark:
        canvas.dots(centre[None], outer - 0.6 * rim, 0)
    kept = rng.random(len(points)) > rng.choice([0, 0, 0.03])
    canvas.dots(points[kept], hole[kept], 1 - dark)
    if chance(rng, 0.35):
        canvas.dots(centre[None], max(first - 0.75 * pitch, 0.3 * pitch), 1 - dark)
    if dark and chance(rng, 0.4):
        spines = np.linspace(0, 2 * np.pi, int(rng.integers(24, 70)), endpoint=False)
        ways = np.stack([np.cos(spines), np.sin(spines)], 1)
        if chance(rng, 0.5):
            canvas.segments(centre + (outer - 0.75 * rim) * ways, centre + (outer - 0.25 * rim) * ways, 0.9, 0)
        else:
            canvas.segments(centre + outer * ways, centre + (outer + rng.uniform(2, 5)) * ways, 1.2)
    return canvas.picture()


def _scale_shape(rng: Rng) -> Array:
    """The free edge of one scale: half an ellipse or a slightly pointed arch, closed at its root."""
    turns = np.linspace(-np.pi / 2, np.pi / 2, 22)
    tip = np.cos(turns) ** rng.choice([1.0, 1.0, rng.uniform(0.8, 1.3)])
    point = rng.choice([0, 0, 1]) * rng.uniform(0, 0.25)
    arch = np.stack([tip + point * np.maximum(1 - np.abs(turns) / 0.6, 0), np.sin(turns)], 1)
    return np.vstack([arch, [[-1.0, 1.0], [-1.0, -1.0]]])


def _layers(radius: float, width: float, ridges: int) -> list[float]:
    """Radii of the outlines of one scale, dark and light in turn."""
    sizes = [radius, radius - width]
    for ridge in range(ridges):
        inner = (radius - width) * (1 - (ridge + 0.75) / (ridges + 0.9))
        if inner > 0.3 * radius:
            sizes += [inner + 0.45 * width, inner - 0.45 * width]
    return sizes


def scales(size: int, rng: Rng) -> Array:
    """Rows of overlapping half circles, each in outline, some with inner ridges."""
    canvas = Canvas(size)
    angle, pitch, solid = any_angle(rng), log_uniform(rng, 12, 42), chance(rng, 0.12)
    step, shape, long = pitch * rng.uniform(0.38, 0.55), _scale_shape(rng), rng.uniform(0.85, 1.25)
    line = np.clip(pitch * log_uniform(rng, 0.06, 0.2), 1.1, min(4.5, 0.26 * step))
    ridges = int(rng.integers(1, 4)) if chance(rng, 0.35) and pitch > 18 else 0
    keel = not ridges and pitch > 15 and chance(rng, 0.2)
    reach, jitter = 0.75 * size + pitch, rng.choice([0, 1]) * rng.uniform(0, 0.05) * pitch
    radius, gain = pitch / 2 * rng.uniform(1.0, 1.12), density(rng, size)
    for row, u in enumerate(np.arange(reach, -reach, -step)):
        v = np.arange(-reach, reach, pitch) + pitch / 2 * (row % 2)
        centres = np.stack([u + rng.normal(0, jitter, len(v)), v + rng.normal(0, jitter, len(v))], 1)
        spots = turned(centres[:, 0], centres[:, 1], angle, size)
        centres = centres[np.all((spots > -1.6 * pitch) & (spots < size + 1.6 * pitch), axis=1)]
        if not len(centres):
            continue
        width = max(line * float(gain(*spots[len(spots) // 2])), 1.0)
        sizes = np.array(_layers(radius, width, ridges))
        edges = centres[:, None, None] + sizes[:, None, None] * shape * [long, 1]
        edges[:, :, -2:, 0] = centres[:, None, None, 0] - 1.5 * radius
        outlines = turned(edges[..., 0], edges[..., 1], angle, size).reshape(-1, len(shape), 2)
        canvas.polygons(outlines, np.tile(np.arange(len(sizes)) % 2 == int(solid), len(centres)))
        if keel:
            ends = [turned(centres[:, 0] + r * radius, centres[:, 1], angle, size) for r in (0.05, 0.75 * long)]
            canvas.segments(ends[0], ends[1], 0.7 * width, int(not solid))
    return canvas.picture()

"""Four drawings of threads: orb web, sheet web, crimped collagen, twisted plywood."""

import numpy as np

from training.embedded.judge.pen.canvas import (
    Array,
    Canvas,
    Rng,
    any_angle,
    chance,
    density,
    distance_to_lines,
    inked,
    log_uniform,
    plane,
    wobble,
)


def _turn_radii(rng: Rng, first: float, reach: float, pitch: float, growth: float) -> Array:
    """Radii of the rounds of thread from the first one past the reach, about a pitch apart, wider as they grow."""
    radii = [first]
    while radii[-1] < reach:
        radii.append(radii[-1] + pitch * (1 + growth * radii[-1] / 64) * rng.uniform(0.88, 1.12))
    return np.array(radii)


def web(size: int, rng: Rng) -> Array:
    """Straight spokes from a hub, crossed by a spiral or by closed rounds of thread."""
    canvas = Canvas(size)
    spread = rng.choice([0.08, 0.3, 0.5])
    hub = size * (0.5 + rng.uniform(-spread, spread, 2))
    count = int(rng.integers(6, 25))
    spokes = 2 * np.pi * (np.arange(count) + rng.normal(0, rng.uniform(0, 0.2), count)) / count + any_angle(rng)
    far = size * rng.uniform(0.42, 0.56) if spread < 0.1 and chance(rng, 0.3) else 2.0 * size
    stretch = 1 + rng.uniform(0, 0.35) * np.cos(spokes - any_angle(rng)) if chance(rng, 0.4) else np.ones(count)
    radii = _turn_radii(rng, rng.uniform(2, 14), min(far, 1.3 * size), log_uniform(rng, 4.5, 17), rng.uniform(0, 0.7))
    thread, spoke = rng.uniform(0.7, 1.9), rng.uniform(0.8, 2.8)
    tips = hub + far * rng.uniform(1, 1.12) * (stretch[:, None] * np.stack([np.cos(spokes), np.sin(spokes)], 1))
    canvas.segments(np.broadcast_to(hub, tips.shape), tips, spoke * rng.uniform(0.8, 1.2, count))
    spiral, sag = chance(rng, 0.6), rng.choice([0.0, rng.uniform(0.03, 0.2)])
    order = np.arange(count * (len(radii) - 1) + 1)
    turn, index = order // count, order % count
    radius = radii[turn]
    if spiral:
        radius = radius + (np.append(radii, radii[-1])[turn + 1] - radius) * index / count
    radius = (radius + rng.normal(0, rng.uniform(0, 0.5), len(order))) * stretch[index]
    points = hub + radius[:, None] * np.stack([np.cos(spokes[index]), np.sin(spokes[index])], 1)
    closing = (index[:-1] == count - 1)[:, None] & (not spiral)
    ends = np.where(closing, points[turn[:-1] * count], points[1:])
    starts = points[:-1]
    middle = (starts + ends) / 2
    middle += (hub - middle) * sag * (np.linalg.norm(ends - starts, axis=1) / (radius[:-1] + 1))[:, None]
    kept = rng.random(len(starts)) > rng.choice([0, 0, 0.03, 0.09])
    width = thread * density(rng, size)(middle[kept, 0], middle[kept, 1])
    canvas.segments(starts[kept], middle[kept], width)
    canvas.segments(middle[kept], ends[kept], width)
    if chance(rng, 0.4):
        canvas.dots(hub[None], rng.uniform(1.5, 4))
    return canvas.picture()


def sheet(size: int, rng: Rng) -> Array:
    """Straight threads that cross at every angle, some of them ending in the picture."""
    canvas = Canvas(size)
    count = int(log_uniform(rng, 18, 95))
    width = min(log_uniform(rng, 0.7, 4.2), 110 / count)
    angles = rng.uniform(0, np.pi, count)
    ways = np.stack([np.cos(angles), np.sin(angles)], 1)
    normals = np.stack([-ways[:, 1], ways[:, 0]], 1)
    offsets = rng.uniform(-0.68, 0.68, count) * size
    lean = rng.choice([0, 1]) * rng.uniform(0, 0.4) * size
    middle = size / 2 + normals * (offsets + lean * rng.normal(0, 0.3, count))[:, None]
    widths = np.maximum(width * np.exp(rng.normal(0, rng.uniform(0, 0.45), count)), 0.6)
    short = rng.random(count) < rng.choice([0, 0.15, 0.5])
    half = np.where(short, rng.uniform(0.15, 0.6, count), 1.5)[:, None] * size
    middle = middle + np.where(short, rng.uniform(-0.6, 0.6, count) * size, 0)[:, None] * ways
    sag = rng.normal(0, rng.choice([0, 0, 0.025]) * size, count)
    steps = np.linspace(-1, 1, 9)
    for i in range(count):
        if sag[i] and not short[i]:
            curve = middle[i] + (steps[:, None] * ways[i]) * 0.8 * size + normals[i] * sag[i] * (steps[:, None] ** 2)
            canvas.path(curve, widths[i])
        else:
            canvas.segments((middle - half * ways)[i : i + 1], (middle + half * ways)[i : i + 1], widths[i])
    return canvas.picture()


def _wave(x: Array, sharpness: float) -> Array:
    """From a sine (0) to a rounded zigzag (1)."""
    wave: Array = np.sin(x)
    if sharpness >= 0.05:
        wave = np.arcsin(sharpness * wave) / np.arcsin(sharpness)
    return wave


def collagen(size: int, rng: Rng) -> Array:
    """Parallel lines that all wave in step."""
    scale = 2
    u, v = plane(size, any_angle(rng), scale)
    pitch, period = log_uniform(rng, 4.2, 15), log_uniform(rng, 22, 85)
    height = period * rng.uniform(0.07, 0.24)
    drift = wobble(rng, 2.0 * size, 2)(u, v)
    phase = 2 * np.pi * u / period + rng.uniform(0, 6.3) + rng.uniform(0, 0.6) * drift + rng.uniform(-0.3, 0.3) * v / 30
    strength = 1 + rng.uniform(0, 0.3) * drift
    wave = height * strength * _wave(phase, rng.choice([0.0, 0.0, 0.7, 0.97]))
    line = (v + wave) / pitch + rng.uniform(0, 0.15) * wobble(rng, 5 * pitch, 2)(v * 1.0, 0 * u)
    index = np.round(line).astype(int) % 64
    width = pitch * rng.uniform(0.2, 0.62) * (1 + rng.uniform(0, 0.25) * rng.normal(size=64).clip(-1.3, 1.3))
    gain = density(rng, size)(u + size / 2, v + size / 2)
    breadth = np.minimum(np.maximum(width, 0.9)[index] * gain, 0.64 * pitch)
    down, right = np.gradient(line)
    depth = breadth / 2 - distance_to_lines(line, scale, np.clip(np.hypot(down, right) * scale, 0, 2 / pitch))
    if chance(rng, 0.35):
        gap = np.where(rng.random(64) < 0.3, rng.uniform(-0.5, 0.5, 64) * size, 9 * size)[index]
        depth = np.minimum(depth, np.abs(u - gap) - rng.uniform(2, 6))
    return inked(depth, scale)


def _bow(t: Array, shape: str) -> tuple[Array, Array]:
    """Height of the arc across its band (t from 0 to 1) and its slope."""
    t = np.clip(t, 0, 1)
    if shape == "parabola":
        return 4 * t * (1 - t), 4 - 8 * t
    if shape == "sine":
        return np.sin(np.pi * t), np.pi * np.cos(np.pi * t)
    if shape == "circle":
        s = 0.96 * (2 * t - 1)
        root = np.sqrt(1 - s * s)
        return root, -1.92 * s / root
    sine = np.sin(np.pi * (0.035 + 0.93 * t))
    return 1 + np.log(sine) / 2.2, 0.93 * np.pi * np.cos(np.pi * (0.035 + 0.93 * t)) / sine / 2.2


def plywood(size: int, rng: Rng) -> Array:
    """Stacked bands, each filled with nested arcs that bow the same way."""
    scale = 2
    u, v = plane(size, any_angle(rng), scale)
    band = log_uniform(rng, 17, 58)
    v = v + rng.choice([0, 1]) * rng.uniform(0, 0.12) * band * wobble(rng, size, 2)(u, 0.4 * v)
    heights = band * rng.uniform(1 - rng.uniform(0, 0.35), 1.1, 40)
    edges = np.cumsum(heights) - heights.sum() / 2 + rng.uniform(0, band)
    place = np.interp(v, edges, np.arange(40.0))
    row = np.minimum(place.astype(int), 38)
    t = place - row
    height, slope = _bow(t, str(rng.choice(["parabola", "sine", "circle", "logarithm"])))
    deep = band * rng.uniform(0.4, 0.95)
    pitch = min(log_uniform(rng, 4.5, 12), band / 3.2)
    shift = rng.uniform(0, 1, 40) if chance(rng, 0.5) else np.zeros(40)
    line = (u - deep * height) / pitch + shift[row] + rng.uniform(0, 0.2) * wobble(rng, 40, 2)(u, v)
    steep = np.hypot(1, deep * slope / heights[np.minimum(row + 1, 39)]) / pitch
    index = np.round(line).astype(int) % 97
    share = rng.uniform(0.22, 0.5)
    width = np.maximum(pitch * share * rng.uniform(1 - rng.uniform(0, 0.4), 1.1, 97), 0.9)
    breadth = width[index] * density(rng, size)(u + size / 2, v + size / 2)
    gentle = np.minimum(steep, max(rng.uniform(0.55, 0.95) / share, 1) / pitch)
    depth = breadth / 2 - distance_to_lines(line, scale, gentle)
    joint = rng.choice([0, 0, 1]) * rng.uniform(0.8, 3.2)
    if joint:
        depth = np.maximum(depth, joint / 2 - np.minimum(t, 1 - t) * heights[np.minimum(row + 1, 39)])
    return inked(depth, scale)

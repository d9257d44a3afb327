"""Kinds built about a centre or of circles: web, nautilus, diatom, scales."""

import numpy as np

from training.embedded.judge.fields.field import (
    Array,
    Rng,
    bent,
    frame,
    ink,
    lattice,
    log_uniform,
    rough,
    turned,
    uneven,
)


def _stretched_polar(size: int, rng: Rng, shift: float, strain: float, stretch: float) -> tuple[Array, Array]:
    """Radius and angle about a shifted centre, in slightly squeezed space."""
    x, y = bent(size, rng, strain)
    u, v = turned(x - rng.uniform(-shift, shift) * size, y - rng.uniform(-shift, shift) * size, rng.uniform(0, np.pi))
    v = v * rng.uniform(1, stretch)
    return np.hypot(u, v), np.mod(np.arctan2(v, u), 2 * np.pi)


def web(size: int, rng: Rng) -> Array:
    """Spokes from a hub, crossed by a spiral of thread."""
    r, theta = _stretched_polar(size, rng, 0.22, 0.03, 1.3)
    count = int(rng.integers(10, 27))
    spokes = (np.arange(count) + rng.uniform(-0.3, 0.3, count)) * 2 * np.pi / count + 0.5 * 2 * np.pi / count
    around = np.concatenate(([spokes[-1] - 2 * np.pi], spokes, [spokes[0] + 2 * np.pi]))
    sector = np.searchsorted(around, theta) - 1
    start, end = around[sector], around[sector + 1]
    middle, half = (start + end) / 2, (end - start) / 2
    spoke = r * np.sin(np.minimum(np.minimum(theta - start, end - theta), np.pi / 2))
    chord = r * np.cos(theta - middle) / np.cos(half)
    chord = chord * (1 + rng.uniform(-0.02, 0.12) * (1 - ((theta - middle) / half) ** 2))
    pitch = log_uniform(rng, 5.5, 15)
    turns = theta / (2 * np.pi) if rng.random() < 0.7 else 0
    if rng.random() < 0.5:
        turns = turns + rng.uniform(0, 0.2, count + 2)[np.where(sector == count, 0, sector)]
    ring, inner, outer = lattice(chord / pitch - turns, 0, rng.uniform(0, 0.2), rng)
    q = chord / pitch - turns
    nearest = np.where(q - inner < outer - q, ring, ring + 1)
    thread = np.minimum(q - inner, outer - q) * pitch
    hub = pitch * rng.uniform(0.3, 1.6)
    kept = rng.random((61, 257))[sector % 61, nearest % 257] > rng.uniform(-0.06, 0.1)
    edge = size * rng.uniform(0.5, 1.2)
    thread = np.where(kept & (chord > hub) & (chord < edge), thread, 99)
    width = log_uniform(rng, 1.1, 2.8) * uneven(size, rng, 0.2)
    slim = np.clip(r * 5 / count / width, 0.3, 1)
    lines = np.minimum(spoke - rng.uniform(0.8, 1.4) * slim * width / 2, thread - rng.uniform(0.7, 1.1) * width / 2)
    return ink(np.minimum(lines, r - rng.uniform(0.8, 2.5)) + rough(size, rng, 0.25))


def nautilus(size: int, rng: Rng) -> Array:
    """A logarithmic spiral divided into chambers by curved walls."""
    growth = rng.uniform(0.1, 0.18)
    last = 2 * np.pi * rng.uniform(4, 5)
    largest = size * rng.uniform(0.46, 0.6) * 2 / (1 + np.exp(-growth * np.pi))
    lean = (largest - largest * np.exp(-growth * np.pi)) / 2
    x, y = bent(size, rng, 0.05)
    x, y = turned(x, y * rng.choice([-1, 1]), rng.uniform(0, 2 * np.pi))
    x = x + lean * np.cos(last) + rng.uniform(-0.04, 0.04) * size
    y = y + lean * np.sin(last) + rng.uniform(-0.04, 0.04) * size
    r, theta = np.hypot(x, y) + 1e-3, np.mod(np.arctan2(y, x), 2 * np.pi)
    s = (last + np.log(r / largest) / growth - theta) / (2 * np.pi)
    whorl = np.ceil(s)
    t = s - whorl + 1
    angle = theta + 2 * np.pi * whorl
    outer = largest * np.exp(growth * (angle - last))
    inner = outer * np.exp(-2 * np.pi * growth)
    wall = np.where(angle <= last, outer - r, 99)
    wall = np.minimum(wall, np.where(angle - 2 * np.pi <= last, r - inner, 99))
    count = rng.uniform(9, 19)
    bow = rng.uniform(0.25, 0.6) * rng.choice([-1, 1], p=[0.85, 0.15])
    q = (angle + bow * 4 * t * (1 - t) + rng.uniform(-0.3, 0.3) * t) * count / (2 * np.pi)
    _, low, high = lattice(q, 0, rng.uniform(0, 0.12), rng)
    oldest = (last - rng.choice([0, rng.uniform(0.4, 1.3)])) * count / (2 * np.pi)
    stretch = (2 * np.pi / count) * r / np.sqrt(1 + (bow * 4 * (1 - 2 * t) / (2 * np.pi * growth)) ** 2)
    septum = np.where(low < oldest, q - low, 99)
    septum = np.minimum(septum, np.where(high < oldest, high - q, 99)) * stretch
    septum = np.where((2 * np.pi * r / count > 3.2) & (angle <= last + 0.05), septum, 99)
    width = log_uniform(rng, 1.6, 4.6) * np.clip(r / largest, 0.1, 1) ** rng.uniform(0.3, 0.8)
    thin = np.maximum(width * rng.uniform(0.6, 0.95), 1.1) / 2
    return ink(np.minimum(wall - np.maximum(width, 1.2) / 2, septum - thin) + rough(size, rng, 0.2))


def diatom(size: int, rng: Rng) -> Array:
    """A round disc with rings of small round holes."""
    r, theta = _stretched_polar(size, rng, 0.06, 0.03, 1.2)
    disc = size * rng.uniform(0.38, 0.56)
    pitch = log_uniform(rng, 6, 12.5)
    rim = pitch * rng.uniform(0.1, 0.7)
    centre = pitch * rng.uniform(0.3, 1.8)
    rings = max(int((disc - rim - centre) / pitch), 2)
    pitch = (disc - rim - centre) / rings
    ring = np.clip(np.floor((r - centre) / pitch), -1, rings - 1).astype(int)
    radius = centre + (np.arange(rings + 1) + 0.5) * pitch
    count = np.maximum(np.round(2 * np.pi * radius / (pitch * rng.uniform(0.75, 1.05))), 4)
    if rng.random() < 0.35:
        count = np.maximum(np.round(radius / radius[0]) * max(count[0], 5), 5)
        count = np.where(2 * np.pi * radius / count < 0.8 * pitch, np.round(2 * np.pi * radius / pitch), count)
    offset = rng.uniform(0, 1, rings + 1) if rng.random() < 0.6 else 0.5 * (np.arange(rings + 1) % 2)
    q = theta * count[ring] / (2 * np.pi) + offset[ring]
    place = np.floor(q)
    side = (q - place - 0.5) / count[ring] * 2 * np.pi * radius[ring]
    away = np.hypot(side, (r - radius[ring]))
    room = np.minimum(pitch, 2 * np.pi * radius[ring] / count[ring])
    hole = room * rng.uniform(0.24, 0.39) * (1 + rng.uniform(-0.25, 0.15) * r / disc)
    key = (ring % 61, place.astype(int) % 257)
    hole = np.maximum(hole, 1.5) * rng.uniform(1 - rng.uniform(0, 0.2), 1, (61, 257))[key]
    kept = rng.random((61, 257))[key] > rng.uniform(-0.05, 0.06)
    holes = np.where(kept & (ring >= 0), hole - away, -99)
    if rng.random() < 0.4:
        holes = np.maximum(holes, min(centre * 0.5, pitch * 0.45) - r)
    if rng.random() < 0.35:
        furrow = disc - rim * rng.uniform(0.2, 0.5)
        holes = np.maximum(holes, 0.6 - np.abs(r - furrow))
    return ink(np.maximum(r - disc, holes) + rough(size, rng, 0.35))


def scales(size: int, rng: Rng) -> Array:
    """Rows of overlapping half circles, the upper row lying on the lower."""
    u, v = frame(size, rng, 0.1)
    width = log_uniform(rng, 15, 40)
    depth = rng.uniform(0.9, 1.5)
    radius = width * rng.uniform(0.502, 0.55)
    step = depth * (radius - np.sqrt(radius**2 - width**2 / 4)) * rng.uniform(0.75, 1.03)
    jitter = rng.normal(0, rng.uniform(0, 0.05), (3, 61, 257)) * width
    jitter[2] = np.clip(jitter[2], -0.04 * width, 0.04 * width)
    row = np.floor(v / step).astype(int)
    distance, inside, bearing = (np.full(u.shape, fill, dtype=np.float32) for fill in (99, 99, 0))
    taken = np.zeros(u.shape, dtype=bool)
    for back in range(int(np.ceil(radius * depth / step)) + 1, -2, -1):
        here = row - back
        place = np.round(u / width - 0.5 * (here % 2)).astype(int)
        key = (here % 61, place % 257)
        side = u - (place + 0.5 * (here % 2)) * width - jitter[0][key]
        down = (v - here * step - jitter[1][key]) / depth
        margin = radius + jitter[2][key] - np.hypot(side, down)
        flank = radius + jitter[2][key] - np.abs(side)
        margin = np.where(down < 0, np.minimum(flank, margin), margin)
        distance = np.where(taken, distance, np.minimum(distance, np.abs(margin)))
        first = ~taken & (margin > 0) & (down > -step / 2)
        inside, bearing = np.where(first, margin, inside), np.where(first, np.arctan2(side, down), bearing)
        taken |= first
    line = np.clip(width * rng.uniform(0.05, 0.14), 1.2, 4.5) * uneven(size, rng)
    solid = distance - line / 2
    style = rng.random()
    if style < 0.25 and width > 16:
        crescent = inside - width * rng.uniform(0.1, 0.2) * np.clip(np.cos(bearing), 0, 1)
        solid = np.minimum(solid, crescent)
    elif 0.25 < style < 0.4 and width > 18:
        again = width * rng.uniform(0.2, 0.3)
        solid = np.minimum(solid, np.abs(inside - again) - np.maximum(line * 0.4, 1) / 2)
    return ink(solid + rough(size, rng, 0.01 * width))

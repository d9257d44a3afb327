"""Kinds made of threads and lines: parallel, collagen, sheet, plywood."""

import numpy as np

from training.embedded.judge.fields.field import (
    Array,
    Rng,
    bent,
    frame,
    ink,
    lattice,
    log_uniform,
    noise,
    rough,
    slope,
    turned,
    uneven,
)


def parallel(size: int, rng: Rng) -> Array:
    """Long lengthwise veins, every few a thicker one, with few short cross links."""
    u, v = frame(size, rng, 0.08)
    if rng.random() < 0.5:
        v = v * (1 + rng.uniform(-0.5, 0.5) * u / size)
    spacing = log_uniform(rng, 7, 20)
    jitter = rng.uniform(0, 0.22)
    strip, left, right = lattice(v / spacing, 0, jitter, rng)
    to_left, to_right = v - left * spacing, right * spacing - v
    line = np.where(to_left < to_right, strip, strip + 1)
    thin = np.maximum(spacing * rng.uniform(0.1, 0.26), 1.1)
    every = int(rng.integers(3, 7))
    thick = max(thin * rng.uniform(1.7, 2.8), thin + 1.2)
    width = np.where(line % every == int(rng.integers(every)), min(thick, 0.65 * spacing), thin)
    width = np.maximum(width * uneven(size, rng), 1.1)
    veins = np.minimum(to_left, to_right) - width / 2
    gap = spacing * log_uniform(rng, 3.5, 9)
    offsets = rng.uniform(0, 1, 61).astype(np.float32)[strip % 61]
    q = (u + rng.uniform(-0.5, 0.5) * (to_left - spacing / 2)) / gap + offsets
    link, start, end = lattice(q, strip, 0.45, rng)
    nearest = np.where(q - start < end - q, link, link + 1)
    kept = rng.random((61, 257))[strip % 61, nearest % 257] < rng.uniform(0.6, 1)
    across = np.minimum(q - start, end - q) * gap - np.maximum(thin * rng.uniform(0.6, 0.9), 1) / 2
    links = np.where(kept, across, 99)
    return ink(np.minimum(veins, links) + rough(size, rng, 0.25))


def _crimp(phase: Array, sharpness: float) -> Array:
    """A sine of unit height, drawn out toward a zigzag as the sharpness nears one."""
    wave: Array = np.arcsin(sharpness * np.sin(phase)) / np.arcsin(sharpness)
    return wave


def collagen(size: int, rng: Rng) -> Array:
    """Parallel fibres that all wave in step."""
    u, v = frame(size, rng, 0.06)
    wavelength = log_uniform(rng, 24, 80)
    steepness = rng.uniform(0.55, 1.5)
    sharpness = rng.choice([0.3, 0.8, 0.93, 0.97])
    shape = rng.uniform(0.7, 1.1) * wavelength * steepness / (2 * np.pi)
    phase = 2 * np.pi * (u + rng.uniform(-0.3, 0.3) * v) / wavelength + rng.uniform(0, 0.5) * noise(size, 50, rng)
    across = v - shape * _crimp(phase, sharpness)
    spacing = log_uniform(rng, 6, 16)
    strip, left, right = lattice(across / spacing, 0, rng.uniform(0, 0.25), rng)
    to_left, to_right = across - left * spacing, right * spacing - across
    line = np.where(to_left < to_right, strip, strip + 1)
    width = spacing * rng.uniform(0.2, 0.62) * rng.uniform(0.75, 1.25, 61).astype(np.float32)[line % 61]
    narrowing = np.maximum(slope(across), 0.7) ** rng.uniform(0, 1)
    distance = np.minimum(to_left, to_right) / narrowing
    width = np.maximum(width * uneven(size, rng) / narrowing ** rng.uniform(0.3, 1), 1.2)
    return ink(distance - width / 2 + rough(size, rng))


def sheet(size: int, rng: Rng) -> Array:
    """Straight threads at every angle, tangled."""
    x, y = bent(size, rng, 0.03, (60, 120))
    count = int(log_uniform(rng, 14, 55))
    angles = rng.uniform(0, np.pi, count)
    offsets = rng.uniform(-0.65, 0.65, count) * size
    offsets = offsets * np.abs(offsets / size / 0.65) ** rng.uniform(0, 0.4)
    base = log_uniform(rng, 0.9, 3.2) * (1 if count < 30 else 0.75)
    widths = np.maximum(base * np.exp(rng.normal(0, rng.uniform(0.05, 0.45), count)), 0.9)
    taper = uneven(size, rng)
    distance = np.full((size, size), 99, dtype=np.float32)
    ends = rng.random(count) < rng.uniform(0, 0.35)
    for angle, offset, width, ended in zip(angles, offsets, widths, ends, strict=True):
        u, v = turned(x, y, angle)
        away = np.abs(v - np.float32(offset))
        if ended:
            away = np.hypot(away, np.maximum(u - np.float32(rng.uniform(-0.5, 0.5) * size), 0))
        np.minimum(distance, away - np.float32(width / 2) * taper, out=distance)
    return ink(distance + rough(size, rng, 0.12))


def plywood(size: int, rng: Rng) -> Array:
    """Stacked bands of nested arcs: a helicoid of fibres cut aslant."""
    u, v = frame(size, rng, 0.08)
    band = log_uniform(rng, 20, 50)
    number, low, high = lattice(v / band, 0, rng.uniform(0, 0.2), rng)
    t = (v / band - low) / (high - low)
    softness = rng.uniform(0.1, 0.3)
    helicoid = -0.5 * np.log(np.sin(np.pi * t) ** 2 + softness**2)
    ellipse = 1 - np.sqrt(np.maximum(1 - (2 * t - 1) ** 2, 0) + 0.01)
    share = rng.uniform(0, 1)
    rise = band * rng.uniform(0.42, 0.7) * (share * helicoid / 1.6 + (1 - share) * ellipse)
    apart = int(rng.random() < 0.2)
    shift = rng.uniform(0, 1, 61).astype(np.float32)[number % 61] * apart * band
    across = u + rise + shift + rng.uniform(0, 1) * noise(size, 25, rng)
    spacing = min(log_uniform(rng, 5.5, 12), band / 3)
    _, left, right = lattice(across / spacing, number * apart, rng.uniform(0, 0.2), rng)
    distance = np.minimum(across - left * spacing, right * spacing - across)
    turn = np.hypot(1, slope(rise))
    narrowing = np.minimum(turn, 3) ** rng.uniform(0.3, 1)
    width = spacing * rng.uniform(0.3, 0.6) * uneven(size, rng, 0.12)
    lines = distance / narrowing - np.maximum(width / narrowing ** rng.uniform(0.4, 0.9), 1.1) / 2
    if rng.random() < 0.4:
        seam = np.minimum(t, 1 - t) * band - rng.uniform(0.6, 1.3)
        lines = np.minimum(lines, seam)
    return ink(lines + rough(size, rng, 0.4))

"""Kinds made by instability and by periodic surfaces: bone, gyroid, skin."""

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import cKDTree

from training.embedded.judge.fields.cells import hexagonal
from training.embedded.judge.fields.field import Array, Rng, bent, ink, level, log_uniform, noise, rough, turned, uneven


def _band_noise(size: int, wavelength: float, spread: float, stretch: float, rng: Rng) -> Array:
    """Random waves of nearly one wavelength, drawn out along a random direction."""
    pad = size + 32
    fx, fy = np.meshgrid(fft.rfftfreq(pad), fft.fftfreq(pad))
    along, across = turned(fx, fy, rng.uniform(0, np.pi))
    radius = np.hypot(along * stretch, across / stretch) * wavelength
    envelope = np.exp(-((radius - 1) ** 2) / (2 * spread**2))
    waves = fft.rfft2(rng.standard_normal((pad, pad)).astype(np.float32)) * envelope
    field = fft.irfft2(waves, s=(pad, pad))[:size, :size]
    heights: Array = field / field.std()
    return heights


def _pores(size: int, spacing: float, rng: Rng) -> Array:
    """High in the struts left between round pores of many sizes."""
    x, y = bent(size, rng, 0.25, (20, 50))
    reach = size / 2 + spacing
    points = hexagonal(2 * reach, 0.85 * spacing, rng)
    points = points + rng.normal(0, 0.16 * spacing, points.shape)
    sizes = rng.uniform(-0.1, 0.1, len(points)) * spacing
    u, v = turned(x, y, rng.uniform(0, np.pi))
    where = np.column_stack((u.ravel() / rng.uniform(1, 1.25), v.ravel()))
    far, near = cKDTree(points).query(where, k=3)
    depth: Array = gaussian_filter((far - sizes[near]).min(axis=1).reshape(x.shape), spacing * 0.1)
    return depth


def bone(size: int, rng: Rng) -> Array:
    """A random labyrinth of thick struts around rounded holes."""
    spacing = log_uniform(rng, 15, 32)
    struts = rng.random() < 0.7
    if struts:
        field = _band_noise(size, spacing, rng.uniform(0.2, 0.5), rng.uniform(1, 1.25), rng)
    else:
        field = _pores(size, spacing, rng)
    field = field + field.std() * rng.uniform(0, 0.3) * noise(size, 60, rng)
    solid = rng.uniform(0.4, 0.66) if struts else rng.uniform(0.45, 0.62)
    return ink(level(field, float(np.quantile(field, 1 - solid))) + rough(size, rng))


def _plane(rng: Rng) -> tuple[Array, Array, Array]:
    """Two directions in a cutting plane of low index, and a point of it near which the cut shows bands."""
    normals = np.array([[0, 0, 1], [1, 1, 0], [2, 1, 0], [1, 1, 1]], dtype=float)
    which = rng.choice(4, p=[0.72, 0.18, 0.08, 0.02])
    normal = normals[which] / np.linalg.norm(normals[which])
    spread = (0.74, 0.14, np.pi, np.pi)[which]
    every = (np.pi / 2, np.pi / np.sqrt(2), np.pi, np.pi)[which]
    depth = rng.integers(4) * every + rng.uniform(-spread, spread)
    first = np.cross(normal, [0.3, 0.5, -0.8])
    first /= np.linalg.norm(first)
    return first, np.cross(normal, first), depth * normal


def gyroid(size: int, rng: Rng) -> Array:
    """Evenly wide bands that meander in step and touch: a gyroid cut by a plane."""
    x, y = bent(size, rng, 0.05)
    u, v = turned(x, y, rng.uniform(0, 2 * np.pi))
    period = log_uniform(rng, 20, 46)
    first, second, place = _plane(rng)
    a, b, c = (2 * np.pi / period * (u * first[i] + v * second[i]) + place[i] for i in range(3))
    field = np.sin(a) * np.cos(b) + np.sin(b) * np.cos(c) + np.sin(c) * np.cos(a)
    steep = (np.cos(a) * np.cos(b) - np.sin(c) * np.sin(a)) ** 2
    steep += (np.cos(b) * np.cos(c) - np.sin(a) * np.sin(b)) ** 2
    steep += (np.cos(c) * np.cos(a) - np.sin(b) * np.sin(c)) ** 2
    field = field / np.sqrt(steep + 0.3)
    solid = rng.uniform(0.38, 0.62)
    field = field + 0.25 * field.std() * (uneven(size, rng) - 1)
    return ink(level(field, float(np.quantile(field, 1 - solid))) + rough(size, rng, 0.4))


def _reaction_peaks(size: int, spacing: float, rng: Rng) -> Array:
    """Peaks of Swift-Hohenberg spots grown from noise on half the grid."""
    small = size // 2 + 20
    wave = 2 * np.pi * np.hypot(*np.meshgrid(fft.rfftfreq(small), fft.fftfreq(small))) * spacing * 0.866 / (4 * np.pi)
    step = 0.9
    decay = (1 / (1 + step * ((1 - wave**2) ** 2 - 0.1))).astype(np.float32)
    u = rng.normal(0, 0.3, (small, small)).astype(np.float32)
    for _ in range(70):
        u = fft.irfft2(decay * fft.rfft2(u + step * (1.6 * u * u - u * u * u)), s=(small, small))
    peaks = np.argwhere((u == maximum_filter(u, 3, mode="wrap")) & (u > u.mean()))
    return 2.0 * (peaks + rng.uniform(-0.4, 0.4, peaks.shape)) - small


def _spots_apart(size: int, spacing: float, rng: Rng) -> Array:
    """Distance to the centre of the nearest dot, in dots' own sizes."""
    if spacing > 12 and rng.random() < 0.5:
        points = _reaction_peaks(size, spacing, rng)
    else:
        points = hexagonal(size, spacing, rng)
        points = points + rng.normal(0, spacing * rng.uniform(0.05, 0.3), points.shape)
    for _ in range(6):
        pairs = cKDTree(points).query_pairs(0.9 * spacing, output_type="ndarray")
        apart = points[pairs[:, 0]] - points[pairs[:, 1]]
        length = np.linalg.norm(apart, axis=1, keepdims=True) + 1e-6
        push = apart * (0.4 * (0.9 * spacing - length) / length)
        np.add.at(points, pairs[:, 0], push)
        np.add.at(points, pairs[:, 1], -push)
    points = points[rng.random(len(points)) > rng.uniform(-0.05, 0.08)]
    x, y = bent(size, rng, 0.15)
    far, near = cKDTree(points).query(np.column_stack((x.ravel(), y.ravel())))
    sizes = np.clip(rng.normal(1, rng.uniform(0, 0.1), len(points)), 0.75, 1.25)
    distance: Array = (far / sizes[near]).reshape(size, size)
    return distance


def skin(size: int, rng: Rng) -> Array:
    """Separate round dots of nearly one size that keep their distance."""
    spacing = log_uniform(rng, 9, 30)
    radius = max(spacing * rng.uniform(0.19, 0.32), 2)
    return ink(_spots_apart(size, spacing, rng) - radius * uneven(size, rng, 0.14) + rough(size, rng, 0.35))

"""Fields every kind is made of: coordinates, smooth noise, gentle bends, uneven lattices, and the step to ink.

Lengths are pixels. A picture is a signed distance (negative inside the solid) passed through `ink`.
"""

import numpy as np

Array = np.ndarray
Rng = np.random.Generator


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """One number whose logarithm is uniform between those of low and high."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def grid(size: int) -> tuple[Array, Array]:
    """Pixel centres as x and y, zero in the picture's middle."""
    axis = np.arange(size, dtype=np.float32) - (size - 1) / 2
    x, y = np.meshgrid(axis, axis)
    return x, y


def _spline_weights(size: int, scale: float, shift: float) -> Array:
    """Weight of every knot of a cubic B-spline at every pixel of a line, knots `scale` apart."""
    knots = np.arange(int(size / scale) + 5)
    t = np.abs(np.arange(size)[:, None] / scale + 1 + shift - knots[None, :])
    inner = 2 / 3 - t**2 + t**3 / 2
    outer = np.clip(2 - t, 0, None) ** 3 / 6
    return np.where(t < 1, inner, outer).astype(np.float32)


def noise(size: int, scale: float, rng: Rng) -> Array:
    """Smooth noise of about unit deviation; its blobs are `scale` wide."""
    rows = _spline_weights(size, scale, rng.uniform(0, 1))
    columns = _spline_weights(size, scale, rng.uniform(0, 1))
    values = rng.standard_normal((rows.shape[1], columns.shape[1])).astype(np.float32)
    blobs: Array = 2.1 * rows @ values @ columns.T
    return blobs


def bent(size: int, rng: Rng, strain: float, scales: tuple[float, float] = (30, 90)) -> tuple[Array, Array]:
    """Pixel coordinates displaced by smooth noise that stretches lengths by about `strain`."""
    x, y = grid(size)
    scale = rng.uniform(*scales)
    amplitude = rng.uniform(0, strain) * scale * 0.6
    return x + amplitude * noise(size, scale, rng), y + amplitude * noise(size, scale, rng)


def turned(x: Array, y: Array, angle: float) -> tuple[Array, Array]:
    """Coordinates along and across a direction."""
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return c * x + s * y, c * y - s * x


def frame(size: int, rng: Rng, strain: float = 0.1) -> tuple[Array, Array]:
    """Bent coordinates along and across a random direction, shifted at random."""
    x, y = bent(size, rng, strain)
    u, v = turned(x, y, rng.uniform(0, 2 * np.pi))
    return u + rng.uniform(-size, size) / 4, v + rng.uniform(-size, size) / 4


def uneven(size: int, rng: Rng, strength: float = 0.25) -> Array:
    """A factor near one that drifts across the picture: how thick the solid is where."""
    x, y = grid(size)
    across, _ = turned(x / size, y / size, rng.uniform(0, 2 * np.pi))
    blobs = noise(size, rng.uniform(15, 50), rng)
    drift = rng.uniform(0, 2 * strength) * across + rng.uniform(0, strength / 2) * blobs
    return np.clip(1 + drift, 0.5, 1.6)


def rough(size: int, rng: Rng, most: float = 0.5) -> Array:
    """A small unevenness of edges, in pixels; none in a third of the pictures."""
    amount = max(0.0, rng.uniform(-most / 2, most))
    return amount * noise(size, rng.uniform(2.5, 6), rng)


def slope(field: Array) -> Array:
    """Length of a field's gradient."""
    down, right = np.gradient(field)
    length: Array = np.hypot(down, right)
    return length


def ink(distance: Array) -> Array:
    """Solid where a signed distance is negative, with an edge one pixel wide."""
    return np.clip(0.5 - distance, 0, 1).astype(np.float32)


def level(field: Array, threshold: float) -> Array:
    """Signed distance to where a field exceeds a threshold, from its value and slope."""
    steep = slope(field)
    distance: Array = (threshold - field) / np.maximum(steep, 0.15 * steep.mean() + 1e-6)
    return distance


def lattice(q: Array, row: Array | int, jitter: float, rng: Rng) -> tuple[Array, Array, Array]:
    """Number, left and right end of the interval that holds q; ends are whole numbers, jittered anew in each row."""
    table = rng.uniform(-jitter, jitter, (61, 257)).astype(np.float32)
    row = np.mod(row, 61)
    k = np.floor(q).astype(np.int32)
    k = np.where(q < k + table[row, k % 257], k - 1, k)
    k = np.where(q >= k + 1 + table[row, (k + 1) % 257], k + 1, k)
    return k, k + table[row, k % 257], k + 1 + table[row, (k + 1) % 257]


def rounded(a: Array, b: Array, radius: Array | float) -> Array:
    """Distance to the nearer of two walls, with the corner between them rounded."""
    corner = radius - np.hypot(np.maximum(radius - a, 0), np.maximum(radius - b, 0))
    distance: Array = corner + np.maximum(np.minimum(a, b) - radius, 0)
    return distance

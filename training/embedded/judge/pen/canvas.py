"""What all drawings share: an oversampled canvas, turned coordinates, stripes, scattered points, Voronoi walls.

Lengths are in pixels of the finished picture. Nothing here knows which kind is drawn.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import Voronoi, cKDTree

Array = np.ndarray
Rng = np.random.Generator


def chance(rng: Rng, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def any_angle(rng: Rng) -> float:
    """A direction in radians, every one as likely."""
    return float(rng.uniform(0, 2 * np.pi))


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """One number whose logarithm is uniform between those of low and high."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def shrink(fine: Array, scale: int) -> Array:
    """A square picture averaged down over blocks of `scale` by `scale` pixels."""
    size = fine.shape[0] // scale
    coarse: Array = fine.reshape(size, scale, size, scale).mean((1, 3)).astype(np.float32)
    return coarse


class Canvas:
    """An image drawn `scale` times too large with PIL and averaged down."""

    def __init__(self, size: int, scale: int = 3, paper: int = 0) -> None:
        self.size, self.scale = size, scale
        self.image = Image.new("L", (size * scale, size * scale), 255 * paper)
        self.draw = ImageDraw.Draw(self.image)

    def polygon(self, points: Array, ink: int = 1) -> None:
        """Fills one polygon with ink (1) or paper (0)."""
        self.draw.polygon((points * self.scale).ravel().tolist(), fill=255 * ink)

    def polygons(self, shapes: Array, ink: Array | int = 1) -> None:
        """Fills polygons of equally many corners, in order, with one ink or one each."""
        fills = np.broadcast_to(255 * np.asarray(ink), len(shapes)).tolist()
        for shape, fill in zip((shapes * self.scale).reshape(len(shapes), -1).tolist(), fills, strict=True):
            self.draw.polygon(shape, fill=fill)

    def dots(self, centres: Array, radii: Array | float, ink: int = 1) -> None:
        """Filled circles, with one radius or one each."""
        radii = np.broadcast_to(radii, len(centres))[:, None]
        for box in (np.hstack([centres - radii, centres + radii]) * self.scale).tolist():
            self.draw.ellipse(box, fill=255 * ink)

    def segments(self, starts: Array, ends: Array, widths: Array | float, ink: int = 1) -> None:
        """Straight pieces with round ends, one width each."""
        if not len(starts):
            return
        widths = np.broadcast_to(widths, len(starts))[:, None]
        along = ends - starts
        across = np.stack([-along[:, 1], along[:, 0]], 1) / (np.linalg.norm(along, axis=1, keepdims=True) + 1e-9)
        side = across * widths / 2
        self.polygons(np.stack([starts + side, ends + side, ends - side, starts - side], 1), ink)
        if widths.max() > 1.2:
            self.dots(np.vstack([starts, ends]), np.concatenate([widths, widths])[:, 0] / 2, ink)

    def path(self, points: Array, widths: Array | float, ink: int = 1) -> None:
        """A smooth curve as one ribbon, its width given at every point."""
        widths = np.broadcast_to(widths, len(points))[:, None]
        along = np.gradient(points, axis=0)
        across = np.stack([-along[:, 1], along[:, 0]], 1) / (np.linalg.norm(along, axis=1, keepdims=True) + 1e-9)
        side = across * widths / 2
        self.polygon(np.vstack([points + side, (points - side)[::-1]]), ink)
        self.dots(points[[0, -1]], widths[[0, -1], 0] / 2, ink)

    def picture(self) -> Array:
        """The finished picture: ink between 0 and 1, averaged down to its size."""
        return shrink(np.asarray(self.image, np.float32) / 255, self.scale)


def turned(u: Array | float, v: Array | float, angle: float, size: int) -> Array:
    """Points (…, 2) of the picture for coordinates about its middle, turned by an angle."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack(np.broadcast_arrays(size / 2 + u * cos - v * sin, size / 2 + u * sin + v * cos), -1)


def plane(size: int, angle: float, scale: int = 2) -> tuple[Array, Array]:
    """The coordinates u and v of every fine pixel: the inverse of `turned`."""
    axis = (np.arange(size * scale) + 0.5) / scale - size / 2
    x, y = axis[None, :], axis[:, None]
    cos, sin = np.cos(angle), np.sin(angle)
    return x * cos + y * sin, y * cos - x * sin


def wobble(rng: Rng, wavelength: float, waves: int = 3) -> Callable[[Array, Array], Array]:
    """A smooth random function of the plane of about unit height."""
    angles, phases = rng.uniform(0, 2 * np.pi, (2, waves))
    rates = 2 * np.pi / (wavelength * rng.uniform(0.7, 1.5, waves))

    def height(x: Array, y: Array) -> Array:
        terms = (
            np.sin(rate * (x * np.cos(a) + y * np.sin(a)) + p) for rate, a, p in zip(rates, angles, phases, strict=True)
        )
        heights: Array = sum(terms) / np.sqrt(waves / 2)
        return heights

    return height


def warped(points: Array, rng: Rng, amplitude: float, wavelength: float) -> Array:
    """Points (…, 2) displaced smoothly by about an amplitude, neighbours alike."""
    first, second = wobble(rng, wavelength), wobble(rng, wavelength)
    x, y = points[..., 0], points[..., 1]
    return points + amplitude * np.stack([first(x, y), second(x, y)], -1)


def density(rng: Rng, size: int, strength: float = 0.4) -> Callable[[Array, Array], Array]:
    """A factor near one that may grow evenly across the picture."""
    amount = rng.uniform(0, strength) if chance(rng, 0.4) else 0.0
    angle = any_angle(rng)
    cos, sin = np.cos(angle), np.sin(angle)
    return lambda x, y: 1 + amount * np.clip(((x - size / 2) * cos + (y - size / 2) * sin) / (size / 2), -1, 1)


def inked(depth: Array, scale: int) -> Array:
    """Solid where depth (in pixels) is positive, with a soft edge, averaged down."""
    return shrink(np.clip(depth * scale + 0.5, 0, 1), scale)


def distance_to_lines(phase: Array, scale: int, steepness: Array | None = None) -> Array:
    """Distance in pixels to the nearest line where the phase is a whole number."""
    if steepness is None:
        down, right = np.gradient(phase)
        steepness = np.hypot(down, right) * scale
    distance: Array = np.abs(phase - np.round(phase)) / (steepness + 1e-9)
    return distance


def scattered(size: int, pitch: float, rng: Rng, jitter: float, rounds: int, stretch: float = 1.0) -> Array:
    """Points about `pitch` apart: a turned, jittered triangular lattice, evened out by Lloyd's rounds."""
    reach = size * 0.75 + 2 * pitch
    count = int(2 * reach / pitch) + 1
    column, row = np.meshgrid(np.arange(count), np.arange(int(count * 1.15)))
    u = (column + 0.5 * (row % 2)) * pitch - reach
    v = row * pitch * 0.866 - reach
    points = np.stack([u.ravel(), v.ravel()], 1) + rng.normal(0, jitter * pitch, (u.size, 2)) + rng.uniform(0, pitch)
    for _ in range(rounds):
        samples = rng.uniform(-reach, reach, (len(points) * 10, 2))
        nearest = cKDTree(points).query(samples)[1]
        found = np.maximum(np.bincount(nearest, minlength=len(points)), 1)[:, None]
        sums = np.stack([np.bincount(nearest, samples[:, i], len(points)) for i in (0, 1)], 1)
        points = np.where(sums != 0, sums / found, points)
    points *= [np.sqrt(stretch), 1 / np.sqrt(stretch)]
    points = turned(points[:, 0], points[:, 1], any_angle(rng), size)
    margin = 2.5 * pitch * max(np.sqrt(stretch), 1)
    return points[np.all((points > -margin) & (points < size + margin), axis=1)]


def voronoi_walls(points: Array, size: int) -> tuple[Array, Array]:
    """Starts and ends of the walls between the points' cells that come near the picture."""
    diagram = Voronoi(points)
    ridges = np.array(diagram.ridge_vertices)
    ridges = ridges[(ridges >= 0).all(1)]
    starts, ends = diagram.vertices[ridges[:, 0]], diagram.vertices[ridges[:, 1]]
    middle = (starts + ends) / 2
    near = np.all((middle > -0.3 * size) & (middle < 1.3 * size), axis=1)
    near &= np.linalg.norm(ends - starts, axis=1) < size
    return starts[near], ends[near]

"""Measurements on a picture of a microstructure: solid fraction, orientation, lengths, connectivity, symmetry, colours.

Figures, not opinions: each is defined in its field's description, with the source of the method. Knows pixels and,
where it is told one, the size of a pixel; nothing of what the picture was meant to show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from workspace.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

_BINS = 18
_MARGIN = 4  # pixels at the border whose gradients see what is not there
_SMALLEST = 32

COLOURS: dict[str, tuple[int, int, int]] = {
    "black": (12, 12, 12),
    "dark grey": (70, 70, 74),
    "grey": (128, 128, 128),
    "light grey": (200, 200, 202),
    "white": (250, 250, 248),
    "cream": (250, 243, 220),
    "sand": (240, 215, 172),
    "brown": (110, 62, 28),
    "terracotta": (176, 66, 34),
    "red": (200, 30, 34),
    "coral": (255, 124, 100),
    "orange": (245, 140, 30),
    "gold": (255, 184, 28),
    "yellow": (250, 226, 60),
    "olive": (118, 120, 40),
    "green": (20, 120, 60),
    "light green": (180, 215, 165),
    "teal": (20, 92, 106),
    "slate": (58, 72, 88),
    "pale blue": (224, 238, 250),
    "light blue": (165, 200, 238),
    "blue": (40, 90, 200),
    "indigo": (36, 38, 140),
    "purple": (110, 50, 140),
    "pink": (240, 160, 190),
}
"""Names of colours (RGB); a colour is called by the nearest in CIELAB."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Colour(_Part):
    """One of the picture's main colours."""

    name: str = Field(description="the nearest of COLOURS in CIELAB")
    rgb: tuple[int, int, int]
    share: float = Field(ge=0, le=1, description="of the picture's area")


class Measures(_Part):
    """What was measured. Lengths are in pixels, and in micrometres where the size of a pixel is known."""

    width: int
    height: int
    micrometres_per_pixel: float | None = None
    solid: Colour = Field(description="the phase counted as solid; the other one is pore")
    contrast: float = Field(ge=0, le=1, description="difference of the phases' mean lightness, CIELAB L*/100")
    solid_fraction: float = Field(ge=0, le=1, description="area of the solid; phases parted by Otsu's threshold (1979)")
    porosity: float = Field(ge=0, le=1, description="1 - solid fraction")
    orientation_degrees: float | None = Field(
        description="main direction of lines, 0 horizontal, anticlockwise, below 180; none where there is no direction"
    )
    anisotropy: float = Field(
        ge=0, le=1, description="0 all directions alike, 1 one direction: length of the mean of exp(2i angle)"
    )
    orientation_histogram: tuple[float, ...] = Field(
        description="share of lines in each of 18 bins of 10 degrees; from the structure tensor (Bigun 1987)"
    )
    pitch: float | None = Field(
        description="characteristic length in pixels: wavelength of the peak of the radial power spectrum"
    )
    thickness: float = Field(ge=0, description="median thickness of the solid along its skeleton, pixels")
    pitch_micrometres: float | None = None
    thickness_micrometres: float | None = None
    pieces: int = Field(ge=0, description="separate pieces of solid, specks of less than 0.05% left out")
    largest_piece: float = Field(ge=0, le=1, description="share of the solid that is one piece")
    pores: int = Field(ge=0, description="separate pores, specks left out")
    spans_across: bool = Field(description="one piece of solid joins the left edge to the right one")
    spans_down: bool = Field(description="one piece of solid joins the top edge to the bottom one")
    mirror_across: float = Field(ge=0, le=1, description="likeness to its left-right mirror image: correlation")
    mirror_down: float = Field(ge=0, le=1, description="likeness to its top-bottom mirror image")
    half_turn: float = Field(ge=0, le=1, description="likeness to itself turned by 180 degrees")
    density_slope: float = Field(
        ge=-1, le=1, description="solid fraction of the right third minus that of the left third"
    )
    density_centre: float = Field(ge=-1, le=1, description="solid fraction of the middle minus that of the rim")
    palette: tuple[Colour, ...] = Field(description="main colours, largest first")


def measure(image: Image.Image, *, micrometres_per_pixel: float | None = None, solid: str = "auto") -> Measures:
    """Measure a picture.

    Args:
        image: Any mode; taken as RGB.
        micrometres_per_pixel: Size of a pixel, where the design gives a scale.
        solid: Which of the two phases counts as solid: ``"dark"``, ``"light"``, or ``"auto"`` for the one that hangs
            together more, and the darker one where both do alike.

    Raises:
        UsageError: The picture is smaller than 32 pixels, the size of a pixel is not positive, or ``solid`` is unknown.
    """
    from skimage.color import rgb2lab

    if solid not in ("auto", "dark", "light"):
        raise UsageError(f"solid is {solid!r}; choices: auto, dark, light")
    if micrometres_per_pixel is not None and not micrometres_per_pixel > 0:
        raise UsageError(f"micrometres_per_pixel is {micrometres_per_pixel}; it must be above 0")
    pixels = np.asarray(image.convert("RGB"))
    if min(pixels.shape[:2]) < _SMALLEST:
        raise UsageError(f"the picture is {image.width}x{image.height}; it must be at least {_SMALLEST} pixels wide")
    lab = rgb2lab(pixels)
    mask = _solid(lab, solid)
    grey = lab[..., 0] / 100
    orientation, anisotropy, histogram = _orientation(_first_component(lab))
    pitch, thickness = _pitch(mask), _thickness(mask)
    scale = micrometres_per_pixel
    fraction = float(mask.mean())
    return Measures(
        width=image.width,
        height=image.height,
        micrometres_per_pixel=scale,
        solid=_colour(pixels[mask] if mask.any() else pixels.reshape(-1, 3), fraction),
        contrast=abs(float(grey[mask].mean() - grey[~mask].mean())) if 0 < fraction < 1 else 0.0,
        solid_fraction=fraction,
        porosity=1 - fraction,
        orientation_degrees=orientation,
        anisotropy=anisotropy,
        orientation_histogram=histogram,
        pitch=pitch,
        thickness=thickness,
        pitch_micrometres=None if scale is None or pitch is None else pitch * scale,
        thickness_micrometres=None if scale is None else thickness * scale,
        **_pieces(mask),
        **_symmetry(mask),
        **_gradients(mask),
        palette=_palette(pixels),
    )


def _first_component(lab: NDArray[Any]) -> NDArray[np.float64]:
    """The picture along the line on which its colours differ most, of unit variance; zero for a plain picture."""
    flat = lab.reshape(-1, 3) - lab.reshape(-1, 3).mean(0)
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    if values[-1] < 1.0:  # one step of CIELAB is the least that an eye tells apart
        return np.zeros(lab.shape[:2])
    axis = vectors[:, -1] * np.sign(vectors[0, -1] or 1.0)  # brighter is larger
    return np.asarray((flat @ axis / np.sqrt(values[-1])).reshape(lab.shape[:2]))


def _solid(lab: NDArray[Any], solid: str) -> NDArray[np.bool_]:
    from skimage.filters import threshold_otsu

    along = _first_component(lab)
    if not along.any():
        return np.zeros(along.shape, dtype=bool)
    light: NDArray[np.bool_] = along > threshold_otsu(along)
    if solid == "auto":
        held = {True: _held(light), False: _held(~light)}
        solid = "light" if held[True] > held[False] + 0.1 else "dark"
    return light if solid == "light" else ~light


def _held(mask: NDArray[np.bool_]) -> float:
    """How much a phase hangs together: the share of it in its largest piece."""
    from skimage.measure import label

    sizes = np.bincount(label(mask, connectivity=1).ravel())[1:]
    return float(sizes.max() / sizes.sum()) if sizes.size else 0.0


def _orientation(values: NDArray[np.float64]) -> tuple[float | None, float, tuple[float, ...]]:
    """Main direction of lines in degrees, anisotropy, and the histogram of directions."""
    from skimage.feature import structure_tensor

    rows, mixed, columns = (
        part[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] for part in structure_tensor(values, sigma=1.5, order="rc")
    )
    weight = np.hypot(rows - columns, 2 * mixed)  # the difference of the tensor's eigenvalues
    total = float(weight.sum())
    if total < 1e-9:
        return None, 0.0, (0.0,) * _BINS
    # The gradient's direction, doubled, with rows counted upwards; lines run across it.
    doubled = np.arctan2(-2 * mixed, columns - rows) + np.pi
    lines = np.rad2deg(doubled / 2) % 180
    counts, _ = np.histogram(lines, bins=_BINS, range=(0, 180), weights=weight)
    mean = complex((weight * np.exp(1j * np.deg2rad(2 * lines))).sum() / total)
    direction = float(np.rad2deg(np.angle(mean)) / 2 % 180)
    return direction if abs(mean) > 0.1 else None, min(1.0, abs(mean)), tuple(float(n) for n in counts / counts.sum())


def _pitch(mask: NDArray[np.bool_]) -> float | None:
    """Wavelength of the radial power spectrum's peak, in pixels; none for a picture without structure."""
    side = min(mask.shape)
    values = mask[:side, :side].astype(float)
    if values.std() == 0:
        return None
    window = np.hanning(side)
    power = np.abs(np.fft.fft2((values - values.mean()) * window[:, None] * window[None])) ** 2
    waves = np.fft.fftfreq(side) * side
    radius = np.hypot(waves[:, None], waves[None])
    rings = np.arange(2, side // 2)
    inside = np.round(radius).astype(int)
    sums = np.bincount(inside.ravel(), power.ravel(), minlength=side)
    profile = sums[rings] / np.bincount(inside.ravel(), minlength=side)[rings] * rings  # power of all its directions
    peak = int(profile.argmax())
    near = slice(max(0, peak - 1), peak + 2)
    return float(side / np.average(rings[near], weights=profile[near]))


def _thickness(mask: NDArray[np.bool_]) -> float:
    """Twice the median distance of the solid's skeleton from its surface."""
    from scipy.ndimage import distance_transform_edt
    from skimage.morphology import skeletonize

    if not mask.any():
        return 0.0
    if mask.all():
        return float(min(mask.shape))
    skeleton = skeletonize(mask)
    # From a middle pixel to the nearest pore it is half the thickness, or half a pixel more: -0.5 lies between.
    return float(2 * np.median(distance_transform_edt(mask)[skeleton]) - 0.5) if skeleton.any() else 1.0


def _pieces(mask: NDArray[np.bool_]) -> dict[str, Any]:
    from skimage.measure import label

    least = max(2, mask.size // 2000)
    named = label(mask, connectivity=2)
    sizes = np.bincount(named.ravel())
    sizes[0] = 0
    pores = np.bincount(label(~mask, connectivity=1).ravel())[1:]

    def joined(first: NDArray[Any], last: NDArray[Any]) -> bool:
        return bool((set(first.tolist()) & set(last.tolist())) - {0})

    return {
        "pieces": int((sizes >= least).sum()),
        "largest_piece": float(sizes.max() / sizes.sum()) if sizes.sum() else 0.0,
        "pores": int((pores >= least).sum()),
        "spans_across": joined(named[:, 0], named[:, -1]),
        "spans_down": joined(named[0], named[-1]),
    }


def _symmetry(mask: NDArray[np.bool_]) -> dict[str, Any]:
    values = mask.astype(float)
    values = values - values.mean()
    energy = float((values**2).sum())

    def like(other: NDArray[np.float64]) -> float:
        return max(0.0, min(1.0, float((values * other).sum()) / energy)) if energy else 1.0

    turned = {"mirror_across": values[:, ::-1], "mirror_down": values[::-1], "half_turn": values[::-1, ::-1]}
    return {name: like(other) for name, other in turned.items()}


def _gradients(mask: NDArray[np.bool_]) -> dict[str, Any]:
    height, width = mask.shape
    down, across = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    middle = np.hypot(down, across) < 0.5
    right, left = mask[:, -(width // 3) :].mean(), mask[:, : width // 3].mean()
    rim = np.maximum(abs(down), abs(across)) > 0.7
    return {"density_slope": float(right - left), "density_centre": float(mask[middle].mean() - mask[rim].mean())}


def _palette(pixels: NDArray[np.uint8], count: int = 4, least: float = 0.04) -> tuple[Colour, ...]:
    from PIL import Image

    few = Image.fromarray(pixels).quantize(count, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    chosen = np.asarray(few)
    found: dict[str, Colour] = {}
    for number in np.unique(chosen):
        here = pixels[chosen == number]
        colour = _colour(here, len(here) / chosen.size)
        same = found.get(colour.name)
        found[colour.name] = colour if same is None else _joined(same, colour)
    kept = [colour for colour in found.values() if colour.share >= least]
    return tuple(sorted(kept, key=lambda colour: -colour.share))


def _joined(one: Colour, other: Colour) -> Colour:
    larger = max(one, other, key=lambda colour: colour.share)
    return Colour(name=one.name, rgb=larger.rgb, share=min(1.0, one.share + other.share))


def _colour(pixels: NDArray[np.uint8], share: float) -> Colour:
    from skimage.color import rgb2lab

    middle = np.median(pixels.reshape(-1, 3), axis=0)
    table = rgb2lab(np.asarray(list(COLOURS.values()), dtype=np.uint8)[None])[0]
    wanted = rgb2lab(middle.astype(np.uint8)[None, None])[0, 0]
    name = list(COLOURS)[int(np.linalg.norm(table - wanted, axis=1).argmin())]
    red, green, blue = (int(value) for value in middle)
    return Colour(name=name, rgb=(red, green, blue), share=share)

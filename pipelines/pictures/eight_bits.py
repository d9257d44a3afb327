"""Any picture as upright 8-bit RGB, as a person would see it. Opens no file.

Greys of 16 or 32 bits and of floating point, as microscopes write them, are scaled by a rule that is told. What is
clear lies on white, colours that have a profile become sRGB's, and the camera's turn is undone.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from workspace.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

RULE = "the darkest 0.1% of the pixels become black, the brightest 0.1% white, all others in proportion"
_CUT = 0.1  # per cent of the pixels at either end
_DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_MEANING = 262  # TIFF's tag for what zero means: white if it is 0


def deep(picture: Image.Image) -> bool:
    """Whether a picture has more than 8 bits of grey, and is scaled by `RULE`."""
    return picture.mode in _DEEP


def sixteen(picture: Image.Image) -> bool:
    """Whether a file that is not decoded yet has colours of 16 bits, of which Pillow reads the upper 8."""
    return not deep(picture) and any("16" in str(tile[3]) for tile in getattr(picture, "tile", ()))


def as_rgb(picture: Image.Image) -> Image.Image:
    """A picture as 8-bit RGB.

    Raises:
        DataError: It has more than 8 bits and no two values.
    """
    from PIL import Image, ImageOps

    inverted = deep(picture) and getattr(picture, "tag_v2", {}).get(_MEANING) == 0
    upright = ImageOps.exif_transpose(picture)
    if deep(upright):
        grey = _scaled(np.asarray(upright, dtype=np.float64))
        return Image.fromarray(255 - grey if inverted else grey).convert("RGB")
    if upright.mode in ("RGB", "CMYK") and "transparency" not in upright.info:
        return (_in_srgb(upright) or upright).convert("RGB")
    if upright.has_transparency_data:
        clear = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return upright.convert("RGB")


def _scaled(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Values as 0 to 255 by `RULE`; what is no number becomes black."""
    sound = values[np.isfinite(values)]
    if not sound.size or sound.min() == sound.max():
        what = f"the value {sound[0]:g}" if sound.size else "no value that is a number"
        raise DataError(f"every pixel has {what}; there is nothing to see in it")
    low, high = np.percentile(sound, (_CUT, 100 - _CUT))
    if low == high:
        low, high = sound.min(), sound.max()
    shares = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / (high - low)
    made: np.ndarray[Any, Any] = np.round(255 * shares.clip(0, 1)).astype(np.uint8)
    return made


def readable_profile(picture: Image.Image) -> bool:
    """Whether a picture's colours can be told: it has no profile, or one that fits it."""
    has_one = picture.mode in ("RGB", "CMYK") and picture.info.get("icc_profile")
    return not has_one or _in_srgb(picture.resize((1, 1))) is not None


def _in_srgb(picture: Image.Image) -> Image.Image | None:
    """A picture whose colours are sRGB's; none if its profile cannot be read, and its colours count as sRGB's."""
    from PIL import ImageCms

    profile = picture.info.get("icc_profile")
    if not profile:
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return picture
        return ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None

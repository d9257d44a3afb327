"""A folder of pictures with captions beside them: read, checked, cropped, planned for. Computes nothing.

``leaf-01.png`` is described by ``leaf-01.txt``; ``[trigger]`` in a caption stands for the trigger phrase.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from training.images.config import ImageLoraConfig, ImageLoraPlan
from workspace.errors import DataError, ServiceError, one_line

KINDS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
PLACEHOLDER = "[trigger]"
MOST_PIXELS = 64_000_000
_LONGEST = 4000


@dataclass(frozen=True, slots=True)
class Captioned:
    """A picture's file, what its caption says with the trigger in place, and the sha256 of both."""

    path: Path
    caption: str
    fingerprint: str


def read_folder(folder: Path, trigger: str) -> list[Captioned]:
    """Read every picture of a folder with its caption, in the order of their names.

    Args:
        folder: Where the pictures lie; folders inside it are not looked into.
        trigger: What ``[trigger]`` stands for.

    Raises:
        DataError: There are no pictures; or one has no caption, an empty one, or one that belongs to two; or it cannot
            be read, is animated, or is larger than 64 megapixels. The line names the file and how many more there are.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder of pictures")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in KINDS and not path.name.startswith("."))
    if not files:
        raise DataError(f"{folder} holds no pictures ({', '.join(KINDS)})")
    shared = Counter(path.stem for path in files)
    faults: list[str] = []
    found: list[Captioned] = []
    for path in files:
        try:
            if shared[path.stem] > 1:
                raise DataError(f"{path.name}: {shared[path.stem]} pictures share the caption {path.stem}.txt")
            caption = _caption(path.with_suffix(".txt"), trigger)
            _look(path)
        except DataError as fault:
            faults.append(fault.message)
            continue
        digest = hashlib.sha256(path.read_bytes() + b"\0" + caption.encode()).hexdigest()
        found.append(Captioned(path, caption, digest))
    if faults:
        more = f" (and {len(faults) - 1} more pictures with faults)" if len(faults) > 1 else ""
        raise DataError(f"{folder}: {faults[0]}{more}")
    return found


def plan(config: ImageLoraConfig, out: Path, home: Path) -> ImageLoraPlan:
    """Check a training's folder of pictures and its base, and say what it would do.

    Raises:
        DataError: As `read_folder`; or the base is no painter, or damaged.
        UsageError: The base is unknown, or no painter.
    """
    from models.catalogue.fetch import locate
    from pipelines.pictures.flux import has_encoders, read_card

    missing = None
    try:
        folder = locate(config.base, home, kind="painter")
        if not has_encoders(folder):
            locate(read_card(folder).text_encoder, home)
    except ServiceError as fault:
        missing = str(fault)
    count = len(read_folder(config.pictures, config.trigger))
    seen = config.steps * config.batch * config.accumulate
    epochs = round(seen / count, 2)
    return ImageLoraPlan(**config.model_dump(), picture_count=count, epochs=epochs, out=out, missing=missing)


def same_caption(pictures: Sequence[Captioned]) -> str | None:
    """A remark if several pictures have one caption, from which an adapter cannot learn what tells them apart."""
    caption, count = Counter(picture.caption for picture in pictures).most_common(1)[0]
    return f"{count} pictures have the same caption: {caption[:80]!r}" if count > 1 else None


def _caption(path: Path, trigger: str) -> str:
    if not path.is_file():
        raise DataError(f"{path.name} is missing: every picture needs a caption of the same name")
    try:
        text = " ".join(path.read_text(encoding="utf-8-sig").split())
    except UnicodeDecodeError as fault:
        raise DataError(f"{path.name} is not UTF-8 text: {fault.reason} at byte {fault.start}") from None
    if not text:
        raise DataError(f"{path.name} is empty")
    if len(text) > _LONGEST:
        raise DataError(f"{path.name} has {len(text)} characters; a caption may have {_LONGEST}")
    if PLACEHOLDER in text and not trigger:
        raise DataError(f"{path.name} says {PLACEHOLDER} but the config names no trigger")
    return text.replace(PLACEHOLDER, trigger)


def _look(path: Path) -> None:
    """Decode the picture once, so that a broken one is found before the training."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                if getattr(picture, "n_frames", 1) > 1:
                    raise DataError(f"{path.name} is animated ({picture.n_frames} frames)")  # type: ignore[attr-defined]
                if picture.width * picture.height > MOST_PIXELS:
                    raise DataError(f"{path.name} is {picture.width}x{picture.height}; at most 64 megapixels are read")
                if min(picture.size) < 16:
                    raise DataError(f"{path.name} is {picture.width}x{picture.height}; 16 pixels a side are the least")
                picture.load()
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as fault:
        raise DataError(f"{path.name} cannot be read as a picture: {one_line(fault, 120)}") from None


def square(path: Path, size: int, flip: bool = False) -> np.ndarray[Any, Any]:
    """The picture's largest centred square at ``size`` pixels: uint8 (size, size, 3), turned as its EXIF says."""
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture)
        if upright.mode in ("RGBA", "LA", "P"):
            clear = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
        fitted = ImageOps.fit(upright.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    return np.asarray(ImageOps.mirror(fitted) if flip else fitted)

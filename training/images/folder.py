"""A folder of pictures with captions beside them: read, checked, cropped, planned for. Computes nothing.

What lies there and is not learned is named.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipelines.pictures.eight_bits import RULE, as_rgb, deep, readable_profile, sixteen
from training.images.captions import CAPTIONS, TABLES, beside, caption, table_of
from training.images.config import ImageLoraConfig, ImageLoraPlan
from workspace.errors import DataError, ServiceError, one_line

KINDS = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".avif", ".tif", ".tiff")
MOST_PIXELS = 64_000_000
_SHOWN = 3  # files of a sort that are named
_NAMES = "heic heif jxl jp2 svg psd eps pdf dng cr2 cr3 nef arw raf orf dm3 dm4 ser czi nd2 lif"
_OTHERS = frozenset(f".{name}" for name in _NAMES.split())
Depth = Literal["plain", "grey", "colour"]


@dataclass(frozen=True, slots=True)
class Captioned:
    """A picture's file, what its caption says with the trigger in place, the sha256 of both, and how it is read."""

    path: Path
    caption: str
    fingerprint: str
    depth: Depth = "plain"
    strange_colours: bool = False


def read_folder(folder: Path, trigger: str) -> list[Captioned]:
    """Read every picture of a folder with its caption, in the order of their names.

    Args:
        folder: Where the pictures lie; folders inside it are not looked into.
        trigger: What ``[trigger]`` stands for.

    Raises:
        DataError: There are no pictures; or one has no caption, an empty one, two, or one that belongs to two; or it
            cannot be read, is animated, or is larger than 64 megapixels; or a caption lies beside a kind of picture
            that is not read. The line names the file and how many more there are.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder of pictures")
    files = _files(folder, KINDS)
    known = table_of(folder)
    shared = Counter(path.stem for path in files)
    faults: list[str] = []
    found: list[Captioned] = []
    for path in files:
        try:
            if shared[path.stem] > 1:
                raise DataError(f"{path.name}: {shared[path.stem]} pictures share the caption {path.stem}.txt")
            text = caption(path, known, trigger)
            depth, strange = _look(path)
        except DataError as fault:
            faults.append(f"{fault.message} ({fault.hint})" if fault.hint else fault.message)
            continue
        digest = hashlib.sha256(path.read_bytes() + b"\0" + text.encode()).hexdigest()
        found.append(Captioned(path, text, digest, depth, strange))
    faults += [
        f"{path.name} has a caption, and {path.suffix or 'its kind'} is no picture that is read; save it as PNG or JPEG"
        for path in _others(folder)
        if path.name in known.texts or (path.stem not in shared and beside(path))
    ]
    if faults:
        more = f" (and {len(faults) - _SHOWN} more pictures with faults)" if len(faults) > _SHOWN else ""
        raise DataError(f"{folder}: {'; '.join(faults[:_SHOWN])}{more}")
    if not found:
        inside = _inside(folder)
        what = f"; folders inside are not looked into: {inside}" if inside else ""
        hint = "name one of them as pictures" if inside else None
        raise DataError(f"{folder} holds no pictures ({', '.join(KINDS)}){what}", hint=hint)
    return found


def _files(folder: Path, kinds: Sequence[str]) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in kinds and not path.name.startswith(".") and not path.is_dir()
    )


def _others(folder: Path) -> list[Path]:
    """Files that are neither pictures of a kind that is read nor captions."""
    known, other = (*KINDS, *CAPTIONS), (".", *TABLES)
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() not in known and not path.name.startswith(other) and path.is_file()
    )


def _inside(folder: Path) -> str:
    """The folders inside that hold pictures, with how many."""
    counts = {
        one.name: sum(path.suffix.lower() in KINDS for path in one.rglob("*"))
        for one in sorted(folder.iterdir())
        if one.is_dir() and not one.name.startswith(".")
    }
    return ", ".join(f"{name} ({count} pictures)" for name, count in counts.items() if count)


def plan(config: ImageLoraConfig, out: Path, home: Path) -> ImageLoraPlan:
    """Check a training's folder of pictures and its base, and say what it would do.

    Raises:
        DataError: As `read_folder`; or the base is no painter, or damaged.
        UsageError: The base is unknown, or no painter.
    """
    missing = None
    try:
        _look_for_base(config, home)
    except ServiceError as fault:
        missing = str(fault)
    pictures = read_folder(config.pictures, config.trigger)
    epochs = round(config.steps * config.batch * config.accumulate / len(pictures), 2)
    said, count = tuple(remarks(config.pictures, pictures)), len(pictures)
    return ImageLoraPlan(
        **config.model_dump(), picture_count=count, epochs=epochs, remarks=said, out=out, missing=missing
    )


def check(config: ImageLoraConfig, home: Path) -> None:
    """Look whether a training's base and its folder of pictures are there; no picture is opened.

    Raises:
        StudioError: The base is unknown, no painter or not fetched; or there is no picture.
    """
    _look_for_base(config, home)
    if not config.pictures.is_dir() or not _files(config.pictures, KINDS):
        read_folder(config.pictures, config.trigger)


def _look_for_base(config: ImageLoraConfig, home: Path) -> None:
    from models.catalogue.fetch import locate
    from pipelines.pictures.flux import has_encoders, read_card

    folder = locate(config.base, home, kind="painter")
    if not has_encoders(folder):
        locate(read_card(folder).text_encoder, home)


def remarks(folder: Path, pictures: Sequence[Captioned]) -> list[str]:
    """What a person should know of a folder before its pictures are learned, a line each."""
    greys, colours = ([one.path.name for one in pictures if one.depth == sort] for sort in ("grey", "colour"))
    strange = [one.path.name for one in pictures if one.strange_colours]
    stems = {one.path.stem for one in pictures}
    alone = [path.name for path in _others(folder) if path.suffix.lower() in _OTHERS and path.stem not in stems]
    spare = [path.name for path in _files(folder, CAPTIONS) if path.stem not in stems]
    inside, table = _inside(folder), table_of(folder)
    absent = sorted(set(table.texts) - {one.path.name for one in pictures})
    said = [
        greys and f"{_named(greys)} with greys of more than 8 bits are scaled to 8, each by itself: {RULE}",
        colours and f"{_named(colours)} with colours of 16 bits are read by their upper 8, the full range",
        strange and f"{_named(strange)} have colour profiles that cannot be read; their colours are taken for sRGB's",
        alone and f"{_named(alone)} are of kinds that are not read, and have no caption: they are left out",
        spare and f"{_named(spare)} are captions of no picture: they are left out",
        absent and f"{table.name} names {_named(absent)} that are no pictures of this folder: they are left out",
        table.unused and f"{table.name}: columns that are not used: {', '.join(table.unused)}",
        inside and f"folders inside are not looked into: {inside}",
        same_caption(pictures),
    ]
    return [line for line in said if line]


def _named(names: Sequence[str]) -> str:
    """How many files, and which."""
    return f"{len(names)} files ({', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"


def same_caption(pictures: Sequence[Captioned]) -> str | None:
    """A remark if several pictures have one caption, from which an adapter cannot learn what tells them apart."""
    text, count = Counter(picture.caption for picture in pictures).most_common(1)[0]
    return f"{count} pictures have the same caption: {text[:80]!r}" if count > 1 else None


def _look(path: Path) -> tuple[Depth, bool]:
    """Decode the picture once, so that a broken one is found before the training.

    Returns:
        What of it has more than 8 bits, and whether its colour profile cannot be read.
    """
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
                depth: Depth = "grey" if deep(picture) else "colour" if sixteen(picture) else "plain"
                as_rgb(picture)
                return depth, not readable_profile(picture)
    except DataError as fault:
        raise DataError(fault.message if path.name in fault.message else f"{path.name}: {fault.message}") from None
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as fault:
        why = one_line(fault, 120).replace(str(path), path.name)
        raise DataError(f"{path.name} cannot be read as a picture: {why}") from None


def square(path: Path, size: int, flip: bool = False) -> np.ndarray[Any, Any]:
    """The picture's largest centred square at ``size`` pixels: uint8 (size, size, 3), turned as its EXIF says."""
    with Image.open(path) as picture:
        fitted = ImageOps.fit(as_rgb(picture), (size, size), Image.Resampling.LANCZOS)
    return np.asarray(ImageOps.mirror(fitted) if flip else fitted)

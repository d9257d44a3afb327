"""Small copies of pictures, for pages of many: made once, and kept by what the picture is, as far as there is room."""

from __future__ import annotations

import io
import re
from contextlib import suppress
from pathlib import Path

from pydantic import Field

from studio.verb import Call, verb
from workspace.errors import DataError, StorageError, UsageError, one_line, unknown
from workspace.files import publish, read_inside

SIDES = (256, 512)
"""Pixels of the longer side that a small copy may have."""

MOST_PIXELS = 100_000_000
MOST_BYTES = 512_000_000
"""That all small copies of a home take; those that were made first go first."""
_SHELVES = 256
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[0-9]{1,6}\.png")


class ThumbnailCall(Call):
    """Which small copy."""

    picture: str = Field(max_length=40, description="The picture's file, such as 01.png")
    side: int = Field(256, description=f"Pixels of its longer side: {' or '.join(map(str, SIDES))}")


@verb(ThumbnailCall)
def thumbnail(run_id: str, options: ThumbnailCall) -> bytes:
    """A picture's small copy as WebP; the run itself is not opened.

    Raises:
        UsageError: There is no such picture, or no such size is made.
        DataError: The picture is gone, another than was made, or none.
    """
    from studio.queue.claims import has_ledger, ledger_of
    from studio.runs.record import folder_of

    home, name = options.home, options.picture
    if options.side not in SIDES:
        raise UsageError(f"no copy of {options.side} pixels is made; choices: {', '.join(map(str, SIDES))}")
    if not _NAME.fullmatch(name) or Path(run_id).name != run_id or not has_ledger(home):
        raise UsageError(unknown("picture", name, []))
    with ledger_of(home, reading=True) as ledger:
        sha256 = ledger.shelf.hash_of(run_id, name)
    if sha256 is None:
        raise UsageError(unknown("picture", name, []))
    return small_copy(folder_of(home, run_id), f"images/{name}", sha256, home, options.side)


def small_copy(folder: Path, name: str, sha256: str, home: Path, side: int) -> bytes:
    """A picture's small copy as WebP, made if it is not there yet.

    Args:
        folder: The run's.
        name: The picture's path within it.
        sha256: What its file has to be.
        home: STUDIO_HOME; copies lie in ``thumbnails``.
        side: Pixels of its longer side.

    Raises:
        DataError: The picture is gone, another than was made, or none.
    """
    if not _SHA256.fullmatch(sha256):
        raise DataError(f"the ledger lists {name} of {folder.name} without a sha256")
    kept = _kept(home, sha256, side)
    with suppress(OSError):
        if not kept.is_symlink():
            return kept.read_bytes()
    made = _made(read_inside(folder, name, sha256=sha256), side, folder / name)
    with suppress(StorageError):  # where nothing can be kept it is made each time
        publish(kept, made)
        _make_room(kept.parent, MOST_BYTES // _SHELVES)
    return made


def forget(sha256: str, home: Path) -> None:
    """Remove the small copies of a picture.

    Args:
        sha256: Of the picture's file.
        home: STUDIO_HOME.
    """
    if _SHA256.fullmatch(sha256):
        for side in SIDES:
            with suppress(OSError):
                _kept(home, sha256, side).unlink(missing_ok=True)


def _kept(home: Path, sha256: str, side: int) -> Path:
    return home / "thumbnails" / sha256[:2] / f"{sha256}-{side}.webp"


def _make_room(folder: Path, most: int) -> None:
    """Let the copies of one folder take no more than their share: hashes spread evenly over the folders."""
    found = []
    for path in folder.glob("*.webp"):
        with suppress(OSError):
            stat = path.stat()
            found.append((stat.st_mtime, stat.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found)[:-1]:
        if total <= most:
            return
        with suppress(OSError):
            path.unlink(missing_ok=True)
            total -= size


def _made(data: bytes, side: int, path: Path) -> bytes:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise DataError(f"{path} has {picture.width}x{picture.height} pixels, too many to show")
            small = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is no picture: {one_line(error)}") from error
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=82)
    return buffer.getvalue()

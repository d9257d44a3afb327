"""Small copies of pictures for the contact sheet, made once: WebP files named by what the picture's file hashes to.

Knows files of pictures; not whose they are.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from workspace.errors import DataError, one_line
from workspace.files import publish_all, read_inside

FOLDER = "thumbs"
SIDE = 360
"""Pixels of the longer side; a picture that is smaller keeps its own."""

_QUALITY = 82
_NAME_DIGITS = 24
_MOST_THREADS = 4


def name_of(sha256: str) -> str:
    """The path of a picture's small copy within the batch's folder."""
    return f"{FOLDER}/{sha256[:_NAME_DIGITS]}.webp"


class Thumbnails:
    """Makes the small copies of one batch; see `thumbnails`."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        self._folder, self._pool = folder, pool
        self.faults: list[str] = []
        """Why pictures have none, the first few."""
        self.missing = 0

    def make(self, pictures: Sequence[tuple[str, str]]) -> list[str]:
        """Make those that are not there yet.

        Args:
            pictures: Paths within the batch's folder, and their sha256.

        Returns:
            Their small copies' paths within that folder, in order; empty for a picture that cannot be read.
        """
        wanted = {sha256: path for path, sha256 in pictures if not (self._folder / name_of(sha256)).is_file()}
        made = dict(zip(wanted, self._pool.map(self._small, wanted.values(), wanted), strict=True))
        fresh = {name_of(sha256): content for sha256, content in made.items() if content}
        if fresh:
            publish_all(self._folder, fresh)
        return [name_of(sha256) if made.get(sha256, b"-") else "" for _, sha256 in pictures]

    def _small(self, path: str, sha256: str) -> bytes:
        from PIL import Image

        try:
            with Image.open(io.BytesIO(read_inside(self._folder, path, sha256=sha256)), formats=["PNG"]) as picture:
                small = picture.convert("RGB")
            small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            small.save(buffer, "WEBP", quality=_QUALITY, method=4)
            return buffer.getvalue()
        except (DataError, OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as fault:
            self.missing += 1
            if len(self.faults) < 3:
                self.faults.append(one_line(str(fault).replace(f"{self._folder}/", ""), 120))
            return b""


@contextmanager
def thumbnails(folder: Path) -> Iterator[Thumbnails]:
    """The small copies of a batch's pictures, made by a few threads."""
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1), "thumbnails") as pool:
        yield Thumbnails(folder, pool)

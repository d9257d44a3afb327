"""A library in memory: a few hundred passages that are made anew by every process, with vectors that are kept.

What ships is searched this way: nothing is written for it but the vectors, which take seconds to make.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.corpus.index.adding import vectors_of
from pipelines.corpus.index.generation import WIDTH, index_of, windows
from pipelines.corpus.index.retrieve import Library
from pipelines.corpus.index.store import Document, Passage
from workspace.errors import StorageError
from workspace.files import publish
from workspace.progress import waiting

if TYPE_CHECKING:
    from pipelines.corpus.index.adding import Embed


class Memory:
    """Passages in memory, numbered from 1.

    Args:
        passages: Each with its document.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._held = {
            key: Passage(one.id, one.document, one.heading, one.sentences, key) for key, one in enumerate(passages, 1)
        }
        self._named = {one.id: one for one in self._held.values()}

    def close(self) -> None:
        """Nothing is open."""

    def documents(self) -> list[Document]:
        """All documents, by name."""
        held = {one.document.id: one.document for one in self._held.values()}
        return sorted(held.values(), key=lambda one: one.name)

    def passages(self, keys: Sequence[int]) -> dict[int, Passage]:
        """Passages by key."""
        return {key: self._held[key] for key in keys}

    def passage(self, name: str) -> Passage | None:
        """The passage of an id."""
        return self._named.get(name)

    def keys_where(self, documents: Sequence[str]) -> set[int]:
        """The keys of some documents' passages."""
        wanted = set(documents)
        return {key for key, one in self._held.items() if one.document.id in wanted}

    def all(self) -> list[Passage]:
        """Every passage in order."""
        return list(self._held.values())

    def texts(self) -> list[tuple[int, str, str]]:
        """Every passage's key, its document and what it is found by."""
        return [(one.key, one.document.id, f"{one.heading}. {one.text} {one.document.title}") for one in self.all()]


def in_memory(passages: Sequence[Passage], vectors: Path | None = None, embed: Embed | None = None) -> Library:
    """A library of passages.

    Args:
        passages: Each with its document.
        vectors: Folder in which their vectors are kept, by content; ``None`` for none.
        embed: Makes vectors that are not kept yet; without it such a library is searched by words alone.
    """
    held = Memory(passages)
    blobs = _vectors(held.all(), vectors, embed) if vectors is not None else None
    found = [] if blobs is None else [(one.key, blob) for one, blob in zip(held.all(), blobs, strict=True)]
    return Library(held, index_of(held.texts(), found))


def _vectors(passages: Sequence[Passage], folder: Path, embed: Embed | None) -> list[bytes] | None:
    """The passages' vectors, kept or made now."""
    pieces = [windows(one) for one in passages]
    digest = hashlib.sha256("\0".join(text for piece in pieces for text in piece).encode()).hexdigest()[:16]
    path = folder / f"{digest}.i8"
    ends = list(accumulate((WIDTH * len(piece) for piece in pieces), initial=0))
    if path.is_file() and path.stat().st_size == ends[-1]:
        held = path.read_bytes()
        return [held[start:end] for start, end in pairwise(ends)]
    if embed is None:
        return None
    with waiting(f"reading {len(passages)} passages of the shipped library, once"):
        made = vectors_of(passages, embed)
    with suppress(StorageError):  # on a disk that is full or read-only they are made again by every process
        publish(path, b"".join(made))
    return made

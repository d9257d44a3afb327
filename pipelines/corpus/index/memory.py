"""A library in memory: a few hundred passages that are made anew by every process, with vectors that are kept.

What ships is searched this way: nothing is written for it but the vectors, which take seconds to make.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.corpus.index.generation import SCALE, WIDTH, index_of, packed
from pipelines.corpus.index.retrieve import Library
from pipelines.corpus.index.store import Document, Passage
from workspace.files import publish
from workspace.progress import waiting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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

    def texts(self) -> list[tuple[int, str]]:
        """Every passage's key and what it is found by."""
        return [(key, f"{one.heading}. {one.text} {one.document.title}") for key, one in self._held.items()]


def in_memory(passages: Sequence[Passage], vectors: Path | None = None, embed: Embed | None = None) -> Library:
    """A library of passages.

    Args:
        passages: Each with its document.
        vectors: Folder in which their vectors are kept, by content; ``None`` for none.
        embed: Makes vectors that are not kept yet; without it such a library is searched by words alone.
    """
    held = Memory(passages)
    rows = _vectors(held, vectors, embed) if vectors is not None else None
    found = [] if rows is None else [(key, packed(row)) for (key, _), row in zip(held.texts(), rows, strict=True)]
    return Library(held, index_of(held.texts(), found))


def _vectors(held: Memory, folder: Path, embed: Embed | None) -> NDArray[np.float32] | None:
    """(n, 384) the passages' vectors, kept or made now."""
    import numpy as np

    texts = [f"{one.document.title}. {one.heading}. {one.text}" for one in held.all()]
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    path = folder / f"{digest}.i8"
    size = len(texts) * WIDTH
    if path.is_file() and path.stat().st_size == size:
        return np.fromfile(path, np.int8).reshape(-1, WIDTH).astype(np.float32) / SCALE
    if embed is None:
        return None
    with waiting(f"reading {len(texts)} passages of the shipped library, once"):
        rows = embed(texts)
    publish(path, b"".join(packed(row) for row in rows))
    return rows

"""Searching libraries: by words (BM25) and by meaning (vectors), fused by a rule that was settled on our own questions.

Nothing is written: a library can lie on a disk that is full or read-only.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipelines.corpus.index.generation import FOLDER, SCALE, Index, build, index_of, load, newest
from pipelines.corpus.index.store import Document, Passage, Store
from pipelines.corpus.index.terms import terms
from workspace.atlas.lookup import named_in
from workspace.errors import DataError, StorageError, StudioError, UsageError, one_line, unknown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Vector = Callable[[str], "NDArray[np.float32]"]
"""A text to its vector of length 1, (384,)."""

WORDS = 0.35
"""The share of words in the fused score; the rest is meaning. Settled on questions of our own (docs/log.md)."""

_SPARE = 16  # passages beyond those asked for, as some may have been removed
_ROWS = 2048  # vectors multiplied at once
_KEPT = 64  # vectors of questions
_TRIES = 5  # to open an index while others are made


@dataclass(frozen=True)
class Hit:
    """A passage that was found, and how well it fits: 0 to about 1.

    Attributes:
        passage: The passage.
        score: The fused score.
        words: BM25 as a share of the most that the question's terms could give.
        meaning: The cosine; 0 where there is no vector.
    """

    passage: Passage
    score: float
    words: float
    meaning: float


@dataclass(frozen=True)
class Filters:
    """What a passage must be of.

    Attributes:
        documents: Names of documents or parts of them; none for any.
        since: The earliest year; documents without a year are left out then.
        until: The latest year.
        organism: Words that all stand in the passage, such as "mussel".
        quantity: The same, such as "tensile strength".
    """

    documents: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    organism: str = ""
    quantity: str = ""

    @property
    def of_documents(self) -> bool:
        """Whether they ask something of a document."""
        return bool(self.documents or self.since or self.until)

    def admit(self, document: Document) -> bool:
        """Whether a document may be looked at."""
        if self.documents and not any(_called(document, name) for name in self.documents):
            return False
        year = document.year
        if self.since is not None and (year is None or year < self.since):
            return False
        return self.until is None or (year is not None and year <= self.until)


def _called(document: Document, name: str) -> bool:
    wanted = name.casefold()
    return wanted in document.name.casefold() or wanted in document.title.casefold() or wanted == document.id


class Held(Protocol):
    """What a library holds, on disk or in memory."""

    def documents(self) -> list[Document]:
        """All documents, by name."""

    def passages(self, keys: Sequence[int]) -> dict[int, Passage]:
        """Passages by key; those that are there no longer are left out."""

    def passage(self, name: str) -> Passage | None:
        """The passage of an id."""

    def keys_where(self, documents: Sequence[str]) -> set[int]:
        """The keys of some documents' passages."""

    def close(self) -> None:
        """Let it go."""


@dataclass
class Library:
    """What can be searched: passages and their index."""

    held: Held
    index: Index
    admitted: dict[Filters, NDArray[np.bool_]] = field(default_factory=dict)


class Shelf:
    """Libraries that are open for searching.

    Args:
        libraries: As `opened` gives them.
        vector: Embeds a question; ``None`` searches by words alone.
    """

    def __init__(self, libraries: Sequence[Library], vector: Vector | None = None) -> None:
        self.vector = vector
        self._libraries = list(libraries)
        self._asked: dict[str, NDArray[np.float32]] = {}

    def close(self) -> None:
        """Let the files go."""
        for one in self._libraries:
            one.held.close()

    def documents(self) -> list[Document]:
        """All documents, library by library."""
        return [document for one in self._libraries for document in one.held.documents()]

    def passage(self, name: str) -> Passage | None:
        """The passage of an id."""
        return next((found for one in self._libraries if (found := one.held.passage(name))), None)

    def search(self, question: str, count: int = 10, filters: Filters | None = None, words: float = WORDS) -> list[Hit]:
        """The passages that fit a question best; a material that it names by another name is looked for by the atlas's.

        Args:
            question: What is asked, in any words.
            count: How many at most.
            filters: What they must be of.
            words: The share of words in the score: 1 is BM25 alone, 0 meaning alone.

        Raises:
            UsageError: A filter names a document that no library has, or has no word that is searched for.
        """
        filters = filters or Filters()
        self._check(filters)
        named = ", ".join(one.name for one in named_in(question))
        wanted = terms(f"{question} {named}")
        asked = f"{question} ({named})" if named else question
        about = self._vector_of(asked) if words < 1 else None
        found = [hit for one in self._libraries for hit in _searched(one, wanted, about, count, filters, words)]
        return sorted(found, key=lambda hit: (-hit.score, hit.passage.id))[:count]

    def _vector_of(self, text: str) -> NDArray[np.float32] | None:
        """The vector of a question; the last ones are kept."""
        if self.vector is None:
            return None
        if text not in self._asked:
            self._asked = {**dict(list(self._asked.items())[-_KEPT:]), text: self.vector(text)}
        return self._asked[text]

    def _check(self, filters: Filters) -> None:
        held = self.documents() if filters.documents else []
        for name in filters.documents:
            if not any(_called(one, name) for one in held):
                raise UsageError(unknown("document", name, sorted(one.name for one in held)))
        for what, text in (("organism", filters.organism), ("property", filters.quantity)):
            if text and not terms(text):
                raise UsageError(f"{what} {text!r} has no word that is searched for")


def opened(folder: Path) -> Library:
    """A library's folder with its newest index; one that has none gets it, in memory where it cannot be written.

    Raises:
        DataError: It is no library, or its index cannot be read.
    """
    store = Store(folder)
    try:
        return Library(store, _index(store))
    except Exception as fault:  # whatever numpy and bm25s say of files that are no index
        store.close()
        if isinstance(fault, StudioError):
            raise
        raise _unreadable(folder, one_line(fault)) from None


def _unreadable(folder: Path, why: str) -> DataError:
    return DataError(f"the index of {folder} cannot be read: {why}", hint=f"remove {folder / FOLDER}; it is made anew")


def _index(store: Store) -> Index:
    for attempt in range(_TRIES):
        try:
            found = newest(store.folder)
            if found is None:
                with Store(store.folder, writing=True) as writing:
                    found = build(writing)
            return load(found)
        except FileNotFoundError:  # another process put a newer one in its place
            time.sleep(0.05 * attempt)
        except StorageError:
            return index_of(store.texts(), store.vectors())
    raise _unreadable(store.folder, "files of it are missing")


def _searched(
    one: Library, wanted: list[str], about: NDArray[np.float32] | None, count: int, filters: Filters, share: float
) -> list[Hit]:
    import numpy as np

    index = one.index
    if not len(index.keys):
        return []
    scores, most = index.scores(wanted)
    words = scores / most if most > 0 else scores
    if about is None or not len(index.vectors):
        meaning, share = np.zeros(len(words), np.float32), 1.0
    else:
        meaning = _meaning(index, about)
    fused = _with_document(index, share * words + (1 - share) * meaning)
    allowed = _allowed(one, filters)
    if allowed is not None:
        fused = np.where(allowed, fused, 0)
    return _best(one, count, fused, words, meaning)


def _best(
    one: Library, count: int, fused: NDArray[np.float32], words: NDArray[np.float32], meaning: NDArray[np.float32]
) -> list[Hit]:
    """The passages of the highest scores above 0 that are still there."""
    import numpy as np

    full = np.flatnonzero(fused > 0)
    taken = count + _SPARE
    while True:
        best = full if taken >= len(full) else full[np.argpartition(-fused[full], taken)[:taken]]
        places = best[np.argsort(-fused[best], kind="stable")].tolist()
        held = one.held.passages([int(one.index.keys[place]) for place in places])
        hits = [
            Hit(passage, float(fused[place]), float(words[place]), float(meaning[place]))
            for place in places
            if (passage := held.get(int(one.index.keys[place])))  # else it was removed since the index was made
        ][:count]
        if len(hits) == count or taken >= len(full):
            return hits
        taken *= 4


def _with_document(index: Index, scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) each score half its own, half that of its document's best passage."""
    import numpy as np

    begins = np.concatenate([[0], np.flatnonzero(np.diff(index.documents)) + 1])
    best = np.maximum.reduceat(scores, begins)
    made: NDArray[np.float32] = (scores + np.repeat(best, np.diff([*begins, len(scores)]))) / 2
    return made


def _meaning(index: Index, about: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) the cosine of each passage's nearest vector with one of length 1; 0 where it has none."""
    import numpy as np

    found = np.zeros(len(index.keys), np.float32)
    full = np.flatnonzero(np.diff(index.starts))
    found[full] = np.maximum.reduceat(_cosines(index.vectors, about), index.starts[:-1][full])
    return found


def _cosines(vectors: NDArray[np.int8], about: NDArray[np.float32]) -> NDArray[np.float32]:
    """(m,) the cosines of int8 rows with a vector of length 1."""
    import torch

    asked = torch.from_numpy(about.astype("float32")) / SCALE
    found = torch.empty(len(vectors), dtype=torch.float32)
    wide = torch.empty((min(_ROWS, len(vectors)), vectors.shape[1]), dtype=torch.float32)  # stays in the cache
    for start in range(0, len(vectors), _ROWS):
        with warnings.catch_warnings():  # of an array that is not to be written to, and is not
            warnings.simplefilter("ignore", UserWarning)
            rows = torch.from_numpy(vectors[start : start + _ROWS])
        part = wide[: len(rows)]
        part.copy_(rows)
        torch.mv(part, asked, out=found[start : start + len(rows)])
    made: NDArray[np.float32] = found.numpy()
    return made


def _allowed(one: Library, filters: Filters) -> NDArray[np.bool_] | None:
    """(n,) true where a passage may be found; none if all may."""
    import numpy as np

    if filters == Filters():
        return None
    if filters not in one.admitted:
        held = np.ones(len(one.index.keys), np.bool_)
        if filters.of_documents:
            documents = [document.id for document in one.held.documents() if filters.admit(document)]
            keys = one.held.keys_where(documents)
            held = np.isin(one.index.keys, np.fromiter(keys, np.int64, len(keys)))
        for text in (filters.organism, filters.quantity):
            held &= one.index.holding(terms(text))
        one.admitted[filters] = held
    return one.admitted[filters]

"""The index over passages: BM25 by `bm25s`, and vectors as int8 beside it. On disk a folder named by the revision.

An index is made whole in a folder of its own and the one before is swept away, so a reader never meets half of one.
Source: Robertson and Zaragoza, "The probabilistic relevance framework: BM25 and beyond" (2009), in Lucene's form.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.corpus.index.store import Store
from pipelines.corpus.index.terms import VERSION, numbered
from workspace.files import publish

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

K1, B = 1.2, 0.75
WIDTH = 384
"""Numbers of a vector."""

SCALE = 127.0
"""What 1 is as int8."""

FOLDER = "index"
_MANIFEST = "index.json"


@dataclass(frozen=True)
class Index:
    """An index in memory, or mapped into it.

    Attributes:
        keys: (n,) int64, the passages' keys.
        vectors: (n, 384) int8, a row of zeros where there is none yet.
        most: (terms,) the best that each term gives any passage.
        bm25: The term scores; ``None`` of no passages.
        filled: How many passages have a vector.
    """

    keys: NDArray[np.int64]
    vectors: NDArray[np.int8]
    most: NDArray[np.float32]
    bm25: Any
    filled: int

    def scores(self, wanted: list[str]) -> tuple[NDArray[np.float32], float]:
        """BM25 of every passage for some terms, and the sum of the best that each term gives anywhere."""
        import numpy as np

        ids = [] if self.bm25 is None else [self.bm25.vocab_dict.get(term) for term in wanted]
        known = [number for number in ids if number is not None]
        if not known:
            return np.zeros(len(self.keys), np.float32), 0.0
        return self.bm25.get_scores_from_ids(known), float(self.most[known].sum())

    def holding(self, wanted: list[str]) -> NDArray[np.bool_]:
        """(n,) true where a passage holds every one of some terms."""
        import numpy as np

        held = np.ones(len(self.keys), np.bool_)
        for term in wanted:
            held &= self.scores([term])[0] > 0
        return held


def index_of(texts: Iterable[tuple[int, str]], vectors: Iterable[tuple[int, bytes | None]]) -> Index:
    """Make an index of passages.

    Args:
        texts: Every passage's key and what it is found by, in the order of keys.
        vectors: Keys and vectors as `packed` gives them; of a key that no text has they are left out.
    """
    import bm25s
    import numpy as np

    keys: list[int] = []

    def noted() -> Any:
        for key, text in texts:
            keys.append(key)
            yield text

    rows, vocabulary = numbered(noted())
    places = {key: place for place, key in enumerate(keys)}
    matrix, filled = np.zeros((len(keys), WIDTH), np.int8), 0
    for key, blob in vectors:
        if blob is not None and key in places:
            matrix[places[key]] = np.frombuffer(blob, np.int8)
            filled += 1
    vocabulary = vocabulary or {"": 0}
    most = np.zeros(len(vocabulary), np.float32)
    model = None
    if any(len(row) for row in rows):
        model = bm25s.BM25(method="lucene", k1=K1, b=B)
        model.index((rows, vocabulary), show_progress=False, create_empty_token=False)
        starts = model.scores["indptr"]
        full = np.flatnonzero(np.diff(starts))
        most[full] = np.maximum.reduceat(model.scores["data"], starts[full])
    return Index(np.asarray(keys, np.int64), matrix, most, model, filled)


def packed(row: NDArray[np.float32]) -> bytes:
    """A vector of length 1 as int8."""
    import numpy as np

    made: bytes = np.clip(np.rint(row * SCALE), -SCALE, SCALE).astype(np.int8).tobytes()
    return made


def load(folder: Path) -> Index:
    """Open an index that lies on disk, its arrays mapped into memory."""
    import bm25s
    import numpy as np

    said = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    keys = np.load(folder / "keys.npy")
    vectors = np.load(folder / "vectors.npy", mmap_mode="r" if len(keys) else None)
    bm25 = bm25s.BM25.load(folder / "bm25", mmap=True, show_progress=False) if said["terms"] else None
    return Index(keys, vectors, np.load(folder / "most.npy"), bm25, said["vectors"])


def _save(index: Index, staged: Path) -> None:
    import numpy as np

    if index.bm25 is not None:
        index.bm25.save(staged / "bm25", show_progress=False)
    np.save(staged / "most.npy", index.most)
    np.save(staged / "keys.npy", index.keys)
    np.save(staged / "vectors.npy", index.vectors)
    said = {"passages": len(index.keys), "vectors": index.filled, "terms": 0 if index.bm25 is None else len(index.most)}
    (staged / _MANIFEST).write_text(json.dumps(said) + "\n", encoding="utf-8")


def newest(folder: Path) -> Path | None:
    """The newest index of a library, if it has one."""
    found = [path for path in (folder / FOLDER).glob(f"{VERSION}-*") if (path / _MANIFEST).is_file()]
    return max(found, key=_revision, default=None)


def _revision(path: Path) -> int:
    number = path.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def build(store: Store) -> Path:
    """Make the index of a library as it is, unless it is there; older ones go."""
    revision = store.revision
    target = store.folder / FOLDER / f"{VERSION}-{revision}"
    if not (target / _MANIFEST).is_file():
        publish(target, lambda staged: _save(index_of(store.texts(), store.vectors()), staged))
    for path in (store.folder / FOLDER).glob("*-*"):
        if path != target and _revision(path) < revision:
            shutil.rmtree(path, ignore_errors=True)
    return target


def weight(folder: Path) -> int:
    """Bytes that a library takes."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total

"""The index over passages: BM25 by `bm25s`, and vectors as int8 beside it. On disk a folder named by the revision.

A passage has a vector for every few sentences, as one for all of it says little of a single figure in it.
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

from pipelines.corpus.index.store import Passage, Store
from pipelines.corpus.index.terms import VERSION, length, numbered
from workspace.files import STAGING, publish, sweep

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

K1, B = 1.2, 0.75
WIDTH = 384
"""Numbers of a vector."""

SCALE = 127.0
"""What 1 is as int8."""

WINDOW = 40
"""Words that a vector stands for at most, but for a single sentence of more."""

FOLDER = "index"
_MANIFEST = "index.json"
_ARRAYS = ("keys", "documents", "starts", "vectors", "most")


@dataclass(frozen=True)
class Index:
    """An index in memory, or mapped into it.

    Attributes:
        keys: (n,) int64, the passages' keys.
        documents: (n,) int32, a number for each passage's document; passages of a document stand together.
        starts: (n + 1,) int64, where each passage's vectors begin.
        vectors: (m, 384) int8; a passage may have none yet.
        most: (terms,) the best that each term gives any passage.
        bm25: The term scores; ``None`` of no passages.
    """

    keys: NDArray[np.int64]
    documents: NDArray[np.int32]
    starts: NDArray[np.int64]
    vectors: NDArray[np.int8]
    most: NDArray[np.float32]
    bm25: Any

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


def windows(passage: Passage) -> list[str]:
    """A passage in pieces of whole sentences, each behind its document's title."""
    pieces: list[list[str]] = []
    count = 0
    for one in passage.sentences:
        words = length(one.text)
        if pieces and count + words <= WINDOW:
            pieces[-1].append(one.text)
            count += words
        else:
            pieces.append([one.text])
            count = words
    title = passage.document.title
    texts = (" ".join(piece) for piece in pieces)
    return [text if not title or text.casefold().startswith(title.casefold()) else f"{title}: {text}" for text in texts]


def index_of(texts: Iterable[tuple[int, str, str]], vectors: Iterable[tuple[int, bytes | None]]) -> Index:
    """Make an index of passages.

    Args:
        texts: Every passage's key, its document and what it is found by, in the order of keys.
        vectors: Keys and vectors as `packed` gives them, one behind the other; of a key that no text has they are
            left out.
    """
    import bm25s
    import numpy as np

    keys: list[int] = []
    documents: list[int] = []
    named: dict[str, int] = {}

    def noted() -> Any:
        for key, document, text in texts:
            keys.append(key)
            documents.append(named.setdefault(document, len(named)))
            yield text

    rows, vocabulary = numbered(noted())
    places = {key: place for place, key in enumerate(keys)}
    blobs: list[bytes] = [b""] * len(keys)
    for key, blob in vectors:
        if blob is not None and key in places:
            blobs[places[key]] = blob
    starts = np.concatenate([[0], np.cumsum([len(blob) // WIDTH for blob in blobs])]).astype(np.int64)
    matrix = np.frombuffer(b"".join(blobs), np.int8).reshape(-1, WIDTH)
    vocabulary = vocabulary or {"": 0}
    most = np.zeros(len(vocabulary), np.float32)
    model = None
    if any(len(row) for row in rows):
        model = bm25s.BM25(method="lucene", k1=K1, b=B)
        model.index((rows, vocabulary), show_progress=False, create_empty_token=False)
        begins = model.scores["indptr"]
        full = np.flatnonzero(np.diff(begins))
        most[full] = np.maximum.reduceat(model.scores["data"], begins[full])
    return Index(np.asarray(keys, np.int64), np.asarray(documents, np.int32), starts, matrix, most, model)


def packed(rows: NDArray[np.float32]) -> bytes:
    """Vectors of length 1 as int8, one behind the other."""
    import numpy as np

    made: bytes = np.clip(np.rint(rows * SCALE), -SCALE, SCALE).astype(np.int8).tobytes()
    return made


def load(folder: Path) -> Index:
    """Open an index that lies on disk, its vectors mapped into memory."""
    import bm25s
    import numpy as np

    said = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    arrays = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r" if name == "vectors" and said["vectors"] else None)
        for name in _ARRAYS
    }
    bm25 = bm25s.BM25.load(folder / "bm25", mmap=True, show_progress=False) if said["terms"] else None
    return Index(**arrays, bm25=bm25)


def _save(index: Index, staged: Path) -> None:
    import numpy as np

    staged.mkdir()
    if index.bm25 is not None:
        index.bm25.save(staged / "bm25", show_progress=False)
    for name in _ARRAYS:
        np.save(staged / f"{name}.npy", getattr(index, name))
    said = {
        "passages": len(index.keys),
        "vectors": len(index.vectors),
        "terms": 0 if index.bm25 is None else len(index.most),
    }
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
    for path in target.parent.glob("*-*"):
        if not path.name.startswith(STAGING) and path != target and _revision(path) < revision:
            shutil.rmtree(path, ignore_errors=True)
    sweep(target.parent, deep=False)
    return target


def weight(folder: Path) -> int:
    """Bytes that a library takes."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total

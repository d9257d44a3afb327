"""Passages that say the same twice, exactly or nearly, and passages that hold a benchmark's own words.

Near duplicates are found by MinHash over runs of five words. Sources: Broder, "On the resemblance and containment of
documents" (1997); banding after Leskovec, Rajaraman and Ullman, "Mining of massive datasets", chapter 3 (datasketch).
"""

from __future__ import annotations

import hashlib
import re

PERMUTATIONS = 128
_RUN = 5  # words
_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """A text's words in small letters, without signs."""
    return _WORD.findall(text.lower())


def runs(text: str, length: int) -> set[str]:
    """Every run of so many words; of a shorter text the whole."""
    words = words_of(text)
    return {" ".join(words[place : place + length]) for place in range(max(1, len(words) - length + 1))}


class Duplicates:
    """Tells of each text whether one like it was seen before.

    Args:
        near: Jaccard similarity of the sets of word runs from which two texts count as the same; 1 for exact ones.
        run: Words of a run; short texts want short ones.
    """

    def __init__(self, near: float, run: int = _RUN) -> None:
        from datasketch import MinHashLSH

        self.near, self.run = near, run
        self._exact: dict[bytes, str] = {}
        self._likes = MinHashLSH(threshold=min(near, 0.99), num_perm=PERMUTATIONS) if near < 1 else None
        self._hashes: dict[str, object] = {}

    def seen(self, name: str, text: str) -> tuple[str, float] | None:
        """The name of a text seen before that is the same, and how alike they are; else this one is remembered."""
        from datasketch import MinHash

        digest = hashlib.sha256(" ".join(words_of(text)).encode()).digest()
        if digest in self._exact:
            return self._exact[digest], 1.0
        if self._likes is not None:
            hashed = MinHash(num_perm=PERMUTATIONS)
            hashed.update_batch([run.encode() for run in runs(text, self.run)])
            alike = {other: hashed.jaccard(self._hashes[other]) for other in self._likes.query(hashed)}
            best = max(alike, key=lambda other: alike[other], default=None)
            if best is not None and alike[best] >= self.near:
                return best, float(alike[best])
            self._likes.insert(name, hashed)
            self._hashes[name] = hashed
        self._exact[digest] = name
        return None

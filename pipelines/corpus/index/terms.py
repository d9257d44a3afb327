"""The terms by which a text is found: words brought to their stems, figures as they stand, other scripts by pairs.

Knows no index.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

VERSION = 1
"""Of the rules below: an index that was made by others is made anew."""

_WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+")
_COMMON = """a about an and are as at be been being but by can could did do does for from had has have how i if in
    into is it
    its may might more most no not of on or our shall should so such than that the their them then there these they
    this those to was we were what when where which while who why will with would you your"""
_STOP = frozenset(_COMMON.split())


@cache
def _stemmer() -> Any:
    from Stemmer import Stemmer

    return Stemmer("english")


def words(text: str) -> list[str]:
    """A text's words in small letters, but for those that say nothing; of Chinese, Japanese, Korean pairs of signs."""
    found: list[str] = []
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text).lower()):
        word = match.group()
        if word in _STOP or (len(word) == 1 and word.isascii() and word.isalpha()):
            continue
        if word.isascii() or not _WIDE.search(word):
            found.append(word)
        else:
            found += _pairs(word)
    return found


def _pairs(word: str) -> list[str]:
    return [word[place : place + 2] for place in range(max(1, len(word) - 1))]


def terms(text: str) -> list[str]:
    """The terms of a text, in its order."""
    stemmed: list[str] = _stemmer().stemWords(words(text))
    return stemmed


def numbered(texts: Iterable[str]) -> tuple[list[Sequence[int]], dict[str, int]]:
    """Every text's terms as numbers, and the number of each term."""
    import numpy as np

    stems: dict[str, int] = {}
    known: dict[str, int] = {}
    rows: list[Sequence[int]] = []
    stem = _stemmer().stemWord
    for text in texts:
        row = []
        for word in words(text):
            number = known.get(word)
            if number is None:
                stemmed = stem(word)
                number = known[word] = stems.setdefault(stemmed, len(stems))
            row.append(number)
        rows.append(np.asarray(row, dtype=np.int32))  # type: ignore[arg-type]
    return rows, stems

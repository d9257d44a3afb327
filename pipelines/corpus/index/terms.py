"""The terms by which a text is found: words by their stems, figures as they stand, wide scripts by signs and pairs.

Knows no index.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

VERSION = 2
"""Of the rules below: an index that was made by others is made anew."""

_WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*")
_WIDE = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+)")
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
    """A text's words in small letters, but for those that say nothing; of Chinese, Japanese, Korean signs and pairs."""
    found: list[str] = []
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text).lower()):
        word = match.group()
        for part in (word,) if word.isascii() else _WIDE.split(word):  # 150MPa的 is two
            if _WIDE.match(part):
                found += [*part, *map("".join, pairwise(part))]
            elif part and part not in _STOP and not (len(part) == 1 and part.isascii() and part.isalpha()):
                found.append(part)
    return found


def length(text: str) -> int:
    """A text's words; of scripts without spaces two signs count as one."""
    return len(text.split()) + (0 if text.isascii() else sum(map(len, _WIDE.findall(text))) // 2)


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

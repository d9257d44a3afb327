"""The phrases of a document so far: which are worn out, and which given names it has not taken up yet.

A small model writes a good phrase again and again, and forgets one of two sources that it was given. Knows texts only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_MOST = 3  # times that four words in a row may stand in a document
_AGAIN = 1.2  # loss of rank of a text all of which stands there already
_ANEW = 0.4  # gain of rank for a name that is taken up for the first time
_ENOUGH = 2  # words of a name that take it up


class PhraseMemory:
    """What stands in a document already.

    Args:
        names: Names that the document was given and ought to take up.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._fours: Counter[tuple[str, ...]] = Counter()
        self._owed = [plain_words(name) for name in names]

    def add(self, text: str, *, own: bool = False) -> None:
        """Count a text of the document; a name in it is taken up, unless the text is of the names' ``own`` list."""
        self._fours.update(_fours(text))
        if not own:
            words = plain_words(text)
            self._owed = [name for name in self._owed if not _takes_up(words, name)]

    def worn(self, text: str) -> bool:
        """Say whether, with this text, some four words in a row would stand too often in the document."""
        return any(self._fours[four] + count > _MOST for four, count in Counter(_fours(text)).items())

    def owes(self, text: str) -> bool:
        """Say whether names are left to be taken up and the text takes up none of them."""
        words = plain_words(text)
        return bool(self._owed) and not any(_takes_up(words, name) for name in self._owed)

    def worth(self, text: str) -> float:
        """What a text gains in rank by the names it takes up, less what it loses by the phrases that it repeats."""
        fours, words = _fours(text), plain_words(text)
        again = sum(self._fours[four] > 0 for four in fours) / max(1, len(fours))
        return _ANEW * sum(_takes_up(words, name) for name in self._owed) - _AGAIN * again


def plain_words(text: str) -> set[str]:
    """The words of a text; singular and plural, British and American spelling are alike."""
    return {word.removesuffix("s").replace("fiber", "fibre") for word in re.findall(r"\w+", text.lower())}


def _takes_up(words: set[str], name: set[str]) -> bool:
    return len(words & name) >= min(_ENOUGH, len(name))


def _fours(text: str) -> list[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return list(zip(words, words[1:], words[2:], words[3:], strict=False))

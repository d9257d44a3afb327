"""What a passage must be like to be trained on. Each gate is one function that says what is wrong, or nothing.

Knows one passage at a time; duplicates are found elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

_STRANGE = re.compile(r"[\ufffd\ue000-\uf8ff\u25a1\u25af\U000f0000-\U0010fffd]|\(cid:\d+\)")
_RUN = re.compile(r"([^\s\d])\1{7,}")
_WORD = re.compile(r"[^\W\d_]+")
_SOURCE = re.compile(r"\b(19|20)\d\d\b[a-z]?|\bdoi\b|\bpp?\.\s*\d|\bvol\.|\bet al\.?|https?://", re.I)
_TORN = re.compile(r"[^\W\d_]{2,}- [a-zà-ÿ]+")

STRANGE, LETTERS, SINGLE, TORN, SOURCES, AGAIN = 0.005, 0.7, 0.15, 0.02, 0.12, 0.2
"""Shares: of strange letters, of letters at all, of one-letter words, of torn words, of marks of a list of sources, of
words in three-word runs that come again. More of each (less of letters) and a passage is dropped."""


def symbols(text: str) -> str | None:
    """Letters that no font or converter knew."""
    share = sum(len(found) for found in _STRANGE.findall(text)) / max(1, len(text))
    return f"{share:.1%} of its letters are unknown symbols" if share > STRANGE else None


def repeats(text: str) -> str | None:
    """The same letter, word or phrase again and again, as scanners and models stutter."""
    if found := _RUN.search(text):
        return f"{found.group()[:12]!r} is one letter {len(found.group())} times"
    words = text.lower().split()
    for place in range(len(words) - 4):
        if len(set(words[place : place + 5])) == 1:
            return f"{words[place][:30]!r} comes five times in a row"
    runs = Counter(zip(words, words[1:], words[2:], strict=False))
    share = sum(count for count in runs.values() if count > 1) / max(1, len(words))
    return f"{share:.0%} of it are phrases that come again" if share > AGAIN else None


def letters(text: str) -> str | None:
    """Prose is letters; figures, signs and single letters are a table's or an equation's."""
    signs = [one for one in text if not one.isspace()]
    share = sum(one.isalpha() for one in signs) / max(1, len(signs))
    if share < LETTERS:
        return f"{share:.0%} of it are letters"
    words = _WORD.findall(text)
    single = sum(len(word) == 1 and word.lower() not in ("a", "i", "e", "y", "o") for word in words)
    return f"{single / len(words):.0%} of its words are single letters" if single > SINGLE * len(words) else None


def hyphens(text: str) -> str | None:
    """Words that are still torn apart."""
    share = len(_TORN.findall(text)) / max(1, len(text.split()))
    return f"{share:.0%} of its words are torn by hyphens" if share > TORN else None


def sources(text: str) -> str | None:
    """A list of references rather than prose."""
    share = len(_SOURCE.findall(text)) / max(1, len(text.split()))
    return "it reads like a list of references" if share > SOURCES else None


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language(text: str, wanted: Sequence[str]) -> str | None:
    """Another language than those wanted, by their two-letter codes."""
    code, sure = _identifier().classify(text)
    return f"it is in {code!r} rather than {' or '.join(wanted)}" if code not in wanted and sure > 0.8 else None


GATES: Mapping[str, Callable[[str], str | None]] = {
    "symbols": symbols,
    "repeats": repeats,
    "sources": sources,
    "letters": letters,
    "hyphens": hyphens,
}


def refused(text: str, fewest: int, languages: Sequence[str]) -> tuple[str, str] | None:
    """The first gate that a passage does not pass, and why; none if it passes all.

    Args:
        text: The passage.
        fewest: Words it has at least.
        languages: Two-letter codes; none for any.
    """
    count = len(text.split())
    if count < fewest:
        return "short", f"it has {count} words; {fewest} are the least"
    for name, gate in GATES.items():
        if why := gate(text):
            return name, why
    if languages and (why := language(text, languages)):
        return "language", why
    return None

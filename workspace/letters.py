"""Letters of any script: what can be seen, what no file can hold, names made comparable."""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")  # fillers: letters and marks in name alone
_VOWELS = "\u0900"  # from here on marks are letters: Devanagari and its kin, Thai, the voiced ones of kana
_HALF = re.compile("[\ud800-\udfff]")
TURNING = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Characters that turn the direction of what follows, so that a line reads otherwise than it is."""

# What a terminal would obey: all control characters but line feed and tab, and what turns a line around.
_OBEYED = dict.fromkeys(
    {*range(32), *range(127, 160), *TURNING, *range(0xD800, 0xE000)} - {ord("\n"), ord("\t")}, "\ufffd"
)

_BLANK = dict.fromkeys((*range(33), 127))  # of ASCII, what cannot be seen


def harmless(text: str) -> str:
    """A text without the characters that a terminal would obey instead of showing."""
    return text.translate(_OBEYED)


def visible(text: str) -> str:
    """What of a text can be seen: no blanks, no characters of zero width, no fillers, no control characters."""
    if text.isascii():
        return text.translate(_BLANK)
    return "".join(sign for sign in text if unicodedata.category(sign)[0] not in "ZC" and sign not in _UNSEEN)


def whole_letters(text: str) -> str:
    """A text in which halves of a surrogate pair are one letter, and a lone one, which no file can hold, U+FFFD."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def whole_data(data: object) -> object:
    """Plain data, each of its texts with `whole_letters`."""
    if isinstance(data, str):
        return whole_letters(data)
    if isinstance(data, dict):
        return {whole_data(key): whole_data(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [whole_data(value) for value in data]
    return data


def folded(text: str) -> str:
    """A name made comparable: no case, no accents, one form of every letter, its words with one blank between.

    The marks of scripts in which they are vowels or other letters stay: those of India and Thailand, those of kana.
    """
    apart = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(sign if _is_letter(sign) else " " for sign in apart if not _is_accent(sign))
    return " ".join(kept.casefold().split())


def _is_accent(sign: str) -> bool:
    """Whether a sign says nothing by itself: an accent, points beside letters, one without width."""
    kind = unicodedata.category(sign)
    return kind == "Cf" or (kind == "Mn" and (sign < _VOWELS or "\u1ab0" <= sign < "\u2100" or sign >= "\ufe00"))


def _is_letter(sign: str) -> bool:
    return sign.isalnum() or unicodedata.category(sign) in ("Mn", "Mc")


def singular(word: str) -> str:
    """An English word of small letters without its plural ending."""
    if word.endswith("ves") and len(word) > 4:
        return word[:-3] + "f"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word

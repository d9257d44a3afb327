"""Reading one JSON value as a person would: comments, a comma too many or too few, other marks, Python's words.

Strict JSON is the library's affair; this is for what it refuses. A value that does not end is refused here too: what
was cut off is no answer.
"""

from __future__ import annotations

import re
from typing import Any

_DEEPEST = 60
_SPACE = re.compile(r"(?:\n[ \t]*>|\s|//[^\n]*|/\*(?s:.*?)\*/|#[^\n]*)*")
_QUOTES = {
    '"': '"',
    "'": "'",
    "`": "`",
    "“": '”"“',
    "„": '“”"',
    "‘": "’'",
    "‚": "‘’'",
    "«": "»",
    "「": "」",
    "『": "』",
}
_NUMBER = re.compile(r"([+\-−]?)(\d+(?:\.\d*)?|\.\d+)(?:[eE]([+\-−]?\d+))?(?![\w.])")
_WORD = re.compile(r"[^\W\d]\w*")
_WORDS = {"true": True, "false": False, "null": None, "none": None, "nan": None, "undefined": None}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_HEX = re.compile(r"u([0-9a-fA-F]{4})")
_OVER = re.compile(r"\s*(?:[,:}\]，：]|//|/\*|$)|\s+#|\s*\n\s*[\"'“}\]]")


def lenient(text: str, start: int = 0) -> tuple[Any, int]:
    """The value that begins at a place, and where it ends.

    Raises:
        ValueError: None begins there, or it does not end.
    """
    return _value(text, _space(text, start), 0)


def _space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _value(text: str, place: int, depth: int) -> tuple[Any, int]:
    sign = text[place : place + 1]
    if depth > _DEEPEST or not sign:
        raise ValueError("it does not end")
    if sign == "{":
        return _object(text, place + 1, depth)
    if sign == "[":
        return _list(text, place + 1, depth)
    if sign in _QUOTES:
        return _string(text, place)
    if number := _NUMBER.match(text, place):
        plain = number.group().replace("−", "-").removeprefix("+")
        whole = number[3] is None and "." not in plain
        return (int(plain) if whole else float(plain)), number.end()
    if (word := _WORD.match(text, place)) and word.group().lower() in _WORDS:
        return _WORDS[word.group().lower()], word.end()
    raise ValueError(f"no value begins at {place}")


def _object(text: str, place: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while (place := _next(text, place)) < len(text) and text[place] != "}":
        if text[place] in _QUOTES:
            key, place = _string(text, place)
        elif word := _WORD.match(text, place):
            key, place = word.group(), word.end()
        else:
            raise ValueError(f"no name begins at {place}")
        place = _space(text, place)
        if text[place : place + 1] not in (":", "："):
            raise ValueError(f"no value follows {key!r}")
        found[key], place = _value(text, _space(text, place + 1), depth + 1)
    return found, _closed(text, place)


def _list(text: str, place: int, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    while (place := _next(text, place)) < len(text) and text[place] != "]":
        value, place = _value(text, place, depth + 1)
        found.append(value)
    return found, _closed(text, place)


def _next(text: str, place: int) -> int:
    """Where the next part begins, behind blanks, comments and commas."""
    place = _space(text, place)
    while text[place : place + 1] in (",", "，"):
        place = _space(text, place + 1)
    return place


def _closed(text: str, place: int) -> int:
    if place >= len(text):
        raise ValueError("it does not end")
    return place + 1


def _string(text: str, place: int) -> tuple[str, int]:
    """A text in marks; a mark within it that nothing of JSON follows is a letter of it."""
    closers, parts = _QUOTES[text[place]], list[str]()
    place += 1
    while place < len(text):
        sign = text[place]
        if sign == "\\":
            kept, place = _escaped(text, place + 1)
            parts.append(kept)
            continue
        place += 1
        if sign in closers and _OVER.match(text, place):
            return "".join(parts), place
        parts.append(sign)
    raise ValueError("it does not end")


def _escaped(text: str, place: int) -> tuple[str, int]:
    if code := _HEX.match(text, place):
        return chr(int(code[1], 16)), code.end()
    sign = text[place : place + 1]
    if sign in _ESCAPES:
        return _ESCAPES[sign], place + 1
    return (sign if sign in "\"'/\\`" else f"\\{sign}"), place + 1

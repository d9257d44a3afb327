"""Citations by number within a text, such as "Tablets slide before they part [2].": found, and taken out.

Knows no passage.
"""

from __future__ import annotations

import re

_GROUP = re.compile(r"\s*(?:\[|【)\s*(\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)\s*(?:\]|】)")
_MOST = 20  # numbers that a range such as [1-4] stands for at most


def cited(text: str) -> list[int]:
    """The numbers that a text cites, each once, in its order."""
    found: dict[int, None] = {}
    for group in _GROUP.findall(text):
        for part in re.split(r"[,;]", group):
            ends = [int(number) for number in re.findall(r"\d+", part)]
            last = ends[-1] if 0 <= ends[-1] - ends[0] <= _MOST else ends[0]
            found |= dict.fromkeys(range(ends[0], last + 1))
    return list(found)


def bare(text: str) -> str:
    """A text without its citations."""
    return _GROUP.sub("", text)

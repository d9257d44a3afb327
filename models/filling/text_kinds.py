"""The kinds of text that documents are made of, with their bounds and checks. Knows no document.

A ``Name`` is a phrase without a full stop; a ``Sentence`` is one or more whole sentences; a ``Question`` asks; a
``Prompt`` is several sentences. A text that was cut off or that repeats itself is refused whichever model wrote it. The
hint ``x-text`` is for a model that fills field by field.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from models.filling.slots import DANGLING


def tidy(text: str) -> str:
    """One space for every run of blanks, none at the ends."""
    return re.sub(r"\s+", " ", text).strip()


def repeats(text: str, size: int = 4, times: int = 3) -> bool:
    """Say whether some run of ``size`` words stands in ``text`` at least ``times`` times."""
    words = re.findall(r"\w+", text.lower())
    seen: dict[tuple[str, ...], int] = {}
    for i in range(len(words) - size + 1):
        gram = tuple(words[i : i + size])
        seen[gram] = seen.get(gram, 0) + 1
        if seen[gram] >= times:
            return True
    return any(len({*words[i : i + 3]}) == 1 for i in range(len(words) - 2))


def _whole(text: str) -> str:
    text = tidy(text)
    words = re.findall(r"\w+", text.lower())
    if not words:
        raise ValueError("is empty")
    if words[-1] in DANGLING:
        raise ValueError(f"breaks off after {words[-1]!r}")
    if repeats(text):
        raise ValueError("repeats itself")
    return text


def at_least(text: str, length: int) -> str:
    """The text, unless it is shorter than so many characters."""
    if len(text) < length:
        raise ValueError(f"is shorter than {length} characters")
    return text


def _name(text: str) -> str:
    text = _whole(text).strip(".,;: ")
    if text.count("(") != text.count(")"):
        raise ValueError("has an unclosed bracket")
    return at_least(text, 3)


def _sentence(text: str) -> str:
    text = _whole(text)
    if text[-1] not in ".!?":
        raise ValueError("does not end like a sentence")
    return at_least(text, 20)


def _question(text: str) -> str:
    text = tidy(text)  # it may well end with a preposition
    if not text.endswith("?") or repeats(text):
        raise ValueError("does not end like a question" if not text.endswith("?") else "repeats itself")
    return at_least(text, 12)


def _phrase(text: str) -> str:
    return at_least(_whole(text), 10)


Name = Annotated[str, Field(min_length=3, max_length=80, json_schema_extra={"x-text": "name"}), AfterValidator(_name)]
Sentence = Annotated[
    str, Field(min_length=20, max_length=400, json_schema_extra={"x-text": "sentence"}), AfterValidator(_sentence)
]
Prompt = Annotated[
    str, Field(min_length=20, max_length=900, json_schema_extra={"x-text": "prompt"}), AfterValidator(_phrase)
]
Short = Annotated[
    str, Field(min_length=10, max_length=240, json_schema_extra={"x-text": "prompt"}), AfterValidator(_phrase)
]
Question = Annotated[
    str, Field(min_length=12, max_length=240, json_schema_extra={"x-text": "question"}), AfterValidator(_question)
]

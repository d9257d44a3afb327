"""The kinds of text that documents are made of, with their bounds and checks. Knows no document.

A ``Name`` is a phrase without a full stop; a ``Sentence`` is one or more whole sentences; a ``Question`` asks; a
``Prompt`` is several sentences. A text that was cut off or that repeats itself is refused whichever model wrote it. The
hint ``x-text`` is for a model that fills field by field.

Texts may stand in any script. Least lengths are counted as `weight` counts, so that a sentence of Chinese is not short.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

from models.filling.slots import DANGLING
from workspace.letters import visible, whole_letters

WIDE = 3
"""What a sign that writes a syllable or a word counts, beside one for a letter."""

NAME, SENTENCE, PROMPT, SHORT, QUESTION = (2, 120), (20, 400), (20, 900), (10, 240), (12, 240)
"""The least weight and the most characters of each kind."""

SENTENCE_ENDS = frozenset(".!?…‥‼‽⁇⁈⁉։؟۔।॥၊။።፧፨។៕᠃᠉᭞᭟᱾᱿。︒﹒﹖﹗！．？｡꓿꘎꘏꛳꛷꩝꩞꩟꫰꫱꯫༎།")
"""What ends a sentence, in the scripts that have such a mark."""

_CLOSING = frozenset("\"'`´*_ \u00a0\u202f\u200e\u200f\u061c")
_NOTE = re.compile(
    r"(?:\[[\d,;–\s-]{1,20}\]|【[^】]{1,40}】|[⁰¹²³⁴-⁹]{1,3}|[†‡])+$"
)  # of a reference, behind a sentence
_UNMARKED = ("THAI", "LAO")  # scripts that end a sentence without a mark
_ENGLISH = frozenset(
    ("the", "and", "with", "that", "which", "this", "from", "are", "by", "it", "its", "their", "for", "each", "when")
)


MOST_SOURCES = 6
"""Biological sources that a brief may name, and so a design."""


def tidy(text: str) -> str:
    """One space for every run of blanks, none at the ends."""
    return re.sub(r"\s+", " ", text).strip()


def weight(text: str) -> int:
    """The length of a text in letters; a sign that writes a syllable or a word counts as several, a mark as none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(sign) in ("Mn", "Cf") else WIDE if unicodedata.east_asian_width(sign) in "WF" else 1
        for sign in text
    )


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


def sentence_end(text: str) -> bool:
    """Say whether a text ends like a sentence, in whichever script, within quotation marks and brackets or not."""
    bare = _NOTE.sub("", text.rstrip())
    while bare and bare[-1] not in SENTENCE_ENDS and (_closes(bare[-1]) or bare[-1] in _CLOSING):
        bare = bare[:-1]
    if not bare:
        return False
    named = unicodedata.name(bare[-1], "")
    greek_question = bare[-1] in ";\u037e" and any("GREEK" in unicodedata.name(sign, "") for sign in bare)
    return bare[-1] in SENTENCE_ENDS or greek_question or named.startswith(_UNMARKED)


def _closes(sign: str) -> bool:
    """Whether a sign may stand behind a sentence's end: a closing mark, one without width, a little picture."""
    return unicodedata.category(sign) in ("Pe", "Pf", "Pi", "Cf", "So", "Sk", "Mn")


def _whole(text: str) -> str:
    text = tidy(whole_letters(text))
    words = re.findall(r"\w+", text)
    if not words or not visible(text):
        raise ValueError("is empty")
    if _breaks_off(text, words):
        raise ValueError(f"breaks off after {words[-1].lower()!r}")
    if repeats(text):
        raise ValueError("repeats itself")
    return text


def _breaks_off(text: str, words: list[str]) -> bool:
    """Say whether a text ends at a word that calls for another: one of English, not a part's letter such as "A"."""
    last = words[-1]
    if last.lower() not in DANGLING or (len(last) == 1 and last.isupper()) or not text.isascii():
        return False
    if words[-2:-1] and words[-2].isdigit():  # a unit: 2 in
        return False
    before = {word.lower() for word in words[:-1]}
    other_tongue = len(before) > 2 and not before & _ENGLISH
    return not (sentence_end(text) and other_tongue) and not text.endswith(f"'{last}")


def at_least(text: str, length: int) -> str:
    """The text, unless it weighs less than so many letters."""
    if weight(text) < length:
        raise ValueError(f"is shorter than {length} characters")
    return text


def _name(text: str) -> str:
    text = _whole(text).strip(".,;: 。，、；：،؛")
    if text.count("(") != text.count(")"):
        raise ValueError("has an unclosed bracket")
    return at_least(text, NAME[0])


def _sentence(text: str) -> str:
    text = _whole(text)
    if not sentence_end(text):
        raise ValueError("does not end like a sentence")
    return at_least(text, SENTENCE[0])


def _question(text: str) -> str:
    text = tidy(text)  # it may well end with a preposition
    asks = text.rstrip("\"'”’»）)」』 ").endswith(("?", "？", "؟", "՞", "፧", "⁇", ";", "\u037e"))
    if not asks or repeats(text):
        raise ValueError("repeats itself" if asks else "does not end like a question")
    return at_least(text, QUESTION[0])


def _phrase(text: str) -> str:
    return at_least(_whole(text), SHORT[0])


def _letters(kind: tuple[int, int], text: str) -> object:
    least, most = kind
    return Field(min_length=-(-least // WIDE), max_length=most, json_schema_extra={"x-text": text})


Name = Annotated[str, _letters(NAME, "name"), AfterValidator(_name)]
Sentence = Annotated[str, _letters(SENTENCE, "sentence"), AfterValidator(_sentence)]
Prompt = Annotated[str, _letters(PROMPT, "prompt"), AfterValidator(_phrase)]
Short = Annotated[str, _letters(SHORT, "prompt"), AfterValidator(_phrase)]
Question = Annotated[str, _letters(QUESTION, "question"), AfterValidator(_question)]

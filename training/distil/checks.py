"""Whether what a model wrote stands in its passage. Each check is one function that says what is wrong, or nothing.

A check cannot know that an answer is true; it tells what is surely not: another figure, other words, an echo, a wrong
answer that is the right one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

from pipelines.corpus.duplicates import words_of
from pipelines.corpus.gates import repeats

_FIGURE = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_ALONE = re.compile(
    r"\b(?:passages?|excerpts?|paragraphs?|(?:this|the) (?:text|article|section|document)|(?:the|these) authors?|"
    r"(?:figure|fig\.|table) \d|(?:main|true|false) (?:point|statement)|options? [A-D]\b)",
    re.I,
)
_NAMED = re.compile(r"(?<=[\w,;)-] )[^\W\d_]\w+")  # a word within a sentence
_LINKING = """
    above about after again also although always among and another any are around because been before being below
    between both but can could did does doing down during each even every few for from further had has have
    having her here how however into its itself just least less like made make makes many may might more most
    much must near never not off often once one only other our out over own part per same shall she should since
    some still such take than that the their them then there these they thing things this those three through
    thus too two under until upon use used uses using very was way well were what when where whether which while
    who whose why will with within without would yes yet you your true false right wrong called kind type"""
_STOP = frozenset(_LINKING.split())
_ENDINGS = ("ations", "ation", "ings", "ing", "edly", "ed", "ies", "es", "ly", "s", "e", "y")
_NOT = frozenset(("not", "no", "never", "none", "nor", "without", "cannot", "neither", "hardly"))
_STEM = 4  # letters that a stem keeps at least
_UNEVEN = 3  # times as long may the right or the wrong answer be
_SUBJECT = 2  # content words of a question at least


@lru_cache(maxsize=1024)
def figures(text: str) -> frozenset[Decimal]:
    """Every figure in a text by its value: 1,034 and 1034, 0.50 and 0.5 are the same."""
    return frozenset(_value(one) for one in _FIGURE.findall(text))


def _value(figure: str) -> Decimal:
    return Decimal(figure.replace(",", "")).normalize()


@lru_cache(maxsize=1024)
def stems(text: str) -> frozenset[str]:
    """A text's content words without their endings; figures are left out."""
    words = words_of(text)
    return frozenset(_stem(word) for word in words if len(word) > 2 and word not in _STOP and not word[0].isdigit())


def _stem(word: str) -> str:
    word = word.replace("fiber", "fibre").replace("isation", "ization").replace("our", "or")
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM:
            return word[: -len(ending)]
    return word


def strange_figures(text: str, passage: str) -> str | None:
    """A figure that does not stand in the passage, in digits or, if it is small, in words."""
    words = set(words_of(passage))
    known = figures(passage) | {_value(str(place)) for place, word in enumerate(_NUMBERS, 1) if word in words}
    strange = [one for one in _FIGURE.findall(text) if _value(one) not in known]
    return f"the figure {strange[0]} does not stand in the passage" if strange else None


def strange_names(text: str, passage: str) -> str | None:
    """A name (a word with a capital that begins no sentence) that does not stand in the passage."""
    known = set(words_of(passage))
    strange = [one for one in _NAMED.findall(text) if one[0].isupper() and not set(words_of(one)) <= known]
    return f"the name {strange[0]!r} does not stand in the passage" if strange else None


def astray(text: str, passage: str, least: float) -> str | None:
    """Content words of which too few are the passage's."""
    words = stems(text)
    if not words:
        return "it has no content words"
    share = len(words & stems(passage)) / len(words)
    return f"{share:.0%} of its content words are the passage's; {least:.0%} are the least" if share < least else None


def thin(text: str, least: int) -> str | None:
    """Too few words, or the same again and again."""
    count = len(words_of(text))
    return f"it has {count} words; {least} are the least" if count < least else repeats(text)


def leaning(text: str) -> str | None:
    """It speaks of the passage, which a reader does not see."""
    found = _ALONE.search(text)
    return f"it speaks of {found.group()!r}, which a reader does not see" if found else None


def vague(question: str) -> str | None:
    """A question that does not say what it asks about."""
    return "it does not say what it asks about" if len(stems(question)) < _SUBJECT else None


def echo(question: str, answer: str) -> str | None:
    """An answer that only says the question again."""
    new = stems(answer) - stems(question)
    if new or figures(answer) - figures(question) or bool(_NOT & set(words_of(answer))):
        return None
    return "the answer only says the question again"


def same(right: str, wrong: str) -> str | None:
    """A wrong answer that is the right one: the same words, or no other figure, content word or negation."""
    if words_of(right) == words_of(wrong):
        return "the wrong answer is the right one"
    differs = stems(right) != stems(wrong) or figures(right) != figures(wrong)
    turned = bool(_NOT & set(words_of(right))) != bool(_NOT & set(words_of(wrong)))
    return None if differs or turned else "the wrong answer says nothing else than the right one"


def beside(wrong: str, *about: str) -> str | None:
    """A wrong answer on something else, which tells itself: it shares no content word with what it is about."""
    near = stems(wrong) & stems(" ".join(about))
    return None if near else "the wrong answer is about something else"


def uneven(right: str, wrong: str) -> str | None:
    """A wrong answer that its length alone gives away."""
    counts = sorted(max(1, len(words_of(one))) for one in (right, wrong))
    return f"one answer is {counts[1] / counts[0]:.0f} times as long" if counts[1] > _UNEVEN * counts[0] else None


def stands(wrong: str, passage: str) -> str | None:
    """A wrong answer that the passage says word for word."""
    words = " ".join(words_of(wrong))
    if not words:
        return "the wrong answer is empty"
    return "the wrong answer stands in the passage" if f" {words} " in f" {' '.join(words_of(passage))} " else None


def options(answer: str, wrong: Sequence[str]) -> str | None:
    """Options that are the same, or hold one another, so that there is not one right answer."""
    every = [" ".join(words_of(one)) for one in (answer, *wrong)]
    if not all(every):
        return "an option is empty"
    if len(set(every)) < len(every):
        return "two options are the same"
    right = f" {every[0]} "
    held = next((one for one in every[1:] if right in f" {one} " or f" {one} " in right), None)
    return f"the option {held!r} holds the right one, or stands in it" if held else None

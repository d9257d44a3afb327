"""What a model wrote, read as one of the answers that were offered. What could be two answers, or none, is not read.

The study asks for one word or letter; models add brackets, stars, a sentence, a reason. Knows words; no models.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_MARKS = re.compile(r"[*_`#>$\"“”«»]|\\boxed|\\text|\\\(|\\\)|[{}]|</?[a-z]+>")
_LEAD = re.compile(r"[\s(\[]*([A-Za-z])(?:[.):\],;]|\s*[-–—=]\s|\s*$)")
_NAMED = re.compile(
    r"(?:answer|choice|option|letter)\b(?:\s+(?:is|would be|should be|letter|option|choice))*\s*[:=]?\s*[(\[]?"
    r"([A-H])(?![\w'])",
    re.I,
)
_JOINED = re.compile(r"\s*[)\].]?\s*(?:,|/|&|\bor\b|\band\b)\s*(?:or\s+|and\s+)?[(\[]?([A-H])(?![\w'])")
_ALONE = re.compile(r"(?<![\w'])([A-H])(?![\w'])")
_NOT = re.compile(r"\b(?:not|isn't|never|neither|nor|except)\b[\s:(\[]*(?:option |answer |choice )?$", re.I)
_CALLED = re.compile(r"\b(?:option|choice|letter)\s*[(\[]?$", re.I)
_AFTER_LETTER = ("or", "and", "is", "because", "since", "as", "seems", "would")
_YES = ("true", "t", "yes", "correct", "right")
_NO = ("false", "f", "no", "incorrect", "wrong", "untrue")
_BOTH = re.compile(r"\btrue\s*(?:or|/)\s*false\b|\bt\s*/\s*f\b|\bfalse\s*(?:or|/)\s*true\b", re.I)
_DENIED = re.compile(r"\b(?:not|isn't|never)\s+(?:\w+\s+)?(true|correct|right|false|incorrect|wrong)\b", re.I)


def read_answer(text: str, letters: str, options: Sequence[str] = ()) -> str:
    """The letter of the answer that a text gives; empty where it gives none, or could mean several.

    Args:
        text: What the model wrote.
        letters: The answers' letters: ``TF`` of a statement, else as many of A to H as there are options.
        options: A choice's options in the order of its letters.
    """
    plain = _MARKS.sub(" ", unicodedata.normalize("NFKC", text)).replace("’", "'").strip()
    if letters == "TF":
        return _truth(plain)
    whole = _whole(plain, letters, options)
    if whole is not None:
        return whole
    first = next((line.strip() for line in plain.splitlines() if line.strip()), "")
    return _choice(first, letters, options) or _choice(" ".join(plain.split()), letters, options)


def _whole(plain: str, letters: str, options: Sequence[str]) -> str | None:
    """The answer of a text that is a letter or an option and nothing else; None where it is neither."""
    bare = _bare(plain)
    found = {letter for letter, option in zip(letters, options, strict=False) if bare and bare == _bare(option)}
    if len(bare) == 1 and bare.upper() in letters:
        found.add(bare.upper())
    return None if not found else found.pop() if len(found) == 1 else ""


def _choice(said: str, letters: str, options: Sequence[str]) -> str:
    """The answer of a sentence: the letter that it begins with, the one it names, or the one option it holds."""
    lead = _LEAD.match(said)
    found = {lead[1].upper()} & set(letters) if lead and not _negated_lead(said, lead) else set()
    named = {match[1].upper() for match in _NAMED.finditer(said) if not _is_article(said, match)} & set(letters)
    ends = [match.end(1) for match in (lead, *_NAMED.finditer(said)) if match and match[1].upper() in found | named]
    named |= {more[1] for end in ends if (more := _JOINED.match(said, end))} & set(letters)
    denied = any(_NOT.search(said[: match.start(1)]) for match in _NAMED.finditer(said))
    told = _held(said, letters, options)
    if found or named:
        found |= named
        rest = _bare(said[lead.end() :]) if lead else ""
        same = {letter for letter, option in zip(letters, options, strict=False) if rest and rest == _bare(option)}
        found |= same
        return found.pop() if len(found) == 1 and not denied else ""
    if told:
        return told.pop() if len(told) == 1 else ""
    alone = {
        match[1]
        for match in _ALONE.finditer(said)
        if match[1] in letters and not _is_article(said, match) and not _NOT.search(said[: match.start()])
    }
    return alone.pop() if len(alone) == 1 and not _denies(said) else ""


def _negated_lead(said: str, lead: re.Match[str]) -> bool:
    """Whether a letter at the beginning is at once said to be wrong: ``A: no``, ``B is not it``."""
    rest = said[lead.end() :].strip().lower()
    return re.match(r"(?:no|not|wrong|incorrect|false|isn't)\b", rest) is not None


def _is_article(said: str, match: re.Match[str]) -> bool:
    """Whether an A is the article: a word follows it that does not follow a letter, and it is not called one."""
    rest = re.match(r"\s+([a-z]+)", said[match.end(1) :])
    called = match[1] == "A" and _CALLED.search(said[: match.start(1)])
    return match[1] in "Aa" and rest is not None and rest[1] not in _AFTER_LETTER and not called


def _denies(said: str) -> bool:
    return re.search(r"\b(?:not|isn't|none|neither|nor|never|both|all of)\b", said, re.I) is not None


def _held(said: str, letters: str, options: Sequence[str]) -> set[str]:
    """The letters of the options whose words stand in a text, those within a longer one that stands there left out."""
    low = f" {_words(said)} "
    if _denies(said):
        return set()
    for option in sorted(options, key=lambda one: -len(_words(one))):
        inner = f" {_words(option)} "
        if inner.strip() and inner in low:
            low = low.replace(inner, f" \0{options.index(option)}\0 ")
    return {letters[place] for place in range(min(len(letters), len(options))) if f"\0{place}\0" in low}


def _truth(plain: str) -> str:
    """The answer to a statement: the word that the text begins with, or the one verdict in it."""
    said = _BOTH.sub(" ", " ".join(plain.split()).lower())
    said = _DENIED.sub(lambda match: "false" if match[1].lower() in _YES else "true", said)
    words = re.findall(r"[a-z]+(?:'[a-z]+)?", said)
    first = words[0] if words else ""
    if first in _YES or first in _NO:
        second = words[1] if len(words) > 1 else ""
        if second in ("and", "or") and words[2:3] and words[2] in (*_YES, *_NO):
            return ""
        opposite = (first in _YES and second in _NO) or (first in _NO and second in _YES)
        late = {"T" if word == "true" else "F" for word in words[1:] if word in ("true", "false")}
        verdict = "T" if first in _YES else "F"
        unlike = first not in ("true", "t", "false", "f") and late - {verdict}
        return "" if opposite or unlike else verdict
    verdicts = {"T" if word == "true" else "F" for word in words if word in ("true", "false")}
    verdicts |= {"T" if word == "correct" else "F" for word in words if word in ("correct", "incorrect", "untrue")}
    return verdicts.pop() if len(verdicts) == 1 else ""


def _bare(text: str) -> str:
    """A text's words with nothing around them, in small letters."""
    return re.sub(r"^[\W_]+|[\W_]+$", "", " ".join(text.split())).casefold()


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+(?:[.,]\w+)*", unicodedata.normalize("NFKC", text).casefold()))

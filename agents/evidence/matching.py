"""Whether a sentence bears out a claim, by its terms, quantities and negations: deterministic, without a model.

Terms weigh as they are rare in the atlas; words of one meaning count as one. A quantity of the claim must lie within
one of the sentence's of its kind, after conversion; another figure, or the opposite word, is a contradiction.
The weights were fitted to one set of hand-labelled pairs and measured on another (docs/evidence.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import log
from pathlib import Path
from typing import Literal

import yaml

from agents.evidence import quantities
from agents.evidence.citations import bare
from pipelines.corpus.index.terms import terms
from workspace.atlas.statements import statements
from workspace.atlas.table import atlas

Verdict = Literal["supports", "partly", "contradicts", "silent"]

SUPPORTS, PARTLY = 1.0, 0.25
"""Least sums of the weighted features at which a sentence supports a claim, or supports it in part."""

_BIAS, _SHARE, _BACK, _NEAR, _AGREE = -2.36, 3.2, 1.7, 1.55, 3.0
"""Weights of: the share of the claim that the sentence holds, that of the sentence that the claim holds, the cosine of
the two, a quantity that agrees; by logistic regression on 240 pairs."""

_USUAL = 0.62  # cosine of such pairs, where it is not known
_OPPOSED_FROM, _DIFFERS_FROM = 0.35, 0.2  # shares from which an opposite word, another figure, contradict
_WORDS = Path(__file__).with_name("words.yaml")
_NOT = re.compile(
    r"\b(?:not|no|never|without|cannot|neither|nor|hardly|barely|nothing|none|un(?:able|affected|changed)|fails? to|"
    r"lacks?|instead of|rather than|prevents?|free of|[a-z]+n't)\b",
    re.IGNORECASE,
)
_MORE = re.compile(r"\b(?:more|most)\b")
_FIGURE = re.compile(r"^[\d.,]+$")


@dataclass(frozen=True)
class Match:
    """How a sentence stands to a claim: the verdict, and the share of the claim's weight that it holds, 0 to 1."""

    verdict: Verdict
    share: float


@cache
def _words() -> Mapping[str, Sequence[str]]:
    """Words of one meaning, and pairs of opposite ones."""
    found: Mapping[str, Sequence[str]] = yaml.safe_load(_WORDS.read_text(encoding="utf-8"))
    return found


@cache
def _meant() -> Mapping[str, str]:
    """The one stem that stands for words of one meaning, by each of their stems."""
    found: dict[str, str] = {}
    for row in _words()["alike"]:
        stems = [stem for word in row.split() for stem in terms(word)]
        for stem in stems:
            found.setdefault(stem, stems[0])
    return found


@cache
def _opposites() -> tuple[tuple[frozenset[str], frozenset[str]], ...]:
    pairs = []
    for row in _words()["opposed"]:
        one, other = row.split()
        pairs.append((frozenset(_said(one)), frozenset(_said(other))))
    return tuple(pairs)


@cache
def _rarity() -> tuple[Mapping[str, int], int]:
    """In how many sentences of the atlas each term stands, and how many there are."""
    counts: dict[str, int] = {}
    total = 0
    for material in atlas().values():
        for one in statements(material):
            total += 1
            for term in _terms(one.text):
                counts[term] = counts.get(term, 0) + 1
    return counts, total


@lru_cache(maxsize=8192)
def _terms(text: str) -> frozenset[str]:
    meant = _meant()
    return frozenset(meant.get(term, term) for term in terms(text) if not _FIGURE.match(term))


def _weight(term: str) -> float:
    counts, total = _rarity()
    return log(1 + total / (1 + counts.get(term, 0)))


def matched(claim: str, sentence: str, about: Sequence[str] = (), near: float | None = None) -> Match:
    """How a sentence stands to a claim.

    Args:
        claim: What is claimed; numbers that it cites do not count.
        sentence: What is known.
        about: Names of the source that both are known to speak of; their words tell nothing.
        near: The cosine of the two in meaning, if known.
    """
    said = bare(claim)
    own = frozenset(term for name in about for term in _terms(name))
    mine, theirs = _terms(said) - own, _terms(sentence) - own
    if not mine or not theirs:
        return Match("silent", 0.0)
    both = sum(_weight(term) for term in mine & theirs)
    share, back = both / sum(map(_weight, mine)), both / sum(map(_weight, theirs))
    agree, differ, missing = _figures(said, sentence)
    if differ and not agree and share >= _DIFFERS_FROM:
        return Match("contradicts", share)
    if share >= _OPPOSED_FROM and _opposed(said, sentence):
        return Match("contradicts", share)
    worth = _BIAS + _SHARE * share + _BACK * back + _NEAR * (_USUAL if near is None else near) + _AGREE * bool(agree)
    if worth >= SUPPORTS and not missing and not differ and _negated(said) == _negated(sentence):
        return Match("supports", share)
    return Match("partly" if worth >= PARTLY else "silent", share)


def _negated(text: str) -> bool:
    return len(_NOT.findall(text)) % 2 == 1


@lru_cache(maxsize=8192)
def _said(text: str) -> frozenset[str]:
    """The terms of a text, with "more" and "most", which are none where texts are searched."""
    return frozenset([*terms(text), *_MORE.findall(text.lower())])


def _opposed(claim: str, sentence: str) -> bool:
    """Whether one says a word whose opposite the other says, and not that word as well."""
    mine, theirs = _said(claim), _said(sentence)
    for one, other in _opposites():
        for left, right in ((one, other), (other, one)):
            if left <= mine and right <= theirs and not left & theirs and not right & mine:
                return True
    return False


def _figures(claim: str, sentence: str) -> tuple[int, int, int]:
    """How many quantities of a claim lie within one of the sentence, outside all of their kind, or have none there."""
    known = quantities.found(sentence)
    agree = differ = missing = 0
    for one in quantities.found(claim):
        alike = [other for other in known if quantities.same_kind(one, other)]
        if any(quantities.within(one, other) for other in alike):
            agree += bool(one.unit)
        elif one.unit and any(other.unit for other in alike):
            differ += 1
        else:
            missing += 1
    return agree, differ, missing

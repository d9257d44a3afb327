"""Writes fields by continuing worked examples: the pattern is set by `Shots`, the words are the model's.

Fields that do not build on each other are drafted in one batch; a draft stays if it is whole, new, no echo of an
example, and accepted by the field's own check. Knows slots and drafts; the document they belong to is `fill`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from math import log
from random import Random
from typing import Any

from models.decoder.engine import Engine, Tape
from models.filling.drafts import Ask, Draft, likelihoods, write
from models.filling.questions import ASKED, NAME_WORDS, digits, tidy_name
from models.filling.shots import Shots
from models.filling.slots import DANGLING, Path, Slot

_UNIT = r"[GMk]Pa|[kM]N|degC|kg/m3|g/m2|MJ/m3|J/m2|W/mK|W/m2K|L/m2h|mAh/g|dB|k?Hz|m/s|N/m|S/m|m2/g"
_WORD = rf"([A-Za-z][a-z']{{0,15}}(-[A-Za-z][a-z']{{1,15}})?|[A-Z]{{2,6}}(-[a-z]{{2,15}})?|{_UNIT})"
_FIGURE = r"[0-9]{1,5}(\.[0-9]{1,2})?( percent|%)?"
_SENTENCE = rf"[A-Z][a-z']{{0,15}}(-[a-z']{{2,15}})?([,;:]? ({_WORD}|{_FIGURE}))*[a-z%]\."
_GRAMMARS = {
    "name": rf" {_WORD}( {_WORD}){{0,{NAME_WORDS - 1}}}\n",
    "sentence": rf" {_SENTENCE}\n",
    "question": rf" {ASKED}\n",
    "prompt": rf" {_SENTENCE}( {_SENTENCE}){{0,2}}\n",
    "phrase": rf" {_WORD}([,;]? ({_WORD}|{_FIGURE})){{5,35}}\n",
}
_TOKENS = {"name": 18, "sentence": 36, "question": 30, "prompt": 100, "phrase": 50, "number": 10}
_LONGER = 1.5  # times as long may a sentence of a tuned model be, which ends them
_TEMPERATURES = (0.6, 0.75, 0.9, 0.45)
_GROUNDING = 0.5
_APART = 0.5  # how much it counts against a text that it is as likely for another wish
_SHORT = 300
_DRAW = 0.3
_MIDDLE = 1.0
_VARIED = 0.6
_LISTED = 3  # words between commas; more make it a sentence
_DRAFTS = 4
_SPARE, _EACH = 2, 2
_LEAST = 5  # words of a sentence

Take = Callable[[Slot, str], bool]
Worth = Callable[[str], float]


def shown(shots: Shots | None, slot: Slot) -> bool:
    """Say whether the examples show how a slot is filled."""
    return shots is not None and slot.kind != "pattern" and shots.prefix(slot) is not None


class Pen:
    """Continues the examples of a document, whose beginnings are read once each.

    Args:
        llm: The model.
        shots: The examples.
        avoid: Tokens that are not used.
        begun: Makes a tape on which a prefix is read: an empty one, or one that has seen a picture.
    """

    def __init__(self, llm: Engine, shots: Shots, avoid: Sequence[int], begun: Callable[[], Tape]) -> None:
        self.llm, self.shots, self.avoid, self.begun = llm, shots, avoid, begun
        self._tapes: dict[str, Tape] = {}

    def choose(self, slot: Slot, spoken: Sequence[str], values: Mapping[Path, Any], seed: int) -> list[int]:
        """Return the choices of a slot, likeliest first; figures are drawn by their likelihood, words are not."""
        lead = self.shots.lead(slot, values)
        texts = [(lead, self.llm.encode(f" {word}\n")) for word in spoken]
        scores = likelihoods(self._tape(slot), texts)
        if self.shots.taught:  # its likelihoods mean what they say; others favour short words, so theirs stay per token
            scores = [score * len(ids) for score, (_, ids) in zip(scores, texts, strict=True)]
        if isinstance(slot.choices[0], float):
            dice = Random(seed)  # Gumbel noise: the largest sum is a draw from the softmax of the scores
            scores = [score - _DRAW * log(-log(1 - dice.random())) for score in scores]
            scores = [score - _MIDDLE * off**2 for score, off in zip(scores, _off_middle(slot.choices), strict=True)]
        return sorted(range(len(spoken)), key=lambda i: -scores[i])

    def draft(
        self,
        slots: Sequence[Slot],
        values: Mapping[Path, Any],
        attempt: int,
        seed: Callable[..., int],
        refused: Mapping[Path, Sequence[str]],
    ) -> list[tuple[Slot, list[Draft]]]:
        """Draft slots of any families in one batch.

        Items that stand for themselves (a list's texts, the names of its members) share their drafts: each takes the
        best that no item before it took.

        Args:
            slots: What to write, family by family.
            values: What the document holds already.
            attempt: Counts from 0; later attempts see the items before them and draw anew.
            seed: Makes a seed from the slot's place, the attempt and the draft's number.
            refused: What was drafted for a list's item in vain, by its path.
        """
        families: dict[str, list[Slot]] = {}
        for slot in slots:
            families.setdefault(slot.family, []).append(slot)
        asks: list[Ask] = []
        places: list[tuple[Slot, int, int]] = []
        for number, family in enumerate(families.values()):
            alone = stands_alone(family[0])
            count = (_SPARE + _EACH * len(family)) if alone else _DRAFTS
            for slot in family:
                if not alone or slot is family[0]:
                    start, seeds = len(asks), [seed(slot.where, attempt, n) for n in range(count)]
                    asks += [self._ask(slot, values, attempt, one, number, refused) for one in seeds]
                places.append((slot, start, start + count))
        drafts = write([self._tape(family[0]) for family in families.values()], asks, self.avoid)
        if self.shots.taught and self.shots.apart:
            texts = [(ask.suffix, one.ids) for ask, one in zip(asks, drafts, strict=True)]
            for one, elsewhere in zip(drafts, likelihoods(self._apart, texts), strict=True):
                one.score -= _APART * elsewhere
        return [(slot, drafts[start:end]) for slot, start, end in places]

    @cached_property
    def _apart(self) -> Tape:
        """What a document of another wish would be about."""
        tape = self.begun()
        tape.read(self.llm.encode(f"{self.shots.apart}\n"))
        return tape

    def _tape(self, slot: Slot) -> Tape:
        prefix = self.shots.prefix(slot)
        assert prefix is not None  # the caller asked `shown`
        if prefix not in self._tapes:
            self._tapes[prefix] = self.begun()
            self._tapes[prefix].read(self.llm.encode(prefix))
        return self._tapes[prefix]

    def _ask(
        self,
        slot: Slot,
        values: Mapping[Path, Any],
        attempt: int,
        seed: int,
        tape: int,
        refused: Mapping[Path, Sequence[str]],
    ) -> Ask:
        lead = self.shots.lead(slot, values, refused.get(slot.path, ()))
        kind, warmth = _kind(slot), _TEMPERATURES[attempt]
        if kind == "number":
            return Ask(f"{lead} ", rf"{digits(slot)}\n", _TOKENS[kind], seed, warmth + 0.2, tape=tape)
        tokens = round(_TOKENS[kind] * (_LONGER if self.shots.taught else 1))
        return Ask(
            lead, _GRAMMARS[kind], tokens, seed, warmth, 1.05, tape=tape, copies=self.shots.taught or self.shots.copies
        )


def stands_alone(slot: Slot) -> bool:
    """Say whether a slot is a list's text or the name of its member, which builds on no sibling."""
    return slot.item is not None and (isinstance(slot.path[-1], int) or slot.path[-1] == "name")


def finished(slot: Slot, drafts: Sequence[Draft]) -> list[str]:
    """The different texts of drafts that are whole."""
    texts = (_finished(slot, one) for one in drafts)
    return list(dict.fromkeys(text for text in texts if text))


def _off_middle(figures: Sequence[float]) -> list[float]:
    """How far each figure lies from the geometric middle of their range: 0 there, 1 at either end."""
    low, high = figures[0], figures[-1]
    if low <= 0 or high == low:
        return [0.0] * len(figures)
    return [2 * log(figure / (low * high) ** 0.5) / log(high / low) for figure in figures]


def ranked(shots: Shots, slot: Slot, drafts: Sequence[Draft], worth: Worth) -> list[str]:
    """The drafts' texts that are whole and no echo, best first: likely, to the point, worth saying after the rest."""
    about = set(re.findall(r"[a-z]{4,}", shots.about.lower()))
    rated: dict[str, float] = {}
    for one in drafts:
        text = _finished(slot, one)
        if text is None or shots.echoes(text) or _mumbles(text):
            continue
        content = re.findall(r"[a-z]{4,}", text.lower())
        share = sum(word in about for word in content) / max(1, len(content))
        rated[text] = max(rated.get(text, -99.0), one.score + _GROUNDING * share + worth(text))
    return sorted(rated, key=lambda text: -rated[text])


def _mumbles(text: str) -> bool:
    """Say whether a text says a word twice running, goes round among few, or only strings names together."""
    words = re.findall(r"\w+", text.lower())
    if any(word == after for word, after in pairwise(words)):
        return True
    if len(words) > 4 and len(set(words)) < _VARIED * len(words):
        return True
    pieces = [len(piece.split()) for piece in text.split(",")]
    return len(pieces) > 2 and max(pieces) <= _LISTED


def _kind(slot: Slot) -> str:
    most = int(slot.bounds.get("maxLength", 400))
    return "phrase" if slot.kind == "prompt" and most <= _SHORT else slot.kind


def _finished(slot: Slot, one: Draft) -> str | None:
    text = one.text.strip()
    if not one.ended or not text:
        return None
    if slot.kind == "name":
        return tidy_name(text, ended=True)
    return text


def mended(shots: Shots, slot: Slot, one: Draft) -> str | None:
    """A draft's text, if it is no echo; an unfinished sentence ends after its last whole word that may stand there."""
    text = _finished(slot, one)
    if text is None and slot.kind in ("sentence", "prompt") and not one.ended:
        text = _ended(one.text.split()[:-1])
    return None if text is None or shots.echoes(text) else text


def _ended(words: list[str]) -> str | None:
    while words and words[-1].lower() in DANGLING:
        words.pop()
    return " ".join(words).rstrip(".,;:") + "." if len(words) >= _LEAST else None

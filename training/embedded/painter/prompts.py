"""Prompts in many people's words, every letter of them known: of which structure, join, colour or attribute it is.

The words come from the lexicon and from the training grammar; the tags are those of `models.encoders.reader`. Trains
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from models.encoders.reader import FIRST, JOINS, REST, SECOND, STRANGE
from models.encoders.wishes import FIELDS
from training.embedded.microstructures import lexicon
from training.embedded.microstructures.families import Rng
from training.embedded.microstructures.phrases import DENSITY_PHRASES, PHRASES, expand
from training.embedded.microstructures.wordings import DENSITIES, DIRECTIONS, FAMILIES, GRADIENTS, PALETTES, SCALES
from training.embedded.microstructures.wordings import JOINS as GRAMMAR_JOINS
from training.embedded.painter.codes import NAMES

UNKNOWN_SHARE = 0.12
"""Of the structures in prompts, wishes that are of no family."""
IGNORED = -1
"""The tag of letters that teach nothing."""
_PAIRS = 0.2  # of prompts, such as were written whole, with other structures put in
_HYBRIDS, _GRAMMAR, _WHOLE, _LEAD, _BARE = 0.45, 0.3, 0.35, 0.3, 0.08
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Tagged:
    """A prompt, and from which letter up to which a tag holds; what is in none is REST."""

    text: str
    places: tuple[tuple[int, int, int], ...]


class Words:
    """Draws wordings; those of ``without``, a writer of the lexicon, are left out."""

    def __init__(self, without: str = "") -> None:
        rows = [wordings for name, wordings in lexicon.writers().items() if name != without]
        self.families = {key: [words for row in rows for words in row[key]] for key in FAMILIES}
        self.unknown, self.atlas = lexicon.unknown(), lexicon.atlas_names()
        more = lexicon.attributes()
        grammar = _GRAMMAR_FIELDS
        self.fields = {
            name: {value: [*grammar[name][value], *more[name][value]] for value in NAMES.fields[name]}
            for name in FIELDS
        }
        self.joins = {key: [*GRAMMAR_JOINS[key], *more["join"][key]] for key in NAMES.joins}
        self.strange: Sequence[str] = more["strange"]
        self.pairs = lexicon.pairs()

    def structure(self, family: str, rng: Rng) -> str:
        """A wording of a family."""
        if rng.random() >= _GRAMMAR:
            return one(self.families[family], rng)
        row = FAMILIES[family]
        if rng.random() < 0.5:
            return expand(one(PHRASES[family], rng), rng)
        return one((*row.biological, *row.geometric, row.network), rng)

    def subject(self, rng: Rng) -> str:
        """A wording of any family, or now and then of none."""
        if rng.random() < UNKNOWN_SHARE:
            return one(self.unknown, rng)
        return self.structure(one(list(FAMILIES), rng), rng)

    def prompt(self, rng: Rng) -> Tagged:
        """A prompt of one or two structures, with or without attributes, in prose or between commas."""
        if self.pairs and rng.random() < _PAIRS:
            return self._pair(rng)
        parts: list[tuple[str, int]] = []
        said: dict[str, list[tuple[str, int]]] = {name: [self._attribute(name, rng)] for name in FIELDS}
        said["s"] = self._subjects(rng)
        kind, frames = rng.random(), lexicon.frames()
        if kind < _WHOLE:
            return joined(filled(one(frames["whole"], rng), said))
        if kind < _WHOLE + _LEAD:
            parts = filled(one(frames["lead"], rng), said)
        else:
            parts = list(said["s"])
            if kind > 1 - _BARE:
                return joined(parts)
        extras = [name for name in FIELDS if rng.random() < (0.75 if name == "palette" else 0.4)]
        rng.shuffle(extras)
        more = [said[name] for name in extras]
        if rng.random() < 0.25:
            more.insert(int(rng.integers(len(more) + 1)), [(one(frames["filler"], rng), REST)])
        ahead = more.pop() if more and rng.random() < 0.2 else None
        if ahead:
            parts = [*ahead, (one((", ", " ", ": "), rng), REST), *parts]
        for row in more:
            parts += [(one((", ", ", ", ", ", "; ", ". ", " and ", " "), rng), REST), *row]
        return joined(parts)

    def _pair(self, rng: Rng) -> Tagged:
        """A prompt for two structures as somebody wrote it: what stands between them joins them."""
        text, join = self.pairs[int(rng.integers(len(self.pairs)))]
        tags = {"a": FIRST, "b": SECOND}
        before, one_name, between, two_name, behind = re.split(r"\{([ab])\}", text)
        parts = [
            (before, IGNORED),
            (self.subject(rng), tags[one_name]),
            (between, JOINS + list(self.joins).index(join)),
            (self.subject(rng), tags[two_name]),
            (behind, IGNORED),
        ]
        return joined([part for part in parts if part[0]])

    def _attribute(self, name: str, rng: Rng) -> tuple[str, int]:
        if name == "palette" and rng.random() < 0.1:
            return one(self.strange, rng), STRANGE
        value = one(list(self.fields[name]), rng)
        return expand(one(self.fields[name][value], rng), rng), TAGS[name, value]

    def _subjects(self, rng: Rng) -> list[tuple[str, int]]:
        if rng.random() >= _HYBRIDS:
            return [(self.subject(rng), FIRST)]
        place = int(rng.integers(len(self.joins)))
        template = one(self.joins[list(self.joins)[place]], rng)
        return filled(template, {"a": [(self.subject(rng), FIRST)], "b": [(self.subject(rng), SECOND)]}, JOINS + place)


def filled(template: str, said: dict[str, list[tuple[str, int]]], around: int = REST) -> list[tuple[str, int]]:
    """A template's own words, tagged ``around``, and what is put into its places with its own tags."""
    parts: list[tuple[str, int]] = []
    for place, text in enumerate(_SLOT.split(template)):
        if place % 2:
            parts += said[text]
        elif text:
            parts.append((text, around))
    return parts


def joined(parts: Iterable[tuple[str, int]]) -> Tagged:
    """Parts one after the other."""
    text, places = "", []
    for words, tag in parts:
        if tag != REST:
            places.append((len(text), len(text) + len(words), tag))
        text += words
    return Tagged(text, tuple(places))


def one(items: Sequence[str], rng: Rng) -> str:
    """One of some words at random."""
    return items[int(rng.integers(len(items)))]


def prompts(words: Words, seed: int, count: int) -> list[Tagged]:
    """So many prompts; a number's is the same whatever the count."""
    return [words.prompt(np.random.default_rng([seed, number])) for number in range(count)]


_GRAMMAR_FIELDS: dict[str, dict[str, Sequence[str]]] = {
    "palette": {key: row.words for key, row in PALETTES.items()},
    "density": {key: (*words, *DENSITY_PHRASES[key]) for key, words in DENSITIES.items()},
    "scale": {key: words for key, (_, words) in SCALES.items()},
    "direction": {key: words for key, (_, words) in DIRECTIONS.items()},
    "gradient": dict(GRADIENTS),
}


def _tags() -> dict[tuple[str, str], int]:
    pairs = [(name, value) for name in FIELDS for value in NAMES.fields[name]]
    return {pair: JOINS + len(NAMES.joins) + place for place, pair in enumerate(pairs)}


TAGS = _tags()
"""The tag of every value of a field."""

"""Organisms for a wish by what they can do, familiar or not: who stops cracks, who harvests water. Knows the atlas."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from pydantic import Field, ValidationError

from agents.documents import Brief, Document, same
from agents.evidence.gathering import Rank, Searching
from pipelines.corpus.index.retrieve import Filters
from pipelines.corpus.index.terms import terms, words
from workspace.atlas.statements import statements
from workspace.atlas.table import Function, Material, atlas
from workspace.errors import UsageError

SHOWN = 5
"""Candidates that a person chooses from."""

_SHORTEST, _LONGEST = 2, 8000  # letters of a name that is looked for, and of a wish that is read
_POOL = 24  # passages that are read
_HOW = 0.5  # what a word counts that is shared with how something is done, beside one that is shared with what is done
_NEAR = 0.3  # the least nearness in meaning of a function that shares no word with the wish
_LEAST = 0.35  # what one is worth at least, as a share of the best
_AGAIN = 0.1  # what another of one group, of one look, or with one function counts less
_SAYS_LITTLE = frozenset(terms("panel without under through one two things much keep make let get new use used"))

_MEANS = {
    "light": "low weight",
    "lightweight": "low weight",
    "tough": "stop cracks tearing",
    "strong": "carry load",
    "bridge": "span carry load",
    "beam": "carry load bending",
    "roof": "span shed rain",
    "quiet": "damp vibration",
    "acoustic": "damp vibration sound",
    "sound": "damp vibration",
    "noise": "damp vibration",
    "cool": "shed heat",
    "warm": "insulate cold",
    "insulation": "insulate heat cold",
    "helmet": "absorb impact blows",
    "crash": "absorb impact",
    "armour": "resist piercing",
    "adhesive": "glue stick",
    "waterproof": "shed water dry",
    "clean": "shed dirt",
    "membrane": "filter",
    "window": "transparent glare",
    "hinge": "fold unfold bend joint",
    "deployable": "fold unfold",
    "drone": "wing low weight",
}
"""What designers' words mean in the words of the atlas's functions."""


class Candidate(Document):
    """A biological material that could inspire a design, and why."""

    name: str = Field(max_length=120, description="The material")
    function: str = Field(max_length=80, description="What it can do, in a designer's words")
    mechanism: str = Field(max_length=400, description="How it does that")
    why: str = Field(max_length=400, description="Why it fits the wish")
    passage: str = Field(max_length=200, description="Id of the atlas's sentence that says so")
    source: str = Field(max_length=2000, description="What stands behind it")


@dataclass(frozen=True)
class _Row:
    """A function of a material, and how well it fits a wish."""

    material: Material
    function: Function
    worth: float
    shared: frozenset[str]

    def alike(self, others: Sequence[_Row]) -> int:
        """In how much it is like those that were chosen before."""
        mine = set(self.material.families)
        return sum(
            (one.material.group == self.material.group)
            + bool(mine & set(one.material.families))
            + (one.function.function == self.function.function)
            for one in others
        )


def named(text: str, count: int = SHOWN) -> list[Candidate]:
    """The materials of the atlas one of whose names holds a word that begins with a text, each with its first function.

    Args:
        text: The beginning of a name.
        count: How many at most.
    """
    wanted = same(text)
    found = [
        one for one in atlas().values() if any(f" {wanted}" in f" {same(name)}" for name in (one.name, *one.aliases))
    ]
    found.sort(key=lambda one: not same(one.name).startswith(wanted))
    return [
        _candidate(_Row(one, one.functions[0], 0.0, frozenset()), "")
        for one in found[:count]
        if wanted and one.functions
    ]


def suggested(wish: str, count: int = SHOWN) -> list[Candidate]:
    """The materials of that name first, then those whose functions fit a wish, by the atlas's words alone.

    Args:
        wish: A wish, or the beginning of a name.
        count: How many at most.
    """
    words = " ".join(wish.split())[:_LONGEST]
    found = named(words, count) if len(words) >= _SHORTEST else []
    try:
        brief = Brief(text=words)
    except ValidationError:  # too short for a wish
        return found
    known = {one.name for one in found}
    return [*found, *(one for one in proposed(None, None, brief, count) if one.name not in known)][:count]


def proposed(library: Searching | None, rank: Rank | None, brief: Brief, count: int = SHOWN) -> list[Candidate]:
    """The materials of the atlas whose functions fit a wish best, unlike each other.

    Fewer where fewer fit: each shares words with the wish, or is near it in meaning.

    Args:
        library: Where they are looked for; ``None`` looks through the whole atlas.
        rank: How near functions are to the wish in meaning; by their words alone without it.
        brief: The wish.
        count: How many at most.
    """
    meant = " ".join(meaning for word, meaning in _MEANS.items() if _stems(word) <= _stems(brief.text))
    rows = _rated(_found(library, f"{brief.text} {meant}".strip()), rank, brief.text, meant)
    best: dict[str, _Row] = {}
    for row in sorted(rows, key=lambda row: -row.worth):
        if row.worth >= _LEAST * max(one.worth for one in rows):
            best.setdefault(row.material.id, row)
    left, chosen = list(best.values()), list[_Row]()
    while left and len(chosen) < count:
        chosen.append(max(left, key=lambda row: row.worth - _AGAIN * row.alike(chosen)))
        left.remove(chosen[-1])
    return [_candidate(row, brief.text) for row in chosen]


def _found(library: Searching | None, question: str) -> list[Material]:
    """The materials whose entries fit a question; none where a library lacks the atlas."""
    if library is None:
        return list(atlas().values())
    try:
        hits = library.search(question, _POOL, Filters(documents=("atlas/",)))
    except UsageError:  # no document of that name
        return []
    ids = dict.fromkeys(hit.passage.document.id.removeprefix("atlas/") for hit in hits)
    return [atlas()[id] for id in ids if id in atlas()]


def _rated(found: Sequence[Material], rank: Rank | None, wish: str, meant: str) -> list[_Row]:
    """Every function that fits a wish, and how well: by the words they share, rare ones first, and by meaning."""
    held = [(material, one) for material in found for one in material.functions]
    near = rank(wish, [f"{one.function}: {one.how}" for _, one in held]) if rank is not None and held else None
    wanted = _stems(f"{wish} {meant}") - _SAYS_LITTLE
    whole = sum(map(_rarity, wanted)) or 1.0
    rows = []
    for place, (material, one) in enumerate(held):
        does = wanted & _stems(one.function)
        how = (wanted & _stems(one.how)) - does
        like = 0.0 if near is None else float(near[place])
        if does or len(how) > 1 or like >= _NEAR:
            worth = (sum(map(_rarity, does)) + _HOW * sum(map(_rarity, how))) / whole
            rows.append(_Row(material, one, worth + like, does | how))
    return rows


@cache
def _stems(text: str) -> frozenset[str]:
    return frozenset(terms(text))


def _rarity(stem: str) -> float:
    """How much a word says: the rarer it is among the functions of the atlas, the more."""
    count, every = _counted()
    return math.log(1 + every / (count[stem] or 1))


@cache
def _counted() -> tuple[Counter[str], int]:
    texts = [f"{one.function} {one.how}" for material in atlas().values() for one in material.functions]
    return Counter(stem for text in texts for stem in set(terms(text))), len(texts)


def _candidate(row: _Row, wish: str) -> Candidate:
    material, function = row.material, row.function
    said = next(one for one in statements(material) if one.kind == "function" and function.how in one.text)
    shared = [word for word in dict.fromkeys(words(wish)) if row.shared & _stems(word)]
    why = f"it can {function.function}" + (f", and the wish speaks of {', '.join(shared[:6])}" if shared else "")
    return Candidate(
        name=material.name,
        function=function.function,
        mechanism=function.how,
        why=why[:400],
        passage=said.id,
        source="; ".join(one.cite for one in material.sources)[:2000],
    )

"""Which material of the atlas a name means, in any script, and which are nearest to one unknown.

A name is known only where all of its words are: as a material's name, another name of it (synonyms, scientific names,
other languages; `workspace/atlas/names.json`), or such a name with a word before or after it that changes nothing
("human bone", "bone tissue"). What merely shares a word or looks alike is near, never the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from workspace.atlas.table import Material, atlas
from workspace.letters import folded, singular

NAMES = Path(__file__).with_name("names.json")
_ALIKE = 0.8  # likeness from which a name is taken for a slip of the pen
_NAMED, _READ = 4, 400  # words of a name, and of a text, that are looked at
_LEAST = 5  # letters of a word that has one
_LATIN = re.compile(r"[a-z]+ [a-z]{3,}")

Words = tuple[str, ...]


@dataclass(frozen=True)
class Match:
    """A material, and what it is commonly called where it was found by that or by a name that means the same."""

    material: Material
    common: str = ""


@dataclass(frozen=True)
class Near:
    """Materials whose names lie nearest to one that means none, and the name that it may be a misspelling of."""

    names: tuple[str, ...]
    meant: str = ""


@dataclass(frozen=True)
class _Table:
    """All names: those of the atlas, those of `atlas_names.json`, and the words that change nothing."""

    own: Mapping[Words, str]
    others: Mapping[Words, str]
    common: Mapping[str, str]
    heads: Mapping[Words, tuple[str, frozenset[str]]]
    before: frozenset[str]
    after: frozenset[str]

    def find(self, words: Words) -> Match | None:
        if words in self.own:
            return Match(atlas()[self.own[words]])
        if words in self.others:
            return self.match(self.others[words])
        return None

    def match(self, name: str) -> Match:
        return Match(atlas()[name], self.common[name])


@cache
def _table() -> _Table:
    said: dict[str, Any] = json.loads(NAMES.read_text(encoding="utf-8"))
    groups = {
        name: frozenset(word for one in members for word in _words(one)) for name, members in said["groups"].items()
    }
    own = {_words(call): held.id for held in reversed(list(atlas().values())) for call in (*held.calls, held.id)}
    others = {_words(name): key for key, names in said["names"].items() for name in names}
    heads = {_words(head): (row["material"], groups[row["of"]]) for head, row in said["heads"].items()}
    common = {key: names[0] for key, names in said["names"].items()}
    return _Table(own, others, common, heads, frozenset(said["before"]), frozenset(said["after"]))


@lru_cache(maxsize=512)
def lookup(name: str) -> Match | None:
    """Find the material that a name means; ``None`` if the atlas has none that is called so."""
    table = _table()
    for words in _readings(name, table):
        found = table.find(words) or _with_scientific_name(words, table) or _of_a_kind(words, table)
        if found is not None:
            return found
    return None


def _readings(name: str, table: _Table) -> list[Words]:
    """The words of a name, then without what changes nothing, and "wing of a butterfly" also as "butterfly wing"."""
    words = _words(name)
    readings = [words]
    if "of" in words[1:-1]:
        place = words.index("of")
        readings.append((*words[place + 1 :], *words[:place]))
    found: list[Words] = []
    for one in readings:
        bare = one
        while len(bare) > 1 and bare[-1] in table.after:
            bare = bare[:-1]
            found.append(bare)
        while len(bare) > 1 and bare[0] in table.before:
            bare = bare[1:]
            found.append(bare)
    return [*readings, *found]


def _with_scientific_name(words: Words, table: _Table) -> Match | None:
    """A species beside words of what is known of it: "Haliotis rufescens shell"."""
    for start in range(len(words) - 1):
        for size in (3, 2):
            latin, rest = words[start : start + size], {*words[:start], *words[start + size :]}
            key = table.others.get(latin) if len(latin) == size else None
            if key is None or not _LATIN.fullmatch(" ".join(latin[:2])):
                continue
            held = atlas()[key]
            named = _words(held.organism)
            about = {word for call in (*held.calls, table.common[key]) for word in _words(call)}
            if latin[:2] in list(pairwise(named)) and rest <= about | table.before | table.after:
                return table.match(key)
    return None


def _of_a_kind(words: Words, table: _Table) -> Match | None:
    """A material of one of those that it is the same in: the bone of a mammal, the feather of a bird."""
    for size in (2, 1):
        key, group = table.heads.get(words[-size:], ("", frozenset()))
        if key and len(words) > size and set(words[:-size]) <= group | table.before:
            return table.match(key)
    return None


@lru_cache(maxsize=512)
@lru_cache(maxsize=256)
def named_in(text: str) -> tuple[Material, ...]:
    """The materials that a text names, by any of their names: of names within each other the longest, each once."""
    words = re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text)[:_READ]
    found: dict[str, Material] = {}
    taken: set[int] = set()
    for length in range(_NAMED, 0, -1):
        for start in range(len(words) - length + 1):
            span = set(range(start, start + length))
            match = None if span & taken else lookup(" ".join(words[start : start + length]))
            if match is not None:
                taken |= span
                found.setdefault(match.material.id, match.material)
    return tuple(found.values())


def nearest(name: str, count: int = 3) -> Near:
    """The materials whose names lie nearest to a name, and what it is a misspelling of, if it looks like one."""
    table, wanted = _table(), _words(name)
    best: dict[str, tuple[float, float, str]] = {}
    latin = " ".join(wanted).isascii()
    for calls in (table.own, table.others):
        for words, key in calls.items():
            if latin != " ".join(words).isascii():
                continue
            letters = SequenceMatcher(None, " ".join(wanted), " ".join(words)).ratio()
            shared = len({*wanted} & {*words}) / max(1, len({*wanted} | {*words}))
            worth = letters + shared + (0.5 if wanted and wanted[-1:] == words[-1:] else 0)
            best[key] = max(best.get(key, (0.0, 0.0, "")), (worth, letters, " ".join(words)))
    ranked = sorted(best, key=lambda key: (-best[key][0], key))[:count]
    top = max((best[key][1:] for key in ranked), default=(0.0, ""))
    return Near(tuple(atlas()[key].name for key in ranked), top[1] if _slip(wanted, top) else "")


def _slip(wanted: Words, like: tuple[float, str]) -> bool:
    """Say whether a name differs from another in a letter or two of one word, not by a word."""
    others = like[1].split()
    if like[0] < _ALIKE or len(others) != len(wanted):
        return False
    table = _table()
    right = {word for names in (table.own, table.others) for words in names for word in words}
    changed = [(one, other) for one, other in zip(wanted, others, strict=True) if one != other and one not in right]
    changed = [] if len(changed) < sum(one != other for one, other in zip(wanted, others, strict=True)) else changed
    return len(changed) == 1 and len(changed[0][0]) >= _LEAST and SequenceMatcher(None, *changed[0]).ratio() >= _ALIKE


def _words(name: str) -> Words:
    return tuple(
        singular(word)
        for word in folded(name.replace("'s", "s").replace("’s", "s")).split()
        if word not in ("a", "an", "the")
    )

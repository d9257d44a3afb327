"""The words a painter knows, and which of them fit a design. Knows word lists and a ranking; no painter, no model.

A painter's vocabulary maps each family of pictures to the phrases it was trained on, or is a plain list of phrases. A
painter trained on everything has none; then there is nothing to choose and the Illustrator's own words stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Rank = Callable[[str, Sequence[str]], Sequence[float]]

_PLAIN = """a an and as at bio by cell design fine for from high in inspired into its large like low material of off on
open or over small that the thick thin to with"""

_SMALL = frozenset(_PLAIN.split())
_FULLNESS = (0.38, 0.55)  # solid fractions that part open from medium from dense; families differ


@lru_cache(maxsize=4096)
def stems(text: str) -> frozenset[str]:
    """The words of a text that carry meaning, without their plural endings."""
    found = set()
    for word in re.findall(r"[a-z]+", text.lower()):
        if word.endswith("ves") and len(word) > 4:
            word = word[:-3] + "f"
        elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
            word = word[:-1]
        if word not in _SMALL:
            found.add(word)
    return frozenset(found)


def contains(text: str, phrase: str) -> bool:
    """Say whether every meaningful word of ``phrase`` stands in ``text``."""
    wanted = stems(phrase)
    return bool(wanted) and wanted <= stems(text)


@dataclass(frozen=True)
class Vocabulary:
    """Families of phrases, palettes and densities (open to dense), each row's first phrase its name; and the rest.

    ``grading`` is how the painter is told to let a family ``{a}`` grade into another, ``{b}``; empty if it cannot.
    """

    families: tuple[tuple[str, ...], ...]
    palettes: tuple[tuple[str, ...], ...]
    densities: tuple[tuple[str, ...], ...] = ()
    attributes: tuple[str, ...] = ()
    grading: str = ""

    @classmethod
    def of(cls, words: Mapping[str, Any]) -> Vocabulary:
        """Read a painter's ``vocabulary``, ``palettes``, ``densities`` (tables or lists), ``attributes``, ``joins``."""
        families, palettes, densities = (_rows(words.get(name)) for name in ("vocabulary", "palettes", "densities"))
        grading = (words.get("joins") or {}).get("into", "")
        return cls(families, palettes, densities, tuple(words.get("attributes") or ()), grading)

    def named_in(self, text: str) -> list[str]:
        """The families whose words stand in a text, in the order of the text."""
        found: dict[str, int] = {}
        places = [(match.start(), stems(match.group())) for match in re.finditer(r"[A-Za-z]+", text)]
        for row in self.families:
            own = set().union(*(stems(phrase) for phrase in row[:3]))
            hits = [place for place, stem in places if stem & own]
            if hits:
                found[row[0]] = hits[0]
        return sorted(found, key=lambda name: found[name])

    def motifs(self, sources: Sequence[tuple[str, str]], rank: Rank | None) -> list[str]:
        """For each source (its name and its feature) the nearest family not yet taken; two at most."""
        taken: list[tuple[str, ...]] = []
        for name, feature in sources[:2]:
            left = [row for row in self.families if row not in taken]
            if left:
                taken.append(left[_nearest(name, feature, left, rank)])
        return [row[0] for row in taken]

    def together(self, motifs: Sequence[str], *, apart: bool = False) -> str:
        """Motifs in one phrase; two that are to stand ``apart`` grade into each other, if the painter can do that."""
        if apart and self.grading and len(motifs) == 2:
            return self.grading.format(a=motifs[0], b=motifs[1])
        return combined(motifs)

    def shape(self, motif: str) -> str:
        """How a family looks in other words than its name's, if the painter knows such words."""
        row = next((row for row in self.families if row[0] == motif), ())
        return next((phrase for phrase in row if not stems(phrase) & stems(motif)), "")

    def feature(self, name: str) -> str:
        """How the painter's table words the structure of a source that it names; empty if it does not name it."""
        wanted = stems(name)
        for row in self.families:
            if any(wanted & stems(phrase) for phrase in row[:3]):
                return self.shape(row[0]) or row[0]
        return ""

    def density(self, fraction: float) -> str:
        """The word for a solid fraction, if the painter has words for it."""
        place = sum(fraction > bound for bound in _FULLNESS)
        return self.densities[place][0] if len(self.densities) == len(_FULLNESS) + 1 else ""

    def palette(self, wish: str, rank: Rank | None) -> str | None:
        """The palette nearest to a wish, if there are any."""
        return self.palettes[_nearest(wish, "", self.palettes, rank)][0] if self.palettes else None


def combined(motifs: Sequence[str]) -> str:
    """Motifs in one phrase, one over the other."""
    return " combined with ".join(motifs)


def _rows(table: Any) -> tuple[tuple[str, ...], ...]:
    if isinstance(table, Mapping):
        return tuple(
            (tuple(words) or (name,)) if not isinstance(words, str) else (words,) for name, words in table.items()
        )
    return tuple((phrase,) for phrase in table or ())


def _nearest(name: str, more: str, rows: Sequence[tuple[str, ...]], rank: Rank | None) -> int:
    """The row nearest in meaning; words of the name that stand in it count most, then those of ``more``."""
    wanted, also = stems(name), stems(more)
    phrases = [phrase for row in rows for phrase in row]
    near = iter(rank(f"{name}, {more}" if more else name, phrases) if rank else [0.0] * len(phrases))
    scores = []
    for row in rows:
        words = [stems(phrase) for phrase in row]
        shared = 3 * max(len(wanted & own) for own in words) + max(len(also & own) for own in words)
        scores.append(shared + max(float(next(near)) for _ in row))
    return max(range(len(rows)), key=lambda i: (scores[i], -i))

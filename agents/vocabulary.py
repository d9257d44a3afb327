"""The words a painter knows, and which of them fit a design. Knows word lists and a ranking; no painter, no model.

A painter's vocabulary maps each family of pictures to the phrases it was trained on, or is a plain list of phrases. A
painter trained on everything has none; then there is nothing to choose and the Illustrator's own words stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from workspace.letters import folded, singular

Rank = Callable[[str, Sequence[str]], Sequence[float]]
Looks = Callable[[str], Sequence[str]]
"""Other words for how a source looks, the nearest first; none for one of which nothing is known."""

Reads = Callable[[str], Sequence[str] | None]
"""The families, by name, that a painter reads in words; none that it does not know; ``None`` from one that has none."""

SHOWN = 2
"""Sources that a picture shows at most."""

_PLAIN = """a an and as at bio by cell design fine for from high in inspired into its large like low material of off on
open or over small that the thick thin to with"""

_SMALL = frozenset(_PLAIN.split())
_NAMES = 4  # of a family's phrases, those that name it rather than say how it looks
_FULLNESS = (0.38, 0.55)  # solid fractions that part open from medium from dense; families differ


@lru_cache(maxsize=4096)
def stems(text: str) -> frozenset[str]:
    """The words of a text that carry meaning, without their plural endings."""
    return frozenset(_singular(text) - _SMALL)


def _singular(text: str) -> set[str]:
    return {singular(word) for word in re.findall(r"[^\W\d_]+", text.lower())}


def contains(text: str, phrase: str) -> bool:
    """Say whether every meaningful word of ``phrase`` stands in ``text``; of "large open cell" all words are.

    A phrase of a script without blanks, or one without words, stands there as it is.
    """
    wanted = stems(phrase) or _singular(phrase)
    if wanted and wanted <= _singular(text):
        return True
    literal = not wanted or not phrase.isascii()
    return literal and (folded(phrase) or phrase) in (folded(text) or text)


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
    reads: Reads | None = field(default=None, compare=False)

    @classmethod
    def of(cls, words: Mapping[str, Any], reads: Reads | None = None) -> Vocabulary:
        """Read a painter's ``vocabulary``, ``palettes``, ``densities`` (tables or lists), ``attributes``, ``joins``.

        Args:
            words: The painter's tables.
            reads: How the painter itself reads a source's name, if it can.
        """
        families, palettes, densities = (_rows(words.get(name)) for name in ("vocabulary", "palettes", "densities"))
        grading = (words.get("joins") or {}).get("into", "")
        return cls(families, palettes, densities, tuple(words.get("attributes") or ()), grading, reads)

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

    def motifs(
        self, sources: Sequence[tuple[str, str]], rank: Rank | None, looks: Looks = lambda name: ()
    ) -> list[str]:
        """For each source (its name and its feature) a family not yet taken; two at most.

        The family that the name, or another word for how it ``looks``, means; else the nearest in meaning.
        """
        taken: list[tuple[str, ...]] = []
        for name, feature in sources[:SHOWN]:
            left = [row for row in self.families if row not in taken]
            if left:
                meant = self._row(name, looks(name), left)
                taken.append(left[_nearest(name, feature, left, rank)] if meant is None else meant)
        return [row[0] for row in taken]

    def meant(self, name: str, looks: Looks = lambda name: ()) -> frozenset[str]:
        """The families that a source's name, or another word for its look, means; none where nobody can tell."""
        known = looks(name)
        rows = (
            [_meant(words, (), self.families) for words in (name, *known)]
            if known
            else [self._row(name, (), self.families)]
        )
        return frozenset(row[0] for row in rows if row is not None)

    def together(self, motifs: Sequence[str], *, apart: bool = False) -> str:
        """Motifs in one phrase; two that are to stand ``apart`` grade into each other, if the painter can do that."""
        if apart and self.grading and len(motifs) == 2:
            return self.grading.format(a=motifs[0], b=motifs[1])
        return combined(motifs)

    def shape(self, motif: str) -> str:
        """How a family looks in other words than its name's, if the painter knows such words."""
        row = next((row for row in self.families if row[0] == motif), ())
        return next((phrase for phrase in row if not stems(phrase) & stems(motif)), "")

    def feature(self, name: str, looks: Looks = lambda name: ()) -> str:
        """How the painter's table words the structure of a source that it names; empty if it does not name it."""
        row = self._row(name, looks(name), self.families)
        return "" if row is None else self.shape(row[0]) or row[0]

    def _row(self, name: str, known: Sequence[str], rows: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
        """The row that a source means, by words; or by the painter's reading where nothing else is known of it."""
        if not known and self.reads is not None and (read := self.reads(name)) is not None:
            return next((row for row in rows if row[0] in read), None)
        return _meant(name, known, rows)

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


def _meant(name: str, looks: Sequence[str], rows: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """The row whose name means the same as a source's: all words of one stand in the other, or two are the same.

    Of ``looks`` the first that shares the most words with a row's names counts.
    """
    for words in (name, *looks):
        wanted = stems(words)
        names = [[own for phrase in row[:_NAMES] if (own := stems(phrase))] for row in rows]
        shared = [max((len(wanted & own) for own in owns if _same(wanted, own)), default=0) for owns in names]
        if any(shared):
            return rows[max(range(len(rows)), key=lambda i: (shared[i], -i))]
    return None


def _same(wanted: frozenset[str], own: frozenset[str]) -> bool:
    return bool(wanted) and (wanted <= own or own <= wanted or len(wanted & own) > 1)


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

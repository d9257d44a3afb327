"""A draft's claims against what is known: each principle, mechanism and property with its sentence, or without one.

A quotation is a sentence letter for letter as it stands in its passage. A figure that its source does not bear out is
overridden by the nearest that it does; one that no source speaks of is assumed. What is not found is not claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agents.documents import (
    CheckedProperty,
    Claimed,
    DraftDesign,
    Evidence,
    Known,
    MaterialDesign,
    Property,
    same,
)
from agents.evidence import figures, quantities
from agents.evidence.citations import bare, cited
from agents.evidence.gathering import LEFT, LONGEST, Rank, Searching, known_of, of_source
from agents.evidence.matching import Match, matched
from models.filling.text_kinds import Name, Sentence
from pipelines.corpus.cleaning import sentences
from pipelines.corpus.index.store import Passage
from pipelines.corpus.index.terms import terms

MOST = 6
"""Properties of a design at most."""

_SENTENCE: TypeAdapter[str] = TypeAdapter(Sentence)
_NAME: TypeAdapter[str] = TypeAdapter(Name)
_POOL = 4  # passages that are looked up for a claim
_NEAR = 8  # sentences of which the meaning is compared
_ORDER = {"supports": 3, "partly": 2, "contradicts": 1, "silent": 0}
_NAMED = 0.6  # share of a property's words that a sentence on it has


@dataclass(frozen=True)
class _Sentence:
    """A sentence that may bear a claim out, what it is of, and whether the claim cites it."""

    known: Known
    text: str
    cited: bool


def verified(
    draft: DraftDesign, held: Sequence[Known], library: Searching | None, rank: Rank | None, *, material: bool = True
) -> MaterialDesign:
    """A draft with the evidence of its claims.

    Args:
        draft: What was written; its sentences may cite what is known by number.
        held: What is known.
        library: Where more is looked up.
        rank: How near texts are in meaning, if that can be told.
        material: Whether it is of a material, whose density and stiffness follow from its parts.
    """
    data = _bare(draft.model_dump(mode="json"))
    names = [one.name for one in draft.inspirations]
    check = _Check(held, library, rank)
    data["inspirations"] = [
        {**row, "evidence": check.principle(one.principle, one.name)}
        for row, one in zip(data["inspirations"], draft.inspirations, strict=True)
    ]
    data["mechanisms"] = [
        {"text": text, "evidence": check.mechanism(said, names)}
        for text, said in zip(data["mechanisms"], draft.mechanisms, strict=True)
    ]
    checked = [check.property(one, names, draft) for one in draft.properties]
    data["properties"] = [one.model_dump(mode="json") for one in _with_known(checked, draft, held, material)]
    return MaterialDesign.model_validate(data)


def _bare(value: Any) -> Any:
    """Plain data whose texts cite nothing, but for those that would be none without, as "Seen in [1]." is."""
    if isinstance(value, dict):
        return {key: _bare(one) for key, one in value.items()}
    if isinstance(value, str):
        return _different([value])[0]
    if not isinstance(value, list):
        return value
    if all(isinstance(one, str) for one in value):
        return _different(value)
    rows = [_bare(one) for one in value]
    return [{**row, "name": name} for row, name in zip(rows, _different([one["name"] for one in value]), strict=True)]


def _different(texts: Sequence[str]) -> list[str]:
    """Texts without citations that all differ and stand as texts of their kind."""
    made: dict[str, str] = {}
    for text in texts:
        plain = bare(text)
        kept = plain if plain == text or (same(plain) not in made and _stands(plain, text)) else text
        made[same(kept)] = kept
    return list(made.values())


def _stands(plain: str, text: str) -> bool:
    """Whether a text may stand where another does: as a sentence if that is one, else as a name."""
    kind = _SENTENCE if _is(_SENTENCE, text) else _NAME
    return _is(kind, plain)


def _is(kind: TypeAdapter[str], text: str) -> bool:
    try:
        kind.validate_python(text)
    except ValidationError:
        return False
    return True


def _with_known(
    checked: Sequence[CheckedProperty], draft: DraftDesign, held: Sequence[Known], material: bool
) -> list[CheckedProperty]:
    """A draft's properties, with those that follow from its parts and one of its sources where there is room."""
    more = figures.computed(draft.components) if material else []
    made = list(checked)
    for one in [*more, *figures.of_sources(held)[:1]]:
        if len(made) < MOST and not any(set(terms(one.name)) <= set(terms(other.name)) for other in made):
            made.append(one)
    return made


class _Check:
    """What claims are checked against."""

    def __init__(self, held: Sequence[Known], library: Searching | None, rank: Rank | None) -> None:
        self.held, self.library, self.rank = held, library, rank
        self.numbered: Mapping[int, Known] = {one.number: one for one in held}

    def principle(self, claim: str, name: str) -> Evidence | None:
        """What bears out how a source works; only what speaks of that source."""
        own = [one for one in self.held if one.about == name]
        found = list(self._sentences(claim, own))
        if self.library is not None:
            found += _of_passages(of_source(self.library, bare(claim), name)[:_POOL], name)
        return self._best(bare(claim), found, [name])

    def mechanism(self, claim: str, names: Sequence[str]) -> Evidence | None:
        """What bears out how a design performs."""
        found = list(self._sentences(claim, self.held))
        if self.library is not None:
            hits = self.library.search(f"{bare(claim)} {' '.join(names)}", _POOL)
            found += _of_passages([hit.passage for hit in hits], "")
        return self._best(bare(claim), found, names)

    def property(self, one: Property, names: Sequence[str], draft: DraftDesign) -> CheckedProperty:
        """A property with where its figure comes from."""
        plain = {**one.model_dump(mode="json"), "basis": bare(one.basis)}
        found = list(self._sentences(f"{one.name} {one.basis}", self.held))
        if self.library is not None:
            hits = self.library.search(f"{one.name} of {' '.join(names)}", _POOL)
            found += _of_passages([hit.passage for hit in hits], "")
        nearest: tuple[_Sentence, float] | None = None
        for sentence in found:
            bearing = _bearing(one, sentence, names)
            if bearing is None:
                continue
            value, within = bearing
            if within:
                proof = figures.evidence(sentence.known, sentence.text, "supports")
                return CheckedProperty(**plain, status="verified", evidence=proof)
            if nearest is None and (sentence.cited or _speaks_of(one, sentence)) and _possible(plain, value):
                nearest = sentence, value
        return _overridden(one, plain, *nearest) if nearest is not None else _bounded(one, plain, draft)

    def _sentences(self, claim: str, held: Sequence[Known]) -> Iterator[_Sentence]:
        """The sentences of what is known, those that a claim cites first."""
        mine = [self.numbered[number] for number in cited(claim) if number in self.numbered]
        for one in [*mine, *(other for other in held if other not in mine)]:
            for text in _parts(one.text):
                yield _Sentence(one, text, one in mine)

    def _best(self, claim: str, found: Sequence[_Sentence], names: Sequence[str]) -> Evidence | None:
        """The sentence that bears a claim out best; one that contradicts it only where the claim cites it."""
        different = list({one.text: one for one in reversed(found)}.values())[::-1]
        rough = sorted(different, key=lambda one: (-one.cited, -matched(claim, one.text, _own(one, names)).share))
        chosen = rough[:_NEAR]
        near: Sequence[float | None] = [None] * len(chosen)
        if self.rank is not None and chosen:
            near = self.rank(claim, [one.text for one in chosen])
        rated = [
            (one, matched(claim, one.text, _own(one, names), None if like is None else float(like)))
            for one, like in zip(chosen, near, strict=True)
        ]
        kept = [pair for pair in rated if _counts(*pair)]
        if not kept:
            return None
        best, match = max(kept, key=lambda pair: (_ORDER[pair[1].verdict], pair[0].cited, pair[1].share))
        return figures.evidence(best.known, best.text, match.verdict)


def _own(one: _Sentence, names: Sequence[str]) -> list[str]:
    """Names whose words tell nothing: the sources', and the material's that an entry of the atlas is on."""
    return [*names, one.known.title] if one.known.document.startswith("atlas/") else list(names)


def _counts(one: _Sentence, match: Match) -> bool:
    return match.verdict in ("supports", "partly") or (match.verdict == "contradicts" and one.cited)


def _parts(text: str) -> list[str]:
    """The sentences of a text that stand in it letter for letter; the whole where it cannot be parted so."""
    parts = sentences(text)
    return parts if all(one in text for one in parts) else [text]


def _of_passages(passages: Sequence[Passage], about: str) -> Iterator[_Sentence]:
    for passage in passages:
        for one in passage.sentences:
            if one.kind not in LEFT and 0 < len(one.text) <= LONGEST:
                yield _Sentence(known_of(passage, one, one.text, 1, about), one.text, False)


def _bearing(one: Property, sentence: _Sentence, names: Sequence[str]) -> tuple[float, bool] | None:
    """The value nearest to a property's that a sentence on that property bears out, and whether it is the value itself.

    Returns:
        ``None`` where the sentence says nothing of that property, or not of what the property is of.
    """
    wanted = set(terms(one.name))
    said = set(terms(f"{sentence.known.title} {sentence.text}"))
    if not wanted or len(wanted & said) < _NAMED * len(wanted) or not _of_something(one, sentence, names, said):
        return None
    claim = quantities.Found(one.value, one.value, one.unit, 0, 0)
    alike = [other for other in quantities.found(sentence.text) if quantities.same_kind(claim, other) and other.unit]
    if not alike:
        return None
    if any(quantities.within(claim, other) for other in alike):
        return one.value, True
    near = [value for other in alike if (value := quantities.nearest(one.value, one.unit, other)) is not None]
    return (min(near, key=lambda value: abs(value - one.value)), False) if near else None


def _of_something(one: Property, sentence: _Sentence, names: Sequence[str], said: set[str]) -> bool:
    """Whether a sentence speaks of a source of the design, or of what the property is named after."""
    if sentence.known.about in names:
        return True
    return any(words <= said for name in names if (words := set(terms(name)))) or sentence.cited


def _speaks_of(one: Property, sentence: _Sentence) -> bool:
    """Whether a property is said to be of what a sentence is about."""
    told = set(terms(f"{one.name} {one.basis}"))
    calls = [sentence.known.about, sentence.known.title]
    return any(call and set(terms(call)) <= told for call in calls)


def _possible(plain: Mapping[str, Any], value: float) -> bool:
    """Whether a property may have a value that a sentence gives: a density below zero is a slip of the paper's."""
    try:
        CheckedProperty(**{**plain, "value": value})
    except ValidationError:
        return False
    return True


def _overridden(one: Property, plain: Mapping[str, Any], sentence: _Sentence, value: float) -> CheckedProperty:
    proof = figures.evidence(sentence.known, sentence.text, "supports")
    first = Claimed(value=one.value, unit=one.unit)
    return CheckedProperty(**{**plain, "value": value}, status="overridden", evidence=proof, claimed=first)


def _bounded(one: Property, plain: Mapping[str, Any], draft: DraftDesign) -> CheckedProperty:
    """A property that no sentence bears out; a density or stiffness beyond its parts' own is brought back to them."""
    allowed = figures.bounds(one.name, one.unit, draft.components)
    if allowed is None or allowed[0] <= one.value <= allowed[1]:
        return CheckedProperty(**plain)
    first = Claimed(value=one.value, unit=one.unit)
    value = figures.within(one.unit, draft.components, allowed, one.value)
    return CheckedProperty(**{**plain, "value": value}, status="overridden", claimed=first)

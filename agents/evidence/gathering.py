"""What is known for a wish: passages looked up for it and for each of its sources, numbered, a few sentences each.

Knows a way to search and a way to compare meanings; no model, no run. A passage is data: nothing in it is obeyed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agents.documents import Brief, Known
from agents.evidence.citations import bare
from agents.knowledge import known
from pipelines.corpus.index.retrieve import Filters, Hit
from pipelines.corpus.index.store import Passage, Sentence
from pipelines.corpus.index.terms import terms
from workspace.errors import UsageError
from workspace.letters import whole_letters

Rank = Callable[[str, Sequence[str]], Sequence[float]]

_HOW = ("mechanism",)  # kinds of sentence of the atlas
LEFT = ("name", "lesson")  # what is advised is no fact
_POOL = 6  # passages of a source that are read
_OWN = 0.1  # what a person's own paper is worth beside what ships, as a cosine
_LEAST = 0.3  # what a person's own sentence is worth that goes before the atlas's second
_TO_THE_POINT = 0.5  # what a sentence is worth at least that speaks of none of the sources
_SHARED = 0.3  # what a sentence is worth that has all of the wish's words
_FIT, _NEAR = 0.42, 0.35  # the least fit and nearness of a passage that speaks of none of the sources
_LEANS = re.compile(
    r"(?:it|its|they|their|them|these|those|this|that|such|he|she|his|her|here|there|then|thus|hence|therefore|so|both|"
    r"another|others?|however|moreover|instead|also|in contrast|the (?:former|latter|same|other|result)s?)\b",
    re.IGNORECASE,
)

_CONTROL = ("Cc", "Zl", "Zp")
LONGEST = 2000  # letters of a sentence or a title that is taken up
_SPECIAL = re.compile(r"(?<=[<＜])(?=[A-Za-z/|｜!<＜])|(?<=\[)(?=/?[A-Z_]{2})|(?<=[|｜])(?=[>＞])")
"""Where a token of a chat template, such as "<|im_end|>", "</s>" or "[INST]", is broken up."""


class Searching(Protocol):
    """Searches libraries."""

    def search(self, question: str, count: int = 10, filters: Filters | None = None) -> list[Hit]:
        """The passages that fit a question best."""


@dataclass(frozen=True)
class Amount:
    """How much is looked up.

    Attributes:
        passages: At most, before the first turn.
        words: Of each at most.
        later: Passages that are looked up anew for each later turn, at most.
    """

    passages: int = 6
    words: int = 45
    later: int = 0


def gathered(
    library: Searching, rank: Rank | None, brief: Brief, names: Sequence[str], amount: Amount, asked: str = ""
) -> list[Known]:
    """What is known for a brief and its sources, numbered from 1.

    Args:
        library: Where it is looked up.
        rank: How near sentences are to the wish in meaning; by their words alone without it.
        brief: The wish.
        names: Its sources.
        amount: How much.
        asked: What is asked for now, beside the wish.
    """
    wish = f"{brief.text} {asked}".strip()
    chosen: list[Known] = []
    each = max(1, (amount.passages - 1) // max(1, len(names)))
    for name in names:
        found = of_source(library, wish, name)
        for one in _best(found, rank, f"{name}: {wish}", each, amount.words):
            chosen.append(_known(one, len(chosen) + 1, name))
    hits = [hit for hit in library.search(wish, _POOL) if hit.score >= _FIT and (hit.meaning >= _NEAR or not rank)]
    told = {one.text for one in chosen}
    for one in _best([hit.passage for hit in hits], rank, wish, amount.passages, amount.words, _TO_THE_POINT):
        if len(chosen) < amount.passages and one.text not in told:
            chosen.append(_known(one, len(chosen) + 1, ""))
    return chosen


def lines(held: Sequence[Known], names: Sequence[str]) -> list[str]:
    """What is known as the team reads it: a numbered line each, and one for a source of which nothing is known."""
    said = []
    for name in names:
        mine = [one for one in held if one.about == name]
        said += [line(one) for one in mine]
        if not mine:
            named = name[:1].upper() + name[1:]
            said.append(
                f"{named}: nothing is known of it here. Go by its name alone, and give it no facts of another material."
            )
    return [*said, *(line(one) for one in held if one.about not in names)]


def line(one: Known) -> str:
    """A numbered passage in a line."""
    return f"[{one.number}] {_of(one.title, one.text)}"


def shown(text: str) -> str:
    """A passage's text as a model is shown it: on one line, without unseen signs, template tokens or its own citations.

    The passage itself stays as it is: quotations are looked for there.
    """
    seen = "".join(sign for sign in whole_letters(text) if unicodedata.category(sign) != "Cf")
    plain = "".join(" " if unicodedata.category(sign) in _CONTROL else sign for sign in bare(seen))
    return _SPECIAL.sub(" ", " ".join(plain.split()))


def _of(name: str, text: str) -> str:
    """A sentence behind the name of what it speaks of, unless it begins with that."""
    name, text = shown(name), shown(text)
    if not name or text.casefold().startswith(name.casefold()):
        return text
    return f"{name[:1].upper()}{name[1:]}: {text}"


def principles(held: Sequence[Known], names: Sequence[str]) -> dict[str, Known]:
    """The sentence that says how each source works as it is shown, for those of which one is known."""
    first = {name: one for name in reversed(names) for one in reversed(held) if one.about == name}
    return {name: one.model_copy(update={"text": shown(one.text)}) for name, one in first.items()}


def said_of(principle: Mapping[str, str]) -> list[str]:
    """How sources work, a sentence each behind the source's name."""
    return [_of(name, text) for name, text in principle.items()]


def of_source(library: Searching, wish: str, name: str) -> list[Passage]:
    """Passages that speak of a source: the atlas's on the material that its name means, and others that name it."""
    material = known(name)
    question = f"{name}. {wish}"
    found: list[Passage] = []
    if material is not None:
        entry = f"atlas/{material.id}"
        try:
            here = library.search(question, _POOL, Filters(documents=(entry,)))
        except UsageError:  # a library without the atlas
            here = []
        found += [hit.passage for hit in here if hit.passage.document.id == entry]
    for call in dict.fromkeys([name, *(() if material is None else material.calls[:2])]):
        for hit in library.search(question, _POOL, Filters(organism=call)):
            own = bool(hit.passage.document.path)
            if (own or material is None) and hit.passage.id not in {one.id for one in found}:
                found.append(hit.passage)
    return found


@dataclass(frozen=True)
class _Extract:
    """Some sentences of a passage that stand together."""

    passage: Passage
    sentences: tuple[Sentence, ...]
    text: str
    worth: float


def _best(
    passages: Sequence[Passage], rank: Rank | None, wish: str, count: int, words: int, least: float = 0.0
) -> list[_Extract]:
    """The extracts that fit a wish best, of different passages where there are.

    The first is one on how something works, the second of a person's own papers, where these have such.
    """
    every = [one for passage in passages for one in _extracts(passage, words)]
    different = {one.text: one for one in sorted(every, key=lambda one: bool(one.passage.document.path))}
    if not different:
        return []
    texts = list(different)
    near = rank(wish, texts) if rank is not None else [0.0] * len(texts)
    wanted = set(terms(wish))
    rated = []
    for text, like in zip(texts, near, strict=True):
        one = different[text]
        shared = len(wanted & set(terms(text))) / max(1, len(wanted))
        worth = float(like) + _SHARED * shared + (_OWN if one.passage.document.path else 0.0)
        if worth >= least or rank is None:
            rated.append(_Extract(one.passage, one.sentences, text, worth))
    rated.sort(key=lambda one: (-one.worth, one.text))
    chosen = [one for one in rated if one.sentences[0].kind in _HOW][:1]
    mine = [one for one in rated if one.passage.document.path and one not in chosen][:1]
    chosen += mine if len(chosen) < count and mine and mine[0].worth >= _LEAST else []
    for one in rated:
        if len(chosen) < count and (one.passage.id, one.sentences[0].kind) not in {_place(other) for other in chosen}:
            chosen.append(one)
    for one in rated:
        if len(chosen) < count and one not in chosen:
            chosen.append(one)
    return chosen


def _place(one: _Extract) -> tuple[str, str]:
    return one.passage.id, one.sentences[0].kind


def _extracts(passage: Passage, words: int) -> Iterator[_Extract]:
    """Every run of a passage's sentences that begins with one that stands by itself, of at most so many words."""
    said = passage.sentences
    for place, first in enumerate(said):
        count = len(first.text.split())
        if (
            count > max(words, 60)
            or count < 5
            or len(first.text) > LONGEST
            or _LEANS.match(first.text)
            or first.kind in LEFT
        ):
            continue
        end = place + 1
        while end < len(said) and count + len(said[end].text.split()) <= words and words > 60:
            count += len(said[end].text.split())
            end += 1
        held = said[place:end]
        yield _Extract(passage, held, " ".join(one.text for one in held), 0.0)


def _known(one: _Extract, number: int, about: str) -> Known:
    return known_of(one.passage, one.sentences[0], one.text, number, about)


def known_of(passage: Passage, first: Sentence, text: str, number: int, about: str) -> Known:
    """Some sentences of a passage as what is known.

    Args:
        passage: Where they stand.
        first: The first of them.
        text: All of them.
        number: What they are cited by.
        about: The source that they were looked up for.
    """
    document = passage.document
    return Known(
        number=number,
        passage=passage.id,
        document=document.name,
        title=document.title[:LONGEST],
        text=text,
        page=first.page,
        doi=document.doi[:LONGEST],
        cite=first.cite[:LONGEST],
        file=document.path,
        about=about,
    )

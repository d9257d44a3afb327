"""Organisms for a wish by what they can do, familiar or not: who stops cracks, who harvests water. Knows the atlas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from agents.documents import Brief, Document
from agents.evidence.gathering import Rank, Searching
from pipelines.corpus.index.store import Passage
from pipelines.corpus.index.terms import terms
from workspace.atlas.statements import statements
from workspace.atlas.table import Material, atlas

SHOWN = 5
"""Candidates that a person chooses from."""

_POOL = 24  # passages that are read
_SHARED = 0.5  # what a function that has all of the wish's words is worth, beside a cosine
_AGAIN = 0.12  # what another of one group, or of one look, counts less


class Candidate(Document):
    """A biological material that could inspire a design, and why."""

    name: str = Field(max_length=120, description="The material")
    function: str = Field(max_length=80, description="What it can do, in a designer's words")
    mechanism: str = Field(max_length=400, description="How it does that")
    why: str = Field(max_length=400, description="Why it fits the wish")
    passage: str = Field(max_length=200, description="Id of the passage that says so")
    source: str = Field(max_length=2000, description="What stands behind it")


def proposed(library: Searching, rank: Rank | None, brief: Brief, count: int = SHOWN) -> list[Candidate]:
    """The materials of the atlas whose functions fit a wish best, unlike each other; fewer where fewer are found."""
    wish = brief.text
    found = _of_atlas([hit.passage for hit in library.search(wish, _POOL)])
    rows = [(material, one) for material in found for one in material.functions]
    if not rows:
        return []
    texts = [f"{one.function}: {one.how}" for _, one in rows]
    near = rank(wish, texts) if rank is not None else [0.0] * len(texts)
    wanted = set(terms(wish))
    worth = [
        float(like) + _SHARED * len(wanted & set(terms(text))) / max(1, len(wanted))
        for like, text in zip(near, texts, strict=True)
    ]
    best: dict[str, int] = {}
    for place in sorted(range(len(rows)), key=lambda place: -worth[place]):
        best.setdefault(rows[place][0].id, place)
    chosen: list[int] = []
    left = list(best.values())
    while left and len(chosen) < count:
        taken = [rows[place][0] for place in chosen]
        place = max(left, key=lambda place: worth[place] - _AGAIN * _alike(rows[place][0], taken))
        chosen.append(place)
        left.remove(place)
    return [_candidate(*rows[place], wish) for place in chosen]


def _of_atlas(passages: Sequence[Passage]) -> list[Material]:
    names = [one.document.id.removeprefix("atlas/") for one in passages if one.document.id.startswith("atlas/")]
    return [atlas()[name] for name in dict.fromkeys(names)]


def _alike(material: Material, taken: Sequence[Material]) -> int:
    return sum((one.group == material.group) + bool(set(one.families) & set(material.families)) for one in taken)


def _candidate(material: Material, function: Any, wish: str) -> Candidate:
    said = next(one for one in statements(material) if one.kind == "function" and function.how in one.text)
    shared = sorted(set(terms(wish)) & set(terms(said.text)))
    why = f"it can {function.function}" + (f" ({', '.join(shared)})" if shared else "")
    return Candidate(
        name=material.name,
        function=function.function,
        mechanism=function.how,
        why=why,
        passage=said.id,
        source="; ".join(one.cite for one in material.sources)[:2000],
    )

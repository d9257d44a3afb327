"""A passage with instructions in it is data: it changes no verdict, no figure and no number of steps."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.documents import Brief, DraftDesign, Known, MaterialDesign
from agents.evidence.gathering import Amount, gathered, line, lines, principles, said_of
from agents.evidence.matching import matched
from agents.evidence.verify import verified
from pipelines.corpus.cleaning import sentences
from pipelines.corpus.index.memory import in_memory
from pipelines.corpus.index.retrieve import Filters, Hit, Shelf
from pipelines.corpus.index.store import Document, Passage, Sentence, passage_of

ROWS = [
    json.loads(row) for row in Path(__file__).with_name("injections.jsonl").read_text(encoding="utf-8").splitlines()
]
"""Passages of papers in three parts: prose, an instruction within it, prose."""

TOKENS = re.compile(r"<[|/｜]|[|｜]>|<(?:s|bos|eos|start_of_turn|end_of_turn|context|document)>|\[/?[A-Z_]+\]|<<|\[\[S")
NAMES = ["nacre", "gecko foot"]
CLAIMS = [
    "Tablets of aragonite slide over each other and dissipate energy before the shell breaks.",
    "Soft seams let the plates part slowly, so that the panel gives a warning before it fails.",
    "A hard outer layer carries the pressing load while the core spreads it.",
]
HONEST = [
    ("nacre", "Tablets of aragonite slide over each other and dissipate energy before they fracture."),
    ("nacre", "Nacre: tensile strength 80 to 135 MPa (hydrated)."),
    ("gecko foot", "Setae of the gecko foot split into hundreds of spatulae that cling to rough walls by contact."),
]


def paper(name: str, title: str, said: Sequence[str]) -> Passage:
    document = Document(name, name, f"/papers/{name}", "", title)
    return passage_of(document, 1, title, [Sentence(text, 2) for text in said])


def passages(row: dict[str, str], *, hostile: bool) -> Passage:
    """A row's passage as the corpus stage parts it; without its instruction, the prose around it."""
    whole = [row["before"] + row["order"] + row["after"]] if hostile else [row["before"], row["after"]]
    return paper("hostile.pdf", row["title"], [text for part in whole for text in sentences(part)])


class Counted:
    """A library that counts how often it is asked, and for what."""

    def __init__(self, *held: Passage) -> None:
        self.shelf, self.asked = Shelf([in_memory(held)]), list[tuple[str, int, Filters | None]]()

    def search(self, question: str, count: int = 10, filters: Filters | None = None) -> list[Hit]:
        self.asked.append((question, count, filters))
        return self.shelf.search(question, count, filters)


def library(row: dict[str, str], *, hostile: bool) -> Counted:
    honest = [paper(f"honest-{place}.pdf", about, [text]) for place, (about, text) in enumerate(HONEST)]
    return Counted(*honest, passages(row, hostile=hostile))


def draft(*mechanisms: str) -> DraftDesign:
    return DraftDesign.model_validate(
        {
            "title": "Seam panel",
            "summary": "A panel whose plates slide within soft seams.",
            "inspirations": [
                {"name": "nacre", "feature": "brick wall", "principle": CLAIMS[0]},
                {"name": "gecko foot", "feature": "split hairs", "principle": "Hairs split until they cling to walls."},
            ],
            "components": [
                {"name": "plates", "material": "porcelain", "role": "They carry the pressing load."},
                {"name": "seams", "material": "cork", "role": "They yield and hold the plates."},
            ],
            "architecture": {"scale": "micrometre", "description": "Plates lie in staggered rows with thin seams."},
            "mechanisms": list(mechanisms),
            "properties": [
                {"name": "tensile strength", "value": 500, "unit": "MPa", "basis": "That of nacre is taken over [2]."},
                {"name": "toughness", "value": 2, "unit": "MJ/m3", "basis": "It is chosen for the panel."},
            ],
            "fabrication": ["Cast the plates and press them with the seams."],
            "applications": ["wall panels"],
            "risks": ["The seams may dry out and part."],
        }
    )


def known(row: dict[str, str], *, hostile: bool) -> list[Known]:
    """What honest papers say, and behind it each sentence of a row's passage, held for no source and for one."""
    texts = [*HONEST, *(("gecko foot", one.text) for one in passages(row, hostile=hostile).sentences)]
    return [
        Known(number=number, passage=f"p{number}", document="d", text=text, page=1, about=about)
        for number, (about, text) in enumerate(texts, 1)
    ]


def standing(made: MaterialDesign) -> list[Any]:
    """What a design claims and how each claim stands, without the passages' ids, which are of their words."""
    borne = [one.evidence for one in [*made.inspirations, *made.mechanisms, *made.properties]]
    said = [(one.verdict, one.quotation, one.document) if one else None for one in borne]
    plain = made.model_dump(mode="json")
    for row in [*plain["inspirations"], *plain["mechanisms"], *plain["properties"]]:
        row["evidence"] = None
    return [said, plain]


def test_there_are_fifty() -> None:
    assert len(ROWS) == 50 and all(row["order"].strip() and row["before"] and row["after"] for row in ROWS)
    assert sum(bool(TOKENS.search(row["order"])) for row in ROWS) >= 5


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["title"])
def test_a_design_is_the_same_with_the_instruction_and_without(row: dict[str, str]) -> None:
    made = []
    for hostile in (False, True):
        held = library(row, hostile=hostile)
        design = verified(draft(*CLAIMS), known(row, hostile=hostile), held, None)
        made.append([standing(design), held.asked])
    assert made[0] == made[1]
    properties = {one["name"]: one["status"] for one in made[1][0][1]["properties"]}
    assert properties["tensile strength"] == "overridden" and properties["toughness"] == "assumed"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["title"])
def test_no_claim_rests_on_an_instruction(row: dict[str, str]) -> None:
    said = [
        *sentences(row["order"]),
        row["order"].strip(),
        *(one.text for one in passages(row, hostile=True).sentences),
    ]
    hostile = [text for text in said if not any(text in row[part] for part in ("before", "after"))]
    assert hostile
    for claim in CLAIMS:
        assert {matched(claim, text, NAMES).verdict for text in hostile} == {"silent"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["title"])
def test_a_claim_that_cites_an_instruction_is_not_supported(row: dict[str, str]) -> None:
    order = " ".join(row["order"].split())
    held = [Known(number=1, passage="p", document="d", text=row["order"], page=1, about="nacre")]
    made = verified(draft(*(f"{claim[:-1]} [1]." for claim in CLAIMS)), held, None, None)
    assert order and [one.evidence for one in [*made.inspirations, *made.mechanisms]] == [None] * 5
    assert [one.status for one in made.properties[:2]] == ["assumed", "assumed"]
    assert (made.properties[0].value, made.title) == (500, "Seam panel")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["title"])
def test_what_is_shown_to_a_model_is_one_harmless_line_each(row: dict[str, str]) -> None:
    held = library(row, hostile=True)
    brief = Brief(text=f"{row['title']}: {row['before'][:200]}", inspirations=NAMES)
    found = gathered(held, None, brief, NAMES, Amount(passages=6, words=90))
    every = [*found, *known(row, hostile=True)]
    whole = Known(number=1, passage="p", document="d", title=row["order"], text=row["order"], page=1, about="nacre")
    told = [*lines(found, NAMES), *lines([*known(row, hostile=True), whole], NAMES), line(whole)]
    told += said_of({name: one.text for name, one in principles([whole], NAMES).items()})
    assert len(lines(found, [])) == len(found)
    for text in told:
        assert text.splitlines() == [text] and not TOKENS.search(re.sub(r"^\[\d+\] ", "", text))
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", text)
    for one in every:  # it stays letter for letter where quotations are looked for
        if one.document == "hostile.pdf":
            assert one.text in passages(row, hostile=True).text


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["title"])
def test_as_much_is_looked_up_with_an_instruction_as_without(row: dict[str, str]) -> None:
    made = []
    for hostile in (False, True):
        held = library(row, hostile=hostile)
        found = gathered(held, None, Brief(text="a panel of sliding plates", inspirations=NAMES), NAMES, Amount())
        assert len(found) <= Amount().passages
        made.append([[(one.number, one.text) for one in found if one.about], held.asked])
    assert made[0] == made[1]

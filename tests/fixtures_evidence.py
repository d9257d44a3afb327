"""What tests of evidence build: passages of a small library, drafts of designs, what is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from agents.documents import Brief, Component, DraftDesign, Known
from pipelines.corpus.index.memory import in_memory
from pipelines.corpus.index.retrieve import Shelf
from pipelines.corpus.index.store import Document, Passage, Sentence, passage_of

SLIDE = "Tablets of aragonite slide over each other and dissipate energy before they fracture."
STRENGTH = "Nacre: tensile strength 80 to 135 MPa (hydrated)."
STICK = "Proteins rich in dopa cure at the tip of the thread and hold it to wet stone."
OWN = "Layers of nacre turn a crack aside at every seam, and the crack grows slowly after that."


def paper(name: str, said: Sequence[str | Sentence], title: str = "", path: str = "", doi: str = "") -> Passage:
    document = Document(name, name, path, "", title or name, doi=doi)
    made = [one if isinstance(one, Sentence) else Sentence(one, 3) for one in said]
    return passage_of(document, 1, "Results", made)


NACRE = paper(
    "atlas/abalone-nacre",
    [Sentence(SLIDE, 1, "A source", "mechanism"), Sentence(STRENGTH, 1, "B", "property")],
    "Nacre",
)
BYSSUS = paper("atlas/mussel-byssus", [Sentence(STICK, 1, "C", "mechanism")], "Mussel byssus thread")
MINE = paper("mine.pdf", [OWN, "It is white.", "The crack grows slowly there."], "Cracks", "/papers/mine.pdf", "10.1/x")
QUOKKA = paper("zoo.txt", ["Quokka fur sheds water from the tips of its guard hairs within a minute."], "Fur")


def shelf(*passages: Passage) -> Shelf:
    return Shelf([in_memory(passages)])


def draft(**change: Any) -> DraftDesign:
    plain = {
        "title": "Seam panel",
        "summary": "A panel whose plates slide within soft seams.",
        "inspirations": [
            {"name": "nacre", "feature": "brick wall", "principle": "Tablets of aragonite slide over each other."}
        ],
        "components": [
            {"name": "plates", "material": "porcelain from a mould", "role": "They carry the pressing load."},
            {"name": "seams", "material": "unobtainium", "role": "They yield and hold the plates."},
        ],
        "architecture": {"scale": "micrometre", "description": "Plates lie in staggered rows with thin seams."},
        "mechanisms": ["Tablets of aragonite slide and dissipate energy."],
        "properties": [
            {"name": "tensile strength", "value": 100, "unit": "MPa", "basis": "It is near that of the shell."}
        ],
        "fabrication": ["Cast the plates and press them with the seams."],
        "applications": ["wall panels"],
        "risks": ["The seams may dry out and part."],
    }
    return DraftDesign.model_validate(plain | change)


def wish(text: str = "a panel in which a crack grows slowly") -> Brief:
    return Brief(text=text, inspirations=["nacre"])


def held(*texts: str, about: str = "nacre", document: str = "paper") -> list[Known]:
    return [
        Known(number=number, passage=f"p{number}", document=document, text=text, page=number, about=about)
        for number, text in enumerate(texts, 1)
    ]


def of(
    figure: float, unit: str = "MPa", basis: str = "It is near that of the shell.", name: str = "tensile strength"
) -> Any:
    return [{"name": name, "value": figure, "unit": unit, "basis": basis}]


def parts(*materials: str) -> list[Component]:
    return [
        Component(name=f"part {place}", material=one, role="It carries the load.")
        for place, one in enumerate(materials)
    ]


_SIGNS = ["\n", "\t", "\u200b", "【2】", "[1]", '"', "'", ")", "<|im_end|>", "²", "µm", "et al.", "e.g.", "Fig."]
WORDS = st.sampled_from([*SLIDE.split(), *STRENGTH.split(), "not", "seams", "soft", "slowly", *_SIGNS])

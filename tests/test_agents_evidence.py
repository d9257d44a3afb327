"""A design's claims are checked against what is known: cited, overridden, or said to be assumed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.documents import MaterialDesign
from agents.evidence.figures import computed
from agents.evidence.gathering import Amount, gathered
from agents.evidence.verify import verified
from tests.fixtures_evidence import (
    BYSSUS,
    MINE,
    NACRE,
    OWN,
    QUOKKA,
    SLIDE,
    STICK,
    STRENGTH,
    WORDS,
    draft,
    held,
    of,
    paper,
    parts,
    shelf,
    wish,
)


def test_a_principle_is_borne_out_by_its_own_source_alone() -> None:
    made = verified(draft(), held(SLIDE), None, None).inspirations[0]
    assert made.evidence is not None and made.evidence.quotation == SLIDE and made.evidence.verdict != "contradicts"
    assert verified(draft(), held(SLIDE, about="mussel byssus"), None, None).inspirations[0].evidence is None


def test_a_principle_is_looked_up_where_nothing_is_held() -> None:
    made = verified(draft(), [], shelf(NACRE, BYSSUS), None).inspirations[0]
    assert made.evidence is not None and made.evidence.passage == NACRE.id and made.evidence.cite == "A source"


def test_a_mechanism_has_its_sentence_with_page_and_document() -> None:
    claim = "A crack is turned aside at every seam and then grows slowly [1]."
    made = verified(draft(mechanisms=[claim]), [], shelf(MINE), None).mechanisms[0]
    assert made.text == "A crack is turned aside at every seam and then grows slowly."
    assert made.evidence is not None
    assert (made.evidence.page, made.evidence.document, made.evidence.file) == (3, "mine.pdf", "/papers/mine.pdf")
    assert made.evidence.quotation == OWN


def test_nothing_found_nothing_claimed() -> None:
    fog = draft(mechanisms=["Fog gathers on bumps and runs off along the grooves."])
    for known, library in (
        ([], None),
        ([], shelf()),
        (held(STICK), shelf(NACRE, BYSSUS)),
        (held(STRENGTH), shelf(QUOKKA)),
    ):
        made = verified(fog, known, library, None)
        assert made.mechanisms[0].evidence is None
    made = verified(draft(), [], shelf(), None)
    assert made.inspirations[0].evidence is None
    assert [one.status for one in made.properties] == ["assumed"] and made.properties[0].evidence is None


@pytest.mark.parametrize("number", [7, 0, 999])
def test_a_number_that_does_not_exist_is_taken_out_and_bears_nothing(number: int) -> None:
    cites = draft(
        mechanisms=[f"Fog gathers on bumps and runs off along grooves [{number}]."],
        properties=of(100, basis=f"It is near that of the shell [{number}]."),
    )
    made = verified(cites, held(SLIDE), None, None)
    assert made.mechanisms[0].text.endswith("along grooves.") and made.mechanisms[0].evidence is None
    assert made.properties[0].basis == "It is near that of the shell."
    assert made.properties[0].status == "assumed"


def test_a_cited_sentence_that_contradicts_is_told() -> None:
    said = "The tablets are stiff and the seams between the tablets are soft when wet."
    opposite = "The tablets are stiff and the seams between the tablets are hard when wet"
    made = verified(draft(mechanisms=[f"{opposite} [1]."]), held(said), None, None).mechanisms[0]
    assert made.evidence is not None and (made.evidence.verdict, made.evidence.quotation) == ("contradicts", said)
    uncited = verified(draft(mechanisms=[f"{opposite}."]), held(said), None, None).mechanisms[0]
    assert uncited.evidence is None


def test_a_figure_that_its_sentence_holds_is_verified() -> None:
    for value, unit in ((100, "MPa"), (0.1, "GPa"), (140, "MPa")):
        made = verified(draft(properties=of(value, unit)), held(STRENGTH), None, None).properties[0]
        assert (made.status, made.value, made.claimed) == ("verified", value, None)
        assert made.evidence is not None and made.evidence.quotation == STRENGTH


@pytest.mark.parametrize(("value", "unit", "nearest"), [(900, "MPa", 135), (2, "MPa", 80), (3, "GPa", 0.135)])
def test_a_figure_that_its_sentence_does_not_hold_is_overridden_and_both_are_kept(
    value: float, unit: str, nearest: float
) -> None:
    cites = draft(properties=of(value, unit, "It is that of the shell [1]."))
    made = verified(cites, held(STRENGTH), None, None).properties[0]
    assert (made.status, made.value, made.unit) == ("overridden", pytest.approx(nearest), unit)
    assert made.claimed is not None and (made.claimed.value, made.claimed.unit) == (value, unit)
    assert made.evidence is not None and made.evidence.quotation == STRENGTH


def test_a_figure_of_the_design_that_no_sentence_is_said_to_bear_is_assumed() -> None:
    made = verified(draft(properties=of(900)), held(STRENGTH), None, None).properties[0]
    assert (made.status, made.value, made.evidence, made.claimed) == ("assumed", 900, None, None)


@pytest.mark.parametrize(
    "text",
    [
        "Nacre: tensile strength 80 to 135 MJ/m3 (hydrated).",
        "Nacre: toughness 80 to 135 MPa (hydrated).",
        "Nacre: tensile strength 80 to 135 (hydrated).",
        "Nacre: tensile strength 80 to 135 mm/yr (hydrated).",
    ],
)
def test_another_kind_or_another_property_bears_no_figure_out(text: str) -> None:
    made = verified(draft(properties=of(100, basis="It is that of the shell [1].")), held(text), None, None).properties[
        0
    ]
    assert (made.status, made.value) == ("assumed", 100)


@pytest.mark.parametrize(
    "text", ["Nacre: density -5 kg/m3 (slip).", "Nacre: density 1e300 kg/m3.", "Nacre: density 9e9 kg/m3."]
)
def test_a_figure_that_cannot_be_is_not_taken_over(text: str) -> None:
    cites = draft(properties=of(1500, "kg/m3", "It is that of the shell [1].", "density"))
    made = verified(cites, held(text), None, None).properties[0]
    assert (made.status, made.value) == ("assumed", 1500)


def test_a_density_beyond_its_parts_is_brought_back_to_them() -> None:
    of_two = [
        {"name": "plates", "material": "porcelain", "role": "They carry the pressing load."},
        {"name": "seams", "material": "cork", "role": "They yield and hold the plates."},
    ]
    heavy = draft(components=of_two, properties=of(60_000, "kg/m3", name="density"))
    made = verified(heavy, [], None, None).properties[0]
    mixed = next(one.value for one in computed(heavy.components) if one.name == "Density")
    assert (made.status, made.value, made.evidence) == ("overridden", mixed, None)
    assert made.claimed is not None and made.claimed.value == 60_000
    light = draft(components=of_two, properties=of(300, "kg/m3", name="density"))
    assert verified(light, [], None, None).properties[0].status == "assumed"  # pores make less
    thin = verified(draft(components=of_two, properties=of(0.3, "kg/m3", name="Density of the foam")), [], None, None)
    assert (thin.properties[0].status, thin.properties[0].value) == ("overridden", mixed)  # lighter than air


def test_what_follows_from_the_parts_is_added_to_a_material_and_not_to_a_house() -> None:
    plain = draft(components=[part.model_dump() for part in parts("porcelain", "cork")])
    assert [one.name for one in verified(plain, [], None, None).properties] == [
        "tensile strength",
        "Density",
        "Stiffness",
    ]
    assert [one.name for one in verified(plain, [], None, None, material=False).properties] == ["tensile strength"]


def test_a_design_has_six_properties_at_most() -> None:
    many = [
        {"name": f"trait {word}x", "value": 5, "unit": "mm", "basis": "It is chosen for the wall."} for word in "abcdef"
    ]
    plain = draft(properties=many, components=[part.model_dump() for part in parts("porcelain", "cork")])
    assert len(verified(plain, held(STRENGTH), None, None).properties) == 6


@pytest.mark.parametrize(
    ("texts", "left"),
    [
        (["Tablets can slide [1]."], ["Tablets can slide [1]."]),  # it would be too short for a sentence
        (["Cracks stop as it is shown in [1]."], ["Cracks stop as it is shown in [1]."]),
        (
            ["Plates slide over seams [1].", "Plates slide over seams [2]."],
            ["Plates slide over seams.", "Plates slide over seams [2]."],
        ),
    ],
)
def test_a_text_that_would_be_none_without_its_citation_keeps_it(texts: list[str], left: list[str]) -> None:
    made = verified(draft(mechanisms=texts, fabrication=texts), [], None, None)
    assert [one.text for one in made.mechanisms] == left and made.fabrication == left


def test_names_that_differ_by_a_citation_alone_stop_nothing() -> None:
    twice = [
        {"name": name, "feature": "wall", "principle": "Tablets slide over each other."}
        for name in ("shell [1]", "shell [2]")
    ]
    made = verified(draft(inspirations=twice), [], None, None)
    assert [one.name for one in made.inspirations] == ["shell", "shell [2]"]


SENTENCES = st.lists(WORDS, min_size=3, max_size=14).map(lambda words: " ".join(words).strip().capitalize() + ".")


@given(st.lists(SENTENCES, min_size=1, max_size=5), st.lists(SENTENCES, max_size=3))
def test_a_quotation_stands_letter_for_letter_in_its_passage(passage: list[str], known: list[str]) -> None:
    library = shelf(paper("mine.pdf", passage, path="/mine.pdf"), NACRE)
    made = verified(
        draft(mechanisms=["Nacre tablets slide over each other and seams dissipate energy [1]."]),
        held(*known),
        library,
        None,
    )
    texts = {f"p{number}": text for number, text in enumerate(known, 1)}
    for one in [*made.inspirations, *made.mechanisms, *made.properties]:
        if one.evidence is not None:
            found = library.passage(one.evidence.passage)
            assert one.evidence.quotation in (found.text if found else texts[one.evidence.passage])


def test_a_text_that_cannot_be_parted_letter_for_letter_is_quoted_whole() -> None:
    said = "It is white. Tablets of aragonite slide over each other, see Fig.\n(3), and dissipate energy."
    made = verified(draft(), held(said), None, None).mechanisms[0].evidence
    assert made is not None and made.quotation == said


def test_what_is_gathered_stands_letter_for_letter_in_its_passage() -> None:
    library = shelf(NACRE, BYSSUS, MINE, QUOKKA)
    for one in gathered(library, None, wish(), ["nacre", "mussel byssus", "quokka"], Amount(passages=9, words=90)):
        found = library.passage(one.passage)
        assert found is not None and one.text in found.text


def test_the_nearer_in_meaning_is_asked_of_the_claim_without_its_citation() -> None:
    asked: list[str] = []

    def rank(text: str, texts: Sequence[str]) -> list[float]:
        asked.append(text)
        return [1.0] * len(texts)

    verified(draft(mechanisms=["Tablets of aragonite slide apart [1]."]), held(SLIDE), None, rank)
    assert asked and not any("[1]" in text for text in asked)


def test_a_design_of_before_with_plain_mechanisms_is_still_read() -> None:
    old = draft().model_dump(mode="json")
    made = MaterialDesign.model_validate(old)
    assert made.mechanisms[0].text == old["mechanisms"][0] and made.mechanisms[0].evidence is None
    assert made.inspirations[0].evidence is None and made.properties[0].status == "assumed"
    assert MaterialDesign.model_validate(made.model_dump(mode="json")) == made

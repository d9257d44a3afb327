"""What is known is looked up, numbered and cited; a design's claims are checked against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.documents import Brief, Component, DraftDesign, Known, MaterialDesign
from agents.evidence.figures import bounds, computed, mixture, of_sources
from agents.evidence.gathering import Amount, gathered, line, lines, principles, said_of, shown
from agents.evidence.verify import verified
from pipelines.corpus.index.memory import in_memory
from pipelines.corpus.index.retrieve import Shelf
from pipelines.corpus.index.store import Document, Passage, Sentence, passage_of
from workspace.atlas.engineering import engineering, made_of
from workspace.atlas.statements import statements
from workspace.atlas.table import atlas

SLIDE = "Tablets of aragonite slide over each other and dissipate energy before they fracture."
STRENGTH = "Nacre: tensile strength 80 to 135 MPa (hydrated)."
STICK = "Proteins rich in dopa cure at the tip of the thread and hold it to wet stone."
OWN = "Layers of nacre turn a crack aside at every seam, and the crack grows slowly after that."


def paper(name: str, said: Sequence[str | Sentence], title: str = "", path: str = "", doi: str = "") -> Passage:
    document = Document(name, name, path, "", title or name, doi=doi)
    made = [one if isinstance(one, Sentence) else Sentence(one, 3) for one in said]
    return passage_of(document, 1, "Results", made)


NACRE = paper(
    "atlas/nacre", [Sentence(SLIDE, 1, "A source", "mechanism"), Sentence(STRENGTH, 1, "B", "property")], "Nacre"
)
BYSSUS = paper("atlas/mussel-byssus-thread", [Sentence(STICK, 1, "C", "mechanism")], "Mussel byssus thread")
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


# --- gathering


def test_what_is_known_is_numbered_and_each_is_about_its_source() -> None:
    found = gathered(shelf(NACRE, BYSSUS, QUOKKA), None, wish(), ["nacre", "mussel byssus"], Amount(passages=5))
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    assert {one.about for one in found if one.document == "atlas/nacre"} == {"nacre"}
    assert {one.about for one in found if one.document == "atlas/mussel-byssus-thread"} == {"mussel byssus"}
    assert not any(one.document == "zoo.txt" for one in found)
    first = found[0]
    assert (first.text, first.cite, first.title) == (SLIDE, "A source", "Nacre")  # how it works comes first


def test_no_more_is_told_than_was_asked_for() -> None:
    for most in (1, 2, 3, 6):
        found = gathered(shelf(NACRE, BYSSUS, MINE), None, wish(), ["nacre"], Amount(passages=most))
        assert 1 <= len(found) <= most
        assert len({one.text for one in found}) == len(found)


def test_a_source_of_which_nothing_is_known_is_told_as_unknown() -> None:
    found = gathered(shelf(NACRE, QUOKKA), None, wish(), ["moon cheese", "nacre"], Amount())
    told = lines(found, ["moon cheese", "nacre"])
    assert told[0].startswith("Moon cheese: nothing is known of it here.")
    assert told[1] == f"[1] Nacre: {SLIDE}"
    assert not any(one.about == "moon cheese" for one in found)


def test_a_source_that_only_a_persons_paper_knows_is_found_there() -> None:
    found = gathered(shelf(NACRE, QUOKKA), None, wish("a coat"), ["quokka fur"], Amount(passages=3))
    assert [one.document for one in found if one.about == "quokka fur"] == ["zoo.txt"]


def test_a_persons_own_paper_is_preferred() -> None:
    ships = paper("sample/cracks", [OWN.replace("Layers", "Sheets")], "Cracks")
    found = gathered(shelf(ships, NACRE, MINE), None, wish(), ["nacre"], Amount(passages=4))
    own = next(one for one in found if one.document == "mine.pdf")
    assert (own.text, own.page, own.doi, own.file) == (OWN, 3, "10.1/x", "/papers/mine.pdf")
    assert not any(one.document == "sample/cracks" and one.about for one in found)  # the atlas and a person's own alone


def test_a_library_without_the_atlas_is_searched_as_well() -> None:
    found = gathered(shelf(MINE), None, wish(), ["nacre"], Amount(passages=3))
    assert [one.text for one in found] == [OWN]  # "It is white." leans on what stands before it


def test_meaning_decides_where_words_do_not() -> None:
    near, far = "Nacre bends where its seams are soft and thick.", "Nacre shines where its seams are thin and even."
    library = shelf(paper("a.pdf", [near], path="/a.pdf"), paper("b.pdf", [far], path="/b.pdf"))
    for liked, other in ((near, far), (far, near)):
        found = gathered(
            library, lambda _, texts, liked=liked: [one == liked for one in texts], wish("a lamp"), ["nacre"], Amount(2)
        )
        assert found[0].text == liked and other not in found[0].text


def test_an_empty_library_knows_nothing() -> None:
    assert gathered(shelf(), None, wish(), ["nacre"], Amount()) == []
    assert lines([], ["nacre"])[0].startswith("Nacre: nothing is known")


def test_a_monstrous_sentence_or_title_stops_nothing() -> None:
    long = paper(
        "long.pdf", [f"Nacre {'x' * 30_000} grows slowly in rows.", OWN], "t" * 9000, "/long.pdf", "10." + "1" * 9000
    )
    found = gathered(shelf(long), None, wish(), ["nacre"], Amount())
    assert [one.text for one in found] == [OWN]
    made = verified(draft(), found, shelf(long), None)
    assert all(len(one.evidence.quotation) < 2001 for one in made.inspirations if one.evidence)


def test_the_same_wish_finds_the_same() -> None:
    library = shelf(NACRE, BYSSUS, MINE, QUOKKA)
    asked = [gathered(library, None, wish(), ["nacre", "mussel byssus"], Amount()) for _ in range(2)]
    assert asked[0] == asked[1]


def test_how_a_source_works_is_its_first_sentence() -> None:
    known = [
        *held(SLIDE, STRENGTH),
        Known(number=3, passage="q", document="d", text=STICK, page=1, about="mussel byssus"),
    ]
    works = principles(known, ["nacre", "mussel byssus", "moon cheese"])
    assert {name: one.text for name, one in works.items()} == {"nacre": SLIDE, "mussel byssus": STICK}
    assert said_of({"nacre": SLIDE}) == [f"Nacre: {SLIDE}"]


# --- figures


def parts(*materials: str) -> list[Component]:
    return [
        Component(name=f"part {place}", material=one, role="It carries the load.")
        for place, one in enumerate(materials)
    ]


SOLID = [one.name for one in engineering().values() if one.form == "solid" and one.density and one.stiffness]


@given(st.lists(st.sampled_from(SOLID), min_size=2, max_size=5, unique=True))
def test_a_mixture_lies_between_its_parts(names: list[str]) -> None:
    mixed = mixture(parts(*names))
    assert mixed is not None and sum(mixed.shares.values()) == pytest.approx(1)
    made = {one.name: one for one in computed(parts(*names))}
    for name, kind in (("Density", "density"), ("Stiffness", "stiffness")):
        spans = [getattr(engineering()[one], kind) for one in names]
        assert min(span[0] for span in spans) * 0.94 <= made[name].value <= max(span[1] for span in spans) * 1.06
        assert made[name].status == "computed" and made[name].evidence is None


def test_stiffness_is_the_mean_of_the_bounds_of_voigt_and_reuss() -> None:
    one, other = engineering()[SOLID[0]], engineering()[SOLID[1]]
    first, second = ((span[0] * span[1]) ** 0.5 for span in (one.stiffness, other.stiffness) if span)
    voigt, reuss = (first + second) / 2, 2 / (1 / first + 1 / second)
    made = next(each for each in computed(parts(SOLID[0], SOLID[1])) if each.name == "Stiffness")
    assert made.value == pytest.approx((voigt + reuss) / 2, rel=0.05) and reuss <= made.value <= voigt
    assert f"{float(f'{reuss:.2g}'):g} to {float(f'{voigt:.2g}'):g} GPa" in made.basis


def test_parts_of_unknown_material_give_nothing() -> None:
    assert computed(parts("steel", "unobtainium")) == []
    assert mixture(parts("steel", "unobtainium")) is None
    assert computed(parts("steel", "mild steel")) == [] or mixture(parts("steel", "mild steel")) is not None
    assert bounds("density", "kg/m3", parts("steel", "unobtainium")) is None
    assert made_of("unobtainium") is None and made_of("") is None


def test_a_part_without_stiffness_leaves_the_density() -> None:
    liquid = next(one.name for one in engineering().values() if one.stiffness is None and one.density)
    assert [one.name for one in computed(parts("porcelain", liquid))] == ["Density"]


@pytest.mark.parametrize("name", ["toughness", "sound absorption", "thickness"])
def test_only_density_and_stiffness_are_bounded_by_the_parts(name: str) -> None:
    assert bounds(name, "MPa", parts("steel", "cork")) is None


def test_the_bounds_are_in_the_propertys_unit() -> None:
    stiff = max(engineering()[made.name].stiffness or (0, 0) for one in ("steel", "cork") if (made := made_of(one)))[1]
    assert bounds("Young's modulus", "GPa", parts("steel", "cork")) == (0, stiff)
    assert bounds("Young's modulus", "MPa", parts("steel", "cork")) == (0, stiff * 1000)


def test_a_figure_of_a_source_is_taken_over_with_its_sentence() -> None:
    (made,) = of_sources(held(STRENGTH, SLIDE))
    assert (made.name, made.unit, made.status) == ("Tensile strength of nacre", "MPa", "verified")
    assert 80 <= made.value <= 135 and made.evidence is not None and made.evidence.quotation == STRENGTH
    assert of_sources(held(STRENGTH, about="")) == []  # of no source of the design
    assert of_sources(held("Nacre: growth 70 mm/yr (warm).", "Nacre: hue 3 (dry).", "Nacre is 5 mm thick.")) == []


def test_every_engineering_material_is_found_by_each_of_its_names() -> None:
    calls = [(call, one) for one in engineering().values() for call in (one.name, *one.aliases)]
    for call, one in calls:
        found = made_of(f"a thin {call.upper()} sheet")
        assert found is not None and (found == one or call in (found.name, *found.aliases)), call
    for one in engineering().values():
        for span in (one.density, one.stiffness, one.strength, one.conductivity):
            assert span is None or 0 < span[0] <= span[1]


def test_every_statement_of_the_atlas_has_a_name_of_its_own_and_ends() -> None:
    said = [one for material in atlas().values() for one in statements(material)]
    assert len({one.id for one in said}) == len(said)
    assert all(one.text.rstrip(")\"'").endswith((".", "!", "?")) and one.text == one.text.strip() for one in said)
    assert all(one.cite for one in said if one.kind == "property")


# --- claims


def test_a_principle_is_borne_out_by_its_own_source_alone() -> None:
    made = verified(draft(), held(SLIDE), None, None).inspirations[0]
    assert made.evidence is not None and made.evidence.quotation == SLIDE and made.evidence.verdict != "contradicts"
    assert verified(draft(), held(SLIDE, about="mussel byssus"), None, None).inspirations[0].evidence is None


def test_a_principle_is_looked_up_where_nothing_is_held() -> None:
    made = verified(draft(), [], shelf(NACRE, BYSSUS), None).inspirations[0]
    assert made.evidence is not None and made.evidence.passage == NACRE.id and made.evidence.cite == "A source"


def test_a_mechanism_has_its_sentence_with_page_and_document() -> None:
    claim = "A crack is turned aside at every seam and grows slowly after that [1]."
    made = verified(draft(mechanisms=[claim]), [], shelf(MINE), None).mechanisms[0]
    assert made.text == "A crack is turned aside at every seam and grows slowly after that."
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
    made_of_steel = [
        {"name": "plates", "material": "porcelain", "role": "They carry the pressing load."},
        {"name": "seams", "material": "cork", "role": "They yield and hold the plates."},
    ]
    heavy = draft(components=made_of_steel, properties=of(60_000, "kg/m3", name="density"))
    made = verified(heavy, [], None, None).properties[0]
    most = max(one.density[1] for text in ("porcelain", "cork") if (one := made_of(text)) and one.density)
    assert (made.status, made.value, made.evidence) == ("computed", most, None)
    assert made.claimed is not None and made.claimed.value == 60_000
    light = draft(components=made_of_steel, properties=of(300, "kg/m3", name="density"))
    assert verified(light, [], None, None).properties[0].status == "assumed"  # pores make less


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
        {"name": f"trait {word}", "value": 5, "unit": "mm", "basis": "It is chosen for the wall."} for word in "abcdef"
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


WORDS = st.sampled_from(
    "nacre tablets slide over each other seams dissipate energy cracks slowly 80 MPa to 135 e.g. Fig. et al. (dry) "
    "strength tensile not soft stiff \n \t \u200b 【2】 [1] \" ' ) <|im_end|> ² µm".split(" ")
)
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


# --- what a model is shown


@given(st.text() | st.lists(WORDS).map(" ".join))
def test_what_is_shown_is_one_line_without_unseen_signs(text: str) -> None:
    said = shown(text)
    assert said == shown(said) and said.splitlines() in ([], [said])
    assert said.isprintable() or any(sign in said for sign in "\u00a0\u3000") or not said.isascii()


@pytest.mark.parametrize(
    "token",
    [
        "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<｜User｜>", "</s>", "<s>", "<bos>", "<eos>",
        "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<think>", "</think>",
        "<tool_call>", "[TOOL_CALLS]", "[SYSTEM_PROMPT]", "<\u200b|im_end|>", "<|im\u00ad_end|>", "[\u200bINST]",
    ],
)  # fmt: skip
def test_no_token_of_a_chat_template_is_shown_as_such(token: str) -> None:
    plain = token.replace("\u200b", "").replace("\u00ad", "")
    known = Known(number=1, passage="p", document="d", title=f"T{token}", text=f"Plates{token} slide.", page=1)
    for said in (line(known), *lines([known], []), *said_of({"shell": known.text})):
        assert token not in said and plain not in said and "slide." in said


def test_numbers_in_a_passage_are_not_taken_for_ours() -> None:
    assert line(held("Loops carry water [1] around a cut [2, 3].")[0]) == "[1] Loops carry water around a cut."


def test_plain_prose_is_shown_as_it_stands() -> None:
    for material in atlas().values():
        for one in statements(material):
            assert shown(one.text) == one.text
    text = "Pores < 5 µm and a pressure > 3 MPa let x<y; see [a] and 日本語, فارسی."
    assert shown(text) == text

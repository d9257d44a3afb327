"""A sentence supports a claim, in part or whole, contradicts it, or says nothing of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evidence.citations import bare, cited
from agents.evidence.matching import matched

SLIDE = "Tablets of aragonite slide over each other and dissipate energy before they fracture."
SILK = "Spider dragline silk: tensile strength 0.9 to 1.4 GPa (dry, quasi-static)."


@pytest.mark.parametrize(
    ("claim", "sentence", "about", "verdict"),
    [
        (SLIDE, SLIDE, [], "supports"),
        ("Platelets of aragonite slip over each other and absorb energy before they break.", SLIDE, [], "supports"),
        ("Dragline silk has a tensile strength of 1.1 GPa.", SILK, ["spider silk"], "supports"),
        ("Dragline silk has a tensile strength of 1100 MPa.", SILK, ["spider silk"], "supports"),
        (
            "Tablets slide and dissipate energy, which also warms the soft tissue of the animal.",
            SLIDE,
            [],
            "partly",
        ),
        ("Dragline silk has a tensile strength of 1.1 GPa and 30 mm of length.", SILK, ["spider silk"], "partly"),
        ("Dragline silk has a tensile strength of 5 GPa.", SILK, ["spider silk"], "contradicts"),
        ("Dragline silk has a tensile strength of 1.1 MPa.", SILK, ["spider silk"], "contradicts"),
        ("Fog gathers on bumps and runs off along grooves.", SLIDE, [], "silent"),
        ("Dragline silk has a toughness of 160 MJ/m3.", SILK, ["spider silk"], "silent"),
    ],
)
def test_each_kind_of_verdict_in_clear_cases(claim: str, sentence: str, about: list[str], verdict: str) -> None:
    assert matched(claim, sentence, about).verdict == verdict


@pytest.mark.parametrize("figure", ["0.9 GPa", "1.4 GPa", "1.46 GPa", "860 MPa", "1 to 1.2 GPa", "1.2 +/- 0.1 GPa"])
def test_a_figure_within_the_tolerance_is_borne_out(figure: str) -> None:
    assert matched(f"Its tensile strength is {figure} when dry.", SILK, ["spider dragline silk"]).verdict == "supports"


@pytest.mark.parametrize("figure", ["0.8 GPa", "1.5 GPa", "5 MPa", "14 GPa", "2 to 3 GPa"])
def test_a_figure_outside_it_contradicts(figure: str) -> None:
    claim = f"Its tensile strength is {figure} when dry."
    assert matched(claim, SILK, ["spider dragline silk"]).verdict == "contradicts"


def test_a_stress_never_bears_out_an_energy() -> None:
    energy = "The tensile strength of dry silk comes to 1100 MJ/m3."
    assert matched(energy, SILK, ["spider dragline silk"]).verdict not in ("supports", "contradicts")


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        (
            "Tablets of aragonite do not slide over each other and dissipate no energy before they never fracture.",
            SLIDE,
        ),
        ("The mucus never sticks to the leaf.", "The mucus sticks to the leaf."),
        ("The wax film repels water from the leaf.", "The wax film cannot repel water from the leaf."),
        ("The wax film repels water from the leaf.", "The leaf repels water without a wax film."),
    ],
)
def test_a_negated_sentence_does_not_support(claim: str, sentence: str) -> None:
    assert matched(claim, sentence).verdict != "supports"
    assert matched(sentence, claim).verdict != "supports"


def test_two_negations_of_one_thing_agree() -> None:
    said = "The crack does not reach the living tissue behind the tubules."
    assert matched(said, said).verdict == "supports"


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        (
            "Water makes the silk fibre stiff at room temperature.",
            "Water makes the silk fibre soft at room temperature.",
        ),
        ("The density rises towards the outer wall.", "The density falls towards the outer wall."),
        ("Stiffness increases with the mineral content.", "Stiffness decreases with the mineral content."),
        ("Pores are open on the upper side of the leaf.", "Pores are closed on the upper side of the leaf."),
        ("The surface of the scale is hydrophilic.", "The surface of the scale is hydrophobic."),
    ],
)
def test_an_opposite_word_contradicts(claim: str, sentence: str) -> None:
    assert matched(claim, sentence).verdict == "contradicts"
    assert matched(sentence, claim).verdict == "contradicts"


@pytest.mark.parametrize("word", ["small", "few", "less"])
def test_a_word_without_its_opposite_contradicts_nothing(word: str) -> None:
    said = f"Sheaths rich in protein bridge cracks and let rods slip with {word} damage."
    assert matched("Sheaths rich in protein bridge cracks and let rods slip.", said).verdict == "supports"
    most = said.replace(word, "more" if word == "less" else "most")
    assert matched(most, said).verdict == "contradicts"


def test_one_figure_that_agrees_and_one_that_does_not_are_borne_out_in_part() -> None:
    claim = "Dry silk has a tensile strength of 1.1 GPa, and of 5 GPa under water."
    assert matched(claim, SILK, ["spider dragline silk"]).verdict == "partly"


def test_both_opposites_within_one_sentence_are_no_contradiction() -> None:
    both = "The silk is stiff when dry and soft when wet, as water frees its chains."
    assert matched("The silk is soft when wet, as water frees its chains.", both).verdict != "contradicts"


def test_the_words_of_a_sources_own_name_tell_nothing() -> None:
    claim, other = "Spider silk carries prey in the orb web.", "Spider silk of the orb web is made of proteins."
    own = ["spider silk", "orb web"]
    assert matched(claim, other, own).share < matched(claim, other).share
    assert matched(claim, other, own).verdict == "silent"
    assert matched("Spider silk.", "Spider silk.", ["spider silk"]).verdict == "silent"


def test_a_number_that_a_claim_cites_is_no_figure() -> None:
    assert matched(f"{SLIDE[:-1]} [7].", SLIDE) == matched(SLIDE, SLIDE)


def test_the_nearer_in_meaning_the_better() -> None:
    claim = "Plates shear along soft seams, which takes up work."
    verdicts = [matched(claim, SLIDE, near=near).verdict for near in (-1.0, 1.0)]
    assert verdicts == ["silent", "partly"]


@given(st.text(max_size=80), st.text(max_size=80))
def test_the_same_pair_is_always_judged_the_same(claim: str, sentence: str) -> None:
    first = matched(claim, sentence, ["nacre"])
    assert first == matched(claim, sentence, ["nacre"]) and 0 <= first.share <= 1.000001


@pytest.mark.parametrize(
    ("text", "numbers", "plain"),
    [
        ("Tablets slide [2].", [2], "Tablets slide."),
        ("Tablets slide [2, 5][3].", [2, 5, 3], "Tablets slide."),
        ("Tablets [1-3] slide [2].", [1, 2, 3], "Tablets slide."),
        ("Tablets slide 【4】.", [4], "Tablets slide."),
        ("Backwards [5-2] or far [1-900].", [5, 1], "Backwards or far."),
        ("An array[12] of none.", [12], "An array of none."),
        ("A [note] and [1a] and [] cite nothing.", [], "A [note] and [1a] and [] cite nothing."),
    ],
)
def test_citations_are_found_and_taken_out(text: str, numbers: list[int], plain: str) -> None:
    assert cited(text) == numbers
    assert bare(text) == plain

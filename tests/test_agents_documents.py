"""Documents hold only whole, bounded text, and a valid one stays valid however often it is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agents.documents import Brief, DraftDesign, ImagePrompt, MaterialDesign, Property, Verdict, same
from agents.roles.engineer import design_schema
from models.filling.text_kinds import Name, Sentence, repeats, sentence_end, weight
from studio.runs.record import json_bytes
from workspace.letters import visible, whole_data

NAME = TypeAdapter(Name)
SENTENCE = TypeAdapter(Sentence)
FEW = settings(deadline=None, max_examples=60)


@FEW
@given(st.text(max_size=120))
def test_a_valid_name_is_stable_and_bounded(text: str) -> None:
    try:
        name = NAME.validate_python(text)
    except ValidationError:
        return
    assert len(name) <= 120 and weight(name) >= 2
    assert name == name.strip() and not name.endswith(".")
    assert NAME.validate_python(name) == name


@FEW
@given(st.text(st.characters(max_codepoint=127), max_size=60))
@example("\x00\x1f\x7f \t\r\n")
def test_plain_letters_count_as_they_do_beside_others(text: str) -> None:
    assert visible(f"{text}é") == f"{visible(text)}é"
    assert weight(f"{text}é") == weight(text) + 1


@FEW
@given(st.recursive(st.text(st.characters(categories=["Cs", "L", "Cc"]), max_size=6), st.lists, max_leaves=8))
def test_no_file_gets_half_a_letter(data: object) -> None:
    assert json.loads(json_bytes({"held": data})) == whole_data({"held": data})


@FEW
@given(st.text(max_size=500))
def test_a_valid_sentence_is_stable_and_ends(text: str) -> None:
    try:
        sentence = SENTENCE.validate_python(text)
    except ValidationError:
        return
    assert len(sentence) <= 400 and weight(sentence) >= 20
    assert sentence_end(sentence)
    assert SENTENCE.validate_python(sentence) == sentence


def test_a_name_that_comes_again_stays_where_it_came_first() -> None:
    assert Brief(text="a panel", inspirations=["silk", "nacre", "Silk"]).inspirations == ["silk", "nacre"]


@FEW
@given(st.text(max_size=200), st.lists(st.text(max_size=130), max_size=8), st.text(max_size=210))
@example("000", ["00"], "000")
def test_a_valid_brief_survives_json(text: str, inspirations: list[str], target: str) -> None:
    try:
        brief = Brief(text=text, inspirations=inspirations, target=target)
    except ValidationError:
        return
    assert Brief.model_validate_json(brief.model_dump_json()) == brief
    assert len({same(name) for name in brief.inspirations}) == len(brief.inspirations)
    names = [
        {"name": name, "feature": "waves", "principle": "Waves straighten before they break."}
        for name in brief.inspirations
    ]
    if names:  # what the door lets in, the end takes
        design_schema(tuple(brief.inspirations)).model_validate(DRAFT | {"inspirations": names})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("The fibres carry the load because of the", "breaks off"),
        ("The fibres carry the load without an end", "does not end"),
        ("The load goes around. " * 4, "repeats itself"),
        ("...................... .", "is empty"),
        ("a.                                  b.", "shorter"),
    ],
)
def test_a_text_cut_off_or_repeating_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        SENTENCE.validate_python(text)


def test_an_unclosed_bracket_is_refused() -> None:
    with pytest.raises(ValidationError, match="unclosed bracket"):
        NAME.validate_python("silk (dragline")


@pytest.mark.parametrize(
    "text",
    [
        "蛛丝分散裂纹的能量。",
        "クモの糸は切れる前によく伸びます。",
        "거미줄은 끊어지기 전에 늘어난다.",
        "تتوزع القوة على الصفائح قبل أن تنكسر؟",
        "यह रेशा टूटने से पहले बहुत खिंचता है।",
        "ฝังเส้นใยในชั้นที่เรียงสลับกันไปมา",
        "Τι συμβαίνει με τη δύναμη στο ύφασμα;",
        "Die Lage „gibt nach und hält zusammen.“",
        "La couche « glisse avant de rompre. »",
        'He wrote: "The layers part when they are wet."',
        "Layers slide over each other (they do not break.)",
        "Fibres straighten, then they break…",
        "Dit is precies wat sterk is.",
        "It joins part A, part B and part A.",
        "Toughness comes to 20 MJ/m³ at a thickness of 5 µm or 5 μm.",
    ],
)
def test_a_sentence_may_stand_in_any_script(text: str) -> None:
    assert SENTENCE.validate_python(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "竹",
        "竹子",
        "ox",
        "part A",
        "gaps of 2 in",
        "lines of 5 A",
        "feuille d'or",
        "عرق اللؤلؤ",
        "паутина",
        "μετάξι",
        "クモの糸",
    ],
)
def test_a_name_may_stand_in_any_script(text: str) -> None:
    assert NAME.validate_python(text) == text
    assert Brief(text="a panel", inspirations=[text]).inspirations == [text]


@pytest.mark.parametrize("text", ["", "  ", "\u200b\u200b\u200b", "\u2060\ufeff", "\u3164\u3164\u3164", "\u2800" * 4])
def test_a_brief_that_shows_nothing_is_empty(text: str) -> None:
    with pytest.raises(ValidationError, match=r"empty|at least"):
        Brief(text=text)


BASIS = "Cells that fold inward widen when they are pulled."


@pytest.mark.parametrize(
    ("said", "unit"),
    [
        ("MJ/m³", "MJ/m3"),
        ("MJ·m⁻³", "MJ/m3"),
        ("µm", "um"),
        ("μm", "um"),
        ("UM", "um"),
        ("MPA", "MPa"),
        ("GPA", "GPa"),
        ("°C", "degC"),
        ("W/(m·K)", "W/mK"),
        ("W m⁻¹ K⁻¹", "W/mK"),
        ("kg/m^3", "kg/m3"),
        ("", "1"),
        ("ppm/°C", "ppm/K"),
    ],
)
def test_a_unit_is_taken_as_people_write_it(said: str, unit: str) -> None:
    assert Property(name="Aim", value=1, unit=said, basis=BASIS).unit == unit


def test_a_unit_that_is_another_is_not_taken() -> None:
    for said in ("mPa", "furlong"):
        with pytest.raises(ValidationError, match="unit"):
            Property(name="Aim", value=1, unit=said, basis=BASIS)


@pytest.mark.parametrize(
    ("name", "value", "unit", "taken"),
    [
        ("Poisson's ratio", -0.4, "1", True),
        ("Service temperature", -60, "degC", True),
        ("Service temperature", -300, "degC", False),
        ("Thermal expansion", -9, "ppm/K", True),
        ("Swelling strain", -5, "%", True),
        ("Porosity", -5, "%", False),
        ("Density", -1, "kg/m3", False),
        ("Pore size", -1, "um", False),
        ("Toughness", -1, "MJ/m3", False),
    ],
)
def test_a_value_is_negative_where_physics_allows_it(name: str, value: float, unit: str, taken: bool) -> None:
    if taken:
        assert Property(name=name, value=value, unit=unit, basis=BASIS).value == value
    else:
        with pytest.raises(ValidationError, match="or more, not"):
            Property(name=name, value=value, unit=unit, basis=BASIS)


def test_repeats_counts_runs_of_words() -> None:
    assert repeats("one two three four one two three four one two three four")
    assert repeats("very very very")
    assert not repeats("one two three four five one two three four")


DRAFT = DraftDesign(
    title="Weave laminate",
    summary="A laminate that joins wavy fibres with a branching mesh.",
    inspirations=[{"name": "collagen", "feature": "waves", "principle": "Waves straighten before they break."}],
    components=[
        {"name": "fibre", "material": "silk", "role": "It carries the tension."},
        {"name": "mesh", "material": "cellulose", "role": "It spreads the load."},
    ],
    architecture={"scale": "micrometre", "description": "Fibres lie between two meshes."},
    mechanisms=["Fibres uncrimp before they break."],
    properties=[{"name": "toughness", "value": 12.5, "unit": "MJ/m3", "basis": "It lies near that of tendon."}],
    fabrication=["Spin the fibres and press the meshes."],
    applications=["protective panels"],
    risks=["The layers may part when wet."],
).model_dump(mode="json")
DESIGN = MaterialDesign.model_validate(DRAFT).model_dump(mode="json")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"extra": 1}, "extra"),
        ({"risks": []}, "risks"),
        ({"title": "x"}, "title"),
        ({"title": "x" * 121}, "title"),
        ({"components": [DESIGN["components"][0]] * 2}, "components"),
        ({"mechanisms": [DESIGN["mechanisms"][0]] * 2}, "mechanisms"),
        ({"architecture": {"scale": "inch", "description": "Fibres lie between two meshes."}}, "architecture"),
    ],
)
def test_a_design_with_a_fault_names_its_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MaterialDesign.model_validate(DESIGN | change)
    assert caught.value.errors()[0]["loc"][0] == field


def test_bounds_stand_in_every_schema() -> None:
    """A text or list without an upper bound lets a constrained model write for ever."""

    def walk(node: object, path: str) -> None:
        if isinstance(node, dict):
            if node.get("type") == "string" and "enum" not in node and "const" not in node:
                assert "maxLength" in node, path
            if node.get("type") == "array":
                assert "maxItems" in node, path
            if node.get("type") == "object":
                assert node.get("additionalProperties") is False, path
            for key, value in node.items():
                walk(value, f"{path}/{key}")
        elif isinstance(node, list):
            for place, value in enumerate(node):
                walk(value, f"{path}/{place}")

    for document in (Brief, MaterialDesign, ImagePrompt, Verdict):
        walk(document.model_json_schema(), document.__name__)

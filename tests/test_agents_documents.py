"""Documents hold only whole, bounded text, and a valid one stays valid however often it is read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agents.documents import Brief, ImagePrompt, MaterialDesign, Verdict
from models.filling.text_kinds import Name, Sentence, repeats

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
    assert 3 <= len(name) <= 80
    assert name == name.strip() and not name.endswith(".")
    assert NAME.validate_python(name) == name


@FEW
@given(st.text(max_size=500))
def test_a_valid_sentence_is_stable_and_ends(text: str) -> None:
    try:
        sentence = SENTENCE.validate_python(text)
    except ValidationError:
        return
    assert 20 <= len(sentence) <= 400
    assert sentence[-1] in ".!?"
    assert SENTENCE.validate_python(sentence) == sentence


@FEW
@given(st.text(max_size=200), st.lists(st.text(max_size=130), max_size=8), st.text(max_size=210))
def test_a_valid_brief_survives_json(text: str, inspirations: list[str], target: str) -> None:
    try:
        brief = Brief(text=text, inspirations=inspirations, target=target)
    except ValidationError:
        return
    assert Brief.model_validate_json(brief.model_dump_json()) == brief
    assert len({name.lower() for name in brief.inspirations}) == len(brief.inspirations)


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


def test_repeats_counts_runs_of_words() -> None:
    assert repeats("one two three four one two three four one two three four")
    assert repeats("very very very")
    assert not repeats("one two three four five one two three four")


DESIGN = MaterialDesign(
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


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"extra": 1}, "extra"),
        ({"risks": []}, "risks"),
        ({"title": "x"}, "title"),
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

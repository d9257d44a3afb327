"""Quantities in any notation, and names and sentences of any script."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agents.documents import Property, same
from agents.units import number, quantity
from models.filling.text_kinds import sentence_end
from workspace.atlas.lookup import lookup
from workspace.letters import folded


def held(value: Any, unit: Any, name: str = "stiffness") -> tuple[float, str]:
    made = Property(name=name, value=value, unit=unit, basis="It lies between tendon and leaf tissue.")
    return made.value, made.unit


@pytest.mark.parametrize(
    ("unit", "factor", "wanted"),
    [
        ("MPA", 1, "MPa"),
        ("N/mm²", 1, "MPa"),
        ("kPa", 1e-3, "MPa"),
        ("kN/m²", 1e-3, "MPa"),
        ("МПа", 1, "MPa"),
        ("兆帕", 1, "MPa"),
        ("μm", 1, "um"),
        ("µm", 1, "um"),
        ("мкм", 1, "um"),
        ("毫米", 1, "mm"),
        ("cm", 10, "mm"),
        ("Å", 0.1, "nm"),
        ("kJ·m⁻²", 1e3, "J/m2"),
        ("kJ/m³", 1e-3, "MJ/m3"),
        ("g/cm³", 1e3, "kg/m3"),
        ("g cm^-3", 1e3, "kg/m3"),
        ("W·m⁻¹·K⁻¹", 1, "W/mK"),
        ("10⁻⁶/K", 1, "ppm/K"),
        ("vol. %", 1, "%"),
        ("٪", 1, "%"),
        ("℃", 1, "degC"),
        ("—", 1, "1"),
    ],
)
def test_a_unit_by_another_name_or_prefix(unit: str, factor: float, wanted: str) -> None:
    value, held_unit = held(1.5, unit)
    assert (value, held_unit) == (pytest.approx(1.5 * factor), wanted)


@pytest.mark.parametrize(
    ("value", "unit", "wanted"),
    [
        ("1,5", "mm", (1.5, "mm")),
        ("1,5 mm", "", (1.5, "mm")),
        ("1.234,5", "mm", (1234.5, "mm")),
        ("1,234,567.5", "1", None),
        ("2 000", "mm", (2000.0, "mm")),
        ("2\u202f000 kPa", "kPa", (2.0, "MPa")),
        ("−40 °C", "°C", (-40.0, "degC")),
        ("10^-3", "mm", (1e-3, "mm")),
        ("1,5 × 10⁻³", "mm", (1.5e-3, "mm")),
        ("2e3", "mm", (2000.0, "mm")),
        ("≈ 5", "mm", (5.0, "mm")),
        ("١٢", "mm", (12.0, "mm")),
        ("१२.५", "mm", (12.5, "mm")),
        ("１２%", "%", (12.0, "%")),
        ("0.125", "mm", (0.125, "mm")),
        (300, "K", (26.85, "degC")),
        (212, "°F", (100.0, "degC")),
    ],
)
def test_a_number_in_another_notation(value: Any, unit: str, wanted: tuple[float, str] | None) -> None:
    if wanted is None:
        with pytest.raises(ValidationError, match="less than or equal to 1000000"):
            held(value, unit)
    else:
        assert held(value, unit, "temperature") == wanted


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        ("2.000", "mm", "a thousand in one country"),
        ("2,000 mm", "mm", "a thousand in one country"),
        ("1.5 cm", "mm", "the value is in 'cm' and its unit is 'mm'"),
        ("5–10", "mm", "valid number"),
        ("10-30", "mm", "valid number"),
        ("mPa", "1", "valid number"),
        (1.5, "mPa", "Input should be"),
        (-300, "K", "-273.15 or more"),
        (-1, "kPa", "0 or more"),
    ],
)
def test_what_could_be_meant_otherwise_is_refused(value: Any, unit: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        held(value, unit, "strength")


@given(st.floats(-1e6, 1e6), st.sampled_from(["MPa", "um", "degC", "%", "1"]))
def test_a_plain_quantity_stays_as_it_is(value: float, unit: str) -> None:
    assert quantity(value, unit) == (value, unit)


@given(st.text(max_size=30))
def test_whatever_is_no_number_stays(text: str) -> None:
    try:
        found, _ = number(text)
    except ValueError as fault:
        assert "write a plain number" in str(fault)
    else:
        assert isinstance(found, float) or found == text


@pytest.mark.parametrize(("one", "other"), [("बाल", "बिल"), ("ハス", "バス"), ("ไม้", "ไม"), ("கல்", "கால்")])
def test_vowels_and_voices_tell_names_apart(one: str, other: str) -> None:
    assert same(one) != same(other)


@pytest.mark.parametrize(
    ("name", "alike"),
    [("Nácre", "nacre"), ("עֶצֶם", "עצם"), ("عَظْم", "عظم"), ("İpek", "ipek"), ("ﬁbre", "fibre"), ("ＡＢＣ", "abc")],
)
def test_accents_and_points_do_not(name: str, alike: str) -> None:
    assert folded(name) == folded(alike)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("עצם", "cortical-bone"),
        ("กระดูก", "cortical-bone"),
        ("kemik", "cortical-bone"),
        ("บใยแมงมุม", None),
        ("ใยแมงมุม", "spider-dragline-silk"),
        ("örümcek ağı", "spider-orb-web"),
        ("मकड़ी का जाल", "spider-orb-web"),
        ("बिल", None),
        ("シルク", "silkworm-silk"),
        ("tardigrade cuticle", None),
        ("polar bear hair", "polar-bear-hair"),
        ("kingfisher beak", None),
    ],
)
def test_a_name_of_any_script_means_its_material_or_none(name: str, wanted: str | None) -> None:
    found = lookup(name)
    assert (found and found.material.id) == wanted


@pytest.mark.parametrize(
    "text",
    ["It turns.[1]", "It turns.¹²", "Es dreht.【3†source】", "It turns. 🙂", "It turns.\u200b", "هل يحرف؟", "它弯。”"],
)
def test_what_ends_a_sentence(text: str) -> None:
    assert sentence_end(text)


@pytest.mark.parametrize("text", ["It turns [1]", "It turns 🙂", "它转向，", "It turns;"])
def test_what_does_not(text: str) -> None:
    assert not sentence_end(text)

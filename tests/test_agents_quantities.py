"""Quantities are read from prose as they are meant, and compared only with what can be compared."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evidence.quantities import Found, base, found, in_base, nearest, same_kind, within
from agents.units import Unit
from workspace.atlas.statements import statements
from workspace.atlas.table import atlas

UNITS = [unit for unit in get_args(Unit) if unit != "1"]
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda value: value == 0 or abs(value) > 1e-9)


def read(text: str) -> list[tuple[float, float, str]]:
    return [(pytest.approx(one.low), pytest.approx(one.high), one.unit) for one in found(text)]


def one(text: str) -> Found:
    (only,) = found(text)
    return only


@pytest.mark.parametrize(
    ("text", "low", "high", "unit"),
    [
        ("a strength of 1.1 GPa.", 1.1, 1.1, "GPa"),
        ("0.9 to 1.4 GPa", 0.9, 1.4, "GPa"),
        ("3-5 MPa", 3, 5, "MPa"),
        ("3–5 MPa", 3, 5, "MPa"),
        ("between 3 and 5 MPa", 3, 5, "MPa"),
        ("between about 3 MPa and 5 MPa", 3, 5, "MPa"),
        ("fell from 20 to 10%", 10, 20, "%"),
        ("10 %-20 %", 10, 20, "%"),
        ("900 MPa to 1.4 GPa", 0.9, 1.4, "GPa"),
        ("-5 to 5 degC", -5, 5, "degC"),
        ("-5–5 °C", -5, 5, "degC"),
        ("1.1 ± 0.1 GPa", 1.0, 1.2, "GPa"),
        ("1.1 +/- 0.1 GPa", 1.0, 1.2, "GPa"),
        ("1.1 GPa ± 100 MPa", 1000, 1200, "MPa"),
        ("5 MPa ± 1", 4, 6, "MPa"),
        ("1.5 x 10^3 MPa", 1500, 1500, "MPa"),
        ("1.5×10³ MPa", 1500, 1500, "MPa"),
        ("1.5 x 103 MPa", 1500, 1500, "MPa"),  # as PDFs give it
        ("3 to 5 times 10^4 Pa", 3e4, 5e4, "Pa"),
        ("3-5 × 10⁴ Pa", 3e4, 5e4, "Pa"),
        ("20 to 2 x 10^3 Pa", 20, 2000, "Pa"),
        ("10^-6 m", 1e-6, 1e-6, "m"),
        ("10⁻⁶ m", 1e-6, 1e-6, "m"),
        ("10-6 m", 1e-6, 1e-6, "m"),
        ("10-15 MPa", 10, 15, "MPa"),
        ("10² MPa", 100, 100, "MPa"),
        ("1.5e3 Pa", 1500, 1500, "Pa"),
        ("0,5 mm", 0.5, 0.5, "mm"),
        ("0,125 mm", 0.125, 0.125, "mm"),
        ("10,5 to 12,5 GPa", 10.5, 12.5, "GPa"),
        ("1,500 kg/m3", 1500, 1500, "kg/m3"),
        ("1 500 kg/m³", 1500, 1500, "kg/m3"),
        ("1\u202f500 kg m⁻³", 1500, 1500, "kg m-3"),
        ("1,234,567 Pa", 1_234_567, 1_234_567, "Pa"),
        ("1.234,5 MPa", 1234.5, 1234.5, "MPa"),
        ("30 per cent", 30, 30, "%"),
        ("30%", 30, 30, "%"),
        ("a fivefold rise", 5, 5, "1"),
        ("a 5-fold rise", 5, 5, "1"),
        ("70 mass percent", 70, 70, "%"),
        ("3 wt%", 3, 3, "%"),
        ("half", 0.5, 0.5, ""),
        ("−40 °C", -40, -40, "degC"),
        ("a 5 mm-thick plate", 5, 5, "mm"),
        ("5 µm", 5, 5, "um"),
        ("5 Micrometres", 5, 5, "um"),
        ("1 in 20", 0.05, 0.05, ""),
        ("One in twenty fibres", 0.05, 0.05, ""),
        ("12 Å", 12, 12, "angstrom"),
        ("23 ppm/K", 23, 23, "ppm/K"),
        ("0.2 N m-1", 0.2, 0.2, "N m-1"),
        ("5 foobars", 5, 5, ""),
    ],
)
def test_a_quantity_is_read_as_it_is_meant(text: str, low: float, high: float, unit: str) -> None:
    assert read(text) == [(low, high, unit)]


@pytest.mark.parametrize(
    ("text", "all_of_it"),
    [
        ("2 x 5 x 7 nm", [(2, 2, "nm"), (5, 5, "nm"), (7, 7, "nm")]),
        ("2 x 100 nm", [(2, 2, "nm"), (100, 100, "nm")]),
        ("1.0 or 2.0 GPa", [(1, 1, "GPa"), (2, 2, "GPa")]),
        ("3 and 5 MPa when wet and dry", [(3, 3, "MPa"), (5, 5, "MPa")]),
        ("0.5 mm and 3 layers", [(0.5, 0.5, "mm"), (3, 3, "")]),
        ("5 m and 3 MPa", [(5, 5, "m"), (3, 3, "MPa")]),
        ("150 MPa, 3 GPa", [(150, 150, "MPa"), (3, 3, "GPa")]),
        ("a share of 1 in 5, 40 nm wide", [(0.2, 0.2, ""), (40, 40, "nm")]),
        ("found 1 in 2010", [(1, 1, ""), (2010, 2010, "")]),
        ("1 in 5 mm", [(1, 1, ""), (5, 5, "mm")]),
        ("70 mm/yr at 2 °C/min or 3 mm per second", [(70, 70, ""), (2, 2, ""), (3, 3, "")]),  # no lengths, no warmth
        ("version 1.2.3 of HS-8", [(8, 8, "")]),
        ("10^999 m, 1e999 m", []),
        ("H2O and B12", []),
        ("", []),
    ],
)
def test_several_quantities_stay_apart(text: str, all_of_it: list[tuple[float, float, str]]) -> None:
    assert read(text) == all_of_it


@given(st.text() | st.text(alphabet="0123456789 .,-–±x×^eE°%/()mMPaGJ²³⁻¹infor to and per", max_size=60))
def test_no_text_is_a_fault(text: str) -> None:
    for each in found(text):
        assert each.low <= each.high < float("inf")
        assert 0 <= each.start < each.end <= len(text)


@given(NUMBERS, st.sampled_from(UNITS))
def test_what_is_written_is_read_back(value: float, unit: str) -> None:
    assert read(f"It is {value:g} {unit} there.") == [(float(f"{value:g}"),) * 2 + (unit,)]
    assert base(one(f"{value:g} {unit}")) is not None


@given(NUMBERS, NUMBERS, st.sampled_from(UNITS))
def test_a_range_is_read_back(left: float, right: float, unit: str) -> None:
    low, high = sorted((float(f"{left:.3g}"), float(f"{right:.3g}")))
    assert read(f"{low:f} to {high:f} {unit}") == [(pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6), unit)]


def test_the_figures_of_the_atlas_are_read_from_its_sentences() -> None:
    missed = []
    for material in atlas().values():
        said = [line.text for line in statements(material) if line.kind == "property"]
        for held, text in zip(material.properties, said, strict=True):
            spans = [(each.low, each.high) for each in found(text)]
            if (held.low, held.high) not in spans and "1e-" not in held.unit:
                missed.append(text)
    assert not missed


@pytest.mark.parametrize("unit", ["foobar", "furlongz", "MPa per moon"])
def test_a_unit_that_does_not_convert_compares_with_nothing(unit: str) -> None:
    strange, known = Found(1, 1, unit, 0, 1), Found(1, 1, "MPa", 0, 1)
    assert in_base(unit) is None and base(strange) is None
    for pair in ((strange, known), (known, strange), (strange, strange)):
        assert not same_kind(*pair) and not within(*pair)
    assert nearest(1, unit, known) is None and nearest(1, "MPa", strange) is None


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("150 MPa", "150 MJ/m3"),
        ("150 MPa", "150 MJ m-3"),
        ("2 N/m", "2 J/m2"),
        ("100 L/m2h", "100 m/s"),
        ("5 deg", "5 degC"),
        ("5 deg", "5"),
        ("5 mm", "5 mm2"),
        ("5 mm", "5"),
        ("300%", "30"),
        ("2 mm/s", "2 mm"),
    ],
)
def test_what_is_of_another_kind_is_never_compared(left: str, right: str) -> None:
    assert not same_kind(one(left), one(right)) and not same_kind(one(right), one(left))
    assert not within(one(left), one(right))
    assert nearest(one(left).low, one(left).unit, one(right)) is None


@pytest.mark.parametrize(
    ("claim", "known", "holds"),
    [
        ("1.1 GPa", "0.9 to 1.4 GPa", True),
        ("1100 MPa", "0.9 to 1.4 GPa", True),
        ("1.46 GPa", "0.9 to 1.4 GPa", True),  # 5% beyond
        ("1.49 GPa", "0.9 to 1.4 GPa", False),
        ("0.86 GPa", "0.9 to 1.4 GPa", True),
        ("0.8 GPa", "0.9 to 1.4 GPa", False),
        ("0.5 GPa", "0.9 to 14 GPa", False),  # a share of the value, not of the far end
        ("1.3 to 2 GPa", "0.9 to 1.4 GPa", True),
        ("30%", "0.2 to 0.35", True),
        ("0.3", "20 to 35%", True),
        ("5%", "1 in 20", True),
        ("50%", "1 in 20", False),
        ("12 Å", "1.2 nm", True),
        ("160 MJ/m3", "160 J/cm3", True),
        ("1.3 g/cm3", "1300 kg m-3", True),
        ("20 °C", "20.5 °C", True),
        ("20 °C", "30 °C", False),  # 5% is not of the absolute temperature
        ("293 K", "20 °C", True),
        ("-3 mm", "3 mm", False),
    ],
)
def test_a_value_lies_within_a_range_or_not(claim: str, known: str, holds: bool) -> None:
    assert within(one(claim), one(known)) is holds


@pytest.mark.parametrize(
    ("value", "unit", "known", "made"),
    [
        (2.0, "GPa", "0.9 to 1.4 GPa", 1.4),
        (0.1, "GPa", "0.9 to 1.4 GPa", 0.9),
        (1.0, "GPa", "0.9 to 1.4 GPa", 1.0),
        (2.0, "MPa", "0.9 to 1.4 GPa", 900.0),
        (80.0, "%", "0.2 to 0.35", 35.0),
        (50.0, "degC", "20 to 30 °C", 30.0),
        (50.0, "degC", "293.15 K", 20.0),
    ],
)
def test_the_nearest_value_is_in_the_claims_unit(value: float, unit: str, known: str, made: float) -> None:
    assert nearest(value, unit, one(known)) == pytest.approx(made)


@given(st.floats(0.001, 1e5), st.floats(0.001, 1e5), st.floats(1, 10), st.sampled_from(["MPa", "GPa"]))
def test_the_nearest_value_lies_within(value: float, low: float, factor: float, unit: str) -> None:
    known = Found(low, low * factor, "MPa", 0, 1)
    made = nearest(value, unit, known)
    assert made is not None and within(Found(made, made, unit, 0, 1), known)
    if within(Found(value, value, unit, 0, 1), known, 0.0):
        assert made == pytest.approx(value, rel=1e-5)

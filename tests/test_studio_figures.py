"""Figures as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.runs.figures import length, numeral


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.28, "0.28"), (0.00002, "0.00002"), (1240, "1,240"), (1_000_000, "1,000,000"), (123456.7, "123,457")],
)
def test_numbers_are_plain(value: float, text: str) -> None:
    assert numeral(value) == text


@pytest.mark.parametrize(
    ("micrometres", "text"),
    [(0.42, "420 nm"), (85.27, "85.3 um"), (999.4, "999 um"), (999.6, "1 mm"), (1743.2, "1.74 mm"), (3.2e6, "3.2 m")],
)
def test_lengths_are_in_the_unit_that_suits_them(micrometres: float, text: str) -> None:
    assert length(micrometres) == text


def test_units_are_spelled_as_asked() -> None:
    assert length(12, {"um": "µm"}) == "12 µm"


@given(st.floats(0, 1e12))
def test_no_figure_is_in_powers_of_ten(value: float) -> None:
    assert "e" not in numeral(value).lower() and "e" not in length(value).lower()

"""A design's density and stiffness follow from its parts; figures of its sources are taken over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evidence.figures import bounds, computed, mixture, of_sources
from tests.fixtures_evidence import SLIDE, STRENGTH, held, parts
from workspace.atlas.engineering import engineering, made_of
from workspace.atlas.statements import statements
from workspace.atlas.table import atlas

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


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("Laminated glass fibre board", "glass fibre"),
        ("stainless steel wire", "steel wire"),
        ("glass fibre reinforced concrete", "glass fibre reinforced concrete"),
        ("open-cell polyurethane foam", "polyurethane foam"),
        ("carbon fibre in an epoxy", "carbon fibre"),
    ],
)
def test_a_phrase_names_its_material(phrase: str, name: str) -> None:
    found = made_of(phrase)
    assert found is not None and found.name == name


def test_a_phrase_without_a_material_names_none() -> None:
    assert made_of("unobtainium of the second kind") is None


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

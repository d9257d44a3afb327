"""A painter's own names say a reading and are read as it; what is open is spread evenly or means what is usual."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.vocabulary import Vocabulary
from models.encoders.wishes import FIELDS, FIRST_SHARE, Names, Reading, Structure
from training.embedded.microstructures.drawing import Microstructure
from training.embedded.microstructures.wordings import JOINS as DRAWN
from training.embedded.painter.codes import NAMES, wishes
from training.embedded.painter.data import reading_of
from training.embedded.painter.pipeline_folder import vocabulary

SAID = st.fixed_dictionaries({}, optional={name: st.sampled_from(list(NAMES.fields[name])) for name in FIELDS})
FAMILIES = list(NAMES.families)


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    keys = draw(st.lists(st.sampled_from(FAMILIES), unique=True, max_size=2))
    join = draw(st.sampled_from(list(NAMES.joins))) if len(keys) == 2 else None
    return Reading(tuple(Structure(NAMES.families[key], key) for key in keys), join, draw(SAID))


@given(readings())
def test_a_reading_is_said_in_names_that_are_read_as_it(reading: Reading) -> None:
    said = NAMES.caption(reading)
    found = NAMES.read(said)
    if not said:
        assert found is None
        return
    assert found == reading and NAMES.read(said.upper().replace(", ", " ,")) == reading
    assert NAMES.caption(found) == said


@given(readings(), readings())
def test_what_one_leaves_open_another_fills(one: Reading, two: Reading) -> None:
    both = one.filled(two)
    assert both.said == {**two.said, **one.said}
    assert both.structures == (one.structures or two.structures)


@pytest.mark.parametrize(
    "text", ["", "honeycomb and more", "a chair", "gold on black, gold on black", "honeycomb, honeycomb"]
)
def test_other_words_than_its_names_are_not_read_by_them(text: str) -> None:
    assert NAMES.read(text) is None


def test_names_are_written_and_read_back() -> None:
    assert Names.of(NAMES.written()) == NAMES
    everything = [*NAMES.families.values(), *(words for values in NAMES.fields.values() for words in values.values())]
    assert not [words for words in everything if "," in words] and len(set(everything)) == len(everything)


def test_a_design_asks_in_names_that_are_read_exactly() -> None:
    table = {"vocabulary": vocabulary(), "joins": {"into": DRAWN["into"][0]}}
    words = Vocabulary.of(table)
    motifs = [row[0] for row in words.families]
    for one, two in itertools.pairwise(motifs):
        for apart, join in ((False, "over"), (True, "into")):
            read = NAMES.read(f"{words.together([one, two], apart=apart)}, gold on black, open and airy")
            assert read is not None and read.join == join and [x.words for x in read.structures] == [one, two]


def test_columns_are_those_of_what_is_drawn() -> None:
    spec = Microstructure("web", "gold", "dense", "fine", "rising", "radial", second="leaf", join="into")
    assert NAMES.row(reading_of(spec)) == pytest.approx(wishes([spec])[0].tolist())
    plain = Microstructure("bone", "coral", "open")
    assert NAMES.row(reading_of(plain)) == pytest.approx(wishes([plain])[0].tolist())


def test_what_is_open_is_spread_or_usual() -> None:
    row = NAMES.row(Reading((Structure("x", "web"), Structure("y", "leaf")), "over"))
    start = len(FAMILIES)
    assert row[FAMILIES.index("web")] == FIRST_SHARE and set(NAMES.usual) == set(FIELDS)
    for name in FIELDS:
        stop = start + len(NAMES.fields[name])
        assert row[start:stop] == [float(value == NAMES.usual[name]) for value in NAMES.fields[name]]
        start = stop
    bare = replace(NAMES, usual={})
    assert bare.row(Reading())[len(FAMILIES) : len(FAMILIES) + 6] == [pytest.approx(1 / 6)] * 6
    assert sum(NAMES.row(Reading())[: len(FAMILIES)]) == pytest.approx(1)

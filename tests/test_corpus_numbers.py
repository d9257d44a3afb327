"""No cleaning changes a number; captions go and sentences that begin like them stay; torn words and numbers join."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.corpus.characters import plain
from pipelines.corpus.cleaning import joined, mended, sections, vocabulary

RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")

DIGITS = st.integers(0, 99_999).map(str)
EXPONENT = st.integers(-40, 40).map(str)
NUMBERS = st.one_of(
    DIGITS.map(lambda one: (one, one)),
    st.tuples(DIGITS, DIGITS).map(lambda one: (f"{one[0]}.{one[1]}",) * 2),
    st.tuples(DIGITS, DIGITS).map(lambda one: (f"{one[0]},{one[1]}",) * 2),
    st.tuples(DIGITS, EXPONENT).map(lambda one: (one[0] + one[1].translate(RAISED), f"{one[0]}^{one[1]}")),
    st.tuples(DIGITS, EXPONENT).map(lambda one: (f"{one[0]}<sup>{one[1]}</sup>", f"{one[0]}^{one[1]}")),
    st.tuples(DIGITS, EXPONENT).map(
        lambda one: (f"{one[0]}\u00d710{one[1].translate(RAISED)}", f"{one[0]}\u00d710^{one[1]}")
    ),
    DIGITS.map(lambda one: (f"H{one.translate(LOWERED)}", f"H_{one}")),
    DIGITS.map(lambda one: (one.translate(WIDE), one)),
    DIGITS.map(lambda one: (f"{one}\u00bd", f"{one} 1/2")),
    st.tuples(DIGITS, DIGITS).map(lambda one: (f"{one[0]}\u2013{one[1]}",) * 2),
    st.tuples(DIGITS, DIGITS).map(lambda one: (f"{one[0]}\u00ad{one[1]}", f"{one[0]}-{one[1]}")),
    st.tuples(DIGITS, DIGITS).map(lambda one: (f"{one[0]}\u2009{one[1]}", f"{one[0]} {one[1]}")),
    st.tuples(DIGITS, DIGITS).map(lambda one: (f"{one[0]}\u00b7{one[1]}",) * 2),
    DIGITS.map(lambda one: (f"\u2212{one}",) * 2),
    DIGITS.map(lambda one: (f"{one}\u33a1", f"{one}m^2")),
    DIGITS.map(lambda one: (f"{one}\u2460", f"{one} 1")),
)


@given(st.lists(NUMBERS, min_size=1, max_size=6))
def test_no_letter_changes_a_number(numbers: list[tuple[str, str]]) -> None:
    text = "The fibres (\ufb01ne) have " + " and then ".join(given for given, _ in numbers) + " of them"
    assert plain(text) == "The fibres (fine) have " + " and then ".join(kept for _, kept in numbers) + " of them"


@given(st.lists(NUMBERS, min_size=1, max_size=6), st.data())
def test_no_line_end_changes_a_number(numbers: list[tuple[str, str]], data: st.DataObject) -> None:
    words = " and then ".join(kept for _, kept in numbers).split()
    ends = [data.draw(st.sampled_from((" ", "\n"))) for _ in words]
    page = "The samples were " + "".join(word + end for word, end in zip(words, ends, strict=True)) + "in the end."
    [part] = sections([page + " Many other words of prose stand here, so it is no equation, whatever is before it."])
    text = part.paragraphs[0][1]
    assert text.startswith("The samples were " + " ".join(words) + " in the end.")


@given(st.text(max_size=200))
def test_no_text_loses_or_joins_its_figures(text: str) -> None:
    figures = [one for one in re.findall(r"[0-9]+", text)]
    kept = re.findall(r"[0-9]+", plain(text))
    rest = iter(kept)
    assert all(one in rest for one in figures)


@pytest.mark.parametrize(
    ("lines", "whole"),
    [
        (["from 10-", "20 nm"], "from 10-20 nm"),
        (["from 10\u2013", "20 nm"], "from 10\u201320 nm"),
        (["a 3-", "dimensional net"], "a 3-dimensional net"),
        (["in 5-", "and 10-fold"], "in 5- and 10-fold"),
        (["a self-", "assembled and well-", "known net"], "a self-assembled and well-known net"),
        (
            ["a high-", "strength, low-", "density foam is high-", "lighted"],
            "a high-strength, low-density foam is highlighted",
        ),
        (["an end-", "to-end, state-", "of-the-art bond"], "an end-to-end, state-of-the-art bond"),
        (["a crys-", "talline-phase map"], "a crystalline-phase map"),
        (["the X-", "ray beam"], "the X-ray beam"),
        (["a DNA-", "based net"], "a DNA-based net"),
        (["the stress-", "strain curve of stress and of strain"], "the stress-strain curve of stress and of strain"),
        (["an under-", "standing; under a standing one"], "an understanding; under a standing one"),
        (["10", "20"], "10 20"),
    ],
)
def test_line_ends_with_hyphens(lines: list[str], whole: str) -> None:
    assert joined(lines, vocabulary(lines)) == whole


def test_soft_hyphens_join_and_hard_ones_stay() -> None:
    assert plain("nano\u00ad\ncrys\u00adtals of beta\u2011sheet, 10\u00ad20 nm, 20 \u00baC, 5\x0710") == (
        "nanocrystals of beta-sheet, 10-20 nm, 20 \u00b0C, 5 10"
    )
    assert plain("one\rtwo\r\nthree\x0bfour") == "one\ntwo\nthree four"
    assert mended("crys- tals and 10- 20", set()) == "crystals and 10- 20"


CAPTIONS = (
    "Fig. 1 Stress and strain of three fibres in air",
    "Fig. S2. Micrographs of the fibres at three magnifications",
    "Figure 3 | Distribution of the lengths of crystals",
    "Extended Data Fig. 3 | Distribution of the lengths of crystals",
    "Supplementary Table 4. Values of the fits for all of the fibres",
    "Scheme 1 Synthesis of the peptide in three steps",
    "Box 1 | The hierarchy of bone in seven levels",
    "TABLE I COMPARISON OF ALL OF THE MODELS",
    "Abb. 3: Die Faser unter dem Mikroskop in drei Ansichten",
    "**Figure 2.** SEM of the surface of the leaf",
    "Fig. 5 (a) Stress over strain for the wet samples",
    "Figs. 3 and 4. Micrographs of both of the surfaces",
    "Fig. 3a\u2013c, Images of the surface of the leaf",
    "Table S1 Parameters of the model",
    "Movie 2 Motion of the awn over a day",
)
SENTENCES = (
    "Figure 3 shows that the fibres are stiff when they are dry.",
    "Fig. 2 and the table give the values of all of the samples.",
    "Figures 3 and 4 show both of the surfaces in the same state.",
    "Figure 3A shows the surface of the leaf before it was cut.",
    "Figure 2a-c show the surface of the leaf before it was cut.",
    "Figure 3(b) shows the surface of the leaf before it was cut.",
    "Table I lists the values of all of the samples that were dry.",
    "Table 1, which lists the values, is found in the supplement.",
    "Supplementary Fig. 2 shows the values of the other samples.",
    "Tables are made of wood, which is a composite of cellulose.",
    "Box plots are given for all of the samples that were dry.",
)


@pytest.mark.parametrize("caption", CAPTIONS)
def test_captions_are_no_prose(caption: str) -> None:
    text = "The thread of a spider is spun by the animal."
    assert [part.paragraphs for part in sections([f"{text}\n\n{caption} of what was seen.\n\n{text}"])] == [
        ((1, text), (1, text))
    ]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_sentences_that_begin_with_a_figure_stay(sentence: str) -> None:
    assert [part.paragraphs for part in sections([sentence])] == [((1, sentence),)]


def test_notes_below_a_column_do_not_cut_a_sentence() -> None:
    page = "The thread of a spider is\n\n[^]: Present address of the author: a house.\n\nspun by the animal."
    [part] = sections([page])
    assert part.paragraphs == (
        (1, "The thread of a spider is spun by the animal."),
        (1, "Present address of the author: a house."),
    )

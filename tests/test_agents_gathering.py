"""What is known for a wish is looked up, numbered, and shown to a model as harmless lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.documents import Known
from agents.evidence.gathering import Amount, gathered, line, lines, principles, said_of, shown
from agents.evidence.verify import verified
from tests.fixtures_evidence import (
    BYSSUS,
    MINE,
    NACRE,
    OWN,
    QUOKKA,
    SLIDE,
    STICK,
    STRENGTH,
    WORDS,
    draft,
    held,
    paper,
    shelf,
    wish,
)
from workspace.atlas.statements import statements
from workspace.atlas.table import atlas


def test_what_is_known_is_numbered_and_each_is_about_its_source() -> None:
    found = gathered(shelf(NACRE, BYSSUS, QUOKKA), None, wish(), ["nacre", "mussel byssus"], Amount(passages=5))
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    assert {one.about for one in found if one.document == "atlas/abalone-nacre"} == {"nacre"}
    assert {one.about for one in found if one.document == "atlas/mussel-byssus"} == {"mussel byssus"}
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


@pytest.mark.parametrize(
    "said", ["Quokka fur sheds rain from the ends of its hairs.", "Quokka fur is all that is known of it."]
)
def test_of_two_that_fit_alike_a_persons_own_is_told(said: str) -> None:
    ships, own = (
        paper("sample/fur", ["Quokka fur is all that is known of it."]),
        paper("own.pdf", [said], path="/own.pdf"),
    )
    for both in ((ships, own), (own, ships)):
        found = gathered(shelf(*both), None, wish("a lamp"), ["quokka fur"], Amount(passages=2))
        assert [(one.document, one.text) for one in found] == [("own.pdf", said)]


def test_a_library_without_the_atlas_is_searched_as_well() -> None:
    found = gathered(shelf(MINE), None, wish(), ["nacre"], Amount(passages=4))
    assert [one.text for one in found] == [OWN, "The crack grows slowly there."]  # "It is white." leans on another


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
    text = "Pores < 5 µm and a pressure > 3 MPa are given; see [a] and 日本語, فارسی."
    assert shown(text) == text

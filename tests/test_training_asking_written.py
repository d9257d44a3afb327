"""What models write, read as answers: letters in every dress, words, whole options; what could be two is not read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.asking.written_answers import read_answer

OPTIONS = ("Wood", "Spider silk", "Bone", "Silk")
LETTERS = "ABCD"
DRESSES = (
    "{}", " {} ", "{}.", "{})", "({})", "[{}]", "**{}**", "*{}*.", "`{}`", "“{}”", "{}:", "({}).", "\n{}\n",
    "\\boxed{{{}}}", "$\\boxed{{{}}}$", "Answer: {}", "The answer is {}", "The answer is ({}).",
    "the correct answer is **{}**.", "The correct option is {}", "Option {}", "I would choose option {}.",
    "Answer is {} because it holds",
    "{}, because so",
    "{}\n\nIt is what holds.", "<answer>{}</answer>", "The letter is {}.", "It's {}!", "So, {}.",
)  # fmt: skip


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("letter", LETTERS)
def test_a_letter_is_read_in_every_dress(dress: str, letter: str) -> None:
    assert read_answer(dress.format(letter), LETTERS, OPTIONS) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("b", "B"), ("(c)", "C"), ("Wood", "A"), ("wood.", "A"), ("spider silk", "B"), ("Silk", "D"),
        ("B. Spider silk", "B"),        ("B) Spider silk is tough, unlike bone", "B"),
        ("It is spider silk.", "B"), ("That must be bone!", "C"),
        ("A spider makes silk, so the answer is D", "D"), ("A. Wood", "A"), ("Ｂ", "B"), ("A is correct", "A"),
        ("B is correct because it holds", "B"), ("The answer is A because wood grows", "A"),
    ],
)  # fmt: skip
def test_words_and_options_are_read(text: str, letter: str) -> None:
    assert read_answer(text, LETTERS, OPTIONS) == letter


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "?", "I do not know.", "B or C", "A or B", "A and D", "B, C", "B/C", "(A), (B)",
        "The answer is B or C",        "The answer is A or B.", "Not B", "It is not B.", "B. Wood", "wood and bone",
        "Option A says wood. Option B says silk.",
        "E", "The answer is F", "E. Steel", "A tough fibre", "None of these", "neither bone nor wood",
        "All of the above",
        "I think it depends", "The answer is not B", "B: no, it is not", "Both B and C", "B. The answer is C",
    ],
)  # fmt: skip
def test_what_could_be_several_or_none_is_not_read(text: str) -> None:
    assert read_answer(text, LETTERS, OPTIONS) == ""


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("True", "T"), ("true.", "T"), ("**True**", "T"), ("TRUE!", "T"), ("T", "T"), ("Yes.", "T"), ("(True)", "T"),
        ("False", "F"), ("false, because it is true that bone bends", "F"), ("F.", "F"), ("No", "F"),
        ("The statement is false.", "F"), ("This statement is true because silk is tough.", "T"),
        ("That is correct.", "T"),        ("That is incorrect.", "F"), ("It is not true.", "F"),
        ("Not true.", "F"), ("It isn't false", "T"),
        ("Untrue", "F"),
        ("True or false? True", "T"), ("Answer: False", "F"), ("True\n\nIt is so.", "T"), ("No, that is false.", "F"),
    ],
)  # fmt: skip
def test_verdicts_are_read(text: str, letter: str) -> None:
    assert read_answer(text, "TF") == letter


@pytest.mark.parametrize(
    "text",
    ["", "Perhaps.", "True or false", "true/false", "true and false", "It may be true or it may be false",
     "No, it is true",     "Silk is tough.", "A", "B", "correct and incorrect", "Yes no"],
)  # fmt: skip
def test_what_is_no_verdict_is_not_read(text: str) -> None:
    assert read_answer(text, "TF") == ""


def test_a_letter_that_is_another_options_text_is_not_read() -> None:
    assert read_answer("A", "AB", ("B", "A")) == ""
    assert read_answer("B", "AB", ("A", "B")) == "B"
    assert read_answer("6", "ABC", ("16", "6", "60")) == "B"
    assert read_answer("It is 60.", "ABC", ("16", "6", "60")) == "C"


@given(st.text(max_size=80), st.integers(2, 8))
def test_any_text_gives_an_offered_letter_or_none(text: str, count: int) -> None:
    options = [f"option {number}" for number in range(count)]
    letters = "ABCDEFGH"[:count]
    assert read_answer(text, letters, options) in {"", *letters}
    assert read_answer(text, "TF") in {"", "T", "F"}


@given(
    st.sampled_from("ABCD"),
    st.text(alphabet=" \n\t.*_()[]\"'`:;!#", max_size=6),
    st.text(alphabet=" \n\t.*_()[]\"'`;!#", max_size=6),
)
def test_marks_around_a_letter_change_nothing(letter: str, before: str, after: str) -> None:
    assert read_answer(f"{before}{letter}{after}", LETTERS, OPTIONS) == letter
    assert read_answer(f"{before}{letter.lower()}{after}", LETTERS, OPTIONS) == letter
    verdict = {"A": "True", "B": "False", "C": "true", "D": "false"}[letter]
    assert read_answer(f"{before}{verdict}{after}", "TF") == verdict[0].upper()


@given(
    st.permutations("ABCD"),
    st.sampled_from(["{} or {}", "{}/{}", "{} and {}", "{}, {}", "either {} or {}", "({}) or ({})"]),
)
def test_two_letters_are_no_answer(order: list[str], dress: str) -> None:
    assert read_answer(dress.format(*order), LETTERS, OPTIONS) == ""


@given(st.lists(st.text(alphabet="bcdfghjklmnpqrstvwxz", min_size=3, max_size=9), min_size=4, max_size=4, unique=True))
def test_an_options_whole_text_is_its_letter(options: list[str]) -> None:
    if set(options) & {"not", "nor"}:
        return
    for letter, option in zip(LETTERS, options, strict=True):
        assert read_answer(option, LETTERS, options) == letter
        assert read_answer(f"{letter}. {option}", LETTERS, options) == letter
        assert read_answer(f"**{option.upper()}**.", LETTERS, options) == letter
    assert read_answer(f"A. {options[1]}", LETTERS, options) == ""

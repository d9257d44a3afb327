"""What a critic says in words agrees with what it sees; its change asks for what is missing and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.documents import Sight
from agents.roles.advice import Wanted, advised, described
from agents.roles.critic import answered_by, checklist, critique_schema
from agents.vocabulary import Vocabulary

WORDS = Vocabulary.of(
    {
        "vocabulary": {"web": ["a spider orb web", "spokes"], "leaf": ["leaf venation"], "bone": ["trabecular bone"]},
        "palettes": {"gold": ["gold on black"], "indigo": ["indigo on pale blue"]},
        "densities": {"open": ["open and airy"], "medium": ["balanced"], "dense": ["dense with thick walls"]},
    }
)
NAMES = [row[0] for row in WORDS.families]
PALETTES = [row[0] for row in WORDS.palettes]
SIGHTS = st.fixed_dictionaries(
    {
        "pattern": st.sampled_from(NAMES),
        "second": st.sampled_from([*NAMES, "none"]),
        "density": st.sampled_from(["open", "medium", "dense"]),
        "palette": st.sampled_from(PALETTES),
        "gradient": st.sampled_from(["even", "to one side", "to the centre"]),
    }
)
ASKED = st.builds(
    Wanted,
    st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=2).map(tuple),
    st.sampled_from(PALETTES),
    st.sampled_from(["", "open", "medium", "dense"]),
).map(lambda one: Wanted(one.patterns, one.palette, one.density, {"": ""}.get(one.density, f"{one.density} words")))


@given(SIGHTS)
def test_the_sentence_names_what_is_seen_and_nothing_else(sees: dict[str, str]) -> None:
    said = described(sees)
    assert [name in said for name in NAMES] == [name in (sees["pattern"], sees["second"]) for name in NAMES]
    assert [name in said for name in PALETTES] == [name == sees["palette"] for name in PALETTES]
    assert ("growing" in said) == (sees["gradient"] != "even")


@given(SIGHTS, ASKED)
def test_the_change_asks_for_what_is_missing_and_never_for_what_was_not_asked_for(
    sees: dict[str, str], wanted: Wanted
) -> None:
    said, seen = advised(sees, wanted), {sees["pattern"], sees["second"]}
    missing = [name for name in wanted.patterns if name not in seen]
    if missing:
        assert missing[0] in said and not set(NAMES) - set(wanted.patterns) & {name for name in NAMES if name in said}
    elif sees["palette"] != wanted.palette:
        assert wanted.palette in said
    elif wanted.density and sees["density"] != wanted.density:
        assert wanted.full in said
    for density in {"open", "medium", "dense"} - {wanted.density}:
        assert f"{density} words" not in said


@pytest.mark.parametrize("told", ["The picture shows honeycomb and steel.", "It is nice."])
def test_a_verdict_is_put_right_whatever_a_model_says_of_it(told: str) -> None:
    made: dict[str, Any] = {"motifs": ["a spider orb web", "leaf venation"], "palette": "gold on black"}
    questions = checklist({"inspirations": []}, made, "panel")
    wanted = Wanted(tuple(made["motifs"]), made["palette"], "dense", "dense with thick walls")
    schema = critique_schema(questions, answered_by(questions, WORDS), wanted)
    sees = {
        "pattern": "a spider orb web",
        "second": "none",
        "density": "open",
        "palette": "gold on black",
        "gradient": "even",
    }
    checks = [{"question": question, "answer": "yes"} for question in questions]
    verdict = schema(sees=Sight(**sees), seen=told, checks=checks, fit=10, change="Say open and airy.")
    assert verdict.seen == described(sees)
    assert verdict.change == "Set the patterns apart: leaf venation on the left, a spider orb web on the right."
    assert [check.answer for check in verdict.checks[:2]] == ["yes", "no"]
    other = schema(sees=Sight(**{**sees, "pattern": "a ladder"}), seen=told, checks=checks, fit=10, change="Say so.")
    assert other.seen == told and other.change == "Say so."  # what it sees is none of the painter's
    free = critique_schema(questions)(sees=Sight(**sees), seen=told, checks=checks, fit=10, change="Say so.")
    assert (free.seen, free.change) == (told, "Say so.")

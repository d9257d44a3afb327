"""Votes without names on the Compare page: what is shown, what is kept, what is refused."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import studio
from ui.desk.door import FrontDoor
from ui.desk.table import ACTIONS, READERS
from ui.desk.voting import pairs
from workspace.errors import UsageError

pytestmark = pytest.mark.usefixtures("scripted_studio")


@pytest.fixture
def door(home: Path) -> FrontDoor:
    return FrontDoor()


def _made(count: int) -> list[str]:
    briefs = ("a tough panel", "a hinge", "a hinge that folds")
    return [studio.design(brief, images=2, rounds=1, seed=seed).run_id for seed, brief in enumerate(briefs[:count])]


def test_a_vote_on_pictures_shows_no_name_and_is_kept_blind(door: FrontDoor) -> None:
    names = _made(2)
    asked = {"runs": ",".join(names), "vote": "pictures"}
    html = READERS["compare"](door, asked)
    words = re.sub(r"<[^>]+>", " ", html)
    shown = re.findall(r'<img src="/pictures/([^/"]+)/', html)
    assert sorted(shown) == sorted(names)
    assert not [name for name in names if name in words] and "hinge" not in words and "weave" not in words
    reply = ACTIONS["compare/vote"](door, {**asked, "done": "0", "better": "2", "reason": " finer  veins "})
    assert reply.go == f"/compare?runs={'%2C'.join(names)}"
    [kept] = studio.feedback_list(kind=("vote",))
    assert (kept.run_id, kept.value, kept.reason) == (shown[1], "blind", "finer veins")
    assert kept.data["rejected"]["run"] == shown[0] and kept.subject.startswith("picture:")
    told = READERS["compare"](door, {"runs": ",".join(names)})
    assert "1 vote<" in told and "0 votes<" in told


def test_designs_are_voted_on_by_what_they_say(door: FrontDoor) -> None:
    names = _made(2)
    asked = {"runs": ",".join(names), "vote": "designs"}
    assert "<img" not in READERS["compare"](door, asked)
    ACTIONS["compare/vote"](door, {**asked, "better": "1"})
    [kept] = studio.feedback_list(kind=("vote",))
    assert kept.subject == "design" and kept.run_id == pairs(names, "designs")[0][0]


def test_every_pair_is_asked_once_and_what_cannot_be_told_is_no_vote(door: FrontDoor) -> None:
    names = _made(3)
    asked = {"runs": ",".join(names), "vote": "pictures"}
    for done, better in enumerate("102"):
        assert f"pair {done + 1} of 3" in READERS["compare"](door, {**asked, "done": str(done)})
        reply = ACTIONS["compare/vote"](door, {**asked, "done": str(done), "better": better})
        assert reply.go.endswith(f"&vote=pictures&done={done + 1}") == (done < 2)
    assert len(studio.feedback_list(kind=("vote",))) == 2
    assert "All pairs are answered" in READERS["compare"](door, {**asked, "done": "3"})
    with pytest.raises(UsageError, match="all pairs are answered"):
        ACTIONS["compare/vote"](door, {**asked, "done": "3", "better": "1"})


def test_what_is_no_vote_is_told(door: FrontDoor) -> None:
    names = _made(2)
    asked = {"runs": ",".join(names), "vote": "pictures"}
    with pytest.raises(UsageError, match="unknown vote 'names'"):
        READERS["compare"](door, {**asked, "vote": "names"})
    with pytest.raises(UsageError, match="unknown answer '3'"):
        ACTIONS["compare/vote"](door, {**asked, "better": "3"})
    assert studio.feedback_list() == ()


@given(names=st.lists(st.text("abc-1", min_size=1, max_size=6), min_size=2, max_size=4, unique=True))
def test_pairs_are_all_there_in_an_order_that_the_names_give(names: list[str]) -> None:
    found = pairs(names, "pictures")
    assert sorted(tuple(sorted(pair)) for pair in found) == sorted(combinations(sorted(names), 2))
    assert found == pairs(names[::-1], "pictures")

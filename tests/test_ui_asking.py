"""The form that asks for a design, without a browser: its fields, its faults, what it asks for; a fake door."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio import Pace
from studio.designs import DesignCall
from tests.fixtures_page import FakeDoor
from ui.desk.door import FrontDoor
from ui.desk.run.asking import LABELS, WORDS, amount, described, split
from ui.desk.table import ACTIONS, READERS
from workspace.errors import UsageError

BRIEF = "A light panel that stops cracks"


@pytest.fixture
def door(tmp_path: Path) -> Iterator[FakeDoor]:
    fake = FakeDoor(tmp_path)
    yield fake
    fake.close()


def ask(door: Any, **values: Any) -> Any:
    return ACTIONS["run/design"](door, {"brief": BRIEF, "program": "city", "images": "2", "rounds": "1", **values})


def test_inspirations_are_split_at_commas_of_every_script() -> None:
    assert split(" nacre, spider silk;leaf\n,") == ["nacre", "spider silk", "leaf"]
    assert split("真珠、骨") == ["真珠", "骨"]


def test_numbers_are_read_as_they_are_bounded_and_never_rounded() -> None:
    assert [amount("images", text) for text in ("", " 7 ", "64")] == [None, 7, 64]
    assert amount("adapter_scale", "0.5") == 0.5
    for text in ("a", "2.5", "1e9", "9" * 30, "0", "65", "-1"):
        with pytest.raises(UsageError, match=f"Pictures must be a whole number from 1 to 64, not '{text[:40]}'"):
            amount("images", text)
    with pytest.raises(UsageError, match="Style's strength must be a number"):
        amount("adapter_scale", "much")


def test_every_field_of_the_drawer_is_described_by_its_class() -> None:
    for name in (*WORDS, "images", "rounds", "seed"):
        assert described()[name].hint and LABELS[name]
    assert described()["images"].most == "64"
    own = {name for name in DesignCall.model_fields if name not in ("settings", "listener", "profile")}
    assert own <= set(LABELS) | {"ask", "choose"}, "an option of a design that the form lacks"


def test_what_was_filled_in_is_asked_for(door: FakeDoor) -> None:
    reply = ask(
        door,
        inspirations=["nacre, leaf", " bone "],
        seed="7",
        keep_seed="1",
        ask="1",
        size="256",
        steps="8",
        model="writer-2",
        adapter_scale="0.5",
        role_critic="seer",
        review="1",
    )
    assert reply.go == f"/?run={next(iter(door.stories))}"
    assert door.asked == [
        {
            "brief": BRIEF,
            "inspirations": ["nacre", "leaf", "bone"],
            "program": "city",
            "images": 2,
            "rounds": 1,
            "seed": 7,
            "size": 256,
            "model": "writer-2",
            "adapter": None,
            "ask": True,
            "choose": False,
            "changes": {
                "painter.steps": 8,
                "painter.adapter_scale": 0.5,
                "roles.critic.model": "seer",
                "flow.review": True,
            },
        }
    ]


def test_a_seed_that_is_not_kept_is_drawn_anew(door: FakeDoor) -> None:
    ask(door, seed="7")
    assert door.asked[0]["seed"] is None


@pytest.mark.parametrize(
    ("values", "at", "words"),
    [
        ({"brief": "  "}, "brief", "Brief is empty"),
        ({"images": "2.5"}, "images", "Pictures must be a whole number from 1 to 64, not '2.5'."),
        ({"rounds": "none"}, "rounds", "Rounds must be a whole number from 1 to 10"),
        ({"seed": "-3", "keep_seed": "1"}, "seed", "Seed must be a whole number"),
        ({"steps": "0"}, "steps", "Painting steps must be a whole number from 1 to 200"),
    ],
)
def test_a_fault_stands_at_its_field_with_its_label(door: FakeDoor, values: Any, at: str, words: str) -> None:
    reply = ask(door, **values)
    assert (reply.at, reply.go) == (at, "") and reply.error.startswith(words) and door.asked == []


@pytest.mark.parametrize(
    ("values", "at"),
    [
        ({"inspirations": "a, b, c, d, e, f, g"}, "inspirations"),
        ({"size": "100"}, "size"),
        ({"program": "none"}, "program"),
    ],
)
def test_a_fault_that_the_front_door_finds_is_brought_to_its_field(home: Path, values: Any, at: str) -> None:
    reply = ask(FrontDoor(), **{"program": "relate-and-design", **values})
    assert reply.at == at and reply.error and reply.error[0].isupper()


def test_the_form_holds_what_a_run_was_asked_for(door: FakeDoor) -> None:
    run_id = door.submit(BRIEF, inspirations=["nacre"], program="city", images=4, rounds=3, seed=77, ask=True)
    html = READERS["run/form"](door, {"run": run_id})
    assert f">{BRIEF}</textarea>" in html and 'data-name="nacre"' in html
    assert re.search(r'value="city"[^>]* selected', html)
    assert re.search(r'name="images"[^>]* value="4"', html) and re.search(r'name="rounds"[^>]* value="3"', html)
    assert re.search(r'name="seed"[^>]* value="77"', html) and re.search(r'name="ask" value="1" checked', html)
    assert re.search(r'name="model"[^>]* value="" placeholder="writer"', html)  # what holds anyway is left blank
    assert 'value="nothing"' not in READERS["run/form"](door, {"run": "nobody"})


def test_every_field_has_a_label(door: FakeDoor) -> None:
    html = READERS["run/form"](door, {})
    labels = set(re.findall(r'<label for="([^"]+)"', html))
    assert {f"ask-{name}" for name in LABELS} <= labels
    for label in LABELS.values():
        assert f">{label.replace(chr(39), '&#39;')}</label>" in html


def test_presets_say_how_long_they_take_here_once_that_is_measured(door: FakeDoor) -> None:
    assert READERS["run/form"](door, {}).count("not yet measured here") == 3
    door.known = Pace(runs=2, turn=5, design=20, prompt=2, picture=4, critique=3)
    html = READERS["run/form"](door, {})
    assert "about 40 seconds" in html and "not yet measured here" not in html
    assert re.search(r'value="balanced" data-images="2" data-rounds="1" data-review="" checked', html)
    assert "The city" not in html and "A city after nature" in html


def test_sources_are_suggested_by_name_and_by_function(door: FakeDoor) -> None:
    html = READERS["run/suggest"](door, {"words": "what stops cracks"})
    names = re.findall(r'data-name="([^"]+)"', html)
    assert "Abalone nacre" in names and "stop cracks" in html and "Barthelat" in html
    assert "Cuttlebone" in re.findall(r'data-name="([^"]+)"', READERS["run/suggest"](door, {"words": "cuttle"}))
    assert "Type a name" in READERS["run/suggest"](door, {"words": " "})
    assert "Nothing in the atlas fits" in READERS["run/suggest"](door, {"words": "zzqx <b>"})


@pytest.mark.usefixtures("scripted_studio")
def test_the_real_front_door_asks_for_what_the_form_says(home: Path) -> None:
    door = FrontDoor()
    made = ask(door, program="relate-and-design", seed="7", keep_seed="1", steps="3", role_critic="seer", review="1")
    asked = door.asked_for(made.go.removeprefix("/?run="))
    assert (asked.brief, asked.seed) == (BRIEF, 7)
    assert asked.settings["painter"]["steps"] == 3 and asked.settings["roles"]["critic"]["model"] == "seer"
    assert asked.settings["flow"]["review"] is True
    other = door.asked_for(door.again(asked.run_id))
    assert other.settings == asked.settings and other.brief == BRIEF and other.run_id != asked.run_id
    assert f">{BRIEF}</textarea>" in READERS["run/form"](door, {"run": asked.run_id})
    assert door.job(asked.run_id).state in ("queued", "running", "finished", "failed", "interrupted")
    assert "data-state" in READERS["run"](door, {"run": asked.run_id})

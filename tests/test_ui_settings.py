"""The settings' page: what is changed is written and nothing else, errors stand by their field, keys stay inside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import studio
from ui.desk.door import FrontDoor
from ui.desk.forms import FieldFault
from ui.desk.options import SECTIONS
from ui.desk.table import ACTIONS, READERS
from workspace.errors import UsageError


@pytest.fixture
def door(home: Path) -> FrontDoor:
    return FrontDoor()


@pytest.fixture
def client(home: Path) -> Iterator[Any]:
    pytest.importorskip("gradio")
    from fastapi.testclient import TestClient

    from ui.app import application

    with TestClient(application(), base_url="http://localhost") as client:
        yield client


def _flow(**changes: str) -> dict[str, str]:
    held = {"section": "flow", "program": "relate-and-design", "images": "2", "rounds": "2", "reviews": "1"}
    return held | changes


def test_only_what_was_changed_is_written_and_holds_at_once(door: FrontDoor, home: Path) -> None:
    assert "Nothing was changed" in ACTIONS["settings/save"](door, _flow()).say
    assert not (home / "studio.toml").exists()
    (home / "studio.toml").write_text("# mine\n")
    reply = ACTIONS["settings/save"](door, _flow(images="3", review="1"))
    assert (home / "studio.toml").read_text() == "# mine\n\n[flow]\nimages = 3\nreview = true\n"
    assert door.settings.flow.images == 3 and door.settings.flow.review
    html = reply.pieces["settings-flow"]
    assert "open" in html and "From your settings, line 4." in html and 'data-key="flow.images"' in html
    ACTIONS["settings/reset"](door, {"key": "flow.images"})
    assert door.settings.flow.images == 2 and "images" not in (home / "studio.toml").read_text()


def test_a_wrong_value_is_told_beside_its_field(door: FrontDoor, home: Path) -> None:
    for values, at, why in (
        (_flow(images="99"), "images", "Images must be 1 to 64"),
        (_flow(images="two"), "images", "must be a whole number"),
        (_flow(program=""), "program", "cannot be left blank"),
        ({"section": "chat", "model": "x", "server": "ftp://x"}, "server", "must begin with http"),
    ):
        with pytest.raises(FieldFault, match=why) as fault:
            ACTIONS["settings/save"](door, values)
        assert fault.value.at == at
    assert not (home / "studio.toml").exists()
    for section in ("ledger", "roles.nobody", "home", ""):
        with pytest.raises(UsageError, match="unknown section"):
            ACTIONS["settings/save"](door, {"section": section})


def test_a_blank_says_that_there_is_none(door: FrontDoor) -> None:
    rows = {row.key: row.value for row in studio.list_settings().settings}
    held = {key.partition(".")[2]: value for key, value in rows.items() if key.startswith("chat.")}
    held = {name: "" if value == "none" else value for name, value in held.items()}
    ACTIONS["settings/save"](door, {"section": "chat", **held, "adapter": ""})
    assert door.settings.chat.adapter is None


def test_what_the_environment_says_is_not_changed_here(
    door: FrontDoor, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_FLOW__IMAGES", "5")
    door.reread()
    html = READERS["settings"](door, {})
    assert "From environment: STUDIO_FLOW__IMAGES." in html
    ACTIONS["settings/save"](door, {key: value for key, value in _flow(rounds="3").items() if key != "images"})
    assert (home / "studio.toml").read_text() == "[flow]\nrounds = 3\n"


def test_a_profile_is_chosen(door: FrontDoor) -> None:
    assert "remote" in READERS["settings"](door, {})
    ACTIONS["settings/profile"](door, {"profile": "gpu"})
    assert door.settings.profile == "gpu"
    with pytest.raises(UsageError, match="unknown profile"):
        ACTIONS["settings/profile"](door, {"profile": "none such"})
    assert door.settings.profile == "gpu"
    told = READERS["settings/servers"](door, {})
    assert "http://127.0.0.1:8000/v1" in told and 'data-do="settings/test"' in told


def test_a_key_comes_in_and_never_goes_out(client: Any, home: Path) -> None:
    assert "Nothing: all models run here" in client.get("/desk/settings/servers").text
    reply = client.post("/desk/settings/key", json={"name": "MY_KEY", "key": "s3cret-s3cret"})
    assert reply.status_code == 200 and "s3cret" not in reply.text
    for piece in ("settings", "settings/servers"):
        assert "s3cret" not in client.get(f"/desk/{piece}").text
    assert "MY_KEY" in client.get("/desk/settings/servers").text
    wrong = client.post("/desk/settings/key", json={"name": "MY KEY", "key": "x"})
    assert wrong.status_code == 422 and wrong.json()["at"] == "name"
    assert client.post("/desk/settings/key", json={"name": "KEY", "key": ""}).json()["at"] == "key"
    assert "forgotten" in client.post("/desk/settings/forget", json={"name": "MY_KEY"}).json()["say"]
    assert "s3cret" not in (home / "keys.toml").read_text()


def test_a_server_that_does_not_answer_is_a_clear_verdict(door: FrontDoor) -> None:
    studio.change_settings({"chat.server": "http://me:hush@127.0.0.1:9/v1"})
    door.reread()
    html = ACTIONS["settings/test"](door, {"where": "chat"}).pieces["verdict-chat"]
    assert "cannot be reached" in html and "hush" not in html + READERS["settings/servers"](door, {})


def test_every_setting_of_a_section_has_a_field(door: FrontDoor) -> None:
    html = READERS["settings"](door, {})
    for row in studio.list_settings().settings:
        section, _, name = row.key.rpartition(".")
        if section in SECTIONS:
            assert f'id="{section}-{name}"' in html


def test_the_doctor_s_report_is_shown_with_what_is_missing(door: FrontDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    report = {
        "missing": [{"what": "<b>a server</b> is not there", "command": "start it"}], "used_bytes": 5,
        "free_bytes": 10**9,
        "devices": ["cpu"], "models": [{"model": "small", "for": "roles", "state": "/home/x/small"}], "versions": {},
    }  # fmt: skip
    told = json.dumps(report) + '\n{"error": "1 thing is missing"}\n'
    monkeypatch.setattr(FrontDoor, "command", lambda self, args, seconds, *, also=(): told)
    html = READERS["doctor"](door, {})
    assert "&lt;b&gt;a server" in html and "start it" in html and "/home/x" not in html

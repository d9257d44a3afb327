from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.doctor import examine
from studio.runs.preflight import named_models, needs
from tests.fixtures_chat import ScriptedServer
from workspace.settings import load_settings


def test_what_is_missing_comes_with_the_command_that_mends_it(home: Path) -> None:
    report = examine(settings=load_settings())
    commands = {item.command for item in report.missing}
    assert "studio models fetch smollm2-135m-instruct" in commands
    assert report.devices[0].startswith("cpu:")
    assert report.versions["python"].startswith("3.")
    assert report.free_bytes > 0
    json.dumps(report.to_json())


def test_every_setting_is_told_with_where_it_came_from(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_FLOW__IMAGES", "5")
    rows = {key: (value, origin) for key, value, origin in examine(settings=load_settings()).settings}
    assert rows["flow.images"] == ("5", "STUDIO_FLOW__IMAGES")
    assert rows["chat.server"][0] == "none"
    assert "embedded" in rows["chat.model"][1]


def test_every_server_is_asked(home: Path, openai_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "sk-right")
    openai_server.key = "sk-right"
    overrides = {"chat.server": openai_server.url, "chat.model": "tiny", "chat.api_key_env": "A_KEY"}
    report = examine(settings=load_settings("remote", overrides))
    assert report.servers == [
        (openai_server.url, "scientist, reviewer, engineer, illustrator: tiny", "answers and has the model")
    ]
    assert not [item for item in report.missing if openai_server.url in item.what]
    assert [headers["authorization"] for headers in openai_server.looks] == ["Bearer sk-right"]
    assert json.loads(json.dumps(report.to_json()))["servers"][0]["state"] == "answers and has the model"


def test_what_a_server_lacks_is_told(
    home: Path, openai_server: ScriptedServer, closed_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_KEY", raising=False)
    overrides = {
        "chat.server": openai_server.url,
        "chat.model": "absent",
        "roles.reviewer.server": closed_url,
        "roles.engineer.api_key_env": "NO_KEY",
        "roles.illustrator.server": openai_server.url.replace("//", "//me:s3cret@"),
    }
    openai_server.key = "sk-right"
    report = examine(settings=load_settings("remote", overrides))
    told = {item.what: item.command for item in report.missing}
    assert next(mend for what, mend in told.items() if "NO_KEY" in what) == "export NO_KEY=<key>"
    assert any("cannot be reached" in what and closed_url in what for what in told)
    assert any("wants a key" in what for what in told)
    openai_server.key = None
    report = examine(settings=load_settings("remote", overrides))
    assert any("has no model 'absent'; it has: tiny, other" in item.what for item in report.missing)
    assert "s3cret" not in json.dumps(report.to_json()) and "***@" in json.dumps(report.to_json())


def test_only_local_models_are_looked_for(home: Path) -> None:
    remote = load_settings("remote", {"vision.server": "http://127.0.0.1:9/v1", "vision.model": "eye"})
    assert named_models(remote) == [("painter", "studio-micro-flux")]
    assert named_models(load_settings("remote"))[:2] == [("vision", "studio-critic"), ("chat", "smollm2-135m-instruct")]
    assert [model for _, model in named_models(load_settings("gpu"))] == ["flux.1-dev", "leaf-flux-lora"]
    assert named_models(load_settings())[0] == ("chat", "smollm2-135m-instruct")


def test_a_broken_model_folder_is_found(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.py").write_text("")
    found = needs(load_settings(overrides={"chat.model": str(folder)}))
    assert found[0].problem is not None
    assert "model.py" in found[0].problem.message


def test_eyes_and_painters_are_no_chat_models(home: Path) -> None:
    for model, kind in {"studio-critic": "vision", "studio-micro-flux": "painter"}.items():
        problems = [need.problem.message for need in needs(load_settings(None, {"chat.model": model})) if need.problem]
        assert f"model {model!r} is of kind {kind}, where chat is asked for" in problems

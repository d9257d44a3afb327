from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.doctor import examine
from studio.runs.preflight import named_models, needs
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


def test_a_server_needs_its_key(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert any("OPENAI_API_KEY" in item.what for item in examine(settings=load_settings("remote")).missing)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert not any("OPENAI_API_KEY" in item.what for item in examine(settings=load_settings("remote")).missing)


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

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import studio
from models.serving.records import put
from tests.test_models_serving import record
from workspace.errors import UsageError

ASKED = {"model", "server"}
pytestmark = pytest.mark.usefixtures("scripted_studio")


def test_a_replay_says_that_all_came_out_identical(home: Path) -> None:
    run = studio.design("a tough panel", seed=5, images=2)
    result = studio.replay(run.run_id)
    assert result.identical
    assert result.design_identical
    assert result.pictures == [{"path": f"images/0{n}.png", "identical": True} for n in (1, 2)]
    assert result.replay_id != run.run_id
    assert studio.open_run(result.replay_id).status == "finished"
    assert result.to_json()["identical"] is True


def test_a_replay_says_which_picture_differs(home: Path, scripted_studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = studio.design("a tough panel", seed=5, images=2)
    paint = scripted_studio.paint

    def other(specs: Any, on_step: Any = None, on_notice: Any = None, on_preview: Any = None) -> list[Image.Image]:
        images = paint(specs, on_step)
        return [
            Image.new("RGB", image.size) if spec.seed == run.images[1].seed else image
            for spec, image in zip(specs, images, strict=True)
        ]

    monkeypatch.setattr(scripted_studio, "paint", other)
    result = studio.replay(run.run_id)
    assert not result.identical
    assert [picture["identical"] for picture in result.pictures] == [True, False]
    assert "images/02.png  DIFFERENT" in result.lines()


def test_a_replay_names_a_model_that_changed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = studio.design("a tough panel", seed=5)
    monkeypatch.setattr("models.chat.choose.describe", lambda call, home: {"model": "another"})
    assert "scientist" in studio.replay(run.run_id).changed_models


def test_a_replay_says_that_the_libraries_give_other_passages(home: Path, tmp_path: Path) -> None:
    run = studio.design("a tough panel", inspirations=["nacre"], seed=5)
    again = studio.replay(run.run_id)
    assert again.identical and not again.changed_evidence
    paper = tmp_path / "paper.md"
    paper.write_text(
        "# Tough panels\n\nNacre makes a tough panel when its tablets slide on wet films before they part.\n"
    )
    studio.library_add([paper])
    changed = studio.replay(run.run_id)
    assert changed.changed_evidence
    assert "the libraries give other passages than then" in changed.lines()


def test_a_manifest_says_how_its_server_runs_and_a_replay_whether_it_is_another(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = "http://localhost:8123/v1"
    for name, value in {"CHAT__SERVER": server, "CHAT__MODEL": "mine", "VISION__MODEL": "none"}.items():
        monkeypatch.setenv(f"STUDIO_{name}", value)
    monkeypatch.setattr("models.chat.choose.describe", lambda call, home: call.chat.model_dump(include=ASKED))
    flags = ("python", "-m", "models.serving.llama_cpp", "--port", "8123")
    mine = record(home, "mine", address="http://127.0.0.1:8123/v1", flags=flags)
    put(home, mine)
    put(home, record(home, "other", address="http://127.0.0.1:8124/v1"))
    run = studio.design("a tough panel", seed=5)
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert manifest["servers"] == {
        server: {
            **{"engine": "vllm", "version": "0.32.0", "fingerprint": "f", "models": ["mine"], "adapters": {}},
            **{"weights": "bfloat16", "in_flight": 8, "context": 64, "batch_invariant": False, "flags": list(flags)},
        }
    }
    put(home, mine.model_copy(update={"in_flight": 4, "flags": (*flags, "--threads", "1")}))
    assert studio.replay(run.run_id).changed_models == []
    put(home, mine.model_copy(update={"weights": "q8_0"}))
    assert studio.replay(run.run_id).changed_models == ["engineer", "illustrator", "reviewer", "scientist"]
    (home / "servers" / "mine.json").unlink()
    again = studio.replay(run.run_id)
    assert again.changed_models == []  # what serves the model now does not say
    assert json.loads((studio.open_run(again.replay_id).folder / "manifest.json").read_text())["servers"] == {}


def test_a_replay_gives_the_answers_that_a_person_gave(home: Path) -> None:
    run = studio.design("a tough panel", seed=5, ask=True)
    studio.resume(run.run_id, answers={"prompt": "wavy thin green lines on a gold ground"})
    studio.resume(run.run_id, answers={"approve": True})
    assert studio.replay(run.run_id).identical


def test_an_unfinished_run_is_not_replayed(home: Path) -> None:
    run = studio.design("a tough panel", seed=5, ask=True)
    with pytest.raises(UsageError, match="waiting, not finished"):
        studio.replay(run.run_id)

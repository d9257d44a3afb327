from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import studio
from workspace.errors import UsageError

pytestmark = pytest.mark.usefixtures("scripted_studio")


def test_the_report_holds_text_and_pictures(home: Path, tmp_path: Path) -> None:
    run = studio.design("a tough panel | with a bar", seed=5)
    text = studio.export(run.run_id, format="md", out=tmp_path / "report.md").read_text(encoding="utf-8")
    assert run.design is not None
    assert text.startswith(f"# {run.design.title}")
    assert "> a tough panel" in text
    assert run.design.risks[0] in text
    assert "### Scientist" in text
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)\)", text)
    assert len(pictures) == len(run.images)
    assert Image.open(io.BytesIO(base64.b64decode(pictures[0])), formats=["PNG"]).size == (64, 64)


def test_the_json_holds_everything(home: Path, tmp_path: Path) -> None:
    run = studio.design("a tough panel", seed=5)
    data = json.loads(studio.export(run.run_id, format="json", out=tmp_path / "run.json").read_text(encoding="utf-8"))
    assert data["brief"]["text"] == "a tough panel"
    assert data["manifest"]["seed"] == 5
    assert data["conversation"].startswith("# Conversation")
    assert run.to_json().items() <= data.items()


def test_the_zip_holds_every_file_and_nothing_else(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = studio.design("a tough panel", seed=5)
    path = studio.export(run.run_id, format="zip")
    assert path == tmp_path / f"{run.run_id}.zip"
    with zipfile.ZipFile(path) as archive:
        there = {str(file.relative_to(run.folder.parent)) for file in run.folder.rglob("*") if file.is_file()}
        assert set(archive.namelist()) == there
        assert archive.testzip() is None
        assert archive.read(f"{run.run_id}/design.json") == (run.folder / "design.json").read_bytes()
    first = path.read_bytes()
    assert studio.export(run.run_id, format="zip").read_bytes() == first


def test_an_unfinished_run_can_be_exported(home: Path, tmp_path: Path) -> None:
    run = studio.design("a tough panel", seed=5, ask=True)
    assert "waiting" in studio.export(run.run_id, format="md", out=tmp_path).read_text(encoding="utf-8")


def test_an_unknown_format_is_refused_with_the_choices(home: Path) -> None:
    with pytest.raises(UsageError, match="unknown format 'pdf'; choices: json, md, zip"):
        studio.export("x", format="pdf")

"""The scripts under examples/ run as they stand, with scripted models in place of real ones."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from studio.batching.shapes import SHEET

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = {"batch_from_csv.py": ("from-csv", 4), "grid.py": ("pairs", 12), "custom_program.py": ("canopies", 3)}


@pytest.fixture
def elsewhere(home: Path, scripted_studio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of its own."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def run(name: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(EXAMPLES / name), *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()]


def test_every_script_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_makes_its_designs_once(
    name: str,
    elsewhere: Path,
    scripted_studio: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, count = SCRIPTS[name]
    run(name, monkeypatch)
    made = lines(elsewhere / folder)
    assert len(made) == count and all(len(one["pictures"]) == 1 for one in made)
    assert str(Path(folder) / SHEET) in capsys.readouterr().out and (elsewhere / folder / SHEET).is_file()
    painted = len(scripted_studio.painted)
    assert painted == count
    run(name, monkeypatch)
    assert len(scripted_studio.painted) == painted and lines(elsewhere / folder) == made


def test_a_script_takes_another_file_and_folder(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / "mine.csv").write_text("id,brief\none,A quiet wall\n", encoding="utf-8")
    run("batch_from_csv.py", monkeypatch, "mine.csv", "mine")
    assert [one["id"] for one in lines(elsewhere / "mine")] == ["one"]


def test_a_design_that_fails_is_named(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "mine.csv").write_text("id,brief,program\none,A quiet wall,\ntwo,A wall,nowhere\n", encoding="utf-8")
    run("batch_from_csv.py", monkeypatch, "mine.csv", "mine")
    assert [one["id"] for one in lines(elsewhere / "mine")] == ["one"]
    assert "one: " in capsys.readouterr().out


def test_the_grid_ranks_its_pairs(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("grid.py", monkeypatch)
    said = capsys.readouterr().out
    assert said.count("MJ/m3 in 2 designs") == 6 and "spider silk + honeycomb" in said


def test_the_custom_program_is_what_the_designs_were_made_by(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("custom_program.py", monkeypatch)
    made = lines(elsewhere / "canopies")
    assert {one["options"]["program"] for one in made} == {"canopy"}
    assert [one["id"] for one in made] == ["Lisbon", "Bergen", "Quito"]
    said = (elsewhere / "canopies" / made[0]["folder"] / "conversation.md").read_text(encoding="utf-8")
    assert "light structures" in said or "canopy over a market square" in said

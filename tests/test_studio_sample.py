"""The design that comes with Studio: entered once, whole, where there is nothing else; then a run like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

import studio
from studio.wishes import sample
from workspace.errors import DataError, UsageError
from workspace.files import verify


@pytest.fixture
def packed(home: Path, scripted_studio: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> studio.Design:
    """A run, packed in place of the file that ships; what follows is in another home."""
    run = studio.design("a tough panel", inspirations=["leaf"], seed=4, images=2)
    file = tmp_path / "sample.zip"
    file.write_bytes(sample.pack(run.run_id, home))
    monkeypatch.setattr(sample, "FILE", file)
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "another"))
    return run


def test_a_home_without_work_is_given_it_once(packed: studio.Design, tmp_path: Path) -> None:
    assert studio.sample_run() == packed.run_id
    there = studio.open_run(packed.run_id)
    assert there.folder == tmp_path / "another" / "runs" / packed.run_id and verify(there.folder) == []
    assert (there.design, there.seed, there.status) == (packed.design, 4, "finished")
    assert [one.sha256 for one in there.images] == [one.sha256 for one in packed.images]
    events = list(studio.watch(packed.run_id))
    assert events[-1].type == "run_finished" and Path(events[-1].folder) == there.folder
    assert studio.sample_run() is None
    assert [one.run_id for one in studio.find_runs().runs] == [packed.run_id]
    assert studio.pace().runs == 0  # it says nothing of this machine


def test_it_is_a_run_like_any_other(packed: studio.Design) -> None:
    assert studio.sample_run() == packed.run_id
    assert studio.replay(packed.run_id).identical
    studio.bin_run(packed.run_id)
    studio.empty_bin([])
    assert studio.sample_run() is None and packed.run_id not in [one.run_id for one in studio.list_runs()]


def test_a_home_with_work_of_its_own_is_left_alone(packed: studio.Design) -> None:
    own = studio.design("a leaf", seed=1)
    assert studio.sample_run() is None
    assert [one.run_id for one in studio.list_runs()] == [own.run_id]


def test_a_half_entered_one_is_entered_whole(packed: studio.Design, tmp_path: Path) -> None:
    folder = tmp_path / "another" / "runs" / packed.run_id
    folder.mkdir(parents=True)
    (folder / "design.json").write_text("{")
    assert studio.sample_run() == packed.run_id
    assert verify(folder) == [] and studio.open_run(packed.run_id).design == packed.design


def test_only_a_finished_run_that_names_no_place_is_packed(
    home: Path, scripted_studio: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = studio.design("a tough panel", seed=5)
    (run.folder / "notes.txt").write_text(str(run.folder))
    with pytest.raises(DataError, match=r"notes\.txt of run"):
        sample.pack(run.run_id, home)
    with pytest.raises(UsageError, match="unknown run"):
        sample.pack("nothing", home)


def test_what_ships_is_a_finished_design_with_pictures_and_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "new"))
    run_id = studio.sample_run()
    assert run_id is not None
    run = studio.open_run(run_id)
    assert run.status == "finished" and run.images and run.critiques and verify(run.folder) == []
    assert run.design is not None and all(one.evidence for one in run.design.inspirations)
    assert all(studio.thumbnail(run_id, picture=image.path.name) for image in run.images)

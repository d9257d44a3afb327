"""A home as the version before the queue left it: three runs, of which one is finished, one waits, one was stopped."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

import studio
from studio.queue.claims import ledger_of
from workspace.database import connect
from workspace.errors import DataError
from workspace.files import verify
from workspace.ledger import VERSION, Ledger

FINISHED = "20261128-214645-a-light-tough-tile-that-ed95"
WAITING = "20261128-214840-a-filter-that-can-be-washed-9f60"
STOPPED = "20261128-214927-a-shade-for-a-window-2839"


@pytest.fixture
def old_home(home: Path) -> Path:
    """A copy of that home."""
    with zipfile.ZipFile(Path(__file__).parent / "home_of_version_0.zip") as archive:
        archive.extractall(home)
    return home


def test_an_old_home_opens_with_its_runs(old_home: Path) -> None:
    runs = studio.list_runs()
    assert [(run.run_id, run.status) for run in runs] == [
        (STOPPED, "interrupted"),
        (WAITING, "waiting"),
        (FINISHED, "finished"),
    ]
    assert [run.brief for run in runs][-1] == "A light, tough tile that deflects cracks"
    assert runs[0].message == "stopped by the user"
    made = studio.open_run(FINISHED)
    assert made.design is not None and made.design.title
    assert [image.path.is_file() for image in made.images] == [True]
    assert verify(made.folder) == []
    question = studio.open_run(WAITING).question
    assert question is not None and question["kind"] == "before_painting"


def test_an_old_run_is_a_job_like_any_other(old_home: Path) -> None:
    assert {(job.job_id, job.kind, job.state) for job in studio.list_jobs()} == {
        (FINISHED, "design", "finished"),
        (WAITING, "design", "waiting"),
        (STOPPED, "design", "interrupted"),
    }
    assert [event.type for event in studio.watch(FINISHED)][-1] == "run_finished"
    with ledger_of(old_home) as ledger:
        assert [row.kind for row in ledger.keys(FINISHED)][-1] == "critique"
        assert len(ledger.artifacts(FINISHED)) == 1


@pytest.mark.usefixtures("scripted_studio")
def test_an_old_run_goes_on(old_home: Path) -> None:
    assert studio.resume(WAITING, approve=True).status == "waiting"  # its pictures are painted now
    assert studio.resume(WAITING, choice="finish").status == "finished"
    studio.retry_job(STOPPED)
    assert [event.type for event in studio.watch(STOPPED)][-1] == "run_finished"


def test_a_ledger_is_made_anew_once_and_a_newer_one_is_left_alone(old_home: Path) -> None:
    for _ in range(2):
        with Ledger(old_home / "ledger.db") as ledger:
            assert len(ledger.runs()) == 3
            assert ledger.read("PRAGMA user_version") == [(VERSION,)]
    connection = connect(old_home / "ledger.db", schema="", version=VERSION)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(DataError, match="newer Studio"):
        Ledger(old_home / "ledger.db")

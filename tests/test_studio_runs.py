from __future__ import annotations

import re
from pathlib import Path

import pytest

from studio.runs.claims import held, lock_of, true_status
from studio.runs.record import new_run_id, open_run, seconds_of, summaries
from studio.runs.request import Request, prepare
from workspace.errors import UsageError
from workspace.events import RunFinished, RunStarted
from workspace.files import claim
from workspace.ledger import Ledger
from workspace.settings import load_settings


@pytest.mark.parametrize("text", ["A tough panel!", "x" * 300, "Ünïcödé ünd mehr", "../../etc/passwd", "日本"])
def test_a_run_id_is_a_plain_file_name(text: str) -> None:
    assert re.fullmatch(r"\d{8}-\d{6}-[a-z0-9-]{1,32}-[0-9a-f]{4}", new_run_id(text))


def test_seconds_are_those_of_all_sessions() -> None:
    events = [
        RunStarted(brief={}, profile="embedded", at=100.0),
        RunFinished(folder="", seconds=0, at=103.0),
        RunStarted(brief={}, profile="embedded", resumed=True, at=900.0),
        RunFinished(folder="", seconds=0, at=902.5),
    ]
    assert seconds_of(list(events)) == pytest.approx(5.5)
    assert seconds_of([]) == 0


def test_there_are_no_runs_at_first_and_none_is_made_by_looking(home: Path) -> None:
    assert summaries(load_settings()) == []
    with pytest.raises(UsageError, match="unknown run 'x'"):
        open_run("x", load_settings())
    assert list(home.iterdir()) == []


@pytest.mark.usefixtures("scripted_studio")
def test_an_unknown_run_is_answered_with_the_nearest_name(home: Path) -> None:
    made = prepare(Request("a tough panel"))
    with pytest.raises(UsageError, match=f"did you mean '{made.run_id}'"):
        open_run(made.run_id[:-1], made.settings)


@pytest.mark.usefixtures("scripted_studio")
def test_the_newest_run_comes_first(home: Path) -> None:
    made = [prepare(Request(f"panel number {index}")).run_id for index in range(3)]
    assert [row.run_id for row in summaries(load_settings())] == made[::-1]
    assert len(summaries(load_settings(), 2)) == 2


@pytest.mark.usefixtures("scripted_studio")
def test_a_dead_process_is_seen_by_its_free_lock(home: Path) -> None:
    made = prepare(Request("a tough panel"))
    lock = lock_of(home, made.run_id)
    with Ledger(home / "ledger.db") as ledger:
        row = ledger.run(made.run_id)
        assert true_status(home, row) == "running"  # it has only just been entered
        with claim(lock):
            assert held(home, made.run_id)
            assert true_status(home, row) == "running"
        lock.write_text("1234567")  # what a killed process leaves
        assert [true_status(home, row), true_status(home, row)] == ["interrupted", "interrupted"]
    assert open_run(made.run_id, made.settings).status == "interrupted"


@pytest.mark.usefixtures("scripted_studio")
def test_a_run_that_has_made_nothing_can_be_shown(home: Path) -> None:
    run = open_run(prepare(Request("a tough panel", seed=3)).run_id, load_settings())
    told = run.to_json()
    assert (told["design"], told["prompt"], told["images"], told["seed"]) == (None, None, [], 3)

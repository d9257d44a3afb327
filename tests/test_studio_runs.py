from __future__ import annotations

import re
from pathlib import Path

import pytest

from studio.queue.claims import held, ledger_of, lock_of, true_state
from studio.queue.submit import new_id
from studio.runs.record import open_run, seconds_of, summaries
from studio.runs.request import DesignOptions, prepare
from workspace.errors import UsageError
from workspace.events import RunFinished, RunStarted
from workspace.files import claim


@pytest.mark.parametrize("text", ["A tough panel!", "x" * 300, "Ünïcödé ünd mehr", "../../etc/passwd", "日本"])
def test_a_run_id_is_a_plain_file_name(text: str) -> None:
    assert re.fullmatch(r"\d{8}-\d{6}-[a-z0-9-]{1,32}-[0-9a-f]{4}", new_id(text, "design"))


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
    assert summaries(home) == []
    with pytest.raises(UsageError, match="unknown run 'x'"):
        open_run("x", home)
    assert list(home.iterdir()) == []


@pytest.mark.usefixtures("scripted_studio")
def test_an_unknown_run_is_answered_with_the_nearest_name(home: Path) -> None:
    made = prepare("a tough panel", DesignOptions())
    with pytest.raises(UsageError, match=f"did you mean '{made.run_id}'"):
        open_run(made.run_id[:-1], home)


@pytest.mark.usefixtures("scripted_studio")
def test_the_newest_run_comes_first(home: Path) -> None:
    made = [prepare(f"panel number {index}", DesignOptions()).run_id for index in range(3)]
    assert [row.run_id for row in summaries(home)] == made[::-1]
    assert len(summaries(home, 2)) == 2


@pytest.mark.usefixtures("scripted_studio")
def test_a_dead_process_is_seen_by_its_free_lock(home: Path) -> None:
    run_id = prepare("a tough panel", DesignOptions()).run_id
    lock = lock_of(home, run_id)
    with ledger_of(home) as ledger:
        assert true_state(home, ledger, run_id, "queued") == "queued"  # nobody has begun
        with claim(lock):
            assert ledger.jobs.begin(run_id, "here:1")
            assert held(lock)
            assert true_state(home, ledger, run_id, "running") == "running"
        lock.write_text("1234567")  # what a killed process leaves
        assert [true_state(home, ledger, run_id, "running") for _ in range(2)] == ["interrupted", "interrupted"]
    assert open_run(run_id, home).status == "interrupted"


@pytest.mark.usefixtures("scripted_studio")
def test_a_run_that_has_made_nothing_can_be_shown(home: Path) -> None:
    run = open_run(prepare("a tough panel", DesignOptions(seed=3)).run_id, home)
    told = run.to_json()
    assert (told["design"], told["prompt"], told["images"], told["seed"]) == (None, None, [], 3)

"""What the page learns of runs: how long steps took, what was asked for, which picture a person holds for best."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import studio
from studio.wishes.timing import Pace
from workspace.errors import UsageError
from workspace.ledger import Ledger


def test_nothing_is_known_of_an_empty_home(home: Path) -> None:
    assert studio.pace() == Pace() and studio.pace().expected(3, 2, 1) is None


@pytest.mark.usefixtures("scripted_studio")
def test_the_pace_is_the_median_of_finished_runs(home: Path) -> None:
    made = studio.design("a tough panel", images=2, rounds=1, seed=7)
    log = made.folder / "events.jsonl"
    kept = []
    for line in log.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["type"] == "step_finished":
            event["seconds"] = {"scientist": 4.0, "engineer": 20.0, "painter": 3.0}.get(event["role"], 1.0)
        kept.append(json.dumps(event, separators=(",", ":")))
    log.write_text("\n".join([*kept, "{no event", '{"type":"step_finished"}', ""]), encoding="utf-8")
    found = studio.pace()
    assert (found.runs, found.turn, found.design, found.picture) == (1, 4.0, 20.0, 3.0)
    assert found.expected(3, 2, 1) == pytest.approx(3 * 4 + 20 + (found.prompt or 0) + 2 * (3 + (found.critique or 0)))
    log.unlink()
    log.symlink_to("/etc/hostname")
    assert studio.pace().turn is None


@pytest.mark.usefixtures("scripted_studio")
def test_what_a_run_was_asked_for_is_told(home: Path) -> None:
    made = studio.design("a tough panel", inspirations=["nacre"], images=1, rounds=1, seed=7)
    asked = studio.asked_for(made.run_id)
    assert (asked.brief, asked.inspirations, asked.seed, asked.ask) == ("a tough panel", ("nacre",), 7, False)
    assert asked.turns >= 1 and asked.program and asked.settings["flow"]["images"] == 1
    with pytest.raises(UsageError, match="unknown run"):
        studio.asked_for("nobody")


@pytest.mark.usefixtures("scripted_studio")
def test_a_person_s_choice_goes_before_the_director_s(home: Path) -> None:
    made = studio.design("a tough panel", images=2, rounds=1, seed=7)
    other = next(image.index for image in made.images if image.index != made.best)
    studio.keep_picture(made.run_id, picture=other)
    assert studio.open_run(made.run_id).best == other
    with pytest.raises(UsageError, match="has no picture 9; choices: 0, 1"):
        studio.keep_picture(made.run_id, picture=9)
    studio.keep_picture(made.run_id)
    assert studio.open_run(made.run_id).best == made.best
    for damaged in ("{", "[]", '{"picture": true}'):
        (made.folder / "chosen.json").write_text(damaged)
        assert studio.open_run(made.run_id).best == made.best


@pytest.mark.usefixtures("scripted_studio")
def test_a_run_that_is_taken_up_again_does_not_repeat_an_answer(home: Path) -> None:
    run_id = studio.submit("a tough panel")
    with Ledger(home / "ledger.db") as ledger:
        ledger.jobs.cancel(run_id, "stopped")
        ledger.jobs.queue_again(run_id, {"answers": {"approve": True}})
        ledger.jobs.cancel(run_id, "stopped")
    studio.retry_job(run_id)
    with Ledger(home / "ledger.db") as ledger:
        assert ledger.jobs.job(run_id).payload.get("answers") is None


def test_sources_are_suggested_by_name_and_by_what_they_can_do() -> None:
    names: Any = [one.name for one in studio.suggest("harvest water from air", count=3)]
    assert len(names) == 3 and "Namib desert beetle back" in names
    found = studio.suggest("spider", count=4)
    assert len(found) == 4 and all("pider" in one.name for one in found)
    assert all(one.mechanism and one.source and one.why for one in found)
    assert studio.suggest("!") == [] and studio.suggest("") == []


def test_suggesting_imports_no_torch() -> None:
    code = "import sys, studio; studio.suggest('stops cracks'); studio.pace(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0

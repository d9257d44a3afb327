"""How often a job is looked at while it waits for its turn."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import studio
from studio.queue.claims import POLL, place_claimed
from studio.queue.watch import TEND


@pytest.mark.usefixtures("scripted_studio")
def test_a_job_far_from_its_turn_is_looked_at_seldom(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    with place_claimed(home, "heavy", 1):
        first, second, third = (studio.submit(f"a tough panel, number {number}") for number in range(3))

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 2:
                studio.stop_job(first)
            if len(slept) == 4:
                studio.stop_job(second), studio.stop_job(third)

        clock = SimpleNamespace(sleep=sleep, monotonic=time.monotonic, time=time.time)
        monkeypatch.setattr("studio.queue.watch.time", clock)
        places = [event.before for event in studio.watch(third) if event.type == "queued"]
    assert places == [2, 1]
    assert slept == [TEND, TEND, POLL, POLL]

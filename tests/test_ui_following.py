"""What a page says of a run that waits for its turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures_page import FakeDoor
from ui.desk.run.following import followed


@pytest.fixture
def door(tmp_path: Path) -> Iterator[FakeDoor]:
    made = FakeDoor(tmp_path)
    yield made
    made.close()


def test_the_first_look_says_how_many_go_before(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id, own = door.submit("A panel"), door.job

    def job(name: str) -> Any:
        return replace(own(name), before=4)

    monkeypatch.setattr(door, "job", job)
    view = followed(door, run_id)
    assert (view.status, view.waits_for) == ("queued", 4)

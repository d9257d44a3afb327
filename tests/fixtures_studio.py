"""The whole studio on scripted models: no model need be there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from workspace.jobs import Lane


@pytest.fixture
def workers_in_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.Thread]]:
    """Workers in threads of this process, where what a test has put in a model's place holds too."""
    from studio.queue.post import next_job
    from studio.queue.workers import start_workers
    from studio.worker import carry
    from workspace.errors import StudioError
    from workspace.settings import load_settings

    threads: list[threading.Thread] = []

    def work(home: Path, lane: Lane) -> None:
        queue = load_settings().queue
        with next_job(home, lane, queue) as row:
            if row is None:
                return
            with suppress(StudioError, KeyboardInterrupt):  # its row and its log say so
                carry(home, row)
        start_workers(home, queue)

    def start(home: Path, lane: Lane) -> None:
        threads.append(threading.Thread(target=work, args=(home, lane), name=f"worker of {lane} jobs", daemon=True))
        threads[-1].start()

    monkeypatch.setattr("studio.queue.workers._start", start)
    yield threads
    for thread in threads:
        thread.join(60)


@pytest.fixture
def scripted_studio(scripted_profile: Any, workers_in_threads: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Scripted chat models, an instant painter, workers in threads; returns the painter."""
    monkeypatch.setattr("studio.runs.preflight.needs", lambda settings: [])
    return scripted_profile

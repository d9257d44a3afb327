"""What the page asks of the front door, bound to one home. Knows `studio`; nothing of the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import studio
from workspace.options import checked

if TYPE_CHECKING:
    from studio import Design, RunSummary
    from workspace.events import Event
    from workspace.settings import Settings


@dataclass(frozen=True)
class Choices:
    """What the form offers: programs by name with their descriptions, and the numbers it starts with."""

    programs: dict[str, str]
    program: str
    images: int
    rounds: int


class Door(Protocol):
    """What the page needs of Studio. Every method raises ``StudioError`` with one clear line."""

    def choices(self) -> Choices:
        """Say what the form offers."""

    def submit(self, brief: str, **options: Any) -> str:
        """Queue a design for a worker process and return its run id; ``options`` as `studio.design` takes them."""

    def watch(self, run_id: str) -> Iterator[Event]:
        """Yield a run's events from the first on, live, until it ends."""

    def open_run(self, run_id: str) -> Design:
        """Read a run; an unknown one is a ``UsageError``."""

    def runs(self) -> list[RunSummary]:
        """List the newest runs first."""

    def stop(self, run_id: str) -> bool:
        """Ask a run's worker to stop; the run stays resumable."""

    def go_on(self, run_id: str) -> None:
        """Queue a stopped run again."""


class FrontDoor:
    """The real one.

    Args:
        settings: Settings that hold for every design asked for; by default the resolved ones.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        from workspace.settings import load_settings

        self._given = settings
        self._settings = load_settings() if settings is None else settings

    def choices(self) -> Choices:
        """Say what the form offers."""
        programs = {name: program.description for name, program in studio.programs(settings=self._settings).items()}
        flow = self._settings.flow
        return Choices(programs, flow.program, flow.images, flow.rounds)

    def submit(self, brief: str, **options: Any) -> str:
        """Queue a design for a worker process and return its run id."""
        return studio.design.queue(brief, checked(studio.design.kind, {**options, "settings": self._settings}))

    def watch(self, run_id: str) -> Iterator[Event]:
        """Yield a run's events from the first on, live, until it ends."""
        return studio.watch(run_id, settings=self._settings)

    def open_run(self, run_id: str) -> Design:
        """Read a run; an unknown one is a ``UsageError``."""
        return studio.open_run(run_id, settings=self._settings)

    def runs(self) -> list[RunSummary]:
        """List the newest runs first."""
        return studio.list_runs(limit=30, settings=self._settings)

    def stop(self, run_id: str) -> bool:
        """Ask a run's worker to stop; the run stays resumable."""
        return studio.stop_job(run_id, settings=self._settings)

    def go_on(self, run_id: str) -> None:
        """Queue a stopped run again."""
        studio.retry_job(run_id, settings=self._given)  # what is not given is read anew

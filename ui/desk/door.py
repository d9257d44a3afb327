"""What the page asks of the front door, bound to one home. Knows `studio`; nothing of the page."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import studio
from workspace.errors import Unfinished, UsageError
from workspace.options import checked

if TYPE_CHECKING:
    from pathlib import Path

    from studio import Asked, Design, JobSummary, Pace, RunSummary
    from workspace.events import Event
    from workspace.settings import Settings


@dataclass(frozen=True)
class Choices:
    """What the form offers: programs by name with their descriptions, and the numbers it starts with.

    ``turns`` says what each program asks of the Scientist; ``usual`` is what holds where a field is left blank.
    """

    programs: dict[str, str]
    program: str
    images: int
    rounds: int
    turns: dict[str, int] = field(default_factory=dict)
    usual: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Member:
    """One line of a run: its id, how it stands, in words where it parts from another."""

    run_id: str
    state: str
    words: str = ""


class Door(Protocol):
    """What the page needs of Studio. Every method raises ``StudioError`` with one clear line.

    Attributes:
        settings: What every verb is called with that has no method here.
    """

    settings: Settings

    def reread(self) -> None:
        """Take the settings as they are now; those that were given stay."""

    def choices(self) -> Choices:
        """Say what the form offers."""

    def submit(self, brief: str, *, changes: Mapping[str, Any] | None = None, **options: Any) -> str:
        """Queue a design for a worker process and return its run id.

        Args:
            brief: The wish.
            changes: Settings by dotted key, for this design alone.
            options: As `studio.design` takes them.
        """

    def again(self, run_id: str) -> str:
        """Queue what a run was asked for once more, with another seed, and return the new run's id."""

    def asked_for(self, run_id: str) -> Asked:
        """What a run was asked for; an unknown one is a ``UsageError``."""

    def pace(self) -> Pace:
        """How long designs take here."""

    def suggest(self, words: str) -> list[Any]:
        """Living materials that fit words."""

    def models(self) -> list[Any]:
        """The models of the catalogue, and whether each is here."""

    def sample(self) -> str | None:
        """The id of the design that comes with Studio, if it was entered just now."""

    def folder(self, run_id: str) -> Path:
        """Where a run's files lie."""

    def job(self, run_id: str) -> JobSummary:
        """How a run stands in the queue; an unknown one is a ``UsageError``."""

    def branch(self, run_id: str, at: str, **changes: Any) -> str:
        """Queue another line of a run that differs from a step on, and return the new run's id."""

    def family(self, run_id: str) -> list[Member]:
        """The lines of a run, the first of them first."""

    def rate(self, run_id: str, about: str, value: str, reason: str) -> None:
        """Keep an opinion, ``up``, ``down`` or taken back, on ``turn:KEY``, ``design`` or ``picture:NAME``."""

    def thumbs(self, run_id: str) -> Mapping[str, tuple[str, str]]:
        """The thumbs that were left on a run, ``up`` or ``down`` with the reason, by what they are on."""

    def chosen(self, run_id: str) -> int | None:
        """The picture of a run that a person holds for the best, by its index, if one does."""

    def keep(self, run_id: str, picture: int | None) -> None:
        """Hold a picture of a run for the best; ``None`` leaves it to the Director."""

    def watch(self, run_id: str) -> Iterator[Event]:
        """Yield a run's events from the first on, live, until it ends."""

    def open_run(self, run_id: str) -> Design:
        """Read a run; an unknown one is a ``UsageError``."""

    def runs(self) -> list[RunSummary]:
        """List the newest runs first."""

    def thumbnail(self, run_id: str, name: str, side: int) -> bytes | None:
        """A small copy of a picture that the ledger lists for a run, as WebP; nothing where there is none."""

    def command(self, args: Sequence[str], seconds: float, *, also: Sequence[int] = ()) -> str:
        """Run a command of Studio's in a process of its own and return what it says; codes ``also`` are no fault."""

    def stop(self, run_id: str) -> bool:
        """Ask a run's worker to stop; the run stays resumable."""

    def skip(self, run_id: str) -> None:
        """Leave out the rest of the pictures that a run paints just now."""

    def go_on(self, run_id: str) -> None:
        """Queue a stopped run again."""

    def answer(self, run_id: str, **answer: Any) -> bool:
        """Queue a waiting run with an answer (as `studio.resume` takes it); say whether anything was left to do."""


class FrontDoor:
    """The real one.

    Args:
        settings: Settings that hold for every design asked for; by default the resolved ones.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        from workspace.settings import load_settings

        self._given = settings
        self.settings = load_settings() if settings is None else settings

    def reread(self) -> None:
        """Take the settings as they are now; those that were given stay."""
        from workspace.settings import load_settings

        if self._given is None:
            self.settings = load_settings()

    def choices(self) -> Choices:
        """Say what the form offers."""
        found = studio.programs(settings=self.settings)
        programs = {name: program.description for name, program in found.items()}
        turns = {name: len(program.turns) for name, program in found.items()}
        flow = self.settings.flow
        return Choices(programs, flow.program, flow.images, flow.rounds, turns, _usual(self.settings))

    def submit(self, brief: str, *, changes: Mapping[str, Any] | None = None, **options: Any) -> str:
        """Queue a design for a worker process and return its run id."""
        settings = _changed(self.settings, changes) if changes else self.settings
        return studio.design.queue(brief, checked(studio.design.kind, {**options, "settings": settings}))

    def again(self, run_id: str) -> str:
        """Queue what a run was asked for once more, with another seed, and return the new run's id."""
        from studio.runs.request import connection, recorded, renewed

        asked = self.asked_for(run_id)
        settings = recorded(renewed(asked.settings, connection(self.settings)), self.settings.home)
        options = {"inspirations": asked.inspirations, "ask": asked.ask, "choose": asked.choose, "settings": settings}
        return studio.design.queue(asked.brief, checked(studio.design.kind, options))

    def asked_for(self, run_id: str) -> Asked:
        """What a run was asked for; an unknown one is a ``UsageError``."""
        return studio.asked_for(run_id, settings=self.settings)

    def pace(self) -> Pace:
        """How long designs take here."""
        return studio.pace(settings=self.settings)

    def suggest(self, words: str) -> list[Any]:
        """Living materials that fit words."""
        return studio.suggest(words, settings=self.settings)

    def models(self) -> list[Any]:
        """The models of the catalogue, and whether each is here."""
        return list(studio.list_models(settings=self.settings).models)

    def sample(self) -> str | None:
        """The id of the design that comes with Studio, which a home that never had a job is given once."""
        return studio.sample_run(settings=self.settings)

    def folder(self, run_id: str) -> Path:
        """Where a run's files lie."""
        from studio.runs.record import folder_of

        return folder_of(self.settings.home, run_id)

    def job(self, run_id: str) -> JobSummary:
        """How a run stands in the queue; an unknown one is a ``UsageError``."""
        return studio.open_job(run_id, settings=self.settings)

    def branch(self, run_id: str, at: str, **changes: Any) -> str:
        """Queue another line of a run that differs from a step on, and return the new run's id."""
        return str(studio.branch(run_id, at=at, settings=self.settings, **changes))

    def family(self, run_id: str) -> list[Member]:
        """The lines of a run, the first of them first."""
        if "family" not in studio.VERBS:
            return []
        lines = studio.family(run_id, settings=self.settings)
        return [Member(one.run_id, self.job(one.run_id).state, str(getattr(one, "at", "") or "")) for one in lines]

    def rate(self, run_id: str, about: str, value: str, reason: str) -> None:
        """Keep an opinion, ``up``, ``down`` or taken back, on ``turn:KEY``, ``design`` or ``picture:NAME``."""
        studio.feedback_add(run_id, about=about, value=value, reason=reason, settings=self.settings)

    def thumbs(self, run_id: str) -> Mapping[str, tuple[str, str]]:
        """The thumbs that were left on a run, ``up`` or ``down`` with the reason, by what they are on."""
        found = studio.feedback_list(run=run_id, kind=("thumb",), settings=self.settings)
        return {one.subject: (one.value, one.reason) for one in reversed(found)}

    def chosen(self, run_id: str) -> int | None:
        """The picture of a run that a person holds for the best, by its index, if one does."""
        from studio.runs.record import chosen

        return chosen(self.folder(run_id))

    def keep(self, run_id: str, picture: int | None) -> None:
        """Hold a picture of a run for the best; ``None`` leaves it to the Director."""
        studio.keep_picture(run_id, picture=picture, settings=self.settings)

    def watch(self, run_id: str) -> Iterator[Event]:
        """Yield a run's events from the first on, live, until it ends."""
        return studio.watch(run_id, settings=self.settings)

    def open_run(self, run_id: str) -> Design:
        """Read a run; an unknown one is a ``UsageError``."""
        return studio.open_run(run_id, settings=self.settings)

    def runs(self) -> list[RunSummary]:
        """List the newest runs first."""
        return studio.list_runs(limit=30, settings=self.settings)

    def thumbnail(self, run_id: str, name: str, side: int) -> bytes | None:
        """A small copy of a picture that the ledger lists for a run, as WebP; nothing where there is none."""
        return studio.thumbnail(run_id, picture=name, side=side, settings=self.settings)

    def command(self, args: Sequence[str], seconds: float, *, also: Sequence[int] = ()) -> str:
        """Run a command of Studio's in a process of its own and return what it says; codes ``also`` are no fault.

        Raises:
            StudioError: It failed, or took longer; the line is its own.
        """
        environment = {**os.environ, "STUDIO_HOME": str(self.settings.home), "NO_COLOR": "1", "COLUMNS": "110"}
        program = [sys.executable, "-c", "import sys; from ui.cli import main; sys.exit(main())", *args]
        try:
            done = subprocess.run(
                program, capture_output=True, text=True, timeout=seconds, env=environment, check=False
            )
        except subprocess.TimeoutExpired:
            raise Unfinished(f"it took longer than {seconds:.0f} s", hint="try it in a terminal") from None
        if done.returncode and done.returncode not in also:
            raise UsageError(_last_words(done.stderr) or f"it ended with code {done.returncode}")
        return done.stdout

    def stop(self, run_id: str) -> bool:
        """Ask a run's worker to stop; the run stays resumable."""
        return studio.stop_job(run_id, settings=self.settings)

    def skip(self, run_id: str) -> None:
        """Leave out the rest of the pictures that a run paints just now."""
        studio.skip(run_id, settings=self.settings)

    def go_on(self, run_id: str) -> None:
        """Queue a stopped run again."""
        studio.retry_job(run_id, settings=self._given)  # what is not given is read anew

    def answer(self, run_id: str, **answer: Any) -> bool:
        """Queue a waiting run with an answer (as `studio.resume` takes it); say whether anything was left to do."""
        from studio.designs import ResumeCall, queue_again

        return queue_again(run_id, checked(ResumeCall, {**answer, "settings": self._given}))


def _changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Settings with some of them changed, by dotted key."""
    from studio.runs.request import recorded, renewed

    return recorded(renewed(settings.model_dump(mode="json", exclude={"home"}), changes), settings.home)


def _usual(settings: Settings) -> dict[str, str]:
    """What holds where a field of the form is left blank."""
    painter, roles = settings.painter, settings.roles
    held = {
        "size": painter.size,
        "steps": painter.steps,
        "adapter": painter.adapter,
        "adapter_scale": painter.adapter_scale,
        "model": settings.chat.model,
        **{f"role_{name}": one.model for name, one in roles.items()},
    }
    return {name: str(value) for name, value in held.items() if value is not None}


def _last_words(text: str) -> str:
    """What a command says of its fault: its error and the hint, without the mark before them."""
    lines = [one.strip() for one in text.splitlines() if one.strip()]
    start = next((place for place, one in enumerate(lines) if one.startswith("error:")), len(lines) - 1)
    return " ".join(lines[max(0, start) :]).removeprefix("error:").strip()[:2000]

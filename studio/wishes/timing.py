"""How long designs take on this machine, learned from the finished runs of a home, and what a run was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from studio.queue.claims import has_ledger, ledger_of
from studio.runs.record import folder_of, row_of
from workspace.files import MOST_BYTES

NEWEST = 12
"""Finished runs that are learned from."""

_FINISHED = b'"type":"step_finished"'


class Pace(BaseModel):
    """What one of each takes here, in seconds, the median of finished runs; ``None`` is not measured here yet."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runs: int = Field(0, description="Finished runs that were learned from")
    turn: float | None = Field(None, description="A turn of the Scientist or the Reviewer")
    design: float | None = Field(None, description="The Engineer's writing of the design")
    prompt: float | None = Field(None, description="The Illustrator's prompt")
    picture: float | None = Field(None, description="A picture")
    critique: float | None = Field(None, description="A critique")

    def expected(self, turns: int, images: int, rounds: int) -> float | None:
        """How long a design may take at most; ``None`` before anything was measured.

        Args:
            turns: What the program asks of the Scientist.
            images: Pictures a round.
            rounds: Rounds of pictures.
        """
        if self.turn is None or self.picture is None:
            return None
        painted = images * (self.picture + (self.critique or 0.0)) + (self.prompt or 0.0)
        return turns * self.turn + (self.design or 0.0) + rounds * painted


_OF_ROLE = {
    "scientist": "turn",
    "reviewer": "turn",
    "engineer": "design",
    "illustrator": "prompt",
    "painter": "picture",
    "critic": "critique",
}


def pace(home: Path) -> Pace:
    """How long designs take on this machine, by the newest finished runs."""
    if not has_ledger(home):
        return Pace()
    with ledger_of(home, reading=True) as ledger:
        done = [row for row in ledger.jobs.designs(4 * NEWEST) if row.state == "finished"]
        ended = [row.job_id for row in done if row.attempts][:NEWEST]  # not the one that comes with Studio
    taken: dict[str, list[float]] = {}
    for run_id in ended:
        for kind, seconds in _taken(folder_of(home, run_id) / "events.jsonl"):
            taken.setdefault(kind, []).append(seconds)
    return Pace(runs=len(ended), **{kind: round(median(all_of), 2) for kind, all_of in taken.items()})


def _taken(log: Path) -> tuple[tuple[str, float], ...]:
    """What a finished run's steps took: by what they were, in seconds."""
    try:
        found = log.lstat()
    except OSError:
        return ()
    return _read(log, found.st_mtime_ns, found.st_size) if found.st_size <= MOST_BYTES else ()


@lru_cache(maxsize=256)
def _read(log: Path, _changed: int, _size: int) -> tuple[tuple[str, float], ...]:
    made = []
    for event in _events(log):
        kind, seconds = _OF_ROLE.get(str(event.get("role"))), float(event.get("seconds", 0.0))
        if kind is not None and not event.get("replayed") and seconds > 0:
            made.append((kind, seconds))
    return tuple(made)


def _events(log: Path) -> Iterator[dict[str, Any]]:
    """The events of a log that say what took how long, read in the order of the file."""
    if log.is_symlink():
        return
    for line in log.read_bytes().split(b"\n"):
        if _FINISHED in line:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event


class Asked(BaseModel):
    """What a run was asked for and how it was set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    brief: str
    inspirations: tuple[str, ...] = Field(description="The sources that its brief names")
    program: str
    turns: int = Field(description="What the program asks of the Scientist")
    seed: int
    ask: bool
    choose: bool
    settings: dict[str, Any] = Field(description="Its settings, as recorded")


def asked_for(run_id: str, home: Path) -> Asked:
    """What a run was asked for.

    Raises:
        UsageError: There is none of that id.
    """
    row = row_of(home, run_id)
    program = row.settings.get("program") or {}
    return Asked(
        run_id=run_id,
        brief=str(row.brief.get("text", "")),
        inspirations=tuple(map(str, row.brief.get("inspirations", ()))),
        program=str(program.get("name", "")),
        turns=len(program.get("turns", ())),
        seed=row.seed,
        ask=bool(row.settings.get("ask")),
        choose=bool(row.settings.get("choose")),
        settings=row.settings.get("settings") or {},
    )

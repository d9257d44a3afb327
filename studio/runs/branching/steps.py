"""The steps of a run, as its events and the ledger name them, and what of each a person may write. Changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from studio.queue.claims import ledger_of
from studio.runs.record import folder_of, row_of
from workspace.errors import UsageError, unknown
from workspace.files import MOST_BYTES

if TYPE_CHECKING:
    from workspace.ledger import Effect, RunRow

Form = Literal["text", "design", "prompt", "review"]

EDITED = "edited"
"""The kind of row that stands before an edited step: it holds what stood there before."""

FORMS: Mapping[str, Form] = {"turn": "text", "design": "design", "prompt": "prompt", "review": "review"}
"""What a person may write in a step's place, by its kind."""

REDIRECT = "redirect"
"""The kind of row that stands before a step that was made anew with a person's wish: it holds the wish."""

_NO_STEPS = ("notice", "question", "answer", EDITED, REDIRECT)
_HEEDING = ("turn", "design", "prompt")
_ROUND = re.compile(r"(?:picture|critic)/round-(\d+)/")
_STARTED = b'"type":"step_started"'


class RunStep(BaseModel):
    """One step of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(description="Its name within the run")
    role: str = Field(description="Who did it")
    label: str = Field(description="What was done, for people")
    kind: str = Field(description="What came of it, such as turn, design, prompt, picture, critique")
    seconds: float = Field(description="How long it took")
    round: int = Field(description="The round of pictures that it belongs to, from 1")
    edit: Form | None = Field(description="What a person may write in its place; none: it can be made anew alone")
    redirect: bool = Field(description="Whether it can be made anew with a wish")
    edited: bool = Field(False, description="Whether a person wrote what stands there")
    done: bool = Field(True, description="Whether anything came of it")


@dataclass(frozen=True)
class History:
    """What a run did, in order, with what was begun and came to nothing yet."""

    row: RunRow
    effects: Sequence[Effect]
    begun: Mapping[str, tuple[str, str]]

    @property
    def steps(self) -> list[RunStep]:
        """Its steps, in order; last the one that was begun and is not done."""
        edited = {one.key.partition("/")[2] for one in self.effects if one.kind == EDITED}
        found: list[RunStep] = []
        seen, over = 0, False  # the last round of which there are pictures, and whether other steps followed them
        for one in self.effects:
            if one.kind in _NO_STEPS:
                continue
            if of_round := _ROUND.match(one.key):
                seen, over = int(of_round[1]), False
            else:
                over = True
            found.append(self._step(one, max(1, seen + over), one.key in edited))
        done = {one.key for one in found}
        left = [key for key in self.begun if key not in done]
        return [*found, *(self._begun(key, seen) for key in left[-1:])]

    def step(self, key: str) -> RunStep:
        """The step of a key.

        Raises:
            UsageError: There is none; all there are are named.
        """
        steps = {one.key: one for one in self.steps}
        if key not in steps:
            raise UsageError(unknown(f"step of {self.row.run_id}", key, list(steps)))
        return steps[key]

    def before(self, key: str) -> list[Effect]:
        """What was done before a step; all, if nothing came of it yet."""
        mine = (key, f"{EDITED}/{key}", f"{REDIRECT}/{key}")
        place = next((place for place, one in enumerate(self.effects) if one.key in mine), len(self.effects))
        return list(self.effects[:place])

    def value(self, key: str) -> Any:
        """What came of a step; ``None`` if nothing did yet."""
        return next((one.value for one in self.effects if one.key == key), None)

    def _step(self, one: Effect, number: int, edited: bool) -> RunStep:
        role, label = self.begun.get(one.key, (_role(one.key), one.key))
        return RunStep(
            key=one.key,
            role=role,
            label=label,
            kind=one.kind,
            seconds=round(one.seconds, 3),
            round=number,
            edit=FORMS.get(one.kind),
            redirect=one.kind in _HEEDING,
            edited=edited,
        )

    def _begun(self, key: str, seen: int) -> RunStep:
        role, label = self.begun[key]
        of_round, kind = _ROUND.match(key), _kind(key)
        number = int(of_round[1]) if of_round else seen + 1
        return RunStep(
            key=key,
            role=role,
            label=label,
            kind=kind,
            seconds=0,
            round=number,
            edit=FORMS.get(kind),
            redirect=kind in _HEEDING,
            done=False,
        )


def _role(key: str) -> str:
    """Who does a step, by its key."""
    first = key.partition("/")[0]
    return "painter" if first == "picture" else first


def _kind(key: str) -> str:
    """What comes of a step, by its key."""
    last = key.rpartition("/")[2].partition("-")[0]
    first = key.partition("/")[0]
    known = {"candidates": "sources", "inspirations": "sources"}
    return {"picture": "picture", "critic": "critique"}.get(first) or known.get(last, last)


def history(run_id: str, home: Path) -> History:
    """What a run did.

    Raises:
        UsageError: There is none of that id.
    """
    row = row_of(home, run_id)
    with ledger_of(home, reading=True) as ledger:
        effects = ledger.effects(run_id)
    return History(row, effects, dict(_begun(folder_of(home, run_id) / "events.jsonl")))


def _begun(log: Path) -> Iterable[tuple[str, tuple[str, str]]]:
    """The steps that a run's events say were begun: key, role and label, in order."""
    if log.is_symlink() or not log.is_file() or log.stat().st_size > MOST_BYTES:
        return
    for line in log.read_bytes().split(b"\n"):
        if _STARTED not in line:
            continue
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict):
            yield str(event.get("key", "")), (str(event.get("role", "")), str(event.get("label", "")))


def steps(run_id: str, home: Path) -> list[RunStep]:
    """The steps of a run, in order, as far as it has come."""
    return history(run_id, home).steps

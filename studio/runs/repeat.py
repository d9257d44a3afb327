"""Making a run again from its own record, and saying what came out identical. Knows runs; not how a design is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.queue.claims import ledger_of
from studio.runs.record import folder_of, open_run, row_of
from workspace.errors import DataError, UsageError

if TYPE_CHECKING:
    from studio.runs.record import Design
    from studio.runs.request import Prepared
    from workspace.events import Event
    from workspace.ledger import RunRow
    from workspace.settings import QueueSettings


_OF_A_SERVED_MODEL = ("engine", "version", "fingerprint", "adapters", "weights", "batch_invariant")
"""What of a server's record makes another model of it where it differs."""


@dataclass(frozen=True)
class Replay:
    """A run and its repetition, compared."""

    run_id: str
    replay_id: str
    design_identical: bool
    pictures: list[dict[str, Any]] = field(default_factory=list)
    changed_models: list[str] = field(default_factory=list)
    changed_evidence: bool = False
    kept_before: str = ""

    @property
    def identical(self) -> bool:
        """Whether the design and every picture came out the same."""
        return self.design_identical and all(picture["identical"] for picture in self.pictures)

    def to_json(self) -> dict[str, Any]:
        """Return the one object that ``--json`` prints."""
        return {
            "run_id": self.run_id,
            "replay_id": self.replay_id,
            "identical": self.identical,
            "design_identical": self.design_identical,
            "pictures": self.pictures,
            "changed_models": self.changed_models,
            "changed_evidence": self.changed_evidence,
            "kept_before": self.kept_before,
        }

    def lines(self) -> list[str]:
        """Say it in lines for people."""
        words = {True: "identical", False: "DIFFERENT"}
        found = [f"design.json   {words[self.design_identical]}"]
        found += [f"{picture['path']}  {words[picture['identical']]}" for picture in self.pictures]
        found += [f"the model of {name} is not the one of then" for name in self.changed_models]
        found += ["the libraries give other passages than then"] if self.changed_evidence else []
        if self.kept_before:
            found.append(f"a branch: what it was given, up to {self.kept_before}, was kept and not made again")
        return [*found, f"made again as {self.replay_id}"]


def replay(run_id: str, home: Path, queue: QueueSettings, *, listener: Callable[[Event], None] | None = None) -> Replay:
    """Make a finished run again, as a run of its own, with the same seed, settings, program and answers.

    A branch is made again from the step on with which it left its parent; what it was given is given to it again.

    Raises:
        UsageError: If the run is not finished.
    """
    from studio.runs.execute import execute, execute_held

    row = row_of(home, run_id)
    if row.status != "finished":
        raise UsageError(f"run {run_id} is {row.status}, not finished", hint=f"studio resume {run_id}")
    answers = _manifest(home, row).get("answers", [])
    open_run(run_id, home)  # what cannot be compared is told before all is made anew
    _bytes(folder_of(home, run_id))
    with ExitStack() as hold:
        again = _again(row, home, queue, hold)
        made = execute_held(again, listener)
    for answer in answers[_answers_kept(home, again.run_id) :]:
        if made.status == "waiting":
            made = execute(again.run_id, home, queue, answers=answer, listener=listener)
    return _compare(home, row, made)


def _again(row: RunRow, home: Path, queue: QueueSettings, hold: ExitStack) -> Prepared:
    """Enter a run once more: from its brief, or a branch from what it was given."""
    from agents.documents import Brief
    from agents.programs import Program
    from studio.runs.branching import entering
    from studio.runs.request import enter, recorded

    record = row.settings
    settings = recorded(record["settings"], home).model_copy(update={"queue": queue})
    if entering.branch_of(record) is not None:
        return entering.again(row, settings, hold)
    return enter(
        Brief.model_validate(row.brief),
        Program.model_validate(record["program"]),
        settings,
        row.seed,
        ask=bool(record.get("ask")),
        choose=bool(record.get("choose")),
        replay_of=row.run_id,
        hold=hold,
    )


def _answers_kept(home: Path, run_id: str) -> int:
    """How many answers a run was given with its beginning, by now."""
    from studio.runs.branching.entering import branch_of

    told = branch_of(row_of(home, run_id).settings)
    with ledger_of(home, reading=True) as ledger:
        steps = ledger.keys(run_id)[: told.kept if told else 0]
    return sum(step.kind == "answer" for step in steps)


def _manifest(home: Path, row: RunRow) -> dict[str, Any]:
    path = folder_of(home, row.run_id) / "manifest.json"
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} is no manifest")
    return found


def _compare(home: Path, row: RunRow, made: Design) -> Replay:
    before = open_run(row.run_id, home)
    now = {image.path.name: image for image in made.images}
    pictures = [
        {
            "path": f"images/{image.path.name}",
            "identical": image.path.name in now and now[image.path.name].pixels_sha256 == image.pixels_sha256,
        }
        for image in before.images
    ]
    return Replay(
        run_id=row.run_id,
        replay_id=made.run_id,
        design_identical=_bytes(before.folder) == _bytes(made.folder),
        pictures=pictures,
        changed_models=_changed(_manifest(home, row), _manifest(home, row_of(home, made.run_id))),
        changed_evidence=_known(home, row.run_id) != _known(home, made.run_id),
        kept_before=str((row.settings.get("branch") or {}).get("at", "")),
    )


def _known(home: Path, run_id: str) -> dict[str, Any]:
    """What a run looked up, by its steps."""
    with ledger_of(home, reading=True) as ledger:
        steps = [step.key for step in ledger.keys(run_id) if step.kind == "evidence"]
        return {key: ledger.once(run_id, key, dict, kind="evidence")[0] for key in steps}


def _changed(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Whose model is another than it was; what served it counts where both manifests say so."""

    def served(manifest: dict[str, Any], used: dict[str, Any]) -> list[Any] | None:
        held = manifest.get("servers", {}).get(used.get("server"))
        return held and [held.get(name) for name in _OF_A_SERVED_MODEL]

    found = []
    for name, before in then.get("models", {}).items():
        after = now.get("models", {}).get(name)
        old, new = served(then, before), served(now, after or {})
        if before != after or (old and new and old != new):
            found.append(name)
    return sorted(found)


def _bytes(folder: Path) -> bytes:
    path = folder / "design.json"
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error

"""A new run that goes on from a step of another: its own id, folder and rows, with copies of what stands before it.

The pictures are copied first, then the run is entered whole, in one transaction: a branch is there, or it is not. The
other run is only read. A branch holds all that it began with, so that it can be made again when its parent is gone.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from studio.queue.claims import job_claimed, ledger_of
from studio.queue.submit import check_room, new_id
from studio.runs.branching.edits import read_edit, trigger_of
from studio.runs.branching.steps import EDITED, REDIRECT, History, RunStep, history
from studio.runs.record import folder_of, open_folder
from studio.runs.request import NOT_RECORDED, SEED_LIMIT, Prepared, connection, recorded, renewed, rooted
from workspace.errors import DataError, UsageError
from workspace.files import publish_all, read_inside
from workspace.letters import visible, whole_letters
from workspace.options import overrides, setting

if TYPE_CHECKING:
    from workspace.ledger import ArtifactRow, Effect, RunRow
    from workspace.settings import Settings

Json = dict[str, Any]
How = Literal["edited", "redirected", "retried"]


class BranchOptions(BaseModel):
    """How a run is branched; what is not given stays as it is in the run that it goes on from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: str = Field(max_length=200, description="The step to change, by its key, such as engineer/design-1")
    edit: str | dict[str, Any] | None = Field(
        None, description="What stands in its place: text, or fields of its document as JSON; none: it is made anew"
    )
    redirect: str | None = Field(
        None,
        min_length=3,
        max_length=1000,
        description="A sentence that says what shall be otherwise; the step is made anew with it",
    )
    seed: int | None = Field(
        None,
        ge=0,
        le=SEED_LIMIT - 1,
        description="What all that is made anew starts from; else the run's own with an edit, and another without",
    )
    images: int | None = setting("flow.images")
    rounds: int | None = setting("flow.rounds")
    size: int | None = setting("painter.size")
    adapter: str | None = setting("painter.adapter")
    adapter_scale: float | None = setting("painter.adapter_scale")


class Branch(BaseModel):
    """What a run's row and manifest say of where it comes from."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    root: str = Field(description="The run that all of the family go back to")
    parent: str = Field(description="The run that it goes on from")
    at: str = Field(description="The step that is another, by its key")
    how: How = Field(description="A person wrote it, or it was made anew")
    kept: int = Field(description="Effects that it was given")


@dataclass(frozen=True)
class _Beginning:
    """What a new run is entered with."""

    row: RunRow
    record: Json
    seed: int
    effects: Sequence[Effect]
    artifacts: Sequence[ArtifactRow]


def branch_of(settings: Mapping[str, Any]) -> Branch | None:
    """Where a run comes from, by what its row holds of how it is made; ``None`` if it is no branch."""
    told = settings.get("branch")
    return Branch.model_validate(told) if isinstance(told, dict) else None


def kept_answer(question: str, prompts: int) -> str:
    """The key of an answer that a branch was given: by the question, for no two of a run are alike."""
    return f"answer/{question}/{prompts}"


def branch(run_id: str, options: BranchOptions, using: Settings, hold: ExitStack | None = None) -> Prepared:
    """Enter a new run that goes on from a step of another, queued.

    Args:
        run_id: The run to go on from; it need not be finished.
        options: Which step, and what is other.
        using: The settings of now: home, queue, and how servers are reached.
        hold: Takes the new run's lock before anybody can see it; without it, whoever works next takes it.

    Raises:
        UsageError: There is no such run or step, or what is asked for does not fit what is kept.
        DataError: A picture that is kept is damaged.
    """
    past = history(run_id, using.home)
    step, before = past.step(options.at), past.before(options.at)
    settings = _settings(past.row, options, using)
    _check(past, step, before, options, settings)
    effects = _kept(before)
    how: How = "retried"
    if options.edit is not None:
        effects += _edited(past, step, read_edit(step, options.edit, past.value(step.key), settings))
        how = "edited"
    elif options.redirect is not None:
        effects.append(_redirected(step, options.redirect))
        how = "redirected"
    told = branch_of(past.row.settings)
    come_from = Branch(
        root=told.root if told else run_id,
        parent=run_id,
        at=step.key,
        how=how,
        kept=len(effects),
    )
    record = past.row.settings | {
        "settings": settings.model_dump(mode="json", exclude=NOT_RECORDED),
        "replay_of": None,
        "branch": come_from.model_dump(mode="json"),
    }
    seed = _seed(past.row.seed, options)
    artifacts = _artifacts(using.home, run_id, effects)
    return _enter(_Beginning(past.row, record, seed, effects, artifacts), settings, hold)


def again(row: RunRow, settings: Settings, hold: ExitStack | None = None) -> Prepared:
    """Enter a branch once more, with the same beginning, to be made again.

    Args:
        row: The branch's.
        settings: Its own, with the queue of now.
        hold: See `branch`.
    """
    told = branch_of(row.settings)
    assert told is not None  # the caller asked
    effects = history(row.run_id, settings.home).effects[: told.kept]
    artifacts = _artifacts(settings.home, row.run_id, effects)
    record = row.settings | {"replay_of": row.run_id}
    return _enter(_Beginning(row, record, row.seed, effects, artifacts), settings, hold)


def _settings(row: RunRow, options: BranchOptions, using: Settings) -> Settings:
    """The settings of the run that is gone on from, with the options, and servers as they are reached now."""
    data = renewed(row.settings["settings"], connection(using))
    for key, value in overrides(options).items():
        section, name = key.split(".")
        data[section][name] = value
    return rooted(recorded(data, using.home).model_copy(update={"queue": using.queue}))


def _seed(parents: int, options: BranchOptions) -> int:
    if options.seed is not None:
        return options.seed
    if options.edit is not None:
        return parents
    drawn = secrets.randbelow(SEED_LIMIT - 1)
    return drawn if drawn < parents else drawn + 1


def _check(past: History, step: RunStep, before: Sequence[Effect], options: BranchOptions, settings: Settings) -> None:
    """Raise where a change does not fit what is kept, or two do not go together."""
    if options.edit is not None and options.redirect is not None:
        raise UsageError("give an edit or a redirect, not both")
    held = past.row.settings["settings"]
    painted = any(one.kind == "picture" for one in before)
    if painted and settings.flow.images != held["flow"]["images"]:
        first = next(one.key for one in past.steps if one.kind == "picture")
        raise UsageError(
            f"images must stay {held['flow']['images']}: the branch keeps pictures of rounds of so many",
            hint=f"branch at {first} or before",
        )
    if options.rounds is not None and options.rounds < step.round:
        raise UsageError(f"rounds must be {step.round} or more, not {options.rounds}: {step.key} is of that round")
    if step.kind == "picture" and settings.painter.adapter != held["painter"]["adapter"]:
        prompt, trigger = next(one for one in reversed(before) if one.kind == "prompt"), trigger_of(settings)
        if trigger and trigger not in prompt.value["short"]:
            raise UsageError(
                f"the prompt that is kept lacks the adapter's words {trigger}", hint=f"branch at {prompt.key} or before"
            )


def _kept(before: Sequence[Effect]) -> list[Effect]:
    """Copies of what was done; answers go by the question that they were given to, which keeps its name."""
    made, asked = [], ""
    for one in before:
        if one.kind == "question":
            asked = one.key.partition("/")[2]
        made.append(replace(one, key=f"answer/{asked}") if one.kind == "answer" else one)
    return made


def _edited(past: History, step: RunStep, value: Any) -> list[Effect]:
    """The step as a person wrote it, behind a row that holds what a model had written there."""
    from workspace.ledger import Effect

    mark = f"{EDITED}/{step.key}"
    first = past.value(mark)
    was = past.value(step.key) if first is None else first["before"]
    now = time.time()
    return [
        Effect(mark, EDITED, now, 0.0, {"before": was}),
        Effect(step.key, step.kind, now, 0.0, value),
    ]


def _redirected(step: RunStep, wish: str) -> Effect:
    """A person's wish for a step that is made anew."""
    from workspace.ledger import Effect

    text = whole_letters(wish.strip())
    if not visible(text):
        raise UsageError("the redirect is empty; say what shall be otherwise")
    if not step.redirect:
        raise UsageError(f"step {step.key} heeds no wish", hint="leave out the redirect, and it is made anew")
    return Effect(f"{REDIRECT}/{step.key}", REDIRECT, time.time(), 0.0, {"wish": text})


def _artifacts(home: Path, run_id: str, effects: Sequence[Effect]) -> list[ArtifactRow]:
    """What the ledger holds of the pictures that are kept."""
    paths = [one.value["path"] for one in effects if one.kind == "picture" and one.value.get("path")]
    with ledger_of(home, reading=True) as ledger:
        there = {one.path: one for one in ledger.artifacts(run_id)}
    if lost := next((path for path in paths if path not in there), None):
        raise DataError(f"the ledger does not list {lost}, which {run_id} painted")
    return [there[path] for path in paths]


def _enter(beginning: _Beginning, settings: Settings, hold: ExitStack | None) -> Prepared:
    """Copy the pictures, then enter the run with all that it begins with."""
    from studio.runs.preflight import check_models

    check_models(settings)
    check_room(settings.home, settings.queue)
    row, home = beginning.row, settings.home
    run_id = new_id(str(row.brief.get("text", "")), "design")
    folder = folder_of(home, run_id)
    if hold is not None:
        hold.enter_context(job_claimed(home, run_id))
    theirs = folder_of(home, row.run_id)
    pictures = {one.path: read_inside(theirs, one.path, sha256=one.sha256) for one in beginning.artifacts}
    try:
        publish_all(folder, pictures)
        with ledger_of(home) as ledger:
            ledger.create_run(
                run_id,
                row.brief,
                beginning.record,
                beginning.seed,
                str(folder),
                effects=beginning.effects,
                artifacts=beginning.artifacts,
            )
    except BaseException:
        with ledger_of(home, reading=True) as ledger:
            entered = ledger.read("SELECT 1 FROM runs WHERE run_id = ?", run_id)
        if not entered:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    with ledger_of(home, reading=True) as ledger:
        open_folder(home, ledger.run(run_id))
    return Prepared(run_id, settings)

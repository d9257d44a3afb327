"""Typed progress: what training, merging, evaluating, reading, distilling and downloading say while they go on.

Knows the shapes; never who makes or shows them. Designs have events of their own in `workspace.events`, which joins
the two in one log. ``stage`` is the name of a recipe's stage, empty for work that stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

OFTEN = 0.5
"""Seconds between two events of how far one wait is, at least."""


class Stamped(BaseModel):
    """Fields every event has; ``seq`` counts within a run and ``at`` is Unix time in seconds, set by the log."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    run_id: str = ""
    seq: int = 0
    at: float = 0.0


class _Progress(Stamped):
    stage: str = ""


class StageStarted(_Progress):
    """A stage began; ``doing`` is a word for people, such as ``training``, ``merging`` or ``reading``."""

    type: Literal["stage_started"] = "stage_started"
    doing: str


class StageFinished(_Progress):
    """A stage is done; ``made`` is false where it was done before and nothing had to be."""

    type: Literal["stage_finished"] = "stage_finished"
    made: bool = True


class Waiting(_Progress):
    """Something began that may take more than a second and says nothing itself meanwhile.

    ``doing`` names it for people: "reading the painter studio-micro-flux, 22 MB". With ``of`` it goes on, and so many
    ``bytes`` of so many are done; ``left_s`` are seconds. With ``done`` it has ended.
    """

    type: Literal["waiting"] = "waiting"
    doing: str
    done: bool = False
    bytes: int = 0
    of: int = 0
    left_s: float | None = None


class RowsPrepared(_Progress):
    """A stage's rows are tokenised; ``truncated`` is the share that is cut, ``left_out`` says which are not used."""

    type: Literal["rows_prepared"] = "rows_prepared"
    rows: int
    tokens: int
    truncated: float
    left_out: str = ""


class TrainingStep(_Progress):
    """A logged step of any training. ``left_s`` are seconds; rates are a second; what is not known is ``None``."""

    type: Literal["training_step"] = "training_step"
    step: int
    of: int
    loss: float
    epoch: float | None = None
    learning_rate: float | None = None
    held_out: float | None = None
    tokens_s: float | None = None
    pictures_s: float | None = None
    mfu: float | None = None
    seconds_a_step: float | None = None
    left_s: float | None = None


class DocumentRead(_Progress):
    """A document of a corpus was read, or skipped for the reason ``why``."""

    type: Literal["document_read"] = "document_read"
    document: str
    documents: int
    of: int
    why: str = ""


class VectorsMade(_Progress):
    """So many passages of a library are found by meaning too; ``left_s`` are seconds."""

    type: Literal["vectors_made"] = "vectors_made"
    passages: int
    of: int
    left_s: float | None = None


class PassageDistilled(_Progress):
    """A passage was distilled into rows, or gave none for the reason ``why``; ``rows`` counts all so far."""

    type: Literal["passage_distilled"] = "passage_distilled"
    passage: str
    passages: int
    of: int
    rows: int
    per_minute: float
    left_s: float
    why: str = ""


class QuestionsAnswered(_Progress):
    """So many questions of an evaluation were answered by a model."""

    type: Literal["questions_answered"] = "questions_answered"
    model: str
    answered: int
    of: int


class BatchProgress(_Progress):
    """How a batch stands: so many items done, being made, failed, waiting, of so many.

    ``tokens_s`` (written) and ``pictures_s`` are those of the last minute, ``left_s`` are seconds; what is not known is
    ``None``.
    """

    type: Literal["batch_progress"] = "batch_progress"
    done: int
    running: int
    failed: int
    waiting: int
    of: int
    tokens_s: float | None = None
    pictures_s: float | None = None
    left_s: float | None = None


class Downloaded(_Progress):
    """So many bytes of a file have come; ``of`` is 0 where its length is not known."""

    type: Literal["downloaded"] = "downloaded"
    file: str
    bytes: int
    of: int


class Remark(_Progress):
    """Something a person should know that is no error: a picture left out, a few words of a new variant."""

    type: Literal["remark"] = "remark"
    text: str


Progress = Annotated[
    StageStarted
    | StageFinished
    | Waiting
    | RowsPrepared
    | TrainingStep
    | DocumentRead
    | VectorsMade
    | PassageDistilled
    | QuestionsAnswered
    | BatchProgress
    | Downloaded
    | Remark,
    Field(discriminator="type"),
]

PROGRESS: TypeAdapter[Progress] = TypeAdapter(Progress)

Tell = Callable[[Progress], None]
"""Whoever works calls it with every event of progress."""


def silent(event: Progress) -> None:
    """Tell nobody."""


def in_stage(tell: Tell, stage: str) -> Tell:
    """Tell on, with the name of the recipe's stage put on every event."""

    def named(event: Progress) -> None:
        tell(event.model_copy(update={"stage": stage}))

    return named


_LISTENER: ContextVar[Callable[[Any], object]] = ContextVar("listener", default=silent)


@contextmanager
def progress_to(tell: Callable[[Any], object]) -> Iterator[None]:
    """Within the block, and in what it calls, every `waiting` is told to ``tell``."""
    token = _LISTENER.set(tell)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def say(event: Progress) -> None:
    """Tell an event to whom `progress_to` names."""
    _LISTENER.get()(event)


@contextmanager
def waiting(doing: str, of: int = 0) -> Iterator[Callable[[int], None]]:
    """Say what the block does before it begins, how far it is, and that it ended, to whom `progress_to` names.

    Args:
        doing: What it does, in words.
        of: How many bytes it goes through, where that is known.

    Yields:
        To be called with how many bytes more are done; told are those that come `OFTEN` enough after the last.
    """
    tell = _LISTENER.get()
    began = told = monotonic()
    gone = 0

    def add(count: int) -> None:
        nonlocal told, gone
        gone = min(gone + count, of)
        now = monotonic()
        if gone and now - told >= OFTEN:
            told = now
            tell(Waiting(doing=doing, bytes=gone, of=of, left_s=(now - began) * (of - gone) / gone))

    tell(Waiting(doing=doing))
    try:
        yield add
    finally:
        tell(Waiting(doing=doing, done=True))


def amount(count: int) -> str:
    """Bytes in words."""
    for unit, length, digits in (("GB", 1e9, 1), ("MB", 1e6, 0)):
        if count >= length:
            return f"{count / length:.{digits}f} {unit}"
    return f"{-(-count // 1000)} kB"


def weighed(*places: Path) -> str:
    """The names of models and adapters that are read together, and how large their weights are."""
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*.safetensors"))]
    names = " with ".join(place.name for place in places)
    return f"{names}, {amount(sum(file.stat().st_size for file in files))}"

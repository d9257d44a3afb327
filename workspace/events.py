"""Typed events: what a design, or any job, says while it goes on. Knows shapes; never who makes or shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from workspace.progress import (
    BatchProgress,
    DocumentRead,
    Downloaded,
    PassageDistilled,
    QuestionsAnswered,
    Remark,
    RowsPrepared,
    StageFinished,
    StageStarted,
    Stamped,
    TrainingStep,
    VectorsMade,
    Waiting,
)


class RunStarted(Stamped):
    """A run began (``resumed`` says whether it went on from an earlier stop)."""

    type: Literal["run_started"] = "run_started"
    brief: dict[str, Any]
    profile: str
    resumed: bool = False


class StepStarted(Stamped):
    """A role began a step. ``key`` names the step within the run; ``label`` is for people."""

    type: Literal["step_started"] = "step_started"
    role: str
    key: str
    label: str


class Token(Stamped):
    """A piece of text that a role is writing just now (several tokens may come together)."""

    type: Literal["token"] = "token"
    role: str
    key: str
    text: str


class StepFinished(Stamped):
    """A role finished a step; ``text`` is what it said, for people. ``replayed``: taken from the ledger."""

    type: Literal["step_finished"] = "step_finished"
    role: str
    key: str
    text: str
    seconds: float = 0.0
    replayed: bool = False


class DesignReady(Stamped):
    """The structured design as plain JSON data."""

    type: Literal["design_ready"] = "design_ready"
    design: dict[str, Any]
    repairs: int = 0


class PromptReady(Stamped):
    """An image prompt as plain JSON data (``long``, ``short``, ``motifs``, ``palette``)."""

    type: Literal["prompt_ready"] = "prompt_ready"
    prompt: dict[str, Any]
    round: int


class PictureProgress(Stamped):
    """One denoising step done, counted over all pictures of the round."""

    type: Literal["picture_progress"] = "picture_progress"
    round: int
    step: int
    steps: int


class PicturePreview(Stamped):
    """How a picture looks by now, while it is painted; ``path`` is relative to the run's folder, each anew."""

    type: Literal["picture_preview"] = "picture_preview"
    round: int
    index: int
    path: str


class PictureReady(Stamped):
    """A picture was published; ``path`` is relative to the run's folder."""

    type: Literal["picture_ready"] = "picture_ready"
    round: int
    index: int
    path: str
    seed: int
    sha256: str
    pixels_sha256: str


class CritiqueReady(Stamped):
    """A critique of one picture as plain JSON data."""

    type: Literal["critique_ready"] = "critique_ready"
    critique: dict[str, Any]
    round: int


class Decision(Stamped):
    """What the Director chose: ``repaint``, ``rethink`` or ``finish``, why, and which picture is the best so far."""

    type: Literal["decision"] = "decision"
    choice: str
    reason: str
    round: int
    best: int | None = None


class Question(Stamped):
    """The run waits for a person. ``kind``: ``before_painting`` or ``after_critique``."""

    type: Literal["question"] = "question"
    kind: str
    text: str
    payload: dict[str, Any]


class Notice(Stamped):
    """Something a person should know that is no error (a repair, a cut prompt, a slow endpoint)."""

    type: Literal["notice"] = "notice"
    text: str


class RunFinished(Stamped):
    """The run ended well."""

    type: Literal["run_finished"] = "run_finished"
    folder: str
    seconds: float


class RunStopped(Stamped):
    """The run ended or paused otherwise. ``status``: ``failed``, ``interrupted`` or ``waiting``."""

    type: Literal["run_stopped"] = "run_stopped"
    status: str
    message: str
    exit_code: int


class Queued(Stamped):
    """A job waits for its turn; ``before`` jobs go first. Said to who watches; it stands in no log."""

    type: Literal["queued"] = "queued"
    before: int


class JobStarted(Stamped):
    """A job that is no design began; ``attempt`` counts from one."""

    type: Literal["job_started"] = "job_started"
    kind: str
    attempt: int


class JobFinished(Stamped):
    """A job that is no design ended well, with its result as plain data."""

    type: Literal["job_finished"] = "job_finished"
    result: dict[str, Any]
    seconds: float


class JobStopped(Stamped):
    """A job that is no design ended otherwise. ``status``: ``failed`` or ``interrupted``."""

    type: Literal["job_stopped"] = "job_stopped"
    status: str
    message: str
    exit_code: int


Event = Annotated[
    RunStarted
    | StepStarted
    | Token
    | StepFinished
    | DesignReady
    | PromptReady
    | PictureProgress
    | PicturePreview
    | PictureReady
    | CritiqueReady
    | Decision
    | Question
    | Notice
    | RunFinished
    | RunStopped
    | Queued
    | JobStarted
    | JobFinished
    | JobStopped
    | StageStarted
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

FINAL = ("run_finished", "run_stopped", "job_finished", "job_stopped")
"""The types of event with which work on a job ends."""

EVENT: TypeAdapter[Event] = TypeAdapter(Event)

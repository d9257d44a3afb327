"""What the page knows of one run: its events folded into one plain view. Knows events; nothing of HTML or Gradio.

A page that was opened late, refreshed, or opened twice folds the same events and so shows the same thing. Each part of
the view keeps the number of the event that changed it last, its mark: whoever knows an event by its number is given
the parts with later marks and no others.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from workspace.events import (
    CritiqueReady,
    Decision,
    DesignReady,
    Event,
    Notice,
    PicturePreview,
    PictureProgress,
    PictureReady,
    PromptReady,
    Question,
    Queued,
    RunFinished,
    RunStarted,
    RunStopped,
    StepFinished,
    StepStarted,
    Token,
)
from workspace.jobs import SETTLED
from workspace.progress import Waiting

PHASES: dict[str, tuple[str, ...]] = {
    "Reasoning": ("scientist", "reviewer"),
    "Design": ("engineer",),
    "Image prompt": ("illustrator",),
    "Pictures": ("painter",),
    "Critique": ("critic", "director"),
}
"""The phases in their order, and the roles that work in each."""

PHASE_OF = {role: name for name, roles in PHASES.items() for role in roles}
SPEAKING = ("scientist", "reviewer", "engineer", "illustrator", "critic", "director")


@dataclass(frozen=True)
class Turn:
    """One step of one role, finished or being written.

    Attributes:
        key: The step's name within the run.
        role: Who.
        label: What is done, for people.
        text: What was said by now.
        done: Whether it is finished.
        seconds: How long it took.
        began: When it began, in Unix seconds; 0 where that is not known.
        mark: The number of the last event of it.
    """

    key: str
    role: str
    label: str
    text: str = ""
    done: bool = False
    seconds: float = 0.0
    began: float = 0.0
    mark: int = 0


@dataclass
class View:
    """Everything the page shows of a run. ``started`` is when this session began, ``before`` what earlier ones took.

    ``marks`` holds the number of the last event by part: ``brief``, ``card``, ``question``, ``painting``, ``decisions``
    and ``round N``; a turn has its own.
    """

    run_id: str
    status: str = "queued"
    waits_for: int = 0
    brief: dict[str, Any] = field(default_factory=dict)
    profile: str = ""
    started: float = 0.0
    before: float = 0.0
    seconds: float = 0.0
    seq: int = 0
    phase: str = ""
    round: int = 0
    turns: dict[str, Turn] = field(default_factory=dict)
    current: str = ""
    design: dict[str, Any] | None = None
    prompts: dict[int, dict[str, Any]] = field(default_factory=dict)
    pictures: dict[str, PictureReady] = field(default_factory=dict)
    previews: dict[int, str] = field(default_factory=dict)
    progress: tuple[int, int] = (0, 0)
    critiques: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    best: int | None = None
    notices: list[str] = field(default_factory=list)
    question: Question | None = None
    wait: str = ""
    message: str = ""
    marks: dict[str, int] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether nothing more comes unless somebody resumes the run."""
        return self.status in SETTLED

    def copy(self) -> View:
        """A view that later events leave as it is."""
        held = vars(self).items()
        kept: dict[str, Any] = {name: type(value)(value) for name, value in held if isinstance(value, dict | list)}
        return replace(self, **kept)

    def drafting(self) -> Turn | None:
        """The turn in which the design is being written just now, if it is."""
        turn = self.turns.get(self.current)
        return turn if turn is not None and turn.role == "engineer" and not turn.done and not self.over else None

    def add(self, event: Event) -> None:
        """Take one event into the view."""
        self.seq = max(self.seq, event.seq)
        if isinstance(event, Queued):
            self.status, self.waits_for = "queued", event.before
        elif isinstance(event, RunStarted | RunFinished | RunStopped | Question | Notice):
            self._add_state(event)
        elif isinstance(event, Waiting):
            self.wait = "" if event.done else event.doing
        elif isinstance(event, StepStarted | Token | StepFinished):
            self._add_step(event)
        elif isinstance(event, PictureProgress | PicturePreview | PictureReady):
            self._add_picture(event)
        elif isinstance(event, DesignReady | PromptReady | CritiqueReady | Decision):
            self._add_result(event)

    def _mark(self, part: str) -> None:
        self.marks[part] = self.seq

    def _add_state(self, event: RunStarted | RunFinished | RunStopped | Question | Notice) -> None:
        match event:
            case RunStarted():
                self.status, self.brief, self.profile = "running", event.brief, event.profile
                self.started, self.waits_for = event.at, 0
                self.message, self.question = "", None
                self._mark("brief")
                self._mark("question")
            case RunFinished():
                self.status, self.seconds = "finished", event.seconds
                self._settle()
            case RunStopped():
                self.status, self.message = event.status, event.message
                self.before += max(0.0, event.at - self.started) if self.started else 0.0
                self.started = 0.0
                self._settle()
            case Question():
                self.question = event
                self._mark("question")
                if isinstance(best := event.payload.get("best"), int):
                    self.best = best
                    self._mark_rounds()
            case Notice():
                self.notices.append(event.text)

    def _settle(self) -> None:
        """Nothing is being made any more: what was under way stands still."""
        self.previews, self.progress = {}, (0, 0)
        for part in ("painting", "card", *(f"round {number}" for number in self.rounds())):
            self._mark(part)
        for key, turn in self.turns.items():
            if not turn.done:
                self.turns[key] = replace(turn, mark=self.seq)

    def _mark_rounds(self) -> None:
        """The mark of the best may have gone from one round to another."""
        for number in self.rounds():
            self._mark(f"round {number}")

    def rounds(self) -> list[int]:
        """The rounds that have a prompt or a picture."""
        return sorted({*self.prompts, *(picture.round for picture in self.pictures.values())})

    def _add_step(self, event: StepStarted | Token | StepFinished) -> None:
        turn = self.turns.get(event.key) or Turn(event.key, event.role, event.role.capitalize())
        match event:
            case StepStarted():
                turn = replace(turn, role=event.role, label=event.label, text="", done=False, began=event.at)
                self.phase = PHASE_OF.get(event.role, self.phase)
                self.progress, self.current = (0, 0), event.key
            case Token():
                turn = replace(turn, text=turn.text + event.text)
            case StepFinished():
                turn = replace(turn, text=event.text, done=True, seconds=event.seconds)
        self.turns[event.key] = replace(turn, mark=self.seq)
        if turn.role == "engineer":
            self._mark("card")

    def _add_picture(self, event: PictureProgress | PicturePreview | PictureReady) -> None:
        self.phase, self.round = "Pictures", event.round
        match event:
            case PictureProgress():
                self.progress = (event.step, event.steps)
            case PicturePreview():
                self.previews[event.index] = event.path
            case PictureReady():
                self.pictures[event.path] = event
                self.previews.pop(event.index, None)
                self._mark(f"round {event.round}")
        self._mark("painting")

    def _add_result(self, event: DesignReady | PromptReady | CritiqueReady | Decision) -> None:
        match event:
            case DesignReady():
                self.design = event.design
                self._mark("card")
            case PromptReady():
                self.prompts[event.round], self.round = event.prompt, event.round
                self._mark_rounds()  # rounds are numbered from the second on
            case CritiqueReady():
                self.phase = "Critique"
                self.critiques.append({**event.critique, "round": event.round})
                self._mark(f"round {event.round}")
            case Decision():
                self.best = event.best
                self.decisions.append(event)
                self._mark_rounds()

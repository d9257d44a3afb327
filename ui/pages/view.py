"""What the page knows of one run: its events folded into one plain view. Knows events; nothing of HTML or Gradio.

A page that was opened late, refreshed, or opened twice folds the same events and so shows the same thing.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from workspace.errors import StudioError
from workspace.events import (
    CritiqueReady,
    Decision,
    DesignReady,
    Event,
    Notice,
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


@dataclass(frozen=True)
class Turn:
    """One step of one role, finished or being written."""

    key: str
    role: str
    label: str
    text: str = ""
    done: bool = False
    seconds: float = 0.0


@dataclass
class View:
    """Everything the page shows of a run. ``started`` is when this session began, ``before`` what earlier ones took."""

    run_id: str
    status: str = "queued"
    waits_for: int = 0
    brief: dict[str, Any] = field(default_factory=dict)
    profile: str = ""
    started: float = 0.0
    before: float = 0.0
    seconds: float = 0.0
    phase: str = ""
    round: int = 0
    turns: dict[str, Turn] = field(default_factory=dict)
    current: str = ""
    design: dict[str, Any] | None = None
    prompts: dict[int, dict[str, Any]] = field(default_factory=dict)
    pictures: dict[str, PictureReady] = field(default_factory=dict)
    progress: tuple[int, int] = (0, 0)
    critiques: list[dict[str, Any]] = field(default_factory=list)
    best: int | None = None
    notices: list[str] = field(default_factory=list)
    question: str = ""
    wait: str = ""
    message: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing more comes unless somebody resumes the run."""
        return self.status in SETTLED

    def add(self, event: Event) -> None:
        """Take one event into the view."""
        if isinstance(event, Queued):
            self.status, self.waits_for = "queued", event.before
        elif isinstance(event, RunStarted | RunFinished | RunStopped | Question | Notice):
            self._add_state(event)
        elif isinstance(event, Waiting):
            self.wait = "" if event.done else event.doing
        elif isinstance(event, StepStarted | Token | StepFinished):
            self._add_step(event)
        elif isinstance(event, DesignReady | PromptReady | PictureProgress | PictureReady | CritiqueReady | Decision):
            self._add_result(event)

    def _add_state(self, event: RunStarted | RunFinished | RunStopped | Question | Notice) -> None:
        match event:
            case RunStarted():
                self.status, self.brief, self.profile = "running", event.brief, event.profile
                self.started = event.at
                self.message = self.question = ""
            case RunFinished():
                self.status, self.seconds = "finished", event.seconds
            case RunStopped():
                self.status, self.message = event.status, event.message
                self.before += max(0.0, event.at - self.started) if self.started else 0.0
            case Question():
                self.question = event.text
            case Notice():
                self.notices.append(event.text)

    def _add_step(self, event: StepStarted | Token | StepFinished) -> None:
        turn = self.turns.get(event.key) or Turn(event.key, event.role, event.role.capitalize())
        match event:
            case StepStarted():
                turn = replace(turn, role=event.role, label=event.label, text="", done=False)
                self.phase = next((name for name, roles in PHASES.items() if event.role in roles), self.phase)
                self.progress, self.current = (0, 0), event.key
            case Token():
                turn = replace(turn, text=turn.text + event.text)
            case StepFinished():
                turn = replace(turn, text=event.text, done=True, seconds=event.seconds)
        self.turns[event.key] = turn

    def _add_result(
        self, event: DesignReady | PromptReady | PictureProgress | PictureReady | CritiqueReady | Decision
    ) -> None:
        match event:
            case DesignReady():
                self.design = event.design
            case PromptReady():
                self.prompts[event.round], self.round = event.prompt, event.round
            case PictureProgress():
                self.phase, self.progress, self.round = "Pictures", (event.step, event.steps), event.round
            case PictureReady():
                self.phase, self.pictures[event.path] = "Pictures", event
            case CritiqueReady():
                self.phase = "Critique"
                self.critiques.append({**event.critique, "round": event.round})
            case Decision():
                self.best = event.best


@dataclass
class _Watch:
    """A view, the lock that guards it and the thread that feeds it."""

    view: View
    lock: threading.Lock = field(default_factory=threading.Lock)
    thread: threading.Thread | None = None

    @property
    def live(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


class Observer:
    """Follows runs for all open pages, one thread a run that goes on.

    Args:
        watch: Gives a run's events from the first on and returns when the run ends.
        keep: How many views are kept; those of runs that go on are never dropped.
    """

    def __init__(self, watch: Callable[[str], Iterator[Event]], keep: int = 24) -> None:
        self._watch = watch
        self._keep = keep
        self._watches: OrderedDict[str, _Watch] = OrderedDict()
        self._lock = threading.Lock()

    def attach(self, run_id: str) -> None:
        """Begin to follow a run, anew unless it is being followed already."""
        with self._lock:
            found = self._watches.get(run_id)
            if found is not None and found.live:
                return
            watch = _Watch(View(run_id))
            self._watches[run_id] = watch
            self._watches.move_to_end(run_id)
            watch.thread = threading.Thread(target=self._follow, args=(watch,), name=f"watch {run_id}", daemon=True)
            watch.thread.start()
            for name in [name for name, other in self._watches.items() if not other.live][: -self._keep]:
                del self._watches[name]

    def follows(self, run_id: str) -> bool:
        """Say whether there is a view of the run already."""
        with self._lock:
            return run_id in self._watches

    def watches(self, run_id: str) -> bool:
        """Say whether a run's events are still being read: a stop among them may be one that was gone on from."""
        with self._lock:
            watch = self._watches.get(run_id)
        return watch is not None and watch.live

    def view(self, run_id: str) -> View:
        """Give a copy of what is known of a run by now."""
        with self._lock:
            watch = self._watches.get(run_id)
        if watch is None:
            self.attach(run_id)
            return self.view(run_id)
        with watch.lock:
            return copy.deepcopy(watch.view)

    def settle(self, run_id: str, timeout: float) -> None:
        """Wait until a run's events have all been read, or for ``timeout`` seconds."""
        with self._lock:
            watch = self._watches.get(run_id)
        if watch is not None and watch.thread is not None:
            watch.thread.join(timeout)

    def _follow(self, watch: _Watch) -> None:
        try:
            for event in self._watch(watch.view.run_id):
                with watch.lock:
                    watch.view.add(event)
        except StudioError as error:
            with watch.lock:
                watch.view.status, watch.view.message = "failed", str(error)
        with watch.lock:
            if not watch.view.over:
                watch.view.status = "interrupted"
                watch.view.message = "the worker ended without a word"

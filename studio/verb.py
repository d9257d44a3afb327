"""A verb of the front door: one pydantic class of options and one function. Called, it does; a job can be queued too.

What a verb is about (a brief, a run, a recipe) is its subject and goes first; options go by name. Signatures are those
of the options class, so that type checkers and editors see each option, its type and its default where it is defined.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from studio.queue.post import Listener, carry_out, in_turn
from studio.queue.submit import check_room, enter
from studio.queue.workers import start_workers
from studio.runs.request import NOT_RECORDED, recorded, renewed
from workspace.jobs import JobRow, Lane
from workspace.options import checked, overrides
from workspace.progress import Tell, progress_to, silent
from workspace.settings import Settings, load_settings

P = ParamSpec("P")
S = TypeVar("S")
O = TypeVar("O", bound="Call")  # noqa: E741
R = TypeVar("R")


class Call(BaseModel):
    """What a call from Python may say beside a verb's options; none of it is an option of the command line."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    settings: Settings | None = Field(
        None, exclude=True, repr=False, description="Ready settings, else they are loaded"
    )
    listener: Callable[[Any], None] | None = Field(
        None, exclude=True, repr=False, description="Called with every event as it happens"
    )

    @property
    def using(self) -> Settings:
        """The settings given, or those that are found, with what the options override."""
        profile = getattr(self, "profile", None)
        return load_settings(profile, overrides(self)) if self.settings is None else self.settings

    @property
    def home(self) -> Path:
        """STUDIO_HOME."""
        return self.using.home

    @property
    def tell(self) -> Tell:
        """Takes events of progress."""
        return self.listener or silent


def named(kind: type[BaseModel]) -> list[str]:
    """The names of a verb's own options."""
    return [name for name in kind.model_fields if name not in Call.model_fields]


class _Named:
    """A function and the class of its options."""

    def __init__(self, run: Callable[..., Any], options: Callable[..., Call]) -> None:
        assert isinstance(options, type)
        self.kind: type[Call] = options
        self.name = self.__name__ = run.__name__
        self.__doc__, self.__module__, self.__wrapped__ = run.__doc__, run.__module__, run

    def asked(self, args: tuple[Any, ...], given: Mapping[str, Any]) -> Any:
        """Options from what a call gave.

        Raises:
            TypeError: One was given without its name.
            UsageError: One is unknown or out of its bounds.
        """
        if args:
            raise TypeError(f"{self.name}: options go by name: {', '.join(named(self.kind)) or 'there are none'}")
        return checked(self.kind, given)


class Verb(_Named, Generic[S, P, R]):
    """Something that Studio does at once, in this process."""

    def __init__(self, run: Callable[[S, Any], R], options: Callable[P, Call]) -> None:
        super().__init__(run, options)
        self.run = run

    def __call__(self, subject: S, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do it (see the function's own text)."""
        options = self.asked(args, kwargs)
        with progress_to(options.tell):
            return self.run(subject, options)


class Query(_Named, Generic[P, R]):
    """Something that Studio says at once and that has no subject."""

    def __init__(self, run: Callable[[Any], R], options: Callable[P, Call]) -> None:
        super().__init__(run, options)
        self.run = run

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Say it (see the function's own text)."""
        options = self.asked(args, kwargs)
        with progress_to(options.tell):
            return self.run(options)


class Job(Verb[S, P, R]):
    """Something that takes long: done in this process when its turn comes, or queued for a worker.

    Attributes:
        lane: Which places it takes.
        check: Raises at once what would fail later anyway: what is not there, or not as it must be.
        at_once: Says of options whether they ask for something quick, which is not queued.
    """

    def __init__(
        self,
        run: Callable[[S, Any], R],
        options: Callable[P, Call],
        lane: Lane = "heavy",
        check: Callable[[S, Any], object] = lambda subject, options: None,
        at_once: Callable[[Any], bool] = lambda options: False,
    ) -> None:
        super().__init__(run, options)
        self.lane: Lane = lane
        self.check, self.at_once = check, at_once

    def __call__(self, subject: S, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do it in this process, when its turn comes (see the function's own text)."""
        return self.here(subject, self.asked(args, kwargs))

    def submit(self, subject: S, *args: P.args, **kwargs: P.kwargs) -> str:
        """Queue it for a worker process and return the job's id at once."""
        return self.queue(subject, self.asked(args, kwargs))

    def here(self, subject: S, options: Any) -> R:
        """Do it in this process, when its turn comes."""
        if self.at_once(options):
            with progress_to(options.tell):
                return self.run(subject, options)
        settings = options.using
        with ExitStack() as hold:
            job_id = self._enter(subject, options, settings, hold)
            with in_turn(settings.home, job_id, settings.queue) as row:
                return self._carry(settings.home, row, subject, options, options.listener)

    def queue(self, subject: S, options: Any) -> str:
        """Queue it for a worker process and return the job's id."""
        settings = options.using
        with ExitStack() as hold:
            job_id = self._enter(subject, options, settings, hold)
        start_workers(settings.home, settings.queue)
        return job_id

    def carry(self, home: Path, row: JobRow, listener: Listener | None = None) -> R:
        """Do a job that was begun, as its row says it was asked for."""
        asked = row.payload
        settings = recorded(renewed(asked["settings"], asked.get("connection", {})), home)
        options = checked(self.kind, asked["options"] | {"settings": settings})
        return self._carry(home, row, asked["subject"], options, listener)

    def _carry(self, home: Path, row: JobRow, subject: S, options: Any, listener: Listener | None) -> R:
        from models.chat.tracing import trace

        def work(post: Any) -> R:
            trace(options.using.tracing.langsmith)
            return self.run(subject, options.model_copy(update={"listener": post.log.emit}))

        result: R = carry_out(home, row, work, listener)
        return result

    def _enter(self, subject: S, options: Any, settings: Settings, hold: ExitStack) -> str:
        self.check(subject, options)
        check_room(settings.home, settings.queue)
        payload = {
            "subject": _plain(subject),
            "options": options.model_dump(mode="json", exclude_unset=True),
            "settings": settings.model_dump(mode="json", exclude=NOT_RECORDED),
            "cwd": os.getcwd(),
        }
        return enter(settings.home, self.name, title_of(subject), payload, self.lane, hold)


def title_of(subject: Any) -> str:
    """What a job is about, for people."""
    items = subject if isinstance(subject, list | tuple) else [subject]
    return " ".join(Path(item).name if isinstance(item, Path) or os.sep in str(item) else str(item) for item in items)


def _plain(subject: Any) -> Any:
    if isinstance(subject, list | tuple):
        return [str(item) for item in subject]
    return subject if isinstance(subject, Mapping) else str(subject)


def verb(options: Callable[P, O]) -> Callable[[Callable[[S, O], R]], Verb[S, P, R]]:
    """Make a function of a subject and options a verb."""
    return lambda run: Verb(run, options)


def query(options: Callable[P, O]) -> Callable[[Callable[[O], R]], Query[P, R]]:
    """Make a function of options alone a verb."""
    return lambda run: Query(run, options)


def job(
    options: Callable[P, O],
    *,
    lane: Lane = "heavy",
    check: Callable[[S, O], object] = lambda subject, options: None,
    at_once: Callable[[O], bool] = lambda options: False,
) -> Callable[[Callable[[S, O], R]], Job[S, P, R]]:
    """Make a function of a subject and options a verb that can be queued as a job."""
    return lambda run: Job(run, options, lane, check, at_once)

"""Designs as the front door offers them: make, resume, list, open, make again, export. Knows no widget, no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec

from pydantic import BaseModel, ConfigDict, Field

from studio.queue.submit import retry
from studio.queue.watch import watch as watch_job
from studio.queue.workers import start_workers
from studio.runs.branching.entering import BranchOptions
from studio.runs.request import DesignOptions, connection, prepare
from studio.verb import Call, Job, query, verb
from workspace.errors import UsageError
from workspace.jobs import JobRow

if TYPE_CHECKING:
    from agents.documents import Brief
    from agents.evidence.proposing import Candidate
    from studio.runs.branching.family import Member
    from studio.runs.branching.steps import RunStep
    from studio.runs.record import Design, RunSummary
    from studio.runs.repeat import Replay
    from studio.wishes.timing import Asked, Pace
    from workspace.events import Event

P = ParamSpec("P")


class DesignCall(DesignOptions, Call):
    """The options of a design."""


class Designing(Job["str | Brief", P, "Design"], Generic[P]):
    """A design is entered as a run, with a record of its own, and carried out by the graph."""

    def here(self, subject: str | Brief, options: Any) -> Design:
        """Make it in this process, when its turn comes."""
        return self.run(subject, options)

    def queue(self, subject: str | Brief, options: Any) -> str:
        """Queue it for a worker process and return the run's id."""
        prepared = prepare(subject, options, options.settings)
        start_workers(prepared.settings.home, prepared.settings.queue)
        return prepared.run_id

    def carry(self, home: Path, row: JobRow, listener: Callable[[Event], None] | None = None) -> Any:
        """Carry on a run that was begun, and enter on the shelf what came of it."""
        from studio.keeping.rows import shelve
        from studio.runs.execute import carry_on

        try:
            carry_on(home, row, listener)
        finally:
            shelve(home, row.job_id)


def _designing(
    options: Callable[P, DesignCall],
) -> Callable[[Callable[[str | Brief, DesignCall], Design]], Designing[P]]:
    return lambda run: Designing(run, options)


@_designing(DesignCall)
def design(brief: str | Brief, options: DesignCall) -> Design:
    """Make a design: reason, write it down as data, paint pictures.

    Args:
        brief: The wish in plain words (3 to 8000 characters), or a ready ``Brief``.
        options: See `studio.runs.request.DesignOptions`.

    Raises:
        StudioError: One clear line; what was made is kept and ``resume`` goes on from it.
    """
    from studio.runs.execute import design as make

    return make(brief, options, options.settings, options.listener)


submit = design.submit
"""Queue a design for a worker process and return its run's id at once (options as for ``design``)."""


class WatchCall(Call):
    """How a run is watched."""

    after_seq: int = Field(0, ge=0, description="The number of the last event already known")


@verb(WatchCall)
def watch(run_id: str, options: WatchCall) -> Iterator[Event]:
    """Yield a job's events, live, until it ends, waits, or its worker dies."""
    settings = options.using
    return watch_job(run_id, settings.home, settings.queue, after_seq=options.after_seq)


@verb(DesignCall)
def stream(brief: str | Brief, options: DesignCall) -> Iterator[Event]:
    """Make one design in a worker process and yield its events until it ends (options as for ``design``)."""
    run_id = design.queue(brief, options)
    settings = options.using
    return watch_job(run_id, settings.home, settings.queue)


class ShowCall(Call):
    """What of a run is shown."""

    why: str | None = Field(
        None,
        max_length=200,
        description="Show where a field or a picture comes from, back to the passages: mechanisms.1, picture-2, all",
        json_schema_extra={"bare": "all"},
    )


@verb(ShowCall)
def open_run(run_id: str, options: ShowCall) -> Design:
    """Show a run's design, pictures and state."""
    from studio.runs.record import open_run as read_run

    return read_run(run_id, options.home)


class Explained(BaseModel):
    """Where what a run made comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    asked: tuple[str, ...] = Field(description="The fields and pictures that were asked about")
    lines: tuple[str, ...] = Field(description="Each, and what lies behind it, further in")
    prov: dict[str, Any] = Field(description="The whole graph as W3C PROV-JSON")


@verb(ShowCall)
def explain(run_id: str, options: ShowCall) -> Explained:
    """Say where a run's fields and pictures come from: prompts, turns, models and their data, passages, papers."""
    from studio.runs.provenance import chosen, lines, prov_json, provenance

    graph = provenance(run_id, options.home)
    asked = chosen(graph, options.why or "all")
    return Explained(run_id=run_id, asked=tuple(asked), lines=tuple(lines(graph, asked)), prov=prov_json(graph, run_id))


class ListCall(Call):
    """Which runs are listed."""

    limit: int = Field(20, ge=1, le=10_000, description="How many, newest first")
    search: str = Field("", max_length=200, description="Only those whose briefs hold these words")
    before: float | None = Field(
        None, ge=0, description="Only older ones than this moment", json_schema_extra={"hidden": True}
    )
    star: bool = Field(False, description="Only those with a star, or with a picture that has one")
    rating: int | None = Field(None, ge=1, le=5, description="Only those rated at least so, or with such a picture")
    board: str = Field("", max_length=80, description="Only those on this board")
    program: str = Field("", max_length=200, description="Only of this program")


@query(ListCall)
def list_runs(options: ListCall) -> list[RunSummary]:
    """List the runs, newest first."""
    from studio.runs.record import found

    if options.star or options.rating or options.board or options.program:
        from studio.keeping.listing import listed

        return listed(options)
    return found(options.home, options.search.split(), before=options.before, limit=options.limit)


class ResumeCall(Call):
    """What a person says to the question that a run waits with."""

    answers: dict[str, Any] | None = Field(
        None, description="The answer as data, such as {'approve': true}", json_schema_extra={"hidden": True}
    )
    approve: bool = Field(False, description="Say yes to the question the run waits with")
    prompt: str | None = Field(None, description="Go on with this picture prompt instead")
    source: tuple[str, ...] = Field(
        (), description="Draw on this source: its number in the list, or a name of your own"
    )
    choice: str | None = Field(None, description="Answer by name, such as repaint, rethink or finish")

    @property
    def answer(self) -> dict[str, Any] | None:
        """The answer as data, ``None`` if nothing is said.

        Raises:
            UsageError: More than one is given.
        """
        given: list[dict[str, Any]] = [] if self.answers is None else [self.answers]
        given += [{"approve": True}] if self.approve else []
        given += [] if self.prompt is None else [{"prompt": self.prompt}]
        given += [] if self.choice is None else [{"choice": self.choice}]
        given += [{"sources": list(self.source)}] if self.source else []
        if len(given) > 1:
            raise UsageError("give one of --approve, --prompt, --choice and --source, not several")
        return given[0] if given else None


@verb(ResumeCall)
def resume(run_id: str, options: ResumeCall) -> Design:
    """Go on with a run that was stopped, killed, or waits for an answer; a finished one is read again."""
    from studio.runs.execute import execute

    settings = options.using
    return execute(
        run_id,
        settings.home,
        settings.queue,
        answers=options.answer,
        connection=connection(settings),
        listener=options.listener,
    )


def queue_again(run_id: str, options: ResumeCall) -> bool:
    """Queue a run again, with the answer given, for a worker process; say whether there was anything left to do."""
    from studio.runs.record import row_of

    settings = options.using
    answer = options.answer
    if row_of(settings.home, run_id).status == "finished":
        return False
    retry(settings.home, run_id, settings.queue, {"answers": answer}, connection(settings))
    return True


@verb(Call)
def replay(run_id: str, options: Call) -> Replay:
    """Make a run again with the same seeds and models, and say what came out identical."""
    from studio.runs.repeat import replay as make_again

    settings = options.using
    return make_again(run_id, settings.home, settings.queue, listener=options.listener)


class BranchCall(BranchOptions, Call):
    """The options of a branch."""


class Branching(Job[str, P, str], Generic[P]):
    """A branch is entered as a run of its own with a copy of what it keeps, and carried out like a design."""

    def here(self, subject: str, options: Any) -> str:
        """Queue it, as `queue` does."""
        return self.queue(subject, options)

    def queue(self, subject: str, options: Any) -> str:
        """Queue it for a worker process and return the new run's id."""
        return self.run(subject, options)

    def made(self, subject: str, *args: P.args, **kwargs: P.kwargs) -> Design:
        """Make it in this process, when its turn comes."""
        from studio.runs.branching.entering import branch as enter
        from studio.runs.execute import execute_held

        options: Any = self.asked(args, kwargs)
        with ExitStack() as hold:
            return execute_held(enter(subject, options, options.using, hold), options.listener)


def _branching(
    options: Callable[P, BranchCall],
) -> Callable[[Callable[[str, BranchCall], str]], Branching[P]]:
    return lambda run: Branching(run, options)


@_branching(BranchCall)
def branch(run_id: str, options: BranchCall) -> str:
    """Go on from a step of a run as a new run: the step edited or made anew, and all that follows it.

    It is queued for a worker process, and the new run's id returned; ``branch.made`` makes it in this process.

    Args:
        run_id: The run to go on from, finished or not; nothing of it changes.
        options: See `studio.runs.branching.entering.BranchOptions`.

    Raises:
        UsageError: There is no such step, or what is written in its place will not do.
    """
    from studio.runs.branching.entering import branch as enter

    prepared = enter(run_id, options, options.using)
    start_workers(prepared.settings.home, prepared.settings.queue)
    return prepared.run_id


@verb(Call)
def steps(run_id: str, options: Call) -> list[RunStep]:
    """List the steps of a run, in order, and what a person may write in the place of each."""
    from studio.runs.branching.steps import steps as read_steps

    return read_steps(run_id, options.home)


@verb(Call)
def family(run_id: str, options: Call) -> list[Member]:
    """List a run's family: the run that all go back to, then every branch, oldest first."""
    from studio.runs.branching.family import family as read_family

    return read_family(run_id, options.home)


@query(Call)
def sample_run(options: Call) -> str | None:
    """Enter the design that comes with Studio into a home that never had a job, once, and return its id."""
    from studio.wishes.sample import enter

    return enter(options.home)


@verb(Call)
def skip(run_id: str, options: Call) -> None:
    """Leave out the rest of the pictures that a run paints just now, and go on with those there are."""
    from studio.runs.skipping import skip as leave_out

    leave_out(run_id, options.home)


class KeepCall(Call):
    """Which picture is held for the best."""

    picture: int | None = Field(None, ge=0, description="The picture's index, from 0; none: the Director's own choice")


@verb(KeepCall)
def keep_picture(run_id: str, options: KeepCall) -> None:
    """Hold a picture of a run for the best, in place of the Director's choice; the Director's again without one."""
    from studio.keeping.rows import shelve
    from studio.wishes.choosing import keep

    keep(run_id, options.home, options.picture)
    shelve(options.home, run_id)


@query(Call)
def pace(options: Call) -> Pace:
    """Say how long designs take on this machine, by the newest finished runs."""
    from studio.wishes.timing import pace as learned

    return learned(options.home)


@verb(Call)
def asked_for(run_id: str, options: Call) -> Asked:
    """Say what a run was asked for: its brief, sources, program, seed and settings, to be asked for again."""
    from studio.wishes.timing import asked_for as recorded

    return recorded(run_id, options.home)


class SuggestCall(Call):
    """How many sources are suggested."""

    count: int = Field(6, ge=1, le=24, description="How many at most")


@verb(SuggestCall)
def suggest(wish: str, options: SuggestCall) -> list[Candidate]:
    """Suggest biological sources: those of that name first, then those that can do what the words say.

    Cheap: by the atlas's words alone, without an index or a model.
    """
    from agents.evidence.proposing import suggested

    return suggested(wish, options.count)


class ExportCall(Call):
    """How a run is written as one file."""

    format: Literal["md", "html", "pdf", "json", "zip", "prov"] = Field(
        "md",
        description="md, html or pdf (report with pictures), json, zip (whole run), or prov (where all comes from)",
    )
    out: Path | None = Field(
        None, description="The file to write, - for stdout; else RUN with the suffix of its format, here"
    )


@verb(ExportCall)
def export(run_id: str, options: ExportCall) -> Path:
    """Write a run as one file and return its path."""
    from studio.runs.report import export as write_export

    return write_export(run_id, options.format, options.home, options.out)

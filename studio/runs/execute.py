"""Executing a run: from a ledger row to a finished folder, or to a state from which it goes on later.

One process holds a run's lock meanwhile. The order at the end is files, last event, manifest, ledger row: whoever finds
the row ``finished`` finds everything else whole. Knows the graph as something to invoke; not what its roles do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from studio.runs.assemble import assemble
from studio.runs.claims import claim_run, claim_slot
from studio.runs.folder import write_documents, write_manifest
from studio.runs.record import Design, ledger_of, open_folder, open_run, row_of, seconds_of
from workspace.errors import Interrupted, StudioError, Unfinished, UsageError
from workspace.event_log import EventLog, read
from workspace.events import Notice, RunFinished, RunStarted, RunStopped
from workspace.files import sweep
from workspace.ledger import Ledger

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from workspace.events import Event
    from workspace.ledger import RunRow
    from workspace.settings import Settings

Listener = Callable[["Event"], None]
Json = dict[str, Any]

# Checkpoints may lag a step behind: every effect is in the ledger before the next begins, so a node that is visited
# again after a crash finds what it made.
DURABILITY: Literal["sync", "async", "exit"] = "async"

WAITS = "waits for an answer"


@dataclass(frozen=True)
class Work:
    """One run in the hands of this process."""

    row: RunRow
    settings: Settings
    folder: Path
    ledger: Ledger
    log: EventLog


def execute(
    run_id: str, settings: Settings, *, answers: Mapping[str, Any] | None = None, listener: Listener | None = None
) -> Design:
    """Carry a run on to its end, its next question, or a fault.

    Args:
        run_id: A run that stands in the ledger.
        settings: Where the home is; everything else comes from the run's record.
        answers: A person's answer, if the run waits for one.
        listener: Called with every event.

    Raises:
        Unfinished: If another process has the run.
        Interrupted: If the user stopped it.
        StudioError: If a step failed; what was made is kept.
    """
    home = settings.home
    if row_of(home, run_id).status == "finished":
        return open_run(run_id, settings)
    with claim_run(home, run_id), ledger_of(home) as ledger:
        row = ledger.run(run_id)
        if row.status != "finished":
            sweep(home)
            folder = open_folder(home, row)
            with EventLog(folder / "events.jsonl", run_id, [listener] if listener else []) as log:
                work = Work(row, _recorded(row, settings), folder, ledger, log)
                with _settling(work), _slot(work):
                    _carry_on(work, answers)
    return open_run(run_id, settings)


def _recorded(row: RunRow, settings: Settings) -> Settings:
    from studio.runs.request import recorded

    return recorded(row.settings["settings"], settings.home)


@contextmanager
def _slot(work: Work) -> Iterator[None]:
    def waiting() -> None:
        work.log.emit(Notice(text="waiting for another design to end; one is made at a time"))

    with claim_slot(work.settings.home, waiting):
        yield


@contextmanager
def _settling(work: Work) -> Iterator[None]:
    """Whatever ends the work, say so in the row and in the log."""
    status, message, code = "failed", "an unexpected fault; the traceback has the details", 1
    try:
        yield
        status = ""
    except KeyboardInterrupt:
        status, message, code = "interrupted", "stopped by the user", Interrupted.exit_code
        raise Interrupted("stopped; what was made is kept") from None
    except StudioError as error:
        status = "interrupted" if isinstance(error, (Interrupted, Unfinished)) else "failed"
        message, code = str(error), error.exit_code
        if isinstance(error, UsageError) and work.row.status == "waiting":  # an answer that is none: it still waits
            status, message = "waiting", WAITS
        raise
    finally:
        if status:
            with suppress(StudioError):
                _stopped(work, status, message, code)


def _stopped(work: Work, status: str, message: str, code: int) -> None:
    work.ledger.set_status(work.row.run_id, status, message)  # type: ignore[arg-type]
    work.log.emit(RunStopped(status=status, message=message, exit_code=code))


def _carry_on(work: Work, answers: Mapping[str, Any] | None) -> None:
    from workspace.checkpoints import checkpoints  # before the graph: it makes LangGraph strict

    with closing(checkpoints(work.settings.home / "checkpoints.db")) as saver:
        config: RunnableConfig = {"configurable": {"thread_id": work.row.run_id}}
        resumed = saver.get_tuple(config) is not None
        work.ledger.set_status(work.row.run_id, "running")
        profile = work.row.settings["settings"]["profile"]
        work.log.emit(RunStarted(brief=work.row.brief, profile=profile, resumed=resumed))
        _through_graph(work, saver, config, answers, resumed)


def _through_graph(
    work: Work, saver: Any, config: RunnableConfig, answers: Mapping[str, Any] | None, resumed: bool
) -> None:
    from agents.graph import build_graph

    graph = build_graph(assemble(work.row, work.settings, work.ledger, work.log, work.folder), saver)
    graph.invoke(_entry(graph, config, work, answers, resumed), config, durability=DURABILITY)
    found = graph.get_state(config)
    state = dict(found.values)
    write_documents(work.folder, state)
    if found.interrupts:
        _stopped(work, "waiting", WAITS, Unfinished.exit_code)
    else:
        _finish(work, state)


def _questions(graph: Any, config: RunnableConfig) -> list[Any]:
    return list(graph.get_state(config).interrupts)


def _entry(graph: Any, config: RunnableConfig, work: Work, answers: Mapping[str, Any] | None, resumed: bool) -> Any:
    """What the graph is given: the brief at first, an answer to an open question, or nothing to go on."""
    from agents.documents import Brief
    from agents.state import initial_state

    if not resumed:
        return initial_state(Brief.model_validate(work.row.brief))
    open_questions = _questions(graph, config)
    if not open_questions:
        if answers:
            raise UsageError(f"run {work.row.run_id} asks nothing just now", hint="resume it without an answer")
        return None
    return _answer(work, open_questions[0], answers)


def _answer(work: Work, question: Any, answers: Mapping[str, Any] | None) -> Any:
    """The answer to the open question, kept in the ledger as soon as it is given; ``None`` if there is none yet."""
    from agents.roles.director import understood

    run_id, key = work.row.run_id, f"answer/{question.id}"
    if answers:
        understood(question.value["kind"], dict(answers))
    elif key not in {row.key for row in work.ledger.keys(run_id)}:
        return None
    from langgraph.types import Command

    answer, _ = work.ledger.once(run_id, key, lambda: dict(answers or {}), kind="answer")
    return Command(resume=answer)


def _finish(work: Work, state: Json) -> None:
    run_id = work.row.run_id
    if not state.get("design") or not (state.get("pictures") or state.get("decisions")):
        raise Unfinished(f"run {run_id} ended without a design and pictures", hint=f"studio resume {run_id}")
    seconds = seconds_of(read(work.folder / "events.jsonl"))
    work.log.emit(RunFinished(folder=str(work.folder), seconds=round(seconds, 3)))
    work.log.close()
    write_manifest(work.folder, work.row, work.settings, work.ledger, state, seconds)
    work.ledger.set_status(run_id, "finished")

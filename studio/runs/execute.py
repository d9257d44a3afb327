"""Executing a run: from a ledger row to a finished folder, or to a state from which it goes on later.

One process holds a run's lock meanwhile. The order at the end is files, last event, manifest, ledger row: whoever finds
the row ``finished`` finds everything else whole. Knows the graph as something to invoke; not what its roles do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from studio.queue.claims import checkpoints_of, job_claimed, ledger_of
from studio.queue.post import Listener, Post, at_work, in_turn, stopped
from studio.runs.assemble import assemble
from studio.runs.branching.entering import kept_answer
from studio.runs.folder import roles_used, servers_used, write_documents, write_manifest
from studio.runs.record import Design, open_folder, open_run, row_of, seconds_of
from studio.runs.request import DesignOptions, Prepared, prepare, recorded, renewed
from workspace.errors import Unfinished, UsageError
from workspace.event_log import read_good
from workspace.events import RunFinished, RunStarted
from workspace.progress import waiting

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from agents.documents import Brief
    from agents.kit import Kit
    from agents.state import DesignState
    from workspace.event_log import EventLog
    from workspace.jobs import JobRow
    from workspace.ledger import Ledger, RunRow
    from workspace.settings import QueueSettings, Settings

Json = dict[str, Any]

# Checkpoints may lag a step behind: every effect is in the ledger before the next begins, so a node that is visited
# again after a crash finds what it made.
DURABILITY: Literal["sync", "async", "exit"] = "async"

WAITS = "waits for an answer"


@dataclass(frozen=True)
class Work:
    """One run in the hands of this process."""

    post: Post
    row: RunRow
    settings: Settings
    folder: Path


def design(
    brief: str | Brief,
    options: DesignOptions,
    settings: Settings | None = None,
    listener: Listener | None = None,
) -> Design:
    """Make a design in this process, in its turn.

    Raises:
        StudioError: One clear line; what was made is kept, and `execute` goes on from it.
    """
    with ExitStack() as hold:
        return execute_held(prepare(brief, options, settings, hold=hold), listener)


def execute(
    run_id: str,
    home: Path,
    queue: QueueSettings,
    *,
    answers: Mapping[str, Any] | None = None,
    connection: Mapping[str, Any] | None = None,
    listener: Listener | None = None,
) -> Design:
    """Carry a run on in this process to its end, its next question, or a fault.

    Args:
        run_id: A run that stands in the ledger.
        home: STUDIO_HOME; everything else comes from the run's record.
        queue: How many jobs are carried out at once.
        answers: A person's answer, if the run waits for one.
        connection: Settings of servers that go before the record's, see `studio.runs.request.connection`.
        listener: Called with every event.

    Raises:
        Unfinished: If another process has the run.
        Interrupted: If the user stopped it.
        StudioError: If a step failed; what was made is kept.
    """
    if row_of(home, run_id).status == "finished":
        return open_run(run_id, home)
    with job_claimed(home, run_id):
        with ledger_of(home) as ledger:
            row = ledger.run(run_id)
            if row.status == "finished":
                return open_run(run_id, home)
            ledger.jobs.queue_again(run_id, {"answers": dict(answers) if answers else None}, connection)
        settings = recorded(row.settings["settings"], home).model_copy(update={"queue": queue})
        return execute_held(Prepared(run_id, settings), listener)


def execute_held(prepared: Prepared, listener: Listener | None = None) -> Design:
    """Carry a queued run on whose lock this process holds, when its turn comes."""
    home = prepared.settings.home
    with in_turn(home, prepared.run_id, prepared.settings.queue) as row:
        carry_on(home, row, listener)
    return open_run(prepared.run_id, home)


def carry_on(home: Path, row: JobRow, listener: Listener | None = None) -> None:
    """Carry on a run that was begun: held, placed and marked as running by this process."""
    with at_work(home, row, listener) as post:
        run = post.ledger.run(row.job_id)
        settings = recorded(renewed(run.settings["settings"], row.payload.get("connection", {})), home)
        _invoke(Work(post, run, settings, open_folder(home, run)), row.payload.get("answers"))


def _invoke(work: Work, answers: Mapping[str, Any] | None) -> None:
    with closing(checkpoints_of(work.settings.home)) as saver:
        config: RunnableConfig = {"configurable": {"thread_id": work.row.run_id}}
        resumed = saver.get_tuple(config) is not None
        begin(work.row, work.post.log, resumed=resumed)
        _through_graph(work, saver, config, answers, resumed)


def _through_graph(
    work: Work, saver: Any, config: RunnableConfig, answers: Mapping[str, Any] | None, resumed: bool
) -> None:
    with waiting("loading the libraries"):
        from agents.graph import build_graph
        from models.chat.tracing import trace

        trace(work.settings.tracing.langsmith)
        kit = assemble(work.row, work.settings, work.post.ledger, work.post.log, work.folder, watched=True)
        graph = build_graph(kit, saver)
    entry = _entry(graph, config, work, kit, answers, resumed)
    while True:
        graph.invoke(entry, config, durability=DURABILITY)
        found = graph.get_state(config)
        state = dict(found.values)
        entry = _answered_before(work, state, found.interrupts)
        if entry is None:
            break
    write_documents(work.folder, state)
    if found.interrupts:
        stopped(work.post, "waiting", WAITS, Unfinished.exit_code)
    else:
        roles = roles_used(work.settings)
        home, again = work.settings.home, f"studio resume {work.row.run_id}"
        end(work.row, work.folder, home, work.post.ledger, work.post.log, state, roles, again)
        work.post.ledger.jobs.set_state(work.row.run_id, "finished")


def begin(row: RunRow, log: EventLog, *, resumed: bool) -> None:
    """Say that a run begins, or goes on."""
    log.emit(RunStarted(brief=row.brief, profile=row.settings["settings"]["profile"], resumed=resumed))


def end(
    row: RunRow, folder: Path, home: Path, ledger: Ledger, log: EventLog, state: Json, roles: Json, again: str
) -> float:
    """Say that a run whose documents are published is finished, and publish its manifest; return its seconds.

    Args:
        row: What was asked.
        folder: The run's.
        home: STUDIO_HOME, where servers that run here are entered.
        ledger: What it did.
        log: Its events; closed.
        state: The graph's last.
        roles: Which models answered, see `studio.runs.folder.roles_used`.
        again: How it is gone on with.

    Raises:
        Unfinished: It came to no design or no pictures.
    """
    if not state.get("design") or not (state.get("pictures") or state.get("decisions")):
        raise Unfinished(f"run {row.run_id} ended without a design and pictures", hint=again)
    seconds = seconds_of(read_good(folder / "events.jsonl")[0])
    log.emit(RunFinished(folder=str(folder), seconds=round(seconds, 3)))
    log.close()
    write_manifest(folder, row, ledger, roles, servers_used(roles, home), state, seconds)
    return seconds


def _entry(
    graph: Any, config: RunnableConfig, work: Work, kit: Kit, answers: Mapping[str, Any] | None, resumed: bool
) -> Any:
    """What the graph is given: the brief at first, an answer to an open question, or nothing to go on."""
    from agents.documents import Brief
    from agents.state import initial_state

    if not resumed:
        return initial_state(Brief.model_validate(work.row.brief))
    found = graph.get_state(config)
    if not found.interrupts:
        if answers:
            message = f"run {work.row.run_id} asks nothing just now"
            stopped(work.post, "interrupted", message, UsageError.exit_code)
            raise UsageError(message, hint="resume it without an answer")
        return None
    return _answer(work, kit, cast("DesignState", dict(found.values)), found.interrupts[0], answers)


def _answered_before(work: Work, state: Json, questions: Sequence[Any]) -> Any:
    """The answer to the open question that a branch was given with what it began with; ``None`` if there is none."""
    from langgraph.types import Command

    if not questions or questions[0].value["problem"]:
        return None
    key = kept_answer(questions[0].value["kind"], len(state["prompts"]))
    given = next((one.value for one in work.post.ledger.effects(work.row.run_id) if one.key == key), None)
    return None if given is None else Command(resume=given)


def _answer(work: Work, kit: Kit, state: DesignState, question: Any, answers: Mapping[str, Any] | None) -> Any:
    """The answer to the open question, kept in the ledger once it is known to work; ``None`` if there is none yet."""
    from agents.roles.director import tried

    run_id, key = work.row.run_id, f"answer/{question.id}"
    if answers:
        try:
            tried(kit, state, question.value["kind"], dict(answers))
        except UsageError as error:  # an answer that is none: the run still waits
            stopped(work.post, "waiting", str(error), error.exit_code)
            raise
    elif key not in {row.key for row in work.post.ledger.keys(run_id)}:
        return _answered_before(work, dict(state), [question])
    from langgraph.types import Command

    answer, _ = work.post.ledger.once(run_id, key, lambda: dict(answers or {}), kind="answer")
    return Command(resume=answer)

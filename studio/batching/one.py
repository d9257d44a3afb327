"""One design of a batch: a folder of its own, its effects exactly once in the batch's ledger, no checkpoints.

After a kill the graph is run from its start and finds in the ledger whatever was made. What the items of the same
settings share is made ready once. Knows one item and what comes of it; not which is next, nor when it is tried again.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.batching.shapes import DESIGNS, Item, ItemRow, Outcome
from studio.runs.assemble import Tools, assemble, tools_of
from studio.runs.execute import begin, end
from studio.runs.folder import roles_used, write_documents
from studio.runs.preflight import check_models
from studio.runs.record import write_brief
from studio.runs.request import document, record_of, rooted, with_options
from workspace.errors import DataError, Interrupted, ServiceError, StorageError, StudioError, Unfinished, one_line
from workspace.event_log import EventLog
from workspace.files import sweep
from workspace.ledger import RunRow
from workspace.options import overrides

if TYPE_CHECKING:
    from agents.documents import Brief
    from agents.kit import Kit
    from agents.programs import Program
    from models.chat.remote import RemoteChat
    from workspace.events import Event
    from workspace.ledger import Ledger
    from workspace.settings import Settings

_MOST_READY = 64


class Halted(Interrupted):
    """The batch ends before the design does."""


class Late(ServiceError):
    """A design took longer than one may."""


class Unexpected(Exception):
    """A fault that nobody foresaw, of another process.

    Args:
        words: Its kind and what it says, in one line.
        trace: Where it happened.
    """

    def __init__(self, words: str, trace: str) -> None:
        super().__init__(words)
        self.trace = trace


@dataclass(frozen=True)
class Ready:
    """What the items of the same settings share.

    Attributes:
        settings: The settings.
        tools: The painter, and what ranks texts.
        program: The conversation.
        record: What a run's row holds of both.
        roles: Which model answers for each role, for manifests.
        local: The roles whose models run in this process.
    """

    settings: Settings
    tools: Tools
    program: Program
    record: dict[str, Any]
    roles: dict[str, Any]
    local: frozenset[str]


class Tally:
    """What all designs have used and made so far. Several threads may add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.tokens_in = self.tokens_out = self.pictures = 0

    def add(self, tokens_in: int = 0, tokens_out: int = 0, pictures: int = 0) -> None:
        """Count some more."""
        with self._lock:
            self.tokens_in += tokens_in
            self.tokens_out += tokens_out
            self.pictures += pictures


class Bounds:
    """When a design is to end before it is made.

    Args:
        halted: Whether the batch ends.
        seconds: How long the design may take from now on.
    """

    def __init__(self, halted: Callable[[], bool], seconds: float | None) -> None:
        self._halted, self._seconds = halted, seconds
        self.ends = None if seconds is None else time.monotonic() + seconds

    def check(self) -> None:
        """See whether it may go on.

        Raises:
            Halted: The batch ends.
            Late: Its time is up.
        """
        if self._halted():
            raise Halted("the batch is halted")
        if self.ends is not None and time.monotonic() > self.ends:
            raise Late(f"it took longer than {self._seconds:g} s (--deadline)")


class Teams(threading.local):
    """The graph, which each thread makes once."""

    def __init__(self) -> None:
        self._team: Any = None
        self._graph: Any = None

    def run(self, kit: Kit, brief: Brief) -> dict[str, Any]:
        """Run the graph from its start, and return its last state."""
        import workspace.checkpoints  # noqa: F401  before the graph: it makes LangGraph strict
        from agents.graph import Team, graph_of
        from agents.state import initial_state

        if self._team is None:
            self._team = Team(kit)
            self._graph = graph_of(self._team)
        self._team.kit = kit
        state: dict[str, Any] = self._graph.invoke(initial_state(brief))
        return state


class _Log(EventLog):
    """A design's events but the single words of its models, which nobody follows here and its steps hold whole.

    Where the batch is halted or the time is up, the next event, also a word, ends the design instead.
    """

    def __init__(self, path: Path, run_id: str, check: Callable[[], None]) -> None:
        super().__init__(path, run_id)
        self.check = check

    def emit(self, event: Event) -> Event:
        """Write an event, unless the design is to end."""
        self.check()
        return event if event.type == "token" else super().emit(event)


class Workshop:
    """Makes a batch's designs, several at once.

    Args:
        folder: The batch's.
        settings: The batch's; an item's options go before them.
        ledger: Of the effects of all its designs.
        tally: Counts what they use and make.
        deadline: Seconds that one design may take at a time.
    """

    def __init__(
        self, folder: Path, settings: Settings, ledger: Ledger, tally: Tally, deadline: float | None = None
    ) -> None:
        self.folder, self.settings, self.ledger, self.tally = folder, settings, ledger, tally
        self.deadline = deadline
        self.halt = threading.Event()
        self._ready: OrderedDict[str, Ready] = OrderedDict()
        self._teams = Teams()
        self._lock = threading.Lock()

    def make(self, row: ItemRow) -> Outcome:
        """Make an item's design, or go on with it, and say what came of it and of the attempts before.

        Raises:
            Halted: The batch is halted; the item waits again.
            StorageError: The disk refuses, as it will the next.
        """
        began = time.monotonic()
        use = Tally()
        reason, retryable, pictures = "", False, row.outcome.pictures
        try:
            ready, run = self._begun(row.item)
        except (Halted, StorageError):
            raise
        except StudioError as fault:  # as it would be the next time
            return replace(row.outcome, reason=str(fault), retryable=False)
        try:
            pictures = self._through_graph(ready, run, use, resumed=row.attempts > 1)
        except (Halted, StorageError):
            raise
        except StudioError as fault:
            reason, retryable = str(fault), isinstance(fault, ServiceError | Unfinished)
        except Exception as fault:
            reason = f"an unexpected fault, whose traceback the job's log has: {_told(fault)}"
        return Outcome(
            reason=reason,
            retryable=retryable,
            run_id=run.run_id,
            seconds=round(row.outcome.seconds + time.monotonic() - began, 3),
            tokens_in=row.outcome.tokens_in + use.tokens_in,
            tokens_out=row.outcome.tokens_out + use.tokens_out,
            pictures=pictures,
        )

    def _begun(self, item: Item) -> tuple[Ready, RunRow]:
        """What an item is made with, and its run as it stands in the ledger."""
        ready = self.ready(item)
        brief = document(item.brief, item.options, ready.program).model_dump(mode="json")
        seed, now = item.options.seed, time.time()
        assert seed is not None  # the store has settled it
        folder = self.folder / DESIGNS / item.folder
        if not self.ledger.read("SELECT 1 FROM runs WHERE run_id = ?", item.folder):
            self.ledger.create_run(item.folder, brief, {}, seed, str(folder), "running")
        return ready, RunRow(item.folder, "running", "", brief, ready.record, seed, str(folder), now, now)

    def ready(self, item: Item) -> Ready:
        """What an item's design is made with, looked for once for all items of the same settings.

        Raises:
            StudioError: A model is not there or cannot be used.
        """
        key = json.dumps(overrides(item.options), sort_keys=True)
        with self._lock:
            found = self._ready.get(key)
            if found is None:
                found = self._found(rooted(with_options(item.options, self.settings)))
                self._ready[key] = found
                if len(self._ready) > _MOST_READY:
                    self._ready.popitem(last=False)
            self._ready.move_to_end(key)
        return found

    def _found(self, settings: Settings) -> Ready:
        from agents.programs import load_program

        return ready_of(settings, load_program(settings.flow.program))

    def _through_graph(self, ready: Ready, run: RunRow, use: Tally, *, resumed: bool) -> int:
        """Run the graph over what the ledger holds, and publish what it made; return how many pictures."""
        folder = Path(run.folder)
        if resumed:
            sweep(folder)
        write_brief(folder, run)
        bounds = Bounds(self.halt.is_set, self.deadline)
        with _Log(folder / "events.jsonl", run.run_id, bounds.check) as log:
            begin(run, log, resumed=resumed)
            state = self._state(ready, run, log, bounds, use)
            log.check = lambda: None  # all is made
            write_documents(folder, state)
            home, again = ready.settings.home, "the same command goes on"
            end(run, folder, home, self.ledger, log, state, ready.roles, again)
        return len(state["pictures"])

    def _state(self, ready: Ready, run: RunRow, log: EventLog, bounds: Bounds, use: Tally) -> dict[str, Any]:
        """Run the graph over what the ledger holds, and return its last state."""
        from agents.documents import Brief

        def used(tokens_in: int, tokens_out: int) -> None:
            use.add(tokens_in, tokens_out)
            self.tally.add(tokens_in, tokens_out)

        def once(key: str, compute: Callable[[], Any], *, kind: str) -> tuple[Any, bool]:
            def counted() -> Any:
                made = compute()
                self.tally.add(pictures=int(kind == "picture"))
                return made

            return self.ledger.once(run.run_id, key, counted, kind=kind)

        kit = assemble(run, ready.settings, self.ledger, log, Path(run.folder), ready.tools)
        kit = guarded(replace(kit, once=once), ready, used, bounds)
        return self._teams.run(kit, Brief.model_validate(run.brief))


def ready_of(settings: Settings, program: Program) -> Ready:
    """What designs of some settings and a program are made with.

    Raises:
        StudioError: A model is not there or cannot be used.
    """
    from workspace.settings import resolved

    check_models(settings)
    roles = roles_used(settings)
    local = frozenset(role for role in roles if not resolved(settings, role).chat.server)
    return Ready(settings, tools_of(settings), program, record_of(settings, program), roles, local)


def guarded(kit: Kit, ready: Ready, used: Callable[[int, int], None], bounds: Bounds) -> Kit:
    """The kit with tokens counted, servers' patience bounded, and no picture painted while a model here writes.

    Models of this process write for several designs at a time.

    Args:
        kit: A design's.
        ready: What it is made with.
        used: Takes tokens that were read and written.
        bounds: When it is to end.
    """
    from models.chat.remote import RemoteChat
    from models.decoder.turnstile import turnstile

    def chat(role: str, seed: int) -> Any:
        model = kit.chat(role, seed)
        if isinstance(model, RemoteChat):
            model.on_usage = used
            if bounds.ends is not None:
                _hurried(model, bounds.ends - time.monotonic())
        return model

    def once(key: str, compute: Callable[[], Any], *, kind: str) -> tuple[Any, bool]:
        role = key.partition("/")[0]

        def made() -> Any:
            with turnstile("cpu") if kind == "picture" and ready.local else nullcontext():
                bounds.check()
                return _computed(compute, served=role in ready.roles and role not in ready.local)

        return kit.once(key, made, kind=kind)

    return replace(kit, chat=chat, once=once)


def _told(fault: Exception) -> str:
    """A fault that nobody foresaw in one line, its traceback on standard error."""
    if isinstance(fault, Unexpected):
        print(fault.trace, file=sys.stderr)
        return str(fault)
    traceback.print_exc(file=sys.stderr)
    return f"{type(fault).__name__}: {one_line(fault)}"


def _computed(compute: Callable[[], Any], *, served: bool) -> Any:
    """What an effect makes; a server's answer that is no document is the server's fault, and may be another next."""
    try:
        return compute()
    except DataError as fault:
        if served:
            raise ServiceError(fault.message, hint=fault.hint) from fault
        raise


def _hurried(model: RemoteChat, left: float) -> None:
    """Let a server's answer take no longer than is left for the design, and a second at least."""
    chat = model.call.chat
    patience = max(1.0, min(chat.timeout, left))
    model.call = model.call.model_copy(update={"chat": chat.model_copy(update={"timeout": patience})})

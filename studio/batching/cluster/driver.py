"""A batch's designs made on a cluster: the folder, the ledger and the events stay here, the graph runs in a worker.

A design whose worker is lost goes on in another with whatever the ledger holds. Knows actors through `Pool` alone.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.batching.cluster.messages import (
    Answer,
    Easel,
    Ended,
    Failed,
    Given,
    Made,
    Make,
    Message,
    Paint,
    Wanted,
    raised,
)
from studio.batching.cluster.pool import Member, Pool
from studio.batching.cluster.processes import lost_words
from studio.batching.one import Bounds, Halted, Ready, Tally, Unexpected, Workshop
from workspace.errors import DataError, ServiceError
from workspace.files import publish

if TYPE_CHECKING:
    from studio.batching.shapes import ItemRow, Outcome
    from workspace.event_log import EventLog
    from workspace.ledger import Ledger, RunRow
    from workspace.settings import Settings

PAINTERS_TRIED = 4
"""How many painters may be lost over one call before the design's try has failed."""

_POLL = 0.25
_ACKNOWLEDGED = 5.0
"""Seconds in which a worker says that it has let a design go; one that does not is lost."""

_LEAVING = 10.0
"""Seconds that designs in flight have to leave their workers in when a batch ends."""


class Lost(ServiceError):
    """A worker is lost, and the design that it was making goes on in another."""


class ClusterWorkshop(Workshop):
    """Makes a batch's designs in the workers of a cluster.

    Args:
        folder: The batch's.
        settings: The batch's; an item's options go before them.
        ledger: Of the effects of all its designs.
        tally: Counts what they use and make.
        deadline: Seconds that one design may take at a time.
        workers: Run designs' graphs.
        painters: Paint.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        ledger: Ledger,
        tally: Tally,
        deadline: float | None,
        workers: Pool,
        painters: Pool,
    ) -> None:
        super().__init__(folder, settings, ledger, tally, deadline)
        self.workers, self.painters = workers, painters
        self._worker = threading.local()
        self._tickets = itertools.count()
        self._left = threading.Condition()
        self._inside = 0

    def make(self, row: ItemRow) -> Outcome:
        """Make an item's design, or go on with it, and say what came of it and of the attempts before.

        Raises:
            Halted: The batch is halted; the item waits again.
            StorageError: The disk refuses, as it will the next.
            ServiceError: A node lacks what designs need.
            Unfinished: No worker or no painter comes up.
        """
        with self._left:
            self._inside += 1
        try:
            outcome = super().make(row)
        finally:
            with self._left:
                self._inside -= 1
                self._left.notify()
        for pool in (self.workers, self.painters):
            if pool.wrong is not None:
                raise pool.wrong
        return outcome

    def leave(self) -> bool:
        """End all actors, and say whether every design has left its own by then."""
        self.halt.set()
        self.workers.close()
        self.painters.close()
        with self._left:
            return self._left.wait_for(lambda: not self._inside, _LEAVING)

    def _through_graph(self, ready: Ready, run: RunRow, use: Tally, *, resumed: bool) -> int:
        """Make a design in one worker after another, as long as each makes something before it is lost."""
        while True:
            before = len(self.ledger.keys(run.run_id))
            with self.workers.one(self._check) as worker:
                self._worker.member = worker
                try:
                    pictures = super()._through_graph(ready, run, use, resumed=resumed)
                except Lost as fault:
                    self.workers.gone(worker, fault.message)
                    if len(self.ledger.keys(run.run_id)) == before:
                        raise
                    resumed = True
                    continue
                self.workers.done(worker)
                return pictures

    def _check(self) -> None:
        if self.halt.is_set():
            raise Halted("the batch is halted")

    def _state(self, ready: Ready, run: RunRow, log: EventLog, bounds: Bounds, use: Tally) -> dict[str, Any]:
        return _Talk(self, self._worker.member, next(self._tickets), run, log, bounds, use).state()


class _Talk:
    """What is said between here and the worker that makes one design."""

    def __init__(
        self,
        shop: ClusterWorkshop,
        worker: Member,
        ticket: int,
        run: RunRow,
        log: EventLog,
        bounds: Bounds,
        use: Tally,
    ) -> None:
        self._shop, self._worker, self._ticket = shop, worker, ticket
        self._run, self._log, self._bounds, self._use = run, log, bounds, use
        self._folder = Path(run.folder)
        self._over = False

    def state(self) -> dict[str, Any]:
        """Have the graph run, keeping every effect before the next is begun, and return its last state.

        Raises:
            Lost: The worker is lost.
        """
        try:
            run = replace(self._run, folder="")
            message = self._said(self._worker.actor.begin, run, self._files(), self._shop.deadline)
            while not isinstance(message, Ended):
                message = self._answered(message)
            return message.state
        finally:
            if not self._over:
                self._drop()

    def _files(self) -> dict[str, bytes]:
        """What the design has made before."""
        kept = self._shop.ledger.artifacts(self._run.run_id)
        paths = [(one.path, self._folder / one.path) for one in kept]
        return {name: path.read_bytes() for name, path in paths if path.is_file()}

    def _answered(self, message: Message) -> Message:
        """The worker's next message, once this one is dealt with."""
        if isinstance(message, Paint):
            return self._painted()
        assert isinstance(message, Wanted)
        shop, effect = self._shop, partial(self._effect, message.kind)
        value, before = shop.ledger.once(self._run.run_id, message.key, effect, kind=message.kind)
        return self._go_on(Given(value, before))

    def _effect(self, kind: str) -> Any:
        """Have the worker make an effect, and publish its files."""
        message = self._go_on(Make())
        while not isinstance(message, Made):
            message = self._answered(message)
        for one in message.artifacts:
            if hashlib.sha256(one.content).hexdigest() != one.sha256:
                raise DataError(f"{one.path} of {self._run.run_id} is not what its worker made")
            publish(self._folder / one.path, one.content)
            self._shop.ledger.artifact(self._run.run_id, one.path, one.sha256, one.kind, one.meta)
        self._shop.tally.add(pictures=int(kind == "picture"))
        return message.value

    def _painted(self) -> Message:
        """Name a painter, and hear what came of it.

        Raises:
            ServiceError: One after another was lost.
        """
        pool, lost = self._shop.painters, ""
        for _ in range(PAINTERS_TRIED):
            with pool.one(self._bounds.check) as painter:
                message = self._go_on(Easel(painter.actor))
            if not isinstance(message, Paint) or not message.lost:
                pool.done(painter)
                return message
            lost = message.lost
            pool.gone(painter, lost)
        raise ServiceError(f"{PAINTERS_TRIED} painters were lost over a picture; the last: {lost}")

    def _go_on(self, answer: Answer) -> Message:
        return self._said(self._worker.actor.go_on, answer)

    def _said(self, method: Any, *args: Any) -> Message:
        """Call a worker, and take in what its message brings along.

        Raises:
            Lost: It is lost.
        """
        message = self._heard(method.remote(self._ticket, *args))
        self._use.add(message.tokens_in, message.tokens_out)
        self._shop.tally.add(message.tokens_in, message.tokens_out)
        self._over = isinstance(message, Ended | Failed)
        for event in message.events:
            self._log.emit(event)
        if isinstance(message, Failed):
            raise raised(message)
        return message

    def _heard(self, call: Any) -> Message:
        import ray
        from ray.exceptions import RayError, RayTaskError

        while not ray.wait([call], timeout=_POLL)[0]:
            self._bounds.check()
        try:
            message: Message = ray.get(call)
        except RayTaskError as fault:
            raise Unexpected(lost_words(fault), str(fault)) from None
        except RayError as fault:
            self._over = True
            raise Lost(f"its worker on node {self._worker.node} was lost: {lost_words(fault)}") from None
        return message

    def _drop(self) -> None:
        """Have the worker let the design go."""
        import ray
        from ray.exceptions import RayError

        with suppress(RayError):
            call = self._worker.actor.drop.remote(self._ticket)
            if not ray.wait([call], timeout=_ACKNOWLEDGED)[0]:
                self._shop.workers.gone(self._worker, "it did not answer")

"""The processes of a batch on a cluster: design workers, which run graphs, and painters. They keep nothing of a design.

Each is an actor's class; the calls are the driver's. What goes wrong is told as a message, so that whatever else an
actor raises means that it is lost. Knows Ray only to call a painter.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar, cast

from studio.batching.cluster.desk import Desk, FarPainter
from studio.batching.cluster.messages import Answer, Easel, Ended, Failed, Message, Paint, Painted, failed, raised
from studio.batching.one import Ready, Teams, guarded, ready_of
from studio.runs.assemble import assemble
from studio.runs.folder import versions
from studio.runs.request import recorded
from workspace.errors import ServiceError, StudioError

if TYPE_CHECKING:
    from PIL.Image import Image

    from pipelines.pictures.painter import Painter
    from pipelines.pictures.picture import PictureSpec
    from workspace.ledger import Ledger, RunRow
    from workspace.settings import Settings

V = TypeVar("V")
Json = dict[str, Any]

_MOST_READY = 64
_MOST_PAINTERS = 8
_POLL = 0.5


class _Kept:
    """Things that are made once for the same plain data, the latest ones."""

    def __init__(self, make: Callable[[Json], Any], most: int) -> None:
        self._make, self._most = make, most
        self._held: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, data: Json) -> Any:
        key = json.dumps(data, sort_keys=True)
        with self._lock:
            if key not in self._held:
                self._held[key] = self._make(data)
                if len(self._held) > self._most:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            return self._held[key]


def _checked(version: str, home: Path) -> None:
    """See that this node has the driver's Studio and its home.

    Raises:
        StudioError: It has not.
    """
    here = versions()["bio-studio"]
    if here != version:
        raise ServiceError(f"Studio {here} is installed there, and {version} here", hint="install the same everywhere")
    if not home.is_dir():
        raise ServiceError(f"there is no {home}", hint="STUDIO_HOME lies at the same place on every node")


def _hello(look: Callable[[], object]) -> str | Failed:
    """The node's name, if nothing is missing on it."""
    node = socket.gethostname()
    try:
        look()
    except StudioError as fault:
        return Failed(kind=ServiceError.__name__, words=f"node {node}: {fault.message}", hint=fault.hint)
    return node


class DesignWorker:
    """Runs the graphs of several designs at once.

    Args:
        home: STUDIO_HOME.
        most: Designs at a time.
    """

    def __init__(self, home: str, most: int) -> None:
        self._home = Path(home)
        self._ready = _Kept(self._found, _MOST_READY)
        self._teams = Teams()
        self._desks: dict[int, Desk] = {}
        self._begun: SimpleQueue[tuple[RunRow, Desk]] = SimpleQueue()
        for number in range(most):  # daemons: a process whose driver died does not wait for them
            threading.Thread(target=self._take, name=f"design {number + 1}", daemon=True).start()

    def hello(self, settings: Json, version: str) -> str | Failed:
        """Say where this is, or what is missing here."""

        def look() -> None:
            import agents.graph  # noqa: F401  the first design would wait for it
            from studio.runs.preflight import check_models

            _checked(version, self._home)
            check_models(recorded(settings, self._home))

        return _hello(look)

    def begin(self, ticket: int, run: RunRow, files: Mapping[str, bytes], seconds: float | None) -> Message | None:
        """Begin a design, and say its first word.

        Args:
            ticket: Names it from now on.
            run: What is asked.
            files: What it has made before.
            seconds: How long it may take.
        """
        desk = self._desks[ticket] = Desk(run.run_id, files, seconds)
        self._begun.put((run, desk))
        return self._next(ticket, desk.go_on())

    def go_on(self, ticket: int, answer: Answer) -> Message | None:
        """Answer a design, and say its next word."""
        return self._next(ticket, self._desks[ticket].go_on(answer))

    def drop(self, ticket: int) -> None:
        """Let a design go."""
        desk = self._desks.pop(ticket, None)
        if desk is not None:
            desk.drop()

    def _next(self, ticket: int, message: Message | None) -> Message | None:
        if isinstance(message, Ended | Failed):
            self._desks.pop(ticket, None)
        return message

    def _found(self, record: Json) -> Ready:
        from agents.programs import Program

        return ready_of(recorded(record["settings"], self._home), Program.model_validate(record["program"]))

    def _take(self) -> None:
        while True:
            self._work(*self._begun.get())

    def _work(self, run: RunRow, desk: Desk) -> None:
        try:
            state = self._state(run, desk)
            desk.end(Ended(state=state))
        except BaseException as fault:
            desk.end(failed(fault, socket.gethostname(), traceback.format_exc()))

    def _state(self, run: RunRow, desk: Desk) -> Json:
        from agents.documents import Brief

        try:
            ready: Ready = self._ready.get(run.settings)
        except StudioError as fault:
            raise ServiceError(f"node {socket.gethostname()}: {fault.message}", hint=fault.hint) from None
        here = Path(run.run_id)  # nothing is written
        kit = assemble(run, ready.settings, cast("Ledger", desk), cast("Any", desk), here, ready.tools)

        def paint(specs: list[PictureSpec], tell: Callable[[str], None]) -> list[Image]:
            return _painted(desk, ready.settings, specs, tell)

        kit = replace(
            kit,
            once=desk.once,
            emit=desk.emit,
            painter=FarPainter(ready.tools.painter, desk.emit, paint),
            publish_picture=desk.publish_picture,
            read_picture=desk.read_picture,
        )
        kit = guarded(kit, ready, desk.used, desk.bounds)
        return self._teams.run(kit, Brief.model_validate(run.brief))


def _painted(desk: Desk, settings: Settings, specs: list[PictureSpec], tell: Callable[[str], None]) -> list[Image]:
    """Have pictures painted by whom the driver names, and by another where one dies over it."""
    from PIL import Image

    asked, lost = settings.painter.model_dump(mode="json"), ""
    while True:
        painter = desk.ask(Paint(lost=lost), Easel).painter
        made, lost = _called(desk, painter.paint.remote(asked, specs))
        if isinstance(made, Failed):
            raise raised(made)
        if made is not None:
            for text in made.notices:
                tell(text)
            return [Image.frombytes("RGB", (width, height), data) for width, height, data in made.pictures]


def _called(desk: Desk, call: Any) -> tuple[Painted | Failed | None, str]:
    """What a painter answers, or why it does not."""
    import ray
    from ray.exceptions import RayError

    while not ray.wait([call], timeout=_POLL)[0]:
        desk.bounds.check()
    try:
        return ray.get(call), ""
    except RayError as fault:
        return None, lost_words(fault)


def lost_words(fault: BaseException) -> str:
    """Why an actor is lost, in one line: the last that Ray says of it."""
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    told = next((line for line in reversed(lines) if line.startswith(_TELLING)), lines[-1] if lines else "")
    return told.split(". Some common causes", 1)[0][:200] or type(fault).__name__


_TELLING = ("The actor is dead because", "Worker exit detail", "The actor died")


class Painting:
    """Paints, one call after another, with the weights in memory.

    Args:
        home: STUDIO_HOME.
        threads: What the driver's OMP_NUM_THREADS says, if it says anything.
    """

    def __init__(self, home: str, threads: str | None) -> None:
        if threads is None:  # Ray has set 1; on a CPU a picture is painted by all cores, as in a process without Ray
            os.environ.pop("OMP_NUM_THREADS", None)
        else:
            os.environ["OMP_NUM_THREADS"] = threads
        self._home = Path(home)
        self._painters = _Kept(self._found, _MOST_PAINTERS)

    def hello(self, settings: Json, version: str) -> str | Failed:
        """Say where this is, or what is missing here."""

        def look() -> None:
            _checked(version, self._home)
            self._painters.get(settings)

        return _hello(look)

    def paint(self, settings: Json, specs: list[PictureSpec]) -> Painted | Failed:
        """Paint pictures.

        Args:
            settings: The painter's.
            specs: What to paint.
        """
        notices: list[str] = []
        try:
            images = self._painters.get(settings).paint(specs, None, notices.append)
        except Exception as fault:
            return failed(fault, socket.gethostname(), traceback.format_exc())
        return Painted([(*image.size, image.convert("RGB").tobytes()) for image in images], notices)

    def _found(self, settings: Json) -> Painter:
        from pipelines.pictures.painter import Painter
        from workspace.settings import PainterSettings

        if settings["device"].startswith("cuda") and "CUDA_VISIBLE_DEVICES" in os.environ:
            settings = settings | {"device": "cuda"}  # the one that the cluster has given
        return Painter.load(PainterSettings(**settings), self._home)

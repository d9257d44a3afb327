"""A design in a worker: its effects are asked of the driver and told to it, its pictures are held in memory.

The graph's thread takes turns with the worker's calls, which carry a message out and its answer in. Knows no cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar, cast

from studio.batching.cluster.messages import Answer, Artifact, Given, Made, Make, Message, Wanted
from studio.batching.one import Bounds, Halted
from studio.runs.assemble import KitPainter, publisher

if TYPE_CHECKING:
    from PIL.Image import Image

    from pipelines.pictures.painter import Painter
    from pipelines.pictures.picture import PictureSpec
    from workspace.events import Event
    from workspace.ledger import Ledger

A = TypeVar("A")


class Desk:
    """What the graph of one design is handed in place of ledger, log and folder.

    Args:
        run_id: The design's run.
        files: What it has made before, by path within its folder.
        seconds: How long it may take.
    """

    def __init__(self, run_id: str, files: Mapping[str, bytes], seconds: float | None) -> None:
        self.run_id = run_id
        self.bounds = Bounds(lambda: self._dropped, seconds)
        self._files = dict(files)
        self._dropped = False
        self._events: list[Event] = []
        self._tokens = [0, 0]
        self._out: SimpleQueue[Message | None] = SimpleQueue()
        self._in: SimpleQueue[Answer | None] = SimpleQueue()
        self._alone = RLock()
        self._made: ContextVar[list[Artifact] | None] = ContextVar("made", default=None)

    def emit(self, event: Event) -> None:
        """Keep an event for the next message, unless it is a word, which a step's end holds again."""
        self.bounds.check()
        if event.type != "token":
            self._events.append(event)

    def used(self, tokens_in: int, tokens_out: int) -> None:
        """Count tokens for the next message."""
        self._tokens[0] += tokens_in
        self._tokens[1] += tokens_out

    def once(self, key: str, compute: Callable[[], Any], *, kind: str) -> tuple[Any, bool]:
        """The value of an effect, made here only if the driver has none; and whether it had one.

        It is the driver's when this returns.
        """
        with self._alone:
            answer = self.ask(Wanted(key=key, kind=kind), Given, Make)
            if isinstance(answer, Given):
                return answer.value, answer.before
            made: list[Artifact] = []
            token = self._made.set(made)
            try:
                value = compute()
            finally:
                self._made.reset(token)
            kept = self.ask(Made(value=value, artifacts=made), Given)
            return kept.value, kept.before

    def artifact(self, run_id: str, path: str, sha256: str, kind: str, meta: Mapping[str, Any] | None = None) -> None:
        """Enter a file that was just made, as a ledger does; it goes with the effect's value."""
        made = self._made.get()
        assert made is not None and run_id == self.run_id  # pictures are made within an effect
        made.append(Artifact(path, sha256, kind, dict(meta or {}), self._files[path]))

    def publish_picture(self, image: Image, spec: PictureSpec, index: int) -> dict[str, Any]:
        """Make a picture's file, and keep it in memory."""
        with TemporaryDirectory(prefix="studio-picture-") as name:
            desk = _Entering(self, Path(name))
            return publisher(self.run_id, desk.folder, cast("Ledger", desk))(image, spec, index)

    def taken(self, folder: Path, path: str) -> None:
        """Take a file of the design's into memory."""
        self._files[path] = (folder / path).read_bytes()

    def read_picture(self, picture: Mapping[str, Any]) -> bytes:
        """A picture's file."""
        return self._files[picture["path"]]

    def ask(self, message: Message, *kinds: type[A]) -> A:
        """Send a message, and wait for its answer.

        Raises:
            Halted: The driver has let the design go.
        """
        self._send(message)
        answer = None if self._dropped else self._in.get()
        if not isinstance(answer, kinds):
            raise Halted("the driver has let the design go")
        return answer

    def end(self, message: Message) -> None:
        """Send the last message."""
        self._send(message)

    def go_on(self, answer: Answer | None = None) -> Message | None:
        """Hand an answer in, and wait for the next message; ``None`` for a design that was let go."""
        if answer is not None:
            self._in.put(answer)
        return self._out.get()

    def drop(self) -> None:
        """Let the design go: it ends at its next word, and nobody hears of it."""
        self._dropped = True
        self._in.put(None)
        self._out.put(None)

    def _send(self, message: Message) -> None:
        message.events, self._events = self._events, []
        message.tokens_in, message.tokens_out = self._tokens
        self._tokens = [0, 0]
        self._out.put(message)


class _Entering:
    """A desk that takes files out of a folder before it enters them."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self._desk, self.folder = desk, folder

    def artifact(self, run_id: str, path: str, sha256: str, kind: str, meta: Mapping[str, Any] | None = None) -> None:
        self._desk.taken(self.folder, path)
        self._desk.artifact(run_id, path, sha256, kind, meta)


class FarPainter(KitPainter):
    """A painter whose words and specifications are found here, and whose pictures are painted elsewhere.

    Args:
        painter: Knows the words; its weights are not read.
        emit: Takes events.
        paint: Has pictures painted; takes the painter's notices.
    """

    def __init__(
        self,
        painter: Painter,
        emit: Callable[[Event], Any],
        paint: Callable[[list[PictureSpec], Callable[[str], None]], list[Image]],
    ) -> None:
        super().__init__(painter, emit)
        self._elsewhere = paint

    def paint(
        self,
        specs: list[PictureSpec],
        on_step: Callable[[int, int], None] | None = None,
        on_preview: Callable[[int, Image], None] | None = None,
    ) -> list[Image]:
        """Have pictures painted; the steps on the way are not told."""
        from workspace.events import Notice

        return self._elsewhere(specs, lambda text: self._emit(Notice(text=text)))

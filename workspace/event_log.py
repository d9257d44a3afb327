"""A run's events on disk, one JSON line each: written by a worker, followed by whoever watches. Shows nothing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from workspace.errors import DataError, StorageError, pydantic_fault
from workspace.events import EVENT, Event, Notice, Token
from workspace.files import MOST_BYTES, disk, read_inside
from workspace.letters import whole_data

TOKEN_SECONDS = 0.15
TOKEN_CHARACTERS = 40

Listener = Callable[[Event], None]


class EventLog:
    """The writing end of a run's events. Thread-safe; one log at a time may be open on a file.

    Tokens of one step are joined in the file when they come fast; listeners get each at once, with the number of the
    line it will be part of. Lines are not synced to the disk: the ledger is the truth, and a torn end is cut off here.

    Args:
        path: The file; made if it is not there. Numbering goes on from what it holds.
        run_id: Stamped on every event.
        listeners: Called with every event from the thread that emits it.
    """

    def __init__(self, path: Path, run_id: str, listeners: Iterable[Listener] = ()) -> None:
        self.path = path
        self.run_id = run_id
        self._listeners = list(listeners)
        self._lock = threading.RLock()
        self._waiting: list[Token] = []
        self._written = float("-inf")
        with disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self._size, self._seq = _whole(path.read_bytes())
            os.ftruncate(self._file, self._size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with every event from now on."""
        with self._lock:
            self._listeners.append(listener)

    def emit(self, event: Event) -> Event:
        """Stamp ``event`` with run, number and time, write it, tell the listeners, and return it as stamped."""
        with self._lock:
            now = time.time()
            if isinstance(event, Token):
                stamped: Event = self._token(event, now)
            else:
                self._flush()
                stamped = event.model_copy(update=self._stamp(now))
                self._append(stamped)
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(stamped)
        return stamped

    def close(self) -> None:
        """Write tokens that still wait and close the file; a second call does nothing."""
        with self._lock:
            if self._file >= 0:
                try:
                    self._flush()
                finally:
                    os.close(self._file)
                    self._file = -1

    def _token(self, token: Token, now: float) -> Token:
        if self._waiting and (self._waiting[0].role, self._waiting[0].key) != (token.role, token.key):
            self._flush()
        stamped = token.model_copy(update=self._stamp(now))
        self._waiting.append(stamped)
        late = time.monotonic() - self._written >= TOKEN_SECONDS
        if late or sum(len(each.text) for each in self._waiting) >= TOKEN_CHARACTERS:
            self._flush()
        return stamped

    def _stamp(self, now: float) -> dict[str, Any]:
        return {"run_id": self.run_id, "seq": self._seq + 1, "at": now}

    def _flush(self) -> None:
        if self._waiting:
            text = "".join(token.text for token in self._waiting)
            whole = self._waiting[0].model_copy(update={"text": text})
            self._waiting = []
            self._append(whole)
            self._written = time.monotonic()

    def _append(self, event: Event) -> None:
        try:
            line = event.model_dump_json().encode() + b"\n"
        except PydanticSerializationError:  # half of a surrogate pair
            event = EVENT.validate_python(whole_data(event.model_dump()))
            line = event.model_dump_json().encode() + b"\n"
        if self._file < 0:
            raise StorageError(f"{self.path} is closed")
        with disk(self.path):
            try:
                rest = line
                while rest:
                    rest = rest[os.write(self._file, rest) :]
            except OSError:
                os.ftruncate(self._file, self._size)
                raise
        self._size += len(line)
        self._seq = event.seq


def read(path: Path) -> list[Event]:
    """Return all events of a file; an unfinished last line is left out.

    Raises:
        DataError: If a whole line is no event; file and line are named.
        StorageError: If there is no such file.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise StorageError(f"there is no event file {path}") from None
    return [_parsed(line, path, number) for number, line in enumerate(data.split(b"\n")[:-1], 1)]


def read_good(path: Path) -> tuple[list[Event], int]:
    """Return the events of a file that can be read, and how many whole lines cannot.

    Raises:
        DataError: It is a link, no plain file, or larger than any run's.
    """
    lines = read_inside(path.parent, path.name).split(b"\n")[:-1]
    found = []
    for line in lines:
        with suppress(ValidationError):
            found.append(EVENT.validate_json(line))
    return found, len(lines) - len(found)


def latest(path: Path, most: int = 65_536) -> list[Event]:
    """The last events of a file, as many as its last ``most`` bytes hold; none where there is no such file."""
    if path.is_symlink() or not path.is_file():
        return []
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most))
        lines = file.read(most).split(b"\n")
    found = []
    for line in lines[1 if size > most else 0 : -1]:
        with suppress(ValidationError):
            found.append(EVENT.validate_json(line))
    return found


class Tail:
    """The reading end of events that are still being written; the file may begin to exist later.

    Args:
        path: The file.
        after_seq: The number of the last event already known.
    """

    def __init__(self, path: Path, after_seq: int = 0) -> None:
        self.path, self.seq = path, after_seq
        self._place = self._line = 0

    def new(self) -> list[Event]:
        """Return the whole events that were written since the last call; a line that is none is told in a notice."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size <= self._place:
            return []
        with self.path.open("rb") as file:
            file.seek(self._place)
            data = file.read(MOST_BYTES)
        self._place += data.rfind(b"\n") + 1
        found: list[Event] = []
        for line in data.split(b"\n")[:-1]:
            self._line += 1
            try:
                event = _parsed(line, self.path, self._line)
            except DataError as error:
                found.append(Notice(run_id=self.path.parent.name, seq=self.seq, at=time.time(), text=str(error)))
                continue
            if event.seq > self.seq:
                self.seq = event.seq
                found.append(event)
        return found


def follow(
    path: Path, *, after_seq: int = 0, stop: Callable[[], bool] = lambda: False, poll: float = 0.1
) -> Iterator[Event]:
    """Yield the events of a file as they are written, which may begin to exist later.

    Args:
        path: The file.
        after_seq: The number of the last event already known.
        stop: Asked before each look at the file; when it says yes, what is there by then
            is yielded and the end is reached.
        poll: Seconds between two looks.
    """
    tail = Tail(path, after_seq)
    while True:
        last = stop()
        yield from tail.new()
        if last:
            return
        time.sleep(poll)


def _parsed(line: bytes, path: Path, number: int) -> Event:
    try:
        return EVENT.validate_json(line)
    except ValidationError as error:
        raise DataError(f"{path}, line {number}: not an event: {pydantic_fault(error)}") from error


def _whole(data: bytes) -> tuple[int, int]:
    """Return how many bytes of ``data`` are whole lines and the number of the last event in them."""
    end = data.rfind(b"\n") + 1
    while end:
        start = data.rfind(b"\n", 0, end - 1) + 1
        try:
            return end, EVENT.validate_json(data[start:end]).seq
        except ValidationError:
            end = start
    return 0, 0

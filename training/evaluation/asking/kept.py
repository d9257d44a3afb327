"""What a model said, kept question by question as it comes: JSON lines that are only ever added to.

A question is known by a digest of what was put, so that it is asked once, in whichever benchmark it stands. A line
that a crash left half written is no line: it is told, and its question asked again. Knows lines; not what they mean.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from workspace.errors import Unfinished
from workspace.files import claim, disk
from workspace.progress import Remark, Tell, silent


class Kept:
    """What is kept in a file; `opened` gives one."""

    def __init__(self, path: Path, found: dict[str, Any], handle: int) -> None:
        self.path = path
        self._found = found
        self._handle = handle

    def get(self, key: str) -> Any:
        """What was said to what has this digest; None where it was not put yet."""
        return self._found.get(key)

    def add(self, key: str, name: str, said: Any) -> None:
        """Keep what was said, in one write.

        Args:
            key: The digest of what was put.
            name: The question's, for people who read the file.
            said: Anything that JSON can hold.

        Raises:
            StorageError: The disk refuses.
        """
        line = json.dumps({"key": key, "question": name, "said": said}, ensure_ascii=True, allow_nan=False)
        data = line.encode() + b"\n"
        with disk(self.path):
            while data:
                data = data[os.write(self._handle, data) :]
        self._found[key] = said


@contextmanager
def opened(path: Path, tell: Tell = silent) -> Iterator[Kept]:
    """Open what is kept, for this process alone; it is synced at the end.

    Args:
        path: The file; it is made if need be.
        tell: Called with a `Remark` of lines that cannot be read.

    Raises:
        Unfinished: Another process is asking the same model the same way.
    """
    with ExitStack() as held:
        try:
            held.enter_context(claim(path.with_suffix(".lock")))
        except Unfinished as fault:
            told = f"this model is being evaluated already: {fault.message}"
            raise Unfinished(told, hint="wait until that has ended") from fault
        with disk(path):
            found = _read(path, tell)
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            yield Kept(path, found, handle)
        finally:
            with disk(path):
                os.fsync(handle)
            os.close(handle)


def _read(path: Path, tell: Tell) -> dict[str, Any]:
    """The lines of a file; a last one without its end is cut off, so that the next begins on a line of its own."""
    if not path.is_file():
        return {}
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(path, len(whole))
        tell(Remark(text=f"the last line of {path.name} was half written; its question is asked again"))
    found: dict[str, Any] = {}
    damaged = 0
    for line in whole.splitlines():
        try:
            held = json.loads(line)
            found[str(held["key"])] = held["said"]
        except (ValueError, KeyError, TypeError, RecursionError):
            damaged += 1
    if damaged:
        lines = "1 line is" if damaged == 1 else f"{damaged} lines are"
        tell(Remark(text=f"{lines} damaged in {path.name}; what stood there is asked again"))
    return found

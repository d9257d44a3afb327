"""Writing where a person says: a file, also through links, or into a stream."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path

from workspace.errors import StorageError
from workspace.files import disk, publish

_OPEN = re.compile(r"/(?:dev/fd|proc/(?:self|thread-self|[0-9]+)/fd)/([0-9]+)")
_STANDARD = {"-": 1, "/dev/stdout": 1, "/dev/stderr": 2}


def is_stream(target: Path) -> bool:
    """Say whether what is written there goes to somebody who reads it at once, and leaves no file of that name."""
    if _descriptor(target) is not None:
        return True
    try:
        return not stat.S_ISREG(target.stat().st_mode)
    except OSError:
        return False


def deliver(target: Path, content: bytes) -> None:
    """Write a file whole, or into a stream all that there is.

    Raises:
        StorageError: It cannot be written.
    """
    open_already = _descriptor(target)
    if open_already is not None:
        sys.stdout.flush()
        _write(open_already, content, target)
    elif is_stream(target):
        with disk(target):
            handle = os.open(target, os.O_WRONLY)
        try:
            _write(handle, content, target)
        finally:
            os.close(handle)
    else:
        publish(_through_links(target), content)


def _descriptor(target: Path) -> int | None:
    """The number of an open file that a name stands for."""
    found = _OPEN.fullmatch(str(target))
    mine = (
        found is None
        or not str(target).startswith("/proc/")
        or target.parts[2] in ("self", "thread-self", str(os.getpid()))
    )
    return int(found[1]) if found and mine else _STANDARD.get(str(target))


def _write(handle: int, content: bytes, target: Path) -> None:
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}") from error


def _through_links(target: Path) -> Path:
    try:
        return target.resolve() if target.is_symlink() else target
    except (OSError, RuntimeError) as error:
        raise StorageError(f"cannot write {target}: its links lead in a circle") from error

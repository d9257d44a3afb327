"""Files that only their owner may read: written whole, checked before they are believed, one writer at a time."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workspace.errors import StorageError, UsageError
from workspace.files import disk, lock, publish

MODE = 0o600
MOST_BYTES = 10_000_000


def write_private(path: Path, text: str) -> None:
    """Write a file whole that its owner alone may read.

    Raises:
        StorageError: The disk refuses.
    """

    def write(place: Path) -> None:
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), MODE)
            file.write(text)

    publish(path, write)


def read_private(path: Path) -> str | None:
    """Read a file that its owner alone may read; ``None`` where there is none.

    Raises:
        UsageError: Others may read or change it, it is another's, or no plain file of text.
        StorageError: It cannot be read.
    """
    try:
        with open(path, "rb") as file:
            check_private(path, os.fstat(file.fileno()))
            return file.read(MOST_BYTES).decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no UTF-8 text") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error


def check_private(path: Path, found: os.stat_result) -> None:
    """Raise unless a file is plain, the user's own, and closed to others.

    Raises:
        UsageError: It is not.
    """
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{path} is no file")
    if found.st_uid not in (os.geteuid(), 0):
        raise UsageError(f"{path} belongs to another user of this machine", hint="make a file of your own")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise UsageError(f"others may read or change {path} (mode {mode:04o})", hint=f"chmod 600 {path}")


def stamp(path: Path) -> tuple[int, ...] | None:
    """What tells one state of a file from another; ``None`` where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_mode


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Let nobody else change a file within the block, by a lock of its folder; waits for who does just now."""
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock(handle, fcntl.LOCK_EX, path.parent)
        yield
    finally:
        os.close(handle)

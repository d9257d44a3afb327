"""Keep the memory that a training frees, so that the next step does not ask the kernel for it page by page.

PyTorch on a CPU frees and asks for hundreds of megabytes a step; glibc gives large blocks back at once, and the kernel
clears each page again. Kept blocks of ever other sizes crumble, though, and a step that finds no whole one takes new
memory: now and then all that is free is handed back. Knows the C library; not what is trained.
"""

from __future__ import annotations

import ctypes
import mmap
import resource
from contextlib import suppress
from pathlib import Path

_MEMORY = Path("/proc/self/statm")
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of glibc's malloc.h
_SPARE = 1.5
"""How many times what the first step leaves unused may be unused before it is handed back."""
_LITTLE = 1 << 28
"""Bytes that may always be unused."""


class _Info(ctypes.Structure):
    """What glibc's ``mallinfo2`` tells: ``uordblks`` are the bytes of blocks in use, ``hblkhd`` of mapped ones."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def keep_freed() -> bool:
    """Have this process keep what it frees, from now on; whether the C library does so (glibc alone is asked)."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    wishes = ((_TRIM_THRESHOLD, -1), (_MMAP_MAX, 0), (_TOP_PAD, 1 << 26))
    return all([library.mallopt(name, value) == 1 for name, value in wishes])


def forget_peak() -> None:
    """Let `peak` count from now on, where the kernel allows it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> float:
    """Megabytes of the most memory this process had since `forget_peak`, or since it began where that failed."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Spare:
    """What a training leaves in memory unused between its steps, handed back to the kernel when it grew by half.

    What an earlier training left is handed back at once.
    """

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        there = all(hasattr(library, name) for name in ("mallinfo2", "malloc_trim")) and _MEMORY.is_file()
        self._library = library if there else None
        if self._library is not None:
            self._library.mallinfo2.restype = _Info
            self._library.malloc_trim(0)
        self._usual: int | None = None

    def unused(self) -> int:
        """Bytes in memory that no block of the C library's holds, code among them; 0 where that cannot be told."""
        if self._library is None:
            return 0
        resident = int(_MEMORY.read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE
        info = self._library.mallinfo2()
        return max(0, resident - int(info.uordblks) - int(info.hblkhd))

    def after_step(self) -> bool:
        """Look at what is unused, and hand it back if it is too much; whether it was. To be called after every step.

        What is unused after a first step is what steps need, and is not handed back.
        """
        unused = self.unused()
        if self._usual is None:
            self._usual = unused
        if self._library is None or unused <= max(_SPARE * self._usual, _LITTLE):
            return False
        self._library.malloc_trim(0)
        return True

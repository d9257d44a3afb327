"""Keep the memory that a training frees, so that the next step does not ask the kernel for it page by page.

PyTorch on a CPU frees and asks for hundreds of megabytes a step; glibc gives large blocks back at once, and the kernel
clears each page again. Also tells how much memory there was at most. Knows the C library and the kernel; not what is
trained.
"""

from __future__ import annotations

import ctypes
import resource
from contextlib import suppress
from pathlib import Path

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of glibc's malloc.h


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

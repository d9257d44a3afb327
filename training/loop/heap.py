"""Keep the memory that a training frees, so that the next step does not ask the kernel for it page by page.

PyTorch on a CPU frees and asks for hundreds of megabytes a step; glibc gives large blocks back at once, and the kernel
clears each page again. Knows the C library; not what is trained.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of glibc's malloc.h


def keep_freed() -> bool:
    """Have this process keep what it frees, from now on; whether the C library does so (glibc alone is asked)."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    wishes = ((_TRIM_THRESHOLD, -1), (_MMAP_MAX, 0), (_TOP_PAD, 1 << 26))
    return all([library.mallopt(name, value) == 1 for name, value in wishes])

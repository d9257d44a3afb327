"""The kernel as machine code, which is kept on disk for the next start where that can be."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from workspace.progress import waiting

_OPTIONS = {"fastmath": True, "nogil": True, "boundscheck": False, "error_model": "numpy"}
_lock = threading.Lock()
_made: dict[str, Callable[..., None]] = {}


def compiled(like: np.ndarray[Any, Any]) -> Callable[..., None]:
    """`models.decoder.step.kernel.run` for caches of one kind: five seconds for the first one ever, then a moment.

    Args:
        like: An empty array of the cache's kind, float32 or uint16.
    """
    kind = like.dtype.name
    with _lock:
        if kind not in _made:
            with waiting("making the writer's step for this CPU"):
                _made[kind] = _make(kind)
        return _made[kind]


def _make(kind: str) -> Callable[..., None]:
    from numba import njit

    from models.decoder.step import kernel

    digest = hashlib.sha256(b"".join(Path(str(part)).read_bytes() for part in kernel.SOURCES)).hexdigest()
    kernel.run.__qualname__ = f"run_{digest[:12]}"  # what is kept goes by this name
    signature = kernel.signature(kind)
    try:
        made: Any = njit(cache=True, **_OPTIONS)(kernel.run)
        made.compile(signature)
    except Exception:  # numba's store: no folder to write to, a full disk, a damaged file
        made = njit(**_OPTIONS)(kernel.run)
        made.compile(signature)
    made.disable_compile()
    run: Callable[..., None] = made
    return run

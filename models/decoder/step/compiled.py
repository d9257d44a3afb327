"""The kernel as machine code, which is kept on disk for the next start where that can be."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from workspace.errors import one_line
from workspace.progress import waiting

_LOG = logging.getLogger("studio.models")
_lock = threading.Lock()
_made: dict[str, Callable[..., None] | None] = {}


def compiled(like: np.ndarray[Any, Any]) -> Callable[..., None] | None:
    """`models.decoder.step.kernel.run` for caches of one kind: five seconds for the first one ever, then a moment.

    Args:
        like: An empty array of the cache's kind, float32 or uint16.

    Returns:
        The function; none where the machine lets no code be made, which is said in a warning.
    """
    kind = like.dtype.name
    with _lock:
        if kind not in _made:
            try:
                with waiting("making code for this CPU"):
                    _made[kind] = _make(kind)
            except Exception as fault:  # anything that LLVM or a hardened system has against it
                _LOG.warning("no code can be made for this CPU, so texts are written slower: %s", one_line(fault))
                _made[kind] = None
        return _made[kind]


def _make(kind: str) -> Callable[..., None]:
    import numba
    from llvmlite import binding

    numba.config.DISABLE_JIT = 0  # a setting for those who look for faults in Python code; this is none
    from models.decoder.step import kernel
    from models.decoder.step.vectors import OPTIONS

    parts = [Path(part).read_bytes() for part in (__file__, *kernel.SOURCES)]
    cpu = f"{kind} {binding.get_host_cpu_name()} {binding.get_host_cpu_features().flatten()}"
    digest = hashlib.sha256(b"".join([cpu.encode(), *parts])).hexdigest()
    kernel.run.__qualname__ = f"run_{digest[:12]}"  # what is kept goes by this name: other code, other CPU, other file
    signature = kernel.signature(kind)
    try:
        made: Any = numba.njit(cache=True, **OPTIONS)(kernel.run)
        made.compile(signature)
    except Exception as fault:  # of numba's store: no folder to write to, a full disk, a damaged file
        _LOG.info("the code made for this CPU cannot be kept, and is made at every start: %s", one_line(fault))
        made = numba.njit(**OPTIONS)(kernel.run)
        made.compile(signature)
    made.disable_compile()
    run: Callable[..., None] = made
    return run

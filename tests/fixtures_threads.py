"""Waiting for what other threads do, without sleeping and not for ever."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 30


def until(true: Callable[[], Any]) -> None:
    """Wait for something that other threads do."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        os.sched_yield()

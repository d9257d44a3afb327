"""How a job may stand: the one list, and what follows from each. Knows nothing of who works on it.

queued -> running -> finished
            |-> waiting      for a person's answer
            |-> interrupted  stopped, killed, or given up for now
            |-> failed       a fault that is told
Whoever waits, was interrupted or failed can be queued again. What is finished stays so.
"""

from __future__ import annotations

from typing import Literal, get_args

State = Literal["queued", "running", "waiting", "interrupted", "failed", "finished"]
STATES: tuple[State, ...] = get_args(State)
SETTLED: frozenset[str] = frozenset({"waiting", "interrupted", "failed", "finished"})
"""Nothing more comes of itself."""
RESUMABLE: frozenset[str] = frozenset({"waiting", "interrupted", "failed"})
"""May be queued again."""
STOPPED: frozenset[str] = frozenset({"interrupted", "failed"})
"""Ended without its result, and asks nothing."""

"""Tracing by LangSmith and its like: off unless Studio's own setting asks for it, whatever the environment says."""

from __future__ import annotations

import os
import re

_SWITCH = re.compile(r"LANG(CHAIN|SMITH)_(\w*TRACING\w*|HANDLER|CALLBACKS)", re.IGNORECASE)


def trace(wanted: bool) -> None:
    """Have all conversations of this process traced, or none of them.

    Args:
        wanted: ``tracing.langsmith``. Without it LangSmith is switched off and the switches of older tracers are taken
            out of the environment; where none is on, nothing is done.
    """
    switches = [name for name in os.environ if _SWITCH.fullmatch(name)]
    if not wanted and not switches:
        return
    import langsmith

    langsmith.configure(enabled=wanted)
    for name in switches:
        if name.upper() not in ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2"):
            del os.environ[name]

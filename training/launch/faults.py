"""A fault of a process that trains: told to the process that started it, and made an error again there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from workspace import errors
from workspace.errors import StudioError

ROOT = Path(__file__).resolve().parents[2]


def fault_of(told: dict[str, Any], log: str) -> StudioError:
    """The fault that a process told, see `failure`; one that is not Studio's own names the log."""
    kind = getattr(errors, told["kind"], None)
    if kind is not None:
        fault: StudioError = kind(told["message"], hint=told["hint"])
        return fault
    return StudioError(f"process {told['process']} failed: {told['kind']}: {told['message']}", hint=f"see {log}")


def failure(kind: type[BaseException], fault: BaseException | None) -> dict[str, Any]:
    """A fault as a row."""
    message = getattr(fault, "message", str(fault))
    told = {"kind": kind.__name__, "message": " ".join(message.split())[:500], "hint": getattr(fault, "hint", None)}
    return {"failed": told | {"process": int(os.environ.get("RANK", "0"))}}

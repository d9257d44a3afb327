"""The one error tree. Knows exit codes and how a fault is worded; knows nothing of what failed.

StudioError                1   anything Studio raises on purpose
├── UsageError             2   the request is wrong: an unknown name, an option out of range, a broken setting
├── DataError             65   what was handed in is wrong: a program file, a weight file, a document
├── ServiceError          69   something needed is not there: a model, an endpoint, an optional package
├── StorageError          74   the disk said no: read-only, full, unreadable
├── Unfinished            75   partly done and resumable: another process has the run, a step gave up for now
└── Interrupted          130   the user stopped it; resumable
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class StudioError(Exception):
    """An error worth one clear line: what was wrong, the value, where, and the choices.

    Args:
        message: The line, without a full stop.
        hint: What to do about it, most often a command.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(StudioError):
    """The request is wrong."""

    exit_code = 2


class DataError(StudioError):
    """What was handed in is wrong."""

    exit_code = 65


class ServiceError(StudioError):
    """Something needed is not there or does not answer."""

    exit_code = 69


class StorageError(StudioError):
    """The disk said no."""

    exit_code = 74


class Unfinished(StudioError):
    """Partly done; what was made is kept and the run can be resumed."""

    exit_code = 75


class Interrupted(StudioError):
    """The user stopped it; what was made is kept and the run can be resumed."""

    exit_code = 130


def unknown(noun: str, value: str, choices: Iterable[str]) -> str:
    """Word the error for a name that is not in a table, nearest name first.

    Args:
        noun: What was looked for, such as ``"program"``.
        value: The name that was given.
        choices: The names there are.
    """
    names = sorted(choices)
    near = get_close_matches(value, names, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]!r}? " if near else ""
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"unknown {noun} {value!r}; {guess}choices: {shown or 'none'}"

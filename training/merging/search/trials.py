"""The record of a search: a line a trial, on the disk before the next one begins. Knows lines; not what is searched."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.merging.search.config import Share, Vector
from workspace.errors import DataError, pydantic_fault
from workspace.files import claim, disk


class Trial(BaseModel):
    """A vector and how it was scored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    number: int = Field(ge=1, description="From one, in the order of the search")
    generation: int = Field(ge=0, description="Of the optimiser; 0 where the vector was given")
    vector: Vector = Field(min_length=1, description="t at anchors of self_attn, then of mlp, then of all else")
    score: Share = Field(description="On the development questions")
    right: tuple[Share, ...] = Field((), description="A score a question that was asked; empty of a repeated vector")
    repeats: int | None = Field(None, ge=1, description="Number of the trial that had the same vector, if any")


class Trials:
    """Trials as they stand in a file; made by `open_trials`."""

    def __init__(self, path: Path, handle: int, known: list[Trial]) -> None:
        self._path, self._handle = path, handle
        self.known = known

    def add(self, trial: Trial) -> None:
        """Write a trial, and wait until the disk has it."""
        _append(self._handle, self._path, trial.model_dump(exclude_defaults=True))
        self.known.append(trial)


@contextmanager
def open_trials(path: Path, identity: Mapping[str, Any]) -> Iterator[Trials]:
    """Open a search's record, or begin one; a last line that a kill cut short is taken away.

    Args:
        path: The file.
        identity: What the search is of, as plain JSON data; it stands in the first line.

    Raises:
        DataError: The file is of another search, or damaged.
        Unfinished: Another process is at it.
    """
    with claim(path.with_name(f".{path.name}.lock")), disk(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            whole, _, torn = path.read_bytes().rpartition(b"\n")
            if torn:
                os.ftruncate(handle, len(whole) + 1 if whole else 0)
            lines = whole.split(b"\n") if whole else []
            if lines:
                _check_identity(path, lines[0], identity)
            else:
                _append(handle, path, {"search": dict(identity)})
            yield Trials(path, handle, [_trial(path, number, line) for number, line in enumerate(lines[1:], 1)])
        finally:
            os.close(handle)


def _append(handle: int, path: Path, row: Mapping[str, Any]) -> None:
    with disk(path):
        left = memoryview((json.dumps(row, allow_nan=False) + "\n").encode())
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)


def _check_identity(path: Path, line: bytes, identity: Mapping[str, Any]) -> None:
    try:
        found = json.loads(line)["search"]
        differ = [key for key in {**identity, **found} if found.get(key) != identity.get(key)]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{path}, line 1, does not say what was searched") from None
    if differ:
        key = differ[0]
        raise DataError(
            f"{path} is of another search: {key} is {found.get(key)}, not {identity.get(key)}",
            hint="go on as it began, or give the search another name",
        )


def _trial(path: Path, number: int, line: bytes) -> Trial:
    try:
        trial = Trial.model_validate_json(line)
    except ValidationError as fault:
        raise DataError(f"{path}, line {number + 1}: {pydantic_fault(fault, Trial)}") from None
    if trial.number != number:
        raise DataError(f"{path}, line {number + 1}, is trial {trial.number}, not {number}")
    return trial

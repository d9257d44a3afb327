"""The rows that a training logs: lines of JSON in ``metrics.jsonl``, each whole, each step of a stage once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workspace.files import disk, publish
from workspace.progress import TrainingStep

_NOT_LOGGED = {"type", "run_id", "seq", "at"}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Every whole row of a metrics file; a last line that a dying process left half written is no row."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


class Metrics:
    """Where a stage logs its steps.

    Args:
        path: The file; rows of other stages in it stay as they are.
        stage: The stage's name.
        step: The step that training goes on from; rows of later ones, which are done again, go.
    """

    def __init__(self, path: Path, stage: str, step: int) -> None:
        self.path = path
        kept = [row for row in read_rows(path) if row.get("stage", "") != stage or row["step"] <= step]
        text = "".join(f"{json.dumps(row)}\n" for row in kept)
        if path.is_file() and path.read_text(encoding="utf-8") != text:
            publish(path, text)

    def add(self, event: TrainingStep) -> None:
        """Write a row."""
        row = event.model_dump(mode="json", exclude=_NOT_LOGGED, exclude_none=True)
        with disk(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(row)}\n")

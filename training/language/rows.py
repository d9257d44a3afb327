"""Training rows: files in, checked rows of one schema out, mixed by weight. Knows rows; not what learns from them.

The schemas are the field's own: ``text``; ``messages``; ``prompt``, ``chosen``, ``rejected``. Other common forms of
file and row are read as these (`training.language.reading`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.language.reading.fields import Notes, as_json
from training.language.reading.files import FORMS, raw_rows
from training.language.reading.forms import conversation, text
from training.language.reading.preferences import preference
from workspace.errors import DataError
from workspace.progress import Remark, Tell, silent

Row = dict[str, Any]


def read_rows(path: Path, stage: str, tell: Tell = silent) -> list[Row]:
    """A file's rows, checked; those that say the same are taken once.

    Args:
        path: Rows in a form that `training.language.reading.files` reads.
        stage: cpt, sft, dpo or orpo, which tells the schema.
        tell: Called with a `Remark` for every kind of thing in the file that is not trained on.

    Raises:
        DataError: The file cannot be read, or a row is wrong: file, row and field are named, and what to do.
    """
    rows: dict[bytes, Row] = {}
    notes = Notes()
    count = 0
    for place, raw in raw_rows(path):
        count += 1
        where = f"{path}, {place}"
        if not isinstance(raw, dict):
            raise DataError(f"{where}: it is {as_json(raw)}, no object", hint=FORMS)
        row = _checked(raw, stage, where, notes)
        rows.setdefault(hashlib.sha256(json.dumps(row, sort_keys=True).encode()).digest(), row)
    if not rows:
        raise DataError(f"{path} holds no rows", hint=FORMS)
    notes.twice = count - len(rows)
    for line in notes.lines(path.name):
        tell(Remark(text=line))
    return list(rows.values())


def _checked(raw: Row, stage: str, where: str, notes: Notes) -> Row:
    if stage == "cpt":
        return {"text": text(raw, where, notes)}
    if stage == "sft":
        return {"messages": conversation(raw, where, notes)}
    return dict(preference(raw, stage, where, notes))


def begins(row: Mapping[str, Any]) -> str:
    """What a row is called once rows are mixed: by how its words begin."""
    text = row.get("text") or (row.get("messages") or row["prompt"])[0]["content"]
    return f"the row that begins {' '.join(text.split())[:60]!r}"


def mixed(sets: Sequence[tuple[Sequence[Row], float]], seed: int) -> list[Row]:
    """Rows of several sets, each drawn as often as its weight says, shuffled.

    A weight of 2.0 shows every row twice, one of 0.5 a half of them once, 1.5 all once and a half of them twice.

    Args:
        sets: Rows and weight of each set.
        seed: Of the shuffling and of which rows come once more.
    """
    rng = np.random.default_rng(seed)
    made: list[Row] = []
    for rows, weight in sets:
        whole = math.floor(weight)
        more = round((weight - whole) * len(rows))
        made += list(rows) * whole
        made += [rows[int(place)] for place in rng.permutation(len(rows))[:more]]
    return [made[int(place)] for place in rng.permutation(len(made))]


def parted(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Rows to train on, and those held out: a share of the different ones, never one of both.

    Rows that are the same stay together, and those that prefer answers to the same prompt, unless there is but one.

    Args:
        rows: All rows, mixed.
        share: Of the different rows, how many are held out; at least one, unless 0.
        seed: Of which.

    Raises:
        DataError: There is but one row.
    """
    if not share:
        return list(rows), []
    names = [digest([{"seed": seed, "row": row.get("prompt", row)}]) for row in rows]
    if len(set(names)) == 1:
        names = [digest([{"seed": seed, "row": row}]) for row in rows]
    different = sorted(set(names))
    if len(different) < 2:
        raise DataError("held_out: of one row nothing can be held out")
    out = set(different[: min(len(different) - 1, max(1, round(share * len(different))))])
    held = [row for name, row in zip(names, rows, strict=True) if name in out]
    return [row for name, row in zip(names, rows, strict=True) if name not in out], list(_once(held))


def _once(rows: Sequence[Row]) -> Iterator[Row]:
    """Each row once, however often it was drawn."""
    known: set[str] = set()
    for row in rows:
        name = digest([row])
        if name not in known:
            yield row
        known.add(name)


def digest(rows: Sequence[Mapping[str, Any]]) -> str:
    """What tells these rows from any others."""
    total = hashlib.sha256()
    for row in rows:
        total.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
    return total.hexdigest()


SCHEMAS: Mapping[str, tuple[str, ...]] = {
    "cpt": ("text",),
    "sft": ("messages",),
    "dpo": ("prompt", "chosen", "rejected"),
    "orpo": ("prompt", "chosen", "rejected"),
}
"""The columns that a stage's data have."""

"""Training rows: files in, checked rows of one schema out, mixed by weight. Knows rows; not what learns from them.

The schemas are the field's own: ``text``; ``messages``; ``prompt``, ``chosen``, ``rejected``. Files in alpaca's and
sharegpt's form are read as ``messages``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workspace.errors import DataError, one_line

ROLES = ("system", "user", "assistant")
_SHAREGPT = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
LONGEST = 400_000  # letters of a row
_FORM = "rows are JSON, one object a line (JSONL), or Parquet"

Row = dict[str, Any]


def read_rows(path: Path, stage: str) -> list[Row]:
    """A file's rows, checked.

    Args:
        path: JSONL or Parquet.
        stage: cpt, sft, dpo or orpo, which tells the schema.

    Raises:
        DataError: The file cannot be read, or a row is wrong: file, row and field are named.
    """
    rows = []
    for number, raw in enumerate(_raw(path), 1):
        where = f"{path}, row {number}"
        if not isinstance(raw, dict):
            raise DataError(f"{where}: it is {_as_json(raw)}, no object", hint=_FORM)
        rows.append(_checked(_known(raw), stage, where))
    if not rows:
        raise DataError(f"{path} holds no rows", hint=_FORM)
    return rows


def _raw(path: Path) -> Iterator[Any]:
    if path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        try:
            yield from pyarrow.parquet.read_table(path).to_pylist()
        except FileNotFoundError:
            raise DataError(f"cannot read {path}: No such file or directory") from None
        except (OSError, pyarrow.ArrowException) as fault:
            raise DataError(f"cannot read {path}: {one_line(fault)}") from None
        return
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # a text may hold other ends of lines
    except OSError as fault:
        raise DataError(f"cannot read {path}: {fault.strerror}") from None
    except UnicodeDecodeError as fault:
        raise DataError(f"{path} is not UTF-8 (byte {fault.start})", hint="save it as UTF-8") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError as fault:
                why = f"no JSON ({fault.msg}, column {fault.colno})"
                raise DataError(f"{path}, line {number}: {why}", hint=_FORM) from None
            except (ValueError, RecursionError) as fault:
                raise DataError(f"{path}, line {number}: no readable JSON ({one_line(fault)})", hint=_FORM) from None


def _known(raw: Row) -> Row:
    """A row of alpaca's or sharegpt's form as messages; any other as it is."""
    if "instruction" in raw and "output" in raw:
        parts = [raw[key] for key in ("instruction", "input") if raw.get(key)]
        asked = next((part for part in parts if not isinstance(part, str)), None) or "\n\n".join(
            str(part).strip() for part in parts
        )
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": raw["output"]}]
        return {"messages": ([{"role": "system", "content": raw["system"]}] if raw.get("system") else []) + turns}
    if isinstance(raw.get("conversations"), list):
        return {
            "messages": [
                {"role": _SHAREGPT.get(str(one.get("from")), str(one.get("from"))), "content": one.get("value")}
                if isinstance(one, dict)
                else one
                for one in raw["conversations"]
            ]
        }
    return raw


def _checked(row: Row, stage: str, where: str) -> Row:
    missing = [name for name in SCHEMAS[stage] if name not in row]
    if missing:
        has = ", ".join(row) or "none"
        raise DataError(f"{where}: no field {missing[0]!r}; {stage} reads {', '.join(SCHEMAS[stage])}, it has {has}")
    if stage == "cpt":
        return {"text": _text(row["text"], f"{where}, text")}
    if stage == "sft":
        return {"messages": _messages(row["messages"], f"{where}, messages", last="assistant")}
    made = {
        "prompt": _turns(row["prompt"], "user", f"{where}, prompt"),
        "chosen": _turns(row["chosen"], "assistant", f"{where}, chosen"),
        "rejected": _turns(row["rejected"], "assistant", f"{where}, rejected"),
    }
    chosen, rejected = ([one["content"].split() for one in made[side]] for side in ("chosen", "rejected"))
    if chosen == rejected:
        raise DataError(f"{where}: chosen and rejected are the same")
    return made


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: it is {_as_json(value)}, not text")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise DataError(f"{where}: it holds half a character (a lone surrogate), which is no text")
    if not value.strip():
        raise DataError(f"{where}: it is empty")
    if len(value) > LONGEST:
        raise DataError(f"{where}: it has {len(value):,} letters; at most {LONGEST:,} are read")
    return value


def _as_json(value: Any) -> str:
    """A value as JSON writes it, in short."""
    return json.dumps(value, default=str, ensure_ascii=True)[:60]


def _turns(value: Any, role: str, where: str) -> list[dict[str, str]]:
    """A prompt or an answer as messages; plain text is one message."""
    if isinstance(value, str):
        return [{"role": role, "content": _text(value, where)}]
    return _messages(value, where, last=role)


def _messages(value: Any, where: str, last: str) -> list[dict[str, str]]:
    """Messages whose roles take turns: perhaps a system's first, then user and assistant."""
    if not isinstance(value, list) or not value:
        raise DataError(f"{where}: it is no list of messages")
    made: list[dict[str, str]] = []
    for number, one in enumerate(value, 1):
        place = f"{where}, message {number}"
        if not isinstance(one, dict) or "role" not in one or "content" not in one:
            raise DataError(f"{place}: it has no role and content")
        if one["role"] not in ROLES:
            raise DataError(f"{place}: unknown role {str(one['role'])!r}; choices: {', '.join(ROLES)}")
        before = made[-1]["role"] if made else None
        if one["role"] == before or (one["role"] == "system" and made):
            raise DataError(f"{place}: {one['role']} after {before}; user and assistant take turns")
        made.append({"role": one["role"], "content": _text(one["content"], f"{place}, content")})
    if made[-1]["role"] != last:
        raise DataError(f"{where}: the last message is the {made[-1]['role']}'s, not the {last}'s")
    return made


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

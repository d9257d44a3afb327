"""What pictures show, in words: a text file beside each, or a table of them all as the hub's folders have it.

``leaf-01.png`` is described by ``leaf-01.txt`` or ``leaf-01.caption``, or by the row of ``metadata.jsonl`` or
``metadata.csv`` whose ``file_name`` it is; ``[trigger]`` in a caption stands for the trigger phrase.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pipelines.corpus.delimited import decoded, table
from workspace.errors import DataError, one_line

CAPTIONS = (".txt", ".caption")
TABLES = ("metadata.jsonl", "metadata.csv")
PLACEHOLDER = "[trigger]"
_LONGEST = 4000
_FILE = "file_name"
_TEXTS = ("text", "caption", "prompt")


@dataclass(frozen=True)
class Table:
    """A folder's table of captions by the pictures' file names, and its columns that are not used."""

    name: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


def beside(path: Path) -> list[Path]:
    """The captions that lie beside a picture."""
    return [one for suffix in CAPTIONS if (one := path.with_suffix(suffix)).is_file()]


def caption(picture: Path, known: Table, trigger: str) -> str:
    """A picture's caption, with the trigger in its place.

    Args:
        picture: Its file.
        known: The table of the folder that it lies in.
        trigger: What ``[trigger]`` stands for.

    Raises:
        DataError: It has none, two that differ, or one that is empty, too long or needs a trigger.
    """
    texts = {path.name: _text(path) for path in beside(picture)}
    if picture.name in known.texts:
        texts[known.name] = known.texts[picture.name]
    if not texts:
        name = picture.with_suffix(CAPTIONS[0]).name
        if known.name:
            hint = f"give {known.name} a row with file_name {picture.name}, or write {name}"
            raise DataError(f"{picture.name} has no caption", hint=hint)
        raise DataError(f"{name} is missing: every picture needs a caption of the same name")
    if len(set(texts.values())) > 1:
        raise DataError(f"{picture.name} has two captions, {' and '.join(texts)}; keep one")
    where, text = next(iter(texts.items()))
    if where == known.name:
        where = f"{known.name}: the caption of {picture.name}"
    if not text:
        raise DataError(f"{where} is empty")
    if len(text) > _LONGEST:
        raise DataError(f"{where} has {len(text)} characters; a caption may have {_LONGEST}")
    if PLACEHOLDER in text and not trigger:
        raise DataError(f"{where} says {PLACEHOLDER} but the config names no trigger")
    return text.replace(PLACEHOLDER, trigger)


def _text(path: Path) -> str:
    try:
        return " ".join(path.read_text(encoding="utf-8-sig").split())
    except UnicodeDecodeError as fault:
        raise DataError(f"{path.name} is not UTF-8 text: {fault.reason} at byte {fault.start}") from None


def table_of(folder: Path) -> Table:
    """The table of captions that lies among a folder's pictures; an empty one if there is none.

    Raises:
        DataError: There are two; or it cannot be read, has no column for the files or the captions, has two for the
            captions, or tells one picture two things.
    """
    there = [folder / name for name in TABLES if (folder / name).is_file()]
    if not there:
        return Table()
    if there[1:]:
        raise DataError(f"{folder} has {' and '.join(TABLES)}", hint="keep one")
    [path] = there
    texts: dict[str, str] = {}
    columns: dict[str, None] = {}
    used = None
    for place, row in _rows(path):
        columns |= dict.fromkeys(row)
        used = used or _column(row, place)
        name, text = row.get(_FILE), row.get(used)
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"{place}: no {_FILE}", hint="each row names a picture of the folder")
        if text is not None and not isinstance(text, str):
            raise DataError(f"{place}, {used}: it is {json.dumps(text, default=str)[:60]}, not text")
        file, said = str(PurePosixPath(name.strip())), " ".join((text or "").split())
        if texts.setdefault(file, said) != said:
            raise DataError(f"{place}: {file} has another caption in a row before", hint="keep one")
    return Table(path.name, texts, tuple(name for name in columns if name not in (_FILE, used)))


def _column(row: Mapping[str, Any], place: str) -> str:
    """Which column holds the captions."""
    there = [name for name in _TEXTS if name in row]
    if len(there) != 1:
        what = f"{' and '.join(there)} could both be the caption" if there else "no column holds a caption"
        hint = "keep one of them" if there else f"its columns are {', '.join(row)}; name it {' or '.join(_TEXTS)}"
        raise DataError(f"{place}: {what}", hint=hint)
    return there[0]


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where each row stands, and the row."""
    try:
        text = decoded(path.read_bytes(), path.name)
    except OSError as fault:
        raise DataError(f"cannot read {path.name}: {fault.strerror or one_line(fault)}") from None
    if path.suffix == ".csv":
        header, rows = table(text, lambda names: _FILE in names, lambda line, why: _bad(path, line, why))
        if not header:
            raise DataError(f"{path.name} has no column {_FILE}")
        yield from ((f"{path.name}, line {row.line}", row.cells) for row in rows)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                held = json.loads(line)
            except (ValueError, RecursionError) as fault:
                _bad(path, number, f"no JSON ({one_line(fault)})")
            if not isinstance(held, dict):
                _bad(path, number, "no object")
            yield f"{path.name}, line {number}", held


def _bad(path: Path, line: int, why: str) -> None:
    raise DataError(f"{path.name}, line {line}: {why}")

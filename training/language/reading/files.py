"""Files of rows as they come: JSON in lines or in one array, tables, Parquet, Arrow, packed or not. Checks no row.

A file is known by what it holds, not by its name alone.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.corpus.delimited import decoded, table
from workspace.errors import DataError, one_line

FORMS = (
    "rows are JSON, one object a line (JSONL) or in one array, CSV, TSV, Parquet or Arrow, perhaps packed by gzip, "
    "bzip2, xz, Zstandard or ZIP"
)
MOST_BYTES = 8 << 30
"""What a packed file may unfold to."""


def _zstandard(packed: BinaryIO) -> Any:
    import pyarrow

    if not pyarrow.Codec.is_available("zstd"):
        raise DataError("it is packed by Zstandard, which this pyarrow does not unpack", hint="unpack it: zstd -d")
    return pyarrow.CompressedInputStream(packed, "zstd")


_PACKED: tuple[tuple[bytes, Callable[[BinaryIO], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
    (b"\x28\xb5\x2f\xfd", _zstandard),
)
_ZIP = b"PK\x03\x04"
_OTHERS = {
    b"SQLite format": "an SQLite database; export its table as CSV",
    b"\x89HDF": "an HDF5 file; save its rows as JSONL",
}
_LISTS = ("messages", "conversations", "conversation", "prompt", "completion", "chosen", "rejected")
_START = 16
_SPACE = re.compile(r"\s*")

Found = Iterator[tuple[str, Any]]
"""Where each row stands, and the row."""


def raw_rows(path: Path) -> Found:
    """Every row of a file, or of a folder that `datasets` saved, as it stands there.

    Raises:
        DataError: It cannot be read, or holds no rows in a form that is known.
    """
    try:
        if path.is_dir():
            return _from_folder(path)
        with path.open("rb") as file:
            start = file.read(_START)
        for magic, what in _OTHERS.items():
            if start.startswith(magic):
                raise DataError(f"{path} is {what}", hint=FORMS)
        if start.startswith(b"PAR1") or path.suffix == ".parquet":
            return _from_parquet(path)
        if start.startswith(b"ARROW1") or start.startswith(b"\xff\xff\xff\xff"):
            return _from_arrow(path)
        if start.startswith(_ZIP):
            return _from_zip(path)
        return _from_text(decoded(_bytes(path, start), str(path)), path)
    except OSError as fault:
        raise DataError(f"cannot read {path}: {fault.strerror or one_line(fault)}") from None


def _bytes(path: Path, start: bytes) -> bytes:
    """A file's bytes, unpacked."""
    unpack = next((unpack for magic, unpack in _PACKED if start.startswith(magic)), None)
    if unpack is None:
        return path.read_bytes()
    try:
        with path.open("rb") as packed, unpack(packed) as file:
            data: bytes = file.read(MOST_BYTES + 1)
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as fault:
        raise DataError(f"cannot unpack {path}: {one_line(fault)}", hint="get it anew") from None
    return _bounded(data, path)


def _bounded(data: bytes, path: Path) -> bytes:
    if len(data) > MOST_BYTES:
        raise DataError(f"{path} unfolds to more than {MOST_BYTES >> 30} GB", hint="split it")
    return data


def _from_zip(path: Path) -> Found:
    """The rows of an archive's one file of text."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [one for one in archive.namelist() if not one.endswith("/") and not one.startswith("__MACOSX/")]
            if "[Content_Types].xml" in names:
                raise DataError(f"{path} is a workbook or document", hint="save it as CSV")
            if len(names) != 1:
                shown = ", ".join(names[:4]) + (", ..." if names[4:] else "")
                what = f"holds {len(names)} files ({shown})" if names else "holds no files"
                raise DataError(f"{path} {what}; of an archive one is read", hint="unpack it, and name the files")
            with archive.open(names[0]) as file:
                data = _bounded(file.read(MOST_BYTES + 1), path)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError) as fault:
        raise DataError(f"cannot unpack {path}: {one_line(fault)}", hint="unpack it, or get it anew") from None
    inside = path / names[0]
    if data.startswith((b"PAR1", b"ARROW1", _ZIP, *(magic for magic, _ in _PACKED))):
        raise DataError(f"{inside} is no text", hint="unpack it")
    return _from_text(decoded(data, str(inside)), inside)


def _from_folder(path: Path) -> Found:
    """The rows that `datasets.Dataset.save_to_disk` left in a folder."""
    names = sorted(os.listdir(path))
    if "dataset_dict.json" in names:
        parts = [name for name in names if (path / name).is_dir()]
        raise DataError(
            f"{path} holds the splits {', '.join(parts)}", hint=f"name one: {path / (parts or ['train'])[0]}"
        )
    if "state.json" not in names or "dataset_info.json" not in names:
        shown = ", ".join(names[:5]) or "nothing"
        raise DataError(f"{path} is a folder and no saved data set; it holds {shown}", hint="name a file of rows in it")
    from datasets import load_from_disk

    try:
        rows = load_from_disk(str(path)).with_format("arrow")
        return _numbered([row for batch in rows.iter(1000) for row in batch.to_pylist()])
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise DataError(f"cannot read {path}: {one_line(fault)}", hint="save the data set anew, or as JSONL") from None


def _from_parquet(path: Path) -> Found:
    import pyarrow
    import pyarrow.parquet

    try:
        return _numbered(pyarrow.parquet.read_table(path).to_pylist())
    except (OSError, pyarrow.ArrowException) as fault:
        raise DataError(f"cannot read {path}: {one_line(fault)}") from None


def _from_arrow(path: Path) -> Found:
    import pyarrow

    for opened in (pyarrow.ipc.open_file, pyarrow.ipc.open_stream):
        try:
            return _numbered(opened(str(path)).read_all().to_pylist())
        except (OSError, pyarrow.ArrowException) as fault:
            why = one_line(fault)
    raise DataError(f"cannot read {path}: {why}")


def _numbered(rows: list[Any]) -> Found:
    return ((f"row {number}", row) for number, row in enumerate(rows, 1))


def _from_text(text: str, path: Path) -> Found:
    kinds = {one.lower() for one in path.suffixes}
    if kinds & {".csv", ".tsv"}:
        return _from_table(text, path)
    start = text.lstrip()[:1]
    if start == "[" and (rows := _array(text, path)) is not None:
        return _numbered(rows)
    if start not in ("{", "[", '"', "") and kinds.isdisjoint({".json", ".jsonl", ".ndjson"}):
        raise DataError(f"{path} begins with {text.lstrip()[:40]!r}, which is no JSON", hint=FORMS)
    return _from_lines(text, path) if start != "{" or _whole(text) else _one_after_another(text, path)


def _array(text: str, path: Path) -> list[Any] | None:
    """The elements of a text that is one JSON array; none if it has arrays line by line."""
    try:
        held: list[Any] = _decoder.decode(text.strip())
        return held if any(isinstance(one, dict) for one in held) else None
    except json.JSONDecodeError as fault:
        if _complete(text.lstrip().split("\n", 1)[0].strip()):
            return None
        line = fault.lineno + text[: len(text) - len(text.lstrip())].count("\n")
        raise DataError(f"{path}, line {line}: no JSON ({fault.msg}, column {fault.colno})", hint=FORMS) from None
    except (ValueError, RecursionError) as fault:
        raise DataError(f"{path}: no readable JSON ({one_line(fault)})", hint=FORMS) from None


def _complete(line: str) -> bool:
    """Whether a line is JSON by itself."""
    try:
        _decoder.decode(line)
    except (ValueError, RecursionError):
        return False
    return True


def _whole(text: str) -> bool:
    """Whether the first line that is not empty holds a whole object, or not even the beginning of one."""
    line = text.lstrip().split("\n", 1)[0].strip()
    try:
        _decoder.decode(line)
    except json.JSONDecodeError as fault:
        return fault.pos < len(line)
    except (ValueError, RecursionError):
        return True
    return True


def _from_lines(text: str, path: Path) -> Found:
    count = 0
    for number, line in enumerate(text.split("\n"), 1):  # a text may hold other ends of lines
        if line.strip():
            count += 1
            try:
                row = _decoder.decode(line.strip())
            except json.JSONDecodeError as fault:
                why = f"no JSON ({fault.msg}, column {fault.colno})"
                raise DataError(f"{path}, line {number}: {why}", hint=FORMS) from None
            except (ValueError, RecursionError) as fault:
                raise DataError(f"{path}, line {number}: no readable JSON ({one_line(fault)})", hint=FORMS) from None
            yield f"row {count}" + (f" (line {number})" if number != count else ""), row


def _one_after_another(text: str, path: Path) -> Found:
    """Objects that are laid out over several lines."""
    place, count, line = 0, 0, 1
    while (start := _first_letter(text, place)) < len(text):
        count, line = count + 1, line + text.count("\n", place, start)
        try:
            row, place = _decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as fault:
            raise DataError(f"{path}, row {count} (line {line}): no JSON ({one_line(fault)})", hint=FORMS) from None
        yield f"row {count} (line {line})", row
        line += text.count("\n", start, place)


def _first_letter(text: str, place: int) -> int:
    """Where, from a place on, the first letter stands that is no white space."""
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _from_table(text: str, path: Path) -> Found:
    def bad(line: int, why: str) -> None:
        raise DataError(f"{path}, line {line}: {why}", hint="quote cells that hold the separator, or save as JSONL")

    header, rows = table(text, lambda names: any(names), bad)
    if not header:
        raise DataError(f"{path} has no header", hint="its first line names the columns")
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice:
        raise DataError(f"{path}: the column {twice!r} stands twice", hint="rename one")
    for number, row in enumerate(rows, 1):
        yield f"row {number} (line {row.line})", {name: _cell(name, cell) for name, cell in row.cells.items()}


def _cell(name: str, cell: str) -> Any:
    """A cell's text; in a column of messages the JSON that it holds."""
    if name in _LISTS and cell.lstrip().startswith(("[{", "{")):
        try:
            return _decoder.decode(cell.strip())
        except (ValueError, RecursionError):
            return cell
    return cell or None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice!r} stands twice")
    return made


_decoder = json.JSONDecoder(object_pairs_hook=_object)

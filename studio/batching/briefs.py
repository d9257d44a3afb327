"""Files of briefs as a stream of items and faults: JSON lines, tables, OpenAI's batch lines, text, grids.

A file is known by what it holds, not by its name alone. A broken line is a fault with its number and the rest is read;
a file whose form or columns are not known is refused. Nothing is held but the line at hand. Knows forms; what a row
means stands in `studio.batching.rows`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePath
from typing import Any

from studio.batching.grid import SUFFIXES, read_grid
from studio.batching.lines import STDIN, Line, Lines, open_lines
from studio.batching.rows import RowReader, column_name
from studio.batching.shapes import COLUMNS, Fault, Item
from studio.runs.request import DesignOptions
from workspace.errors import DataError, one_line
from workspace.progress import Remark, Tell, silent

FORMS = (
    "briefs are JSONL (a text or an object a line), CSV with a column brief, OpenAI's batch lines, text (.txt, a brief "
    "a line), or a grid (.yaml, .grid.json)"
)
_JSON = frozenset({".json", ".jsonl", ".ndjson"})
_TABLES = frozenset({".csv", ".tsv", ".tab"})
_TEXTS = frozenset({".txt", ".text"})
_PACKED = frozenset({".gz", ".bz2", ".xz"})
_SEPARATORS = ",;\t|"
_MOST_LAID_OUT = 64 << 20
_LONGEST_ROW = 20_000
"""Letters of a table's row; a quoted cell that goes on beyond it does not end where it should."""

_SPACE = re.compile(r"[\s,\ufeff]*")


def read_items(
    sources: Sequence[str | Path],
    defaults: DesignOptions | None = None,
    *,
    ignore_columns: bool = False,
    encoding: str | None = None,
    tell: Tell = silent,
) -> Iterator[Item | Fault]:
    """The items of files, one file after another, and what of them is none.

    Args:
        sources: Files of briefs or grids; ``-`` is standard input.
        defaults: Options of items that do not give them. Seed, profile and ask are the batch's and not taken from it.
        ignore_columns: Whether columns that are not known are told and passed over, not refused.
        encoding: How text is encoded that has no byte order mark; UTF-8 if not given.
        tell: Takes remarks.

    Raises:
        DataError: A file cannot be read, holds nothing, is of no known form or has a column that is not known.
    """
    for source in sources:
        name = "standard input" if str(source) == STDIN else str(source)
        rows = RowReader(name, defaults or DesignOptions(), ignore_columns=ignore_columns, tell=tell)
        if PurePath(source).name.lower().endswith(SUFFIXES):
            yield from read_grid(Path(source), rows, tell)
            continue
        with open_lines(source, encoding) as lines:
            some = False
            for found in _found(lines, rows, _suffix(source), tell):
                some = True
                yield found
        if not some:
            raise DataError(f"{name} holds no briefs", hint=FORMS)
        rows.tell_unused()


def _suffix(source: str | Path) -> str:
    """How a file's name ends, but for how it is packed."""
    kinds = [kind.lower() for kind in PurePath(source).suffixes]
    return next((kind for kind in reversed(kinds) if kind not in _PACKED), "")


def _found(lines: Lines, rows: RowReader, suffix: str, tell: Tell) -> Iterator[Item | Fault]:
    """What a file holds, by the form that its beginning shows."""
    start = lines.start()
    first = start.strip()
    if (first.startswith("[") and suffix not in _TEXTS) or first == "{":
        return _laid_out(lines, rows)
    if suffix in _TABLES and not first.startswith("{"):
        return _table(lines, rows, suffix)
    if first.startswith("{") or suffix in _JSON:
        return _json_lines(lines, rows)
    names = _header(first)[1]
    if names and (suffix not in _TEXTS or {*names} <= {*COLUMNS, ""}):
        return _table(lines, rows, suffix)
    if first.startswith('"') and _is_json(first):
        return _json_lines(lines, rows)
    if suffix in _TEXTS or not suffix:
        if first:
            tell(Remark(text=f"{rows.source}: read as text, a brief a line"))
        return _json_lines(lines, rows, plain=True)
    raise DataError(f"{rows.source} begins with {one_line(first, 40)!r}, which is no form of briefs", hint=FORMS)


def _is_json(text: str) -> bool:
    try:
        _decoder.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json_lines(lines: Lines, rows: RowReader, *, plain: bool = False) -> Iterator[Item | Fault]:
    """A brief a line; ``plain``: a line that does not begin as JSON does is the brief itself."""
    for line in lines:
        text = line.text.strip("\ufeff \t\r\n")
        if line.fault:
            yield rows.fault(line.number, line.fault)
        elif text and plain and not (text[0] == "{" or (text[0] == '"' and _is_json(text))):
            yield rows.item(line.number, text)
        elif text:
            try:
                row = _decoder.decode(text.removesuffix(","))
            except (ValueError, RecursionError) as fault:
                yield rows.fault(line.number, _worded(fault, text, line.text))
            else:
                yield rows.item(line.number, row)


def _worded(fault: Exception, text: str, line: str) -> str:
    if not isinstance(fault, json.JSONDecodeError):
        return f"no readable JSON ({one_line(fault)})"
    before = text[: fault.pos].rstrip()
    why = "a comma before a closing bracket" if before.endswith(",") and text[fault.pos :][:1] in ("}", "]") else ""
    why = why or fault.msg.removesuffix(" at")
    return f"no JSON ({why}, column {fault.pos + line.find(text) + 1})"


def _laid_out(lines: Lines, rows: RowReader) -> Iterator[Item | Fault]:
    """Objects that stand in an array, or are laid out over several lines one after another."""
    text, line = lines.rest(_MOST_LAID_OUT)
    place, opened = 0, 0
    while True:
        start = _next_letter(text, place)
        line += text.count("\n", place, start)
        place = start
        if start >= len(text):
            break
        if text[start] in "[]":
            opened += 1 if text[start] == "[" else -1
            place += 1
            continue
        try:
            row, end = _decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as fault:
            at = line + (text.count("\n", start, fault.pos) if isinstance(fault, json.JSONDecodeError) else 0)
            why = fault.msg if isinstance(fault, json.JSONDecodeError) else one_line(fault)
            raise DataError(
                f"{rows.source}, line {at}: no JSON ({why})",
                hint="as JSONL, an object a line, a broken one costs itself alone",
            ) from None
        yield rows.item(line, row)
        line += text.count("\n", start, end)
        place = end
    if opened:
        raise DataError(f"{rows.source}, line {line}: its array does not end; it may be cut off")


def _next_letter(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _header(text: str) -> tuple[str, list[str]]:
    """The separator and the columns of a table's first line; no columns where none of them is the brief."""
    tries = [(one, [column_name(cell) for cell in _cells(text, one) or ()]) for one in _SEPARATORS]
    fitting = [(separator, names) for separator, names in tries if "brief" in names]
    return max(fitting, key=lambda one: len(one[1]), default=(",", []))


def _table(lines: Lines, rows: RowReader, suffix: str) -> Iterator[Item | Fault]:
    """A table's rows, by the columns that its first line names."""
    line = next(lines, Line(1, ""))
    if _parted_by(line.text):  # Excel's own first line, which `_header` has no need of
        line = next(lines, Line(2, ""))
    if line.fault:
        raise DataError(f"{rows.source}, line {line.number}: {line.fault}")
    separator, names = _header(line.text)
    if not names:
        if not line.text.strip():
            return
        first = [column_name(cell) for cell in _cells(line.text, "\t" if suffix != ".csv" else ",") or [line.text]]
        near = get_close_matches("brief", first, n=1)
        guess = f" (did you mean {near[0]!r}?)" if near else ""
        shown = one_line(", ".join(first), 80)
        raise DataError(
            f"{rows.source}, line {line.number}: no column is called brief{guess}; the columns are {shown}",
            hint=f"its first line names the columns: {', '.join(COLUMNS)}",
        )
    while names and not names[-1]:
        names.pop()
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{rows.source}, line {line.number}: the column {twice!r} stands twice", hint="rename one")
    rows.check_columns(names, line.number)
    for number, cells, fault in _records(lines, separator, len(names)):
        if not fault and any(cell.strip() for cell in cells[len(names) :]):
            fault = f"it has {len(cells)} cells, the first line {len(names)}"
        if fault:
            yield rows.fault(number, fault)
        elif any(cell.strip() for cell in cells):
            held = dict(zip(names, cells, strict=False))
            yield rows.item(number, {name: cell for name, cell in held.items() if name in COLUMNS})


def _parted_by(text: str) -> bool:
    return re.fullmatch(r"\ufeff?\"?sep=.\"?\s*", text) is not None


def _records(lines: Lines, separator: str, width: int) -> Iterator[tuple[int, list[str], str]]:
    """The line where each row begins, its cells, and what is wrong with it."""
    for line in lines:
        if '"' not in line.text:
            yield line.number, line.text.rstrip("\r\n").split(separator), line.fault
            continue
        taken = [line]
        quotes = line.text.count('"')
        size = len(line.text)
        while quotes % 2 and size <= _LONGEST_ROW and (more := next(lines, None)):
            taken.append(more)
            quotes += more.text.count('"')
            size += len(more.text)
        cells = None if quotes % 2 else _cells("".join(one.text for one in taken), separator)
        if cells is not None:
            broken = next((f"line {one.number}: {one.fault}" for one in taken if one.fault), "")
            yield line.number, cells, broken.removeprefix(f"line {line.number}: ")
            continue
        if len(taken) == 1:
            yield line.number, [], 'a quote stands within a cell; quote the cell, and write the quote twice: ""'
            continue
        last = taken[-1].number
        inner = taken[1:] if quotes % 2 else taken[1:-1]
        if size > _LONGEST_ROW or (width > 1 and all(_fits(one, separator, width) for one in inner)):
            lines.back(taken[1:])  # the quote is astray: what follows are rows
            yield line.number, [], "a quoted cell does not end where it should"
        else:
            yield line.number, [], f"a quoted cell does not end where it should; lines {line.number} to {last} are lost"


def _fits(line: Line, separator: str, width: int) -> bool:
    """Whether a line is a whole row by itself."""
    return not line.text.strip() or len(_cells(line.text, separator) or ()) == width


def _cells(text: str, separator: str) -> list[str] | None:
    """The cells of one row, as RFC 4180 has them, blanks around quoted ones passed over; none where it is no row."""
    if '"' not in text:
        return text.rstrip("\r\n").split(separator)
    cells, place = [], 0
    pattern = _CELLS[separator]
    while found := pattern.match(text, place):
        quoted, plain, end = found.groups()
        cells.append(plain if quoted is None else quoted.replace('""', '"'))
        place = found.end()
        if end != separator:
            return cells if place == len(text) else None
    return None


_CELLS = {
    one: re.compile(rf'(?: *"([^"]*(?:""[^"]*)*)" *|([^"{re.escape(one)}\r\n]*))({re.escape(one)}|[\r\n]*\Z)')
    for one in _SEPARATORS
}
"""A quoted cell or a plain one, and the separator or the end behind it."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice[:60]!r} stands twice")
    return made


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number)

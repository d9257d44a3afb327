"""Text files as people's programs save them: decoded by their marks, and tables parted by commas, semicolons or tabs.

A table's quoted fields may hold its separator, doubled quotes and ends of lines. A row that does not fit its header
costs that row alone. Knows nothing of what the columns mean.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from workspace.errors import DataError, one_line

_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_SEPARATORS = ",;\t|"
_PREAMBLE = 20  # lines before a header, such as the date of an export


def decoded(data: bytes, name: str) -> str:
    """A file's text: UTF-8, or UTF-16 where it begins with a byte order mark.

    Args:
        data: Its bytes.
        name: What it is called in a message.

    Raises:
        DataError: It is neither.
    """
    mark, coding = next(((mark, coding) for mark, coding in _MARKS if data.startswith(mark)), (b"", "utf-8"))
    try:
        text = data[len(mark) :].decode(coding)
    except UnicodeDecodeError as fault:
        what = "UTF-8" if coding == "utf-8" else "UTF-16, though it is marked so"
        raise DataError(f"{name} is not {what} (byte {fault.start})", hint="save it as UTF-8") from None
    if "\0" in text:
        raise DataError(f"{name} is no text: letter {text.index(chr(0)) + 1} is NUL", hint="save it as UTF-8")
    return text


@dataclass(frozen=True)
class TableRow:
    """A row of a table: the line where it begins, and its cells by column."""

    line: int
    cells: Mapping[str, str]


def table(
    text: str, fits: Callable[[Sequence[str]], bool], bad: Callable[[int, str], None]
) -> tuple[list[str], Iterator[TableRow]]:
    """A table's columns, and its rows.

    Args:
        text: The table, perhaps with a few lines before its header.
        fits: Whether a row could be the header.
        bad: Called with the line of every row that does not fit the header, and why, while the rows are read.

    Returns:
        The columns, none if no header fits; and the rows.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for place in range(min(_PREAMBLE, len(lines))):
        tries = [(_row(lines, place, separator, _quoting(lines[place])), separator) for separator in _SEPARATORS]
        (header, taken, _), separator = max(tries, key=lambda one: len(one[0][0]))
        names = [name.strip() for name in header]
        if fits(names):
            return names, _rows(lines, place + taken, (separator, _quoting(lines[place])), names, bad)
    return [], iter(())


def _quoting(header: str) -> int:
    """How cells are quoted: not at all in Web of Science's tables, as everywhere in others."""
    return csv.QUOTE_NONE if header.startswith("PT\t") else csv.QUOTE_MINIMAL


def _row(lines: Sequence[str], place: int, separator: str, quoting: int) -> tuple[list[str], int, str]:
    """The cells of the row that begins at a line, how many lines it has, and what is wrong with it."""
    rest = (f"{lines[number]}\n" for number in range(place, len(lines)))
    reader = csv.reader(rest, delimiter=separator, quoting=quoting)  # type: ignore[arg-type]
    try:
        return next(reader, []), max(1, reader.line_num), ""
    except csv.Error as fault:
        return [], 1, one_line(fault)


def _rows(
    lines: Sequence[str], place: int, form: tuple[str, int], header: Sequence[str], bad: Callable[[int, str], None]
) -> Iterator[TableRow]:
    while place < len(lines):
        cells, taken, fault = _row(lines, place, *form)
        if not fault and any(cell.strip() for cell in cells[len(header) :]):
            fault = f"it has {len(cells)} cells, the header {len(header)}"
        if not fault and taken > 1 and len(cells) < len(header):
            fault = "a quoted cell does not end"
        if fault:
            bad(place + 1, fault)
            taken = 1  # the next line may begin a sound row
        elif any(cell.strip() for cell in cells):
            yield TableRow(place + 1, dict(zip(header, cells, strict=False)))
        place += taken

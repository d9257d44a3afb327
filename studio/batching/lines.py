"""A file as numbered lines of text: packed or not, from the disk or a pipe, decoded by its marks, a line at a time.

A line that cannot be read is told as such and costs itself alone; a very long one is passed over without being held.
Knows bytes and letters; not what a line says. (`pipelines.corpus.delimited` decodes files that are read whole.)
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import re
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

from workspace.errors import DataError, UsageError, one_line

STDIN = "-"
LONGEST = 1_000_000
"""Letters of a line that is read."""

_START = 16
_PACKED: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a workbook or an archive", "save the sheet as CSV, or unpack the archive"),
    (b"\xd0\xcf\x11\xe0", "an old workbook", "save the sheet as CSV"),
    (b"\x28\xb5\x2f\xfd", "packed by Zstandard", "unpack it: zstd -dc FILE | studio batch - ..."),
    (b"PAR1", "Parquet", "save it as JSONL: frame.to_json(path, orient='records', lines=True)"),
    (b"SQLite format", "an SQLite database", "export its table as CSV"),
    (b"%PDF", "a PDF", "write the briefs as JSONL, CSV or text"),
)
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_WESTERN = "windows-1252"
_MARKED = re.compile("[\ud800-\udfff]")
_BYTES = 0xDC00
_ERRORS = "studio.marked"


def _marked(fault: UnicodeError) -> tuple[str, int]:
    """Bytes that are no letters as half letters, which no decoder gives, so that the line is told."""
    if not isinstance(fault, UnicodeDecodeError):
        raise fault
    return "".join(chr(_BYTES + byte) for byte in fault.object[fault.start : fault.end]), fault.end


codecs.register_error(_ERRORS, _marked)


class Line(NamedTuple):
    """A line of a file, counted from one: its text with its end, and why it cannot be read."""

    number: int
    text: str
    fault: str = ""


class Lines(Iterator[Line]):
    """The lines of a text, one after another; some may be put back.

    Args:
        text: What is read, its ends of lines as they stand there.
        name: What it is called in a message.
        coding: How it was decoded.
        growing: Whether somebody still writes the file.
    """

    def __init__(
        self, text: io.TextIOBase, name: str, coding: str = "utf-8", growing: Callable[[], bool] = lambda: False
    ) -> None:
        self.name = name
        self._text, self._coding, self._growing = text, coding, growing
        self._number = 0
        self._back: list[Line] = []
        self._begun = ""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Line:
        if self._back:
            return self._back.pop()
        text = self._begun or self._piece(LONGEST + 1)
        self._begun = ""
        if not text:
            raise StopIteration
        self._number += 1
        if not text.endswith(("\n", "\r")):
            if len(text) > LONGEST:
                return Line(self._number, "", self._passed_over())
            if self._growing():
                return Line(self._number, "", "its end is still being written; run the batch again to take it up")
        return Line(self._number, text, "" if text.isascii() and "\0" not in text else self._fault(text))

    def back(self, lines: Sequence[Line]) -> None:
        """Put lines back, the first of them to come next."""
        self._back.extend(reversed(lines))

    def start(self) -> str:
        """What the first line that is not blank begins with, which is still to come; empty where there is none."""
        while not self._begun:
            text = self._piece(LONGEST + 1)
            if not text:
                return ""
            if text.strip("\ufeff \t\r\n"):
                self._begun = text
            else:
                self._number += text.endswith(("\n", "\r"))
        return self._begun.lstrip("\ufeff \t")

    def rest(self, most: int) -> tuple[str, int]:
        """All that is still to come, with plain line feeds, and the number of the first line of it.

        Raises:
            DataError: There are more than so many letters, or some of them cannot be read.
        """
        pieces = [self._begun]
        size = len(self._begun)
        while piece := self._piece(LONGEST):
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise DataError(
                    f"{self.name} is one piece of JSON of more than {most >> 20} million letters",
                    hint="write it as JSONL, an object a line",
                )
        text = "".join(pieces).replace("\r\n", "\n").replace("\r", "\n")
        for number, line in enumerate(text.split("\n"), self._number + 1):
            if fault := self._fault(line):
                raise DataError(f"{self.name}, line {number}: {fault}")
        return text, self._number + 1

    def _piece(self, most: int) -> str:
        try:
            return self._text.readline(most)
        except (EOFError, zlib.error, lzma.LZMAError, OSError, ValueError) as fault:
            where = f"after line {self._number}"
            raise DataError(f"cannot read {self.name} {where}: {one_line(fault)}", hint="get it anew") from None

    def _passed_over(self) -> str:
        while (piece := self._piece(LONGEST)) and not piece.endswith(("\n", "\r")):
            pass
        return f"it has more than {LONGEST:,} letters"

    def _fault(self, text: str) -> str:
        """Why a line is no text; empty if it is."""
        found = _MARKED.search(text)
        if found:
            byte = ord(found[0]) - _BYTES
            known = 0 <= byte < 256
            what = f"byte 0x{byte:02x}, letter {found.start() + 1}" if known else f"letter {found.start() + 1}"
            guess = _as_western(text) if self._coding.startswith("utf-8") else ""
            other = f"; as {_WESTERN} it is {guess!r}, which --encoding {_WESTERN} says" if guess else ""
            return f"it is not {self._coding.removesuffix('-sig').upper()} ({what}){other}"
        if "\0" in text:
            return f"letter {text.index(chr(0)) + 1} is NUL, which no text has"
        return ""


def _as_western(text: str) -> str:
    """The words around what is not UTF-8, read as most Western programs write them; empty if they are not that."""
    place = next(at for at, sign in enumerate(text) if _MARKED.match(sign))
    part = text[max(0, place - 12) : place + 28].strip()
    try:
        return b"".join(
            bytes([ord(sign) - _BYTES]) if _MARKED.match(sign) else sign.encode(_WESTERN) for sign in part
        ).decode(_WESTERN)
    except (UnicodeError, ValueError):
        return ""


@contextmanager
def open_lines(source: str | Path, encoding: str | None = None) -> Iterator[Lines]:
    """The lines of a file, or of standard input for ``-``.

    Args:
        source: The file; packed by gzip, bzip2 or xz or not.
        encoding: How text is encoded that begins with no byte order mark; UTF-8 if not given.

    Raises:
        DataError: It cannot be read, or is no text.
        UsageError: There is no such encoding.
    """
    name = "standard input" if str(source) == STDIN else str(source)
    coding = _coding(encoding)
    with ExitStack() as opened:
        raw = _raw(source, name, opened)
        try:
            start, stream = _started(raw)
            unpack = next((unpack for magic, unpack in _PACKED if start.startswith(magic)), None)
            if unpack is not None:
                start, stream = _started(opened.enter_context(unpack(stream)))
        except (EOFError, zlib.error, lzma.LZMAError, OSError) as fault:
            raise DataError(f"cannot read {name}: {one_line(fault)}", hint="get it anew") from None
        coding = next((one for mark, one in _MARKS if start.startswith(mark)), coding)
        _check_text(start, name, coding)
        text = io.TextIOWrapper(stream, encoding=coding, errors=_ERRORS, newline="")
        yield Lines(text, name, coding, lambda: False) if unpack else Lines(text, name, coding, _watch(raw))


def _coding(encoding: str | None) -> str:
    try:
        found = codecs.lookup(encoding or "utf-8")
        b"".decode(encoding or "utf-8")
    except (LookupError, ValueError):
        raise UsageError(f"unknown encoding {encoding!r}; such as utf-8, utf-16, {_WESTERN}, shift_jis") from None
    return found.name


def _raw(source: str | Path, name: str, opened: ExitStack) -> BinaryIO:
    if str(source) == STDIN:
        if sys.stdin is None:
            raise DataError("there is no standard input to read")
        return sys.stdin.buffer
    path = Path(source)
    try:
        if path.is_dir():
            held = ", ".join(sorted(os.listdir(path))[:5]) or "nothing"
            raise DataError(f"{name} is a folder; it holds {held}", hint="name a file of briefs")
        return opened.enter_context(path.open("rb"))
    except FileNotFoundError:
        raise DataError(f"{name} is not there{_nearest(path)}") from None
    except (OSError, ValueError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else None
        raise DataError(f"cannot read {name}: {why or one_line(fault)}") from None


def _nearest(path: Path) -> str:
    try:
        near = get_close_matches(path.name, os.listdir(path.parent), n=1)
    except OSError:
        return f"; nor is the folder {path.parent}"
    return f"; did you mean {str(path.with_name(near[0]))!r}?" if near else ""


class _Joined(io.RawIOBase):
    """A stream whose beginning was read already."""

    def __init__(self, start: bytes, rest: Any) -> None:
        self._start, self._rest = start, rest

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        part = self._start[: len(room)] or self._rest.read1(len(room))
        self._start = self._start[len(room) :]
        room[: len(part)] = part
        return len(part)


def _started(stream: Any) -> tuple[bytes, io.BufferedReader]:
    """A stream's first bytes, however slowly they come, and the stream with them."""
    start = b""
    while len(start) < _START and (piece := stream.read1(_START - len(start))):
        start += piece
    return start, io.BufferedReader(_Joined(start, stream), 1 << 16)


def _check_text(start: bytes, name: str, coding: str) -> None:
    for magic, what, hint in _OTHERS:
        if start.startswith(magic):
            raise DataError(f"{name} is {what}, no text", hint=hint)
    if b"\0" in start and not coding.startswith(("utf-16", "utf-32")):
        zeros, wide = max((start[0::2].count(0), "utf-16-be"), (start[1::2].count(0), "utf-16-le"))
        other = f"; if it is text of another encoding, say --encoding {wide}" if 2 * zeros >= len(start) else ""
        raise DataError(f"{name} is no text: it begins with {start[:8].hex(' ')}{other}")


def _watch(raw: BinaryIO) -> Callable[[], bool]:
    """Says whether a file on the disk has changed since now."""

    def look() -> tuple[int, int] | None:
        try:
            seen = os.fstat(raw.fileno())
        except (OSError, ValueError):
            return None
        return (seen.st_size, seen.st_mtime_ns) if stat.S_ISREG(seen.st_mode) else None

    before = look()
    return lambda: look() != before

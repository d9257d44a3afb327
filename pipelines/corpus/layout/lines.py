"""Lines of a column as text, and lines as paragraphs.

What stands raised or lowered keeps its meaning: ``10^8``, ``m^-3``, ``H_2O``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Literal

from pipelines.corpus.layout.fractions import sloped, with_fractions
from pipelines.corpus.layout.pieces import Grid, Piece, rows_of, size_of

_SMALLER = 0.87  # of the size of what it belongs to: an exponent or an index
_TIGHT = 0.15  # of the font's size: a narrower gap parts no words
_WIDE = 1.1  # of the font's size: a wider gap parts cells
_LOOSE = 2.5  # of the font's size: a wider gap is no space of a stretched line
_CELL = "\0"  # parts what may be cells of a table
_CITED = re.compile(r"\(?\d+(\s*[,\u2013-]\s*\d+)*[,.]?\)?")
_ORDINAL = re.compile(r"st|nd|rd|th")
_DEGREE = "\u25e6\u00b0\u00ba"


Sign = Literal["^", "_"]
_Place = tuple[int, Sign, bool]
"""Number of the piece that another is raised or lowered at, how, and whether it stands before it."""


@dataclass
class Block:
    """A paragraph or a heading, as lines; a note is what stands small below a column."""

    lines: list[str]
    size: float
    bold: bool
    heading: bool = False
    table: bool = False
    note: bool = False


@dataclass
class _Word:
    """A piece with what is raised and lowered at it."""

    piece: Piece
    scripts: list[tuple[Sign, list[_Word]]] = field(default_factory=list)
    before: list[tuple[Sign, _Word]] = field(default_factory=list)

    @property
    def last(self) -> Piece:
        """The piece that it ends with."""
        return max([self.piece, *(word.last for _, words in self.scripts for word in words)], key=lambda one: one.right)

    @property
    def right(self) -> float:
        """Where it ends, scripts and all."""
        return self.last.right

    @property
    def ends(self) -> bool:
        """Whether a space follows."""
        return self.last.text.endswith(" ") or (self.piece.text.endswith(" ") and not self.scripts)


@dataclass
class _Line:
    text: str
    gaps: int
    left: float
    base: float
    size: float
    bold: bool


def paragraphs(run: Sequence[Piece]) -> list[Block]:
    """The paragraphs, headings and tables of a column."""
    lines = [line for line in _lines(run) if line.text]
    steps = [below.base - above.base for above, below in pairwise(lines) if below.base > above.base]
    usual = median(steps) if steps else 0.0
    margin = min((line.left for line in lines), default=0.0)
    made: list[Block] = []
    for number, line in enumerate(lines):
        before = made[-1] if made else None
        row = line.gaps > 1 or (line.gaps == 1 and before is not None and before.table)
        text = " ".join(line.text.replace(_CELL, " | " if row else " ").split())
        same = before is not None and abs(before.size - line.size) <= 0.08 * line.size and before.bold == line.bold
        near = number > 0 and line.base - lines[number - 1].base < 1.35 * usual + 0.5
        stopped = before is not None and before.lines[-1].endswith((".", "?", "!", ":"))
        indented = line.left - margin > 0.8 * line.size and stopped
        if before is not None and before.table == row and (row or (same and near and not indented)):
            before.lines.append(text)
        else:
            made.append(Block([text], line.size, line.bold, table=row))
    return made


def _lines(run: Sequence[Piece]) -> list[_Line]:
    words = _words(run)
    rows: list[list[_Word]] = []
    places = {id(word.piece): word for word in words}
    for row in rows_of([word.piece for word in words]):
        line = [places[id(piece)] for piece in row]
        if rows and _within(line, rows[-1]):
            _put(line, rows[-1])
        elif rows and _within(rows[-1], line):
            _put(rows.pop(), line)
            rows.append(line)
        else:
            rows.append(line)
    return [_line(row) for row in rows]


def _within(small: Sequence[_Word], line: Sequence[_Word]) -> bool:
    """Whether words stand raised or lowered within a line though they touch none of its words."""
    if abs(line[0].piece.base - small[0].piece.base) > line[0].piece.size:
        return False
    size, other = max(one.piece.size for one in small), size_of(one.piece for one in line)
    rise = (line[0].piece.base - small[0].piece.base) / other
    inside = line[0].piece.left - other <= small[0].piece.left and small[-1].right <= line[-1].right + 3 * other
    if not inside:
        return False
    if size <= _SMALLER * other:
        return -0.6 < rise < 0.75
    return abs(rise) < 0.4 and not any(_covers(one.piece, word.piece) for one in small for word in line)


def _covers(one: Piece, other: Piece) -> bool:
    """Whether two pieces stand on most of the narrower one's width."""
    both = min(one.right, other.right) - max(one.left, other.left)
    return both > 0.8 * min(one.right - one.left, other.right - other.left)


def _put(small: Sequence[_Word], line: list[_Word]) -> None:
    """Put loose words, raised, lowered or neither, into a line."""
    middle = list(line)
    for one in small:
        sign = _sign(one.piece, middle[0].piece)
        after = next((word for word in middle if word.piece.left > one.piece.left), None)
        if sign is None:
            line.append(one)
        elif after is not None:
            after.before.append((sign, one))
        else:
            middle[-1].scripts.append((sign, [one]))


def _line(row: Sequence[_Word]) -> _Line:
    row = sorted(row, key=lambda one: one.piece.left)
    text, gaps = _join(row)
    size = size_of(one.piece for one in row)
    return _Line(
        sloped(text.strip()),
        gaps,
        row[0].piece.left,
        row[0].piece.base,
        size,
        all(one.piece.bold for one in row),
    )


def _join(words: Sequence[_Word]) -> tuple[str, int]:
    """Words as text, and the wide gaps among them."""
    text, gaps = _written(words[0]), 0
    even = _even(words)
    for before, one in pairwise(words):
        gap = one.piece.left - before.right
        wide = not even and gap > _WIDE * max(one.piece.size, before.piece.size, 4.0)
        gaps += wide
        part = _written(one)
        tight = not before.ends and gap < _TIGHT * one.piece.size
        joins = tight and not (before.scripts and text[-1:].isdigit() and part[:1].isdigit())
        text += ("" if joins else _CELL if wide else " ") + part
    return text, gaps


def _even(words: Sequence[_Word]) -> bool:
    """Whether all spaces of a line are alike, as in one that is stretched to a column's width."""
    spaces = [one.piece.left - before.piece.right for before, one in pairwise(words)]
    spaces = [one for one in spaces if one > _TIGHT * words[0].piece.size]
    return len(spaces) > 1 and max(spaces) < min(1.5 * min(spaces), _LOOSE * words[0].piece.size)


def _written(word: _Word) -> str:
    text = word.piece.text.strip()
    for sign, one in reversed(word.before):
        text = f"{sign}{_written(one)}{' ' if one.ends else ''}{text}"
    for sign, words in word.scripts:
        text = _with_script(text, sign, " ".join(_join(words)[0].split()))
    return text


def _with_script(text: str, sign: str, script: str) -> str:
    """A word with something raised or lowered at it; a raised number behind a stop is a source's and is left out."""
    if sign == "^":
        if _CITED.fullmatch(script) and text.endswith((".", ",", ";", ":", "?", "!", "\u201d", '"')):
            return text
        if text[-1:].isdigit() and _ORDINAL.fullmatch(script):
            return text + script
        if script in _DEGREE:
            return text + "\u00b0"
        if not script.strip("'\u2032\u2033\u2019\u2122\u00ae"):
            return text + script.replace("\u2019", "\u2032")
    script = script.replace("\u2212", "-").replace("\u2013", "-") if sign == "^" else script
    return f"{text}{sign}{{{script}}}" if " " in script else f"{text}{sign}{script}"


def _words(run: Sequence[Piece]) -> list[_Word]:
    """Pieces as words, each with what is raised or lowered at it."""
    run = with_fractions(run)
    owner = _owners(run)
    words = [_Word(piece) for piece in run]
    chains: dict[tuple[int, str], list[_Word]] = {}
    for number in sorted(owner, key=lambda one: run[one].left):
        base, sign, leads = owner[number]
        if leads:
            words[base].before.append((sign, words[number]))
        elif (base, sign) in chains:
            chains[base, sign].append(words[number])
        else:
            chains[base, sign] = [words[number]]
            words[base].scripts.append((sign, chains[base, sign]))
    for word in words:
        word.scripts.sort(key=lambda one: one[0], reverse=True)  # H_2^+: below first
    return [words[number] for number in range(len(run)) if number not in owner]


def _owners(run: Sequence[Piece]) -> dict[int, _Place]:
    """For each raised or lowered piece, by number, where it stands."""
    largest = max((one.size for one in run), default=0.0)
    small = [number for number, one in enumerate(run) if one.size <= _SMALLER * largest]
    ends, begins = Grid(run, "right"), Grid(run, "left")
    found: dict[int, _Place] = {}
    for number in sorted(small, key=lambda number: run[number].left):
        one = run[number]
        others = [other for other in ends.near(one.left, one.base, largest) if other != number]
        for other in sorted(others, key=lambda other: abs(one.left - run[other].right)):
            if place := _behind(number, other, run, found):
                found[number] = place
                break
    for number in small:
        one = run[number]
        if number in found or one.text.endswith(" "):
            continue
        for other in begins.near(one.right, one.base, largest):
            gap = (run[other].left - one.right) / run[other].size
            sign = _sign(one, run[other])
            if other not in found and sign and -0.1 < gap < 0.2:
                found[number] = (other, sign, True)
                break
    return found


def _behind(number: int, other: int, run: Sequence[Piece], found: Mapping[int, _Place]) -> _Place | None:
    """Where a piece stands if it stands raised or lowered behind another, or goes on what does."""
    one, base = run[number], run[other]
    if base.text.endswith(" ") or not -0.25 < (one.left - base.right) / base.size < 0.3:
        return None
    alike = abs(base.size - one.size) <= 0.08 * one.size and abs(base.base - one.base) <= 0.1 * one.size
    if other in found and alike and not found[other][2]:
        return found[other]
    sign = _sign(one, base)
    return (other, sign, False) if sign else None


def _sign(small: Piece, base: Piece) -> Sign | None:
    """How a piece stands at another: raised, lowered or neither. Letters are set a little up and down in logos too."""
    if not 0.4 * base.size < small.size <= _SMALLER * base.size:
        return None
    rise = (base.base - small.base) / base.size
    if (0.25 if small.text.strip().isupper() else 0.1) < rise < 0.75:
        return "^"
    return "_" if -0.6 < rise < -0.05 else None

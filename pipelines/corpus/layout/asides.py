"""A narrow column beside a wide one within a page: an article's dates and keywords beside its summary, a side note.

Its lines are short and no prose, so that columns of text are not found there. Knows places alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from pipelines.corpus.layout.pieces import Piece, rows_of, size_of

_ALIGNED = 2.5  # points: lines of the wide column begin at one place
_GAP = 0.9  # of the font's size: white space between the two
_NARROW = 0.67  # of the wide column's width
_LEAST = 60.0  # points: a narrow column; labels of a list are narrower
_LINES, _FEWEST = 5, 3  # of the wide column and of the narrow one
_FULL, _MOST = 0.85, 0.7  # share of its width that a line fills, and of the lines that are so full
_SCRIPT = 0.87  # of the text's size: what stands raised or lowered
_LETTERS = 25  # of such a line
_STEP = 2.6  # of the font's size: from line to line of the wide column
_LABELS = 1.6  # times the wide column's step: labels of a table stand further apart, each at a line of its own


class Beside(NamedTuple):
    """What stands above two columns, the narrow one, the wide one, and what stands below."""

    above: list[Piece]
    narrow: list[Piece]
    wide: list[Piece]
    below: list[Piece]


def beside(pieces: Sequence[Piece]) -> Beside | None:
    """A narrow column at the left of a wide one; none if a page has none."""
    if len(pieces) < _LINES + _FEWEST:
        return None
    size = size_of(pieces)
    for place, bases in _wide_columns(rows_of(pieces), size):
        found = _parted(pieces, place, bases, size)
        if found is not None:
            return found
    return None


def _wide_columns(rows: Sequence[Sequence[Piece]], size: float) -> Iterator[tuple[float, list[float]]]:
    """Where lines begin one below another behind white space, and the lines they stand on; those on the left aside."""
    first = min(one.left for row in rows for one in row)
    begins: list[tuple[float, float]] = []
    for row in rows:
        end = float("-inf")
        for one in row:
            if one.left - end > _GAP * size and one.left > first + _LEAST:
                begins.append((one.left, one.base))
            end = max(end, one.right)
    begins.sort()
    groups: list[list[tuple[float, float]]] = []
    for left, base in begins:
        if groups and left - groups[-1][0][0] <= _ALIGNED:
            groups[-1].append((left, base))
        else:
            groups.append([(left, base)])
    for group in groups:
        bases = sorted(base for _, base in group)
        held = bases[:1]
        for above, below in pairwise(bases):
            if below - above > _STEP * size:
                if len(held) >= _LINES:
                    yield group[0][0], held
                held = []
            held.append(below)
        if len(held) >= _LINES:
            yield group[0][0], held


def _parted(pieces: Sequence[Piece], place: float, bases: Sequence[float], size: float) -> Beside | None:
    high = _begin_of_wide(pieces, place, bases[0] - 0.5 * size, size)
    low = _end_of_narrow(pieces, place, bases[-1] + 0.5 * size, size)
    made = Beside([], [], [], [])
    for one in pieces:
        if one.base < high:
            made.above.append(one)
        elif one.base > low:
            made.below.append(one)
        elif one.left > place - _ALIGNED:
            made.wide.append(one)
        elif one.right < place - 0.5 * _GAP * size:
            made.narrow.append(one)
        else:
            return None
    return made if _sound(made, size) else None


def _begin_of_wide(pieces: Sequence[Piece], place: float, high: float, size: float) -> float:
    """Where a wide column begins whose first lines are indented."""
    for row in reversed(rows_of(one for one in pieces if one.base < high)):
        crossed = any(one.left < place - _ALIGNED and one.right > place - 0.5 * _GAP * size for one in row)
        if crossed or high - row[0].base > 1.3 * size or row[-1].left < place - _ALIGNED:
            break
        high = row[0].base - 0.5 * size
    return high


def _end_of_narrow(pieces: Sequence[Piece], place: float, low: float, size: float) -> float:
    """Where a narrow column ends that is longer than the wide one."""
    for row in rows_of(one for one in pieces if one.base > low):
        if row[0].base - low > _STEP * size or row[-1].right > place - 0.5 * _GAP * size:
            break
        low = row[0].base + 0.5 * size
    return low


def _sound(found: Beside, size: float) -> bool:
    """Whether the wide side is prose, the narrow one a column and not the labels of a table."""
    usual = size_of(found.wide)
    narrow, wide = rows_of(found.narrow), rows_of(one for one in found.wide if one.size > _SCRIPT * usual)
    if len(narrow) < _FEWEST or len(wide) < _LINES:
        return False
    [width, other] = (max(one.right for one in side) - min(one.left for one in side) for side in (found[2], found[1]))
    if not 0.5 * _LEAST < other < _NARROW * width:
        return False
    full = sum(_full(row, width, size) for row in wide)
    return full >= _MOST * len(wide) and not _labels(narrow, wide, size)


def _full(row: Sequence[Piece], width: float, size: float) -> bool:
    """Whether a line is filled with words, none of them a cell's."""
    letters = sum(letter.isalnum() for one in row for letter in one.text)
    gaps = (below.left - above.right for above, below in pairwise(row))
    return letters >= _LETTERS and row[-1].right - row[0].left >= _FULL * width and max(gaps, default=0) < 1.3 * size


def _labels(narrow: Sequence[Sequence[Piece]], wide: Sequence[Sequence[Piece]], size: float) -> bool:
    """Whether the narrow side names what stands beside each of its lines."""
    steps, usual = ([below[0].base - above[0].base for above, below in pairwise(rows)] for rows in (narrow, wide))
    level = all(any(abs(row[0].base - other[0].base) < 0.2 * size for other in wide) for row in narrow)
    return level and min(steps) > _LABELS * median(usual)

"""The columns of a page, by its white space: where lines begin one below another behind a gap that no line fills.

Lines that run across such a gutter (a title, a wide figure's caption, a wide equation) part the page into bands that
are read one after another, each column by column. Knows words' places; not the converter's fragments of lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from pipelines.corpus.layout.asides import beside
from pipelines.corpus.layout.pieces import Piece, rows_of, size_of

_NARROWEST = 80.0  # points: a column
_GAP = 0.6  # of the font's size: a gutter is wider, a space between words is not
_LOOSE = 0.9  # of the font's size: a space of a line that is much stretched
_FEWEST = 3  # lines of a column
_SURE = 5  # lines of a column between many that cross it
_ALIGNED = 2.5  # points: lines of a column begin at one place
_FULL = 0.5  # share of its width that the words of a column's line fill
_SHARE = 0.3  # of a column's lines that are full at least
_LETTERS = 16  # of a column's line
_CLOSE, _HIGH = 0.75, 3.5  # of the font's size: from line to line of an equation, and its height
_REACH = 1.5  # of the font's size: how far a line that crosses a gutter runs into both columns
_BAND = 6.0  # points
_TRIED = 4  # places where columns may begin
_NEAR = 8.0  # points: a gutter is where another page has one


@dataclass(frozen=True)
class _Cut:
    """A place where columns are parted: the bands between the lines that cross it."""

    place: float
    crossing: tuple[tuple[Piece, ...], ...]
    bands: tuple[tuple[tuple[Piece, ...], tuple[Piece, ...]], ...]
    score: float


class Columns(NamedTuple):
    """Pieces in runs that are read from top to bottom, in reading order, and where columns begin, the first aside."""

    runs: list[list[Piece]]
    places: list[float]


def columns(pieces: Sequence[Piece], known: Sequence[float] = ()) -> Columns:
    """The columns of a page.

    Args:
        pieces: A page's words.
        known: Where columns begin on other pages; a page with few lines is believed to have them too.
    """
    parts = beside(pieces)
    if parts is not None:
        found = [columns(part, known) for part in parts]
        return Columns(
            _joined(run for one in found for run in one.runs), [place for one in found for place in one.places]
        )
    cut = _best_cut(pieces, known)
    if cut is None:
        return Columns([list(pieces)] if pieces else [], [])
    runs: list[list[Piece]] = []
    places = [cut.place]
    for number, band in enumerate(cut.bands):
        for side in band:
            inner = columns(side, known)
            runs += inner.runs
            places += inner.places
        if number < len(cut.crossing):
            runs.append(list(cut.crossing[number]))
    return Columns(_joined(runs), places)


def columns_of_all(pages: Sequence[Sequence[Piece]]) -> list[list[list[Piece]]]:
    """The runs of every page, in reading order; pages that show where columns begin tell it for those that do not."""
    found = [columns(pieces) for pieces in pages]
    known = sorted({round(place) for one in found for place in one.places})

    def sure(one: Columns) -> bool:
        return all(any(abs(place - other) < _NEAR for other in one.places) for place in known)

    return [one.runs if sure(one) else columns(pieces, known).runs for one, pieces in zip(found, pages, strict=True)]


def _joined(runs: Iterable[list[Piece]]) -> list[list[Piece]]:
    """Neighbouring runs that stand under each other, as one."""
    made: list[list[Piece]] = []
    for run in runs:
        before = made[-1] if made else []
        below = before and min(one.base for one in run) > max(one.base for one in before)
        aligned = before and abs(min(one.left for one in run) - min(one.left for one in before)) < _ALIGNED
        if below and aligned:
            before.extend(run)
        else:
            made.append(list(run))
    return made


def _best_cut(pieces: Sequence[Piece], known: Sequence[float]) -> _Cut | None:
    if len(pieces) < 2 * _FEWEST:
        return None
    left, right = min(one.left for one in pieces), max(one.right for one in pieces)
    if right - left < 2 * _NARROWEST:
        return None
    size = size_of(pieces)
    rows = rows_of(pieces)
    best: _Cut | None = None
    for place in _starts(rows, size, known):
        if not left + _NARROWEST < place < right - _NARROWEST / 2:
            continue
        expected = any(abs(place - other) < _NEAR for other in known)
        cut = _cut(rows, place, size, expected)
        if cut is not None and (best is None or cut.score > best.score):
            best = cut
    return best


def _starts(rows: Sequence[Sequence[Piece]], size: float, known: Sequence[float]) -> list[float]:
    """Where lines begin behind white space, one below another: the most frequent places first."""
    behind = []
    for row in rows:
        end, wide = float("-inf"), _wide(row, size)
        for one in row:
            if one.left - end > wide:
                behind.append(one)
            end = max(end, one.right)
    ends = defaultdict(list)
    for row in rows:
        for one in row:
            ends[int(one.base // _BAND)].append(one)

    def free(one: Piece) -> bool:
        bands = range(int((one.base - 0.6 * size) // _BAND), int((one.base + 0.6 * size) // _BAND) + 1)
        low = one.left - _GAP * size
        return not any(low < other.right and other.left < one.left for band in bands for other in ends[band])

    groups: list[list[float]] = []
    for place in sorted(one.left for one in behind if free(one)):
        if groups and place - groups[-1][0] <= _ALIGNED:
            groups[-1].append(place)
        else:
            groups.append([place])
    often = sorted(groups, key=len, reverse=True)
    return [
        group[0]
        for number, group in enumerate(often)
        if (len(group) >= _FEWEST and number < _TRIED) or any(abs(group[0] - one) < _ALIGNED for one in known)
    ]


def _wide(row: Sequence[Piece], size: float) -> float:
    """What is more than a space in a line, which may be stretched."""
    spaces = [one.left - before.right for before, one in pairwise(row)]
    return max(_GAP * size, 1.3 * median(spaces) if spaces[1:] else 0.0)


def _cut(rows: Sequence[Sequence[Piece]], place: float, size: float, expected: bool) -> _Cut | None:
    """The bands that a place parts into two columns each; none if it does not."""
    crossing: list[list[Piece]] = []
    bands: list[tuple[list[Piece], list[Piece]]] = [([], [])]
    torn, follows = 0, False
    for row, spans in zip(rows, _spanning(rows, place, size), strict=True):
        if spans:
            if follows:
                crossing[-1].extend(row)
            else:
                crossing.append(list(row))
                bands.append(([], []))
            follows = True
            continue
        follows = False
        sides: tuple[list[Piece], list[Piece]] = ([], [])
        for one in row:
            behind = one.left >= place - _GAP * size or (one.left + one.right) / 2 > place
            sides[behind].append(one)
        torn += all(sides) and sides[1][0].left - max(one.right for one in sides[0]) < _GAP * size
        for band, side in zip(bands[-1], sides, strict=True):
            band.extend(side)
    score: float = sum(_lines_beside(band, expected) for band in bands)
    lines = sum(len(rows_of(one)) for one in crossing)
    if score < (1 if expected else _FEWEST if lines < score else _SURE) or score < 0.15 * lines:
        return None
    return _Cut(
        place,
        tuple(tuple(one) for one in crossing),
        tuple((tuple(left), tuple(right)) for left, right in bands),
        score - lines - 2 * torn,
    )


def _spanning(rows: Sequence[Sequence[Piece]], place: float, size: float) -> list[bool]:
    """Which lines run across a place. Those that stand closer than lines do (an equation's) are judged together."""
    made: list[bool] = []
    held: list[Sequence[Piece]] = []
    for row in [*rows, []]:
        if row and (not held or row[0].base - held[-1][0].base < _CLOSE * size):
            held.append(row)
            continue
        if held[-1][0].base - held[0][0].base <= _HIGH * size:
            close = sorted((one for row in held for one in row), key=lambda one: one.left) if held[1:] else held[0]
            made += [_spans(close, place, size)] * len(held)
        else:
            made += [_spans(row, place, size) for row in held]
        held = [row] if row else []
    return made


def _spans(row: Sequence[Piece], place: float, size: float) -> bool:
    """Whether words run across a place, with no wide gap about it."""
    start = end = float("-inf")
    wide = min(_wide(row, size), _LOOSE * size)
    for one in row:
        # A line that is much stretched has wide spaces; where a column begins a narrow gutter is no space.
        gap = _GAP * size if abs(one.left - place) < _ALIGNED else wide
        if one.left - end > gap:
            if end > place + _REACH * size:
                return start < place - _REACH * size
            start = one.left
        end = max(end, one.right)
    return start < place - _REACH * size and end > place + _REACH * size


def _lines_beside(band: tuple[list[Piece], list[Piece]], expected: bool) -> int:
    """How many lines stand beside each other in a band, if they are columns'."""
    sides = [rows_of(side) for side in band]
    if not all(sides):
        return 0
    prose = [_prose(side) for side in sides]
    if not all(prose) and not (expected and any(prose)):
        return 0
    low = max(side[0][0].base for side in sides)
    high = min(side[-1][0].base for side in sides)
    counts = [sum(low - 6 <= row[0].base <= high + 6 for row in side) for side in sides]
    return min(counts) if min(counts) >= (1 if expected else _FEWEST) else 0


def _prose(rows: Sequence[Sequence[Piece]]) -> bool:
    """Whether lines are filled with words, as many of a column's are, rather than a table's cells."""
    left, right = min(row[0].left for row in rows), max(one.right for row in rows for one in row)
    if right - left < _NARROWEST:
        return False
    full = 0
    for row in rows:
        letters = sum(len(one.text) for one in row)
        full += letters >= _LETTERS and sum(one.right - one.left for one in row) >= _FULL * (right - left)
    return full >= max(min(_FEWEST, len(rows)), _SHARE * len(rows))

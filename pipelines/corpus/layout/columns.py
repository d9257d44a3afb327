"""The columns of a page, by its white space: where lines begin one below another behind a gap that no line fills.

Lines that run across such a gutter (a title, a wide figure's caption, a wide equation) part the page into bands that
are read one after another, each column by column. Knows words' places; not the converter's fragments of lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from pipelines.corpus.layout.pieces import Piece, beside, rows_of, size_of

_NARROWEST = 80.0  # points: a column
_GAP = 0.6  # of the font's size: a gutter is wider, a space between words is not
_FEWEST = 3  # lines of a column
_ALIGNED = 2.5  # points: lines of a column begin at one place
_FULL = 0.5  # share of its width that the words of a column's line fill
_LETTERS = 16  # of a column's line
_NEAR = 8.0  # points: a gutter is where another page has one


@dataclass(frozen=True)
class _Cut:
    """A place where columns are parted: the bands between the lines that cross it."""

    place: float
    crossing: tuple[tuple[Piece, ...], ...]
    bands: tuple[tuple[tuple[Piece, ...], tuple[Piece, ...]], ...]
    score: float


def gutters(pieces: Sequence[Piece]) -> list[float]:
    """Where a page's columns begin, the first aside."""
    cut = _best_cut(pieces, ())
    if cut is None:
        return []
    found = [cut.place]
    for band in cut.bands:
        for side in band:
            found += gutters(side)
    return found


def columns(pieces: Sequence[Piece], known: Sequence[float] = ()) -> list[list[Piece]]:
    """Pieces in runs that are read from top to bottom, the runs in reading order.

    Args:
        pieces: A page's words.
        known: Where columns begin on other pages; a page with few lines is believed to have them too.
    """
    cut = _best_cut(pieces, known)
    if cut is None:
        return [list(pieces)] if pieces else []
    found: list[list[Piece]] = []
    for number, (left, right) in enumerate(cut.bands):
        found += columns(left, known) + columns(right, known)
        if number < len(cut.crossing):
            found.append(list(cut.crossing[number]))
    return _joined(found)


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
    for place in _starts(pieces, size):
        if not left + _NARROWEST < place < right - _NARROWEST / 2:
            continue
        expected = any(abs(place - other) < _NEAR for other in known)
        cut = _cut(rows, place, size, expected)
        if cut is not None and (best is None or cut.score > best.score):
            best = cut
    return best


def _starts(pieces: Sequence[Piece], size: float) -> list[float]:
    """Where lines begin behind white space, one below another: the most frequent places first."""
    near = beside(pieces)
    free = []
    for number, one in enumerate(pieces):
        ends = [pieces[other] for other in near[number] if pieces[other].left < one.left]
        if all(one.left - other.right > _GAP * size for other in ends):
            free.append(one.left)
    free.sort()
    groups: list[list[float]] = []
    for place in free:
        if groups and place - groups[-1][0] <= _ALIGNED:
            groups[-1].append(place)
        else:
            groups.append([place])
    often = sorted((group for group in groups if len(group) >= _FEWEST), key=len, reverse=True)
    return [group[0] for group in often[:8]]


def _cut(rows: Sequence[Sequence[Piece]], place: float, size: float, expected: bool) -> _Cut | None:
    """The bands that a place parts into two columns each; none if it does not."""
    crossing: list[list[Piece]] = []
    bands: list[tuple[list[Piece], list[Piece]]] = [([], [])]
    follows = False
    for row in rows:
        if _spans(row, place, size):
            if follows:
                crossing[-1].extend(row)
            else:
                crossing.append(list(row))
                bands.append(([], []))
            follows = True
            continue
        follows = False
        for one in row:
            behind = one.left >= place - _GAP * size or (one.left + one.right) / 2 > place
            bands[-1][behind].append(one)
    score = sum(_columns_lines(band, expected) for band in bands)
    lines = sum(len(rows_of(one)) for one in crossing)
    if score < (1 if expected else _FEWEST) or score < 0.15 * lines:
        return None
    return _Cut(
        place,
        tuple(tuple(one) for one in crossing),
        tuple((tuple(left), tuple(right)) for left, right in bands),
        score - lines,
    )


def _spans(row: Sequence[Piece], place: float, size: float) -> bool:
    """Whether words of a line run across a place, with no wide gap about it."""
    reach = 1.5 * size
    held: list[Piece] = []
    for one in sorted(row, key=lambda one: one.left):
        if held and one.left - max(before.right for before in held) > _GAP * size:
            if held[0].left < place - reach and max(before.right for before in held) > place + reach:
                return True
            held = []
        held.append(one)
    return bool(held) and held[0].left < place - reach and max(before.right for before in held) > place + reach


def _columns_lines(band: tuple[list[Piece], list[Piece]], expected: bool) -> float:
    """How many lines of prose stand beside each other in a band."""
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
    """Whether lines are filled with words, as a column's are, rather than a table's cells."""
    left, right = min(row[0].left for row in rows), max(one.right for row in rows for one in row)
    if right - left < _NARROWEST:
        return False
    letters = median(sum(len(one.text) for one in row) for row in rows)
    full = median(sum(one.right - one.left for one in row) / (right - left) for row in rows)
    return letters >= _LETTERS and full >= _FULL

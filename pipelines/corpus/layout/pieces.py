"""Words with their places on a page, put together from a PDF's letters; text that stands across the page left out.

Knows places and sizes; not which converter the letters came from, nor in what order the words are read.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

_RISE, _DROP = 0.75, 0.22  # of a font's size: how far its letters reach above and below the line they stand on
_SHIFT = 0.04  # of a font's size: letters of one word stand on one line
_CELL = 8.0  # points
_FARTHEST = 20_000.0  # points: pages reach 14,400; beyond, places would lose their digits
_STRIDE = 0.25  # of a font's size: a wider gap parts words


class Letters(NamedTuple):
    """Letters drawn at once in a PDF's own coordinates: where they begin, how wide they are, which way they are read.

    A space or a line's end stands alone and has no place.
    """

    text: str
    place: tuple[float, float]
    width: float
    size: float
    bold: bool
    angle: float


class Piece(NamedTuple):
    """A word, or a part of one in one font, in points from the top left corner; a space at its end is a word's end."""

    left: float
    right: float
    base: float
    size: float
    bold: bool
    text: str

    @property
    def top(self) -> float:
        """Where its letters reach up to."""
        return self.base - _RISE * self.size

    @property
    def bottom(self) -> float:
        """Where its letters reach down to."""
        return self.base + _DROP * self.size


@dataclass(frozen=True)
class Page:
    """A page's pieces and size in points, as it is read; ``drawn`` where more than text stands on it."""

    width: float
    height: float
    pieces: tuple[Piece, ...]
    drawn: bool = False


def page_of(letters: Sequence[Letters], box: tuple[float, float, float, float], drawn: bool) -> Page:
    """A page as most of its letters are read; letters that run another way or lie outside its box are no part of it.

    Args:
        letters: In the order of the file, spaces and line ends among them.
        box: Left, bottom, right and top of what is shown of the page, in the PDF's own coordinates.
        drawn: Whether there are pictures or lines on it.
    """
    turns = Counter[float]()
    for one in letters:
        if one.size:
            turns[one.angle] += len(one.text)
    ways = Counter[int]()
    for angle, count in turns.items():
        if _degrees(angle) % 90 == 0:
            ways[_degrees(angle)] += count
    turn = ways.most_common(1)[0][0] if ways else 0
    same = {angle for angle in turns if _degrees(angle) == turn}
    along, up = _direction(turn), _direction(turn + 90)
    box = tuple(min(max(side, -_FARTHEST), _FARTHEST) for side in box)  # type: ignore[assignment]
    corners = [(x, y) for x in (box[0], box[2]) for y in (box[1], box[3])]
    left, right = _span(corners, along)
    bottom, top = _span(corners, up)
    inside = []
    for one in letters:
        if not one.size:
            inside.append((one, 0.0, 0.0))
        elif one.angle in same:
            x, y = one.place
            across, above = x * along[0] + y * along[1] - left, top - x * up[0] - y * up[1]
            if -1 <= across <= right - left + 1 and -1 <= above <= top - bottom + 1:
                inside.append((one, across, above))
    return Page(right - left, top - bottom, tuple(_words(inside)), drawn)


def _degrees(angle: float) -> int:
    return round(math.degrees(angle)) % 360


def _direction(degrees: int) -> tuple[int, int]:
    return round(math.cos(math.radians(degrees))), round(math.sin(math.radians(degrees)))


def _span(corners: Iterable[tuple[float, float]], way: tuple[int, int]) -> tuple[float, float]:
    places = [x * way[0] + y * way[1] for x, y in corners]
    return min(places), max(places)


def _words(letters: Iterable[tuple[Letters, float, float]]) -> list[Piece]:
    """Letters as pieces of one font, line and word."""
    made: list[Piece] = []
    held: list[str] = []
    start = end = base = last = 0.0
    first: Letters | None = None
    for one, across, above in letters:
        space = not one.size
        if first is not None:
            same = not space and abs(first.size - one.size) <= 0.05 * one.size and first.bold == one.bold
            level = abs(base - above) <= _SHIFT * one.size
            # Letters of a ligature come apart, all in its place.
            if not (same and level and across > last - 0.1 * one.size and across - end < _STRIDE * one.size):
                ending = " " if one.text == " " else ""
                made.append(Piece(start, end, base, first.size, first.bold, "".join(held) + ending))
                held, first = [], None
        if space:
            continue
        if first is None:
            first, start, base = one, across, above
        held.append(one.text)
        last, end = across, across + one.width
    if first is not None:
        made.append(Piece(start, end, base, first.size, first.bold, "".join(held)))
    return made


def size_of(pieces: Iterable[Piece]) -> float:
    """The size of most letters."""
    sizes = Counter[float]()
    for piece in pieces:
        sizes[round(piece.size, 1)] += len(piece.text)
    return sizes.most_common(1)[0][0] if sizes else 1.0


def rows_of(pieces: Iterable[Piece], tolerance: float = 0.2) -> list[list[Piece]]:
    """Pieces by the line they stand on, from top to bottom, each from left to right.

    Args:
        pieces: In any order.
        tolerance: How far apart the lines of two neighbours may be, as a share of the smaller size.
    """
    made: list[list[Piece]] = []
    for one in sorted(pieces, key=lambda one: one.base):
        before = made[-1][-1] if made else None
        if before is not None and one.base - before.base <= tolerance * min(one.size, before.size):
            made[-1].append(one)
        else:
            made.append([one])
    return [sorted(row, key=lambda one: one.left) for row in made]


class Grid:
    """Pieces by where they end or begin, to find those at a place."""

    def __init__(self, pieces: Sequence[Piece], edge: Literal["left", "right"]) -> None:
        """Take pieces in.

        Args:
            pieces: In any order; they are found by their number.
            edge: Which of their edges they are found by.
        """
        self._cells: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number, one in enumerate(pieces):
            self._cells[int(getattr(one, edge) // _CELL), int(one.base // _CELL)].append(number)

    def near(self, across: float, base: float, reach: float) -> list[int]:
        """Numbers of the pieces in cells within reach of a place."""
        found: list[int] = []
        for column in range(int((across - reach) // _CELL), int((across + reach) // _CELL) + 1):
            for row in range(int((base - reach) // _CELL), int((base + reach) // _CELL) + 1):
                found += self._cells.get((column, row), ())
        return found

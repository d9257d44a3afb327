"""What stands around the text of a page and is no part of it. Knows places and what repeats; not what the text says.

Running heads and feet, page numbers, line numbers, marks printed on every page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from pipelines.corpus.layout.pieces import Page, Piece, rows_of, size_of

_EDGE = 0.09  # of the page's height: where running heads and page numbers stand
_NUMBER = re.compile(
    r"[\W_]*(page|p\.|pg\.|seite)?\s*(\d{1,5}|[ivxlc]{1,6}|[a-z]{1,2}\d{1,5})(\s*(of|/|von)\s*\d+)?[\W_]*", re.I
)
_STEPS = (1, 2, 5, 10)  # that lines are numbered by
_STEADY = 0.8  # share of a column of numbers that must go up by its step
_ASIDE = 4.0  # points that line numbers stand off the text

Strip = tuple[float, float]
"""From where to where across a page line numbers stand."""


def without_margins(pages: Sequence[Page]) -> list[Page]:
    """Pages with their text alone."""
    return _without_repeats(_without_line_numbers(pages))


def _kept(page: Page, gone: set[int]) -> Page:
    return replace(page, pieces=tuple(one for one in page.pieces if id(one) not in gone))


def _without_repeats(pages: Sequence[Page]) -> list[Page]:
    """Pages without what repeats at their edges, digits aside, or in one place anywhere, and without page numbers."""
    edges = [_edges(page) for page in pages]
    heads = Counter(text for rows in edges for text in {_masked(row) for row in rows})
    placed = [[(_place(row), row) for row in rows_of(page.pieces)] for page in pages]
    marks = Counter(place for rows in placed for place in {place for place, _ in rows})
    often, always = max(2, len(pages) // 3), max(3, len(pages) // 2)
    made = []
    for page, rows, places in zip(pages, edges, placed, strict=True):
        numbers = [row for row in rows if _NUMBER.fullmatch(_text(row))]
        gone = {id(one) for row in numbers for one in row}
        gone |= {id(one) for row in rows if heads[_masked(row)] >= often for one in row}
        stamped = [row for place, row in places if marks[place] >= always]
        if 2 * len(stamped) < len(places):  # more of a page is a page that was put in twice
            gone |= {id(one) for row in stamped for one in row}
        made.append(_kept(page, gone))
    return made


def _text(row: Sequence[Piece]) -> str:
    return " ".join("".join(one.text for one in row).split())


def _masked(row: Sequence[Piece]) -> str:
    return re.sub(r"\d+", "0", _text(row)).lower()


def _place(row: Sequence[Piece]) -> tuple[str, int, int]:
    return _masked(row), round(row[0].left / 3), round(row[0].base / 3)


def _edges(page: Page) -> list[list[Piece]]:
    """The rows in the outer zones of a page, and the first and last that stand off the rest."""
    rows = rows_of(page.pieces)
    limits = (_EDGE * page.height, (1 - _EDGE) * page.height)
    found = [row for row in rows if max(one.bottom for one in row) < limits[0] or row[0].top > limits[1]]
    steps = sorted(below[0].base - above[0].base for above, below in pairwise(rows))
    apart = 1.5 * steps[len(steps) // 2] if steps else 0.0
    ends = [(rows[0], rows[1]), (rows[-1], rows[-2])] if len(rows) > 3 else []
    found += [row for row, next_ in ends if row not in found and abs(row[0].base - next_[0].base) > apart]
    return found


def _without_line_numbers(pages: Sequence[Page]) -> list[Page]:
    """Pages without the numbers of their lines; a strip that one page shows holds for the short pages beside it."""
    numbers = [[one for one in page.pieces if re.fullmatch(r"\d{1,5}", one.text.strip())] for page in pages]
    strips = [_strips(found, page) for found, page in zip(numbers, pages, strict=True)]
    everywhere = {strip for found in strips for strip in found}
    made = []
    for page, found, own in zip(pages, numbers, strips, strict=True):
        others = {strip for strip in everywhere if _empty(strip, found, page)}
        here = others | set(own)
        gone = {id(one) for low, high in here for one in found if low <= one.left and one.right <= high}
        made.append(_kept(page, gone))
    return made


def _strips(numbers: Sequence[Piece], page: Page) -> list[Strip]:
    """Where numbers go up evenly from line to line with nothing else above, below or near them."""
    found: list[Strip] = []
    for edge in ("right", "left"):
        places = Counter(round(getattr(one, edge) / 2) for one in numbers)
        for place, _ in places.most_common(4):
            column = sorted(
                (one for one in numbers if abs(getattr(one, edge) / 2 - place) <= 1.5), key=lambda one: one.base
            )
            if len(column) < 3 or not _steady([int(one.text) for one in column]):
                continue
            strip = (min(one.left for one in column) - 1, max(one.right for one in column) + 1)
            if _empty(strip, column, page):
                found.append(strip)
    return found


def _steady(numbers: Sequence[int]) -> bool:
    steps = [below - above for above, below in pairwise(numbers)]
    usual, count = Counter(steps).most_common(1)[0]
    return usual in _STEPS and count >= _STEADY * len(steps)


def _empty(strip: Strip, column: Sequence[Piece], page: Page) -> bool:
    """Whether a strip of a page, and a little more, holds no more than its numbers and what crosses it a few times."""
    low, high = strip[0] - _ASIDE, strip[1] + _ASIDE
    own = {id(one) for one in column}
    size = size_of(page.pieces)
    inside = [one for one in page.pieces if id(one) not in own and one.left < high and one.right > low]
    return len(rows_of(one for one in inside if one.size < 1.2 * size)) <= 0.15 * len(column)

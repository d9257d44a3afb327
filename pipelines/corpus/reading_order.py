"""The order in which a page is read: pieces of text with their places in, paragraphs and headings out.

Columns are found by the gutter that fewest pieces cross; what crosses it (a title, a wide figure's caption) parts the
page into bands that are read one after another. Knows places and sizes; not where the pieces came from.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

_NARROWEST = 90.0  # points: a column
_GUTTER = 5.0  # points
_CROSSING = 0.35  # share of the text that may cross a gutter
_SIDE = 0.2  # share of the rest that stands on either side at least
_EDGE = 0.09  # of the page's height: where running heads and page numbers stand
_NUMBER = re.compile(r"(page\s*)?[\divxlc]{1,6}(\s*(of|/)\s*\d+)?", re.I)


@dataclass(frozen=True)
class Piece:
    """Text in one place on a page, in points from the top left corner, with its font's size and weight."""

    left: float
    top: float
    right: float
    bottom: float
    size: float
    bold: bool
    text: str


@dataclass(frozen=True)
class Page:
    """A page's pieces and size in points."""

    width: float
    height: float
    pieces: tuple[Piece, ...]


@dataclass
class Block:
    """A paragraph or a heading, as lines."""

    lines: list[str]
    size: float
    bold: bool
    heading: bool = False
    table: bool = False


def blocks_of(pages: Sequence[Page]) -> list[list[Block]]:
    """Every page's blocks in reading order, without running heads, feet and page numbers."""
    cleared = without_furniture(pages)
    body = _body_size(piece for page in cleared for piece in page.pieces)
    bold = _mostly_bold(piece for page in cleared for piece in page.pieces)
    found = []
    for page in cleared:
        blocks = [block for column in columns(page.pieces) for block in _paragraphs(column)]
        for block in blocks:
            words = sum(len(line.split()) for line in block.lines)
            larger = block.size > 1.1 * body or (block.bold and not bold)
            block.heading = larger and words <= 16 and len(block.lines) <= 3 and not block.table
        found.append(blocks)
    return found


def without_furniture(pages: Sequence[Page]) -> list[Page]:
    """Pages without what repeats at their edges, digits aside, and without page numbers."""
    seen = Counter(
        text for page in pages for text in {_masked(piece) for piece in page.pieces if _at_edge(piece, page)}
    )
    often = max(2, len(pages) // 3)

    def stays(piece: Piece, page: Page) -> bool:
        if not _at_edge(piece, page):
            return True
        return seen[_masked(piece)] < often and not _NUMBER.fullmatch(piece.text.strip())

    return [
        Page(page.width, page.height, tuple(piece for piece in page.pieces if stays(piece, page))) for page in pages
    ]


def _at_edge(piece: Piece, page: Page) -> bool:
    return piece.bottom < _EDGE * page.height or piece.top > (1 - _EDGE) * page.height


def _masked(piece: Piece) -> str:
    return re.sub(r"\d+", "0", " ".join(piece.text.split())).lower()


def _body_size(pieces: Iterable[Piece]) -> float:
    sizes: Counter[float] = Counter()
    for piece in pieces:
        sizes[round(piece.size, 1)] += len(piece.text)
    return sizes.most_common(1)[0][0] if sizes else 1.0


def _mostly_bold(pieces: Iterable[Piece]) -> bool:
    weights: Counter[bool] = Counter()
    for piece in pieces:
        weights[piece.bold] += len(piece.text)
    return weights[True] > weights[False]


def columns(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Pieces in runs that are read from top to bottom, the runs in reading order."""
    gutter = _gutter(pieces)
    if gutter is None:
        return [list(pieces)] if pieces else []
    crossing = sorted((one for one in pieces if one.left < gutter < one.right), key=lambda one: one.top)
    found: list[list[Piece]] = []
    rest = [one for one in pieces if not one.left < gutter < one.right]
    for number in range(len(crossing) + 1):
        ceiling = crossing[number - 1].top if number else -1e9
        floor = crossing[number].top if number < len(crossing) else 1e9
        band = [one for one in rest if ceiling <= (one.top + one.bottom) / 2 < floor]
        found += columns([one for one in band if one.right <= gutter])
        found += columns([one for one in band if one.left >= gutter])
        if number < len(crossing):
            found.append([crossing[number]])
    return _joined(found)


def _joined(runs: list[list[Piece]]) -> list[list[Piece]]:
    """Neighbouring runs that lie under each other, as one."""
    made: list[list[Piece]] = []
    for run in runs:
        before = made[-1] if made else []
        below = before and min(one.top for one in run) >= max(one.bottom for one in before) - 1
        beside = before and abs(min(one.left for one in run) - min(one.left for one in before)) < 3
        if below and beside:
            before.extend(run)
        else:
            made.append(list(run))
    return made


def _gutter(pieces: Sequence[Piece]) -> float | None:
    """Where a vertical line parts two columns; none if the pieces stand in one."""
    if len(pieces) < 6:
        return None
    left, right = min(one.left for one in pieces), max(one.right for one in pieces)
    if right - left < 2 * _NARROWEST:
        return None
    total = sum(len(one.text) for one in pieces)
    best: tuple[float, float, float] | None = None
    for place in {one.left - _GUTTER / 2 for one in pieces if left + _NARROWEST < one.left < right - _NARROWEST}:
        across = before = after = 0
        for one in pieces:
            if one.right <= place - _GUTTER / 2:
                before += len(one.text)
            elif one.left >= place:
                after += len(one.text)
            else:
                across += len(one.text)
        least = min(before, after)
        if across > _CROSSING * total or least < _SIDE * (total - across) or not _tall(pieces, place):
            continue
        if best is None or (across, -least) < best[:2]:
            best = (across, -least, place)
    return best[2] if best else None


def _tall(pieces: Sequence[Piece], place: float) -> bool:
    """Whether both sides hold lines of prose rather than the cells of a table."""
    for side in ([one for one in pieces if one.right <= place], [one for one in pieces if one.left >= place]):
        if len(side) < 3 or median(len(one.text) for one in side) < 18:
            return False
    return True


def _lines(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Pieces of a run by line, each from left to right."""
    made: list[list[Piece]] = []
    for one in sorted(pieces, key=lambda one: (one.top + one.bottom, one.left)):
        middle = (one.top + one.bottom) / 2
        if made and any(other.top < middle < other.bottom for other in made[-1]):
            made[-1].append(one)
        else:
            made.append([one])
    return [sorted(line, key=lambda one: one.left) for line in made]


def _written(line: Sequence[Piece]) -> tuple[str, int]:
    """A line's text, and its wide gaps: two or more, and it is a table's row."""
    text, gaps = line[0].text.strip(), 0
    for before, one in pairwise(line):
        wide = one.left - before.right > 1.1 * max(one.size, before.size, 4.0)
        gaps += wide
        tight = one.left - before.right < 0.12 * one.size and not before.text.endswith(" ")
        text += (" | " if wide else "" if tight else " ") + one.text.strip()
    return " ".join(text.split()), gaps


def _paragraphs(run: Sequence[Piece]) -> list[Block]:
    lines = _lines(run)
    if not lines:
        return []
    tops = [min(one.top for one in line) for line in lines]
    steps = [below - above for above, below in pairwise(tops) if below > above]
    usual = median(steps) if steps else 0.0
    margin = min(one.left for line in lines for one in line)
    made: list[Block] = []
    for number, line in enumerate(lines):
        text, gaps = _written(line)
        size, bold = max(one.size for one in line), all(one.bold for one in line if one.text.strip())
        before = made[-1] if made else None
        row = gaps > 1 or (gaps == 1 and before is not None and before.table)
        same = before is not None and abs(before.size - size) <= 0.08 * size and before.bold == bold
        near = number > 0 and tops[number] - tops[number - 1] < 1.35 * usual + 0.5
        stopped = before is not None and before.lines[-1].endswith((".", "?", "!", ":"))
        indented = line[0].left - margin > 0.8 * size and stopped
        if before is not None and before.table == row and (row or (same and near and not indented)):
            before.lines.append(text)
        elif text:
            made.append(Block([text], size, bold, table=row))
    return made

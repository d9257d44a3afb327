"""Fractions set small within a line, a number over another: as they are said, ``1/4`` and ``2 1/4``.

A letter's index under its exponent (``x_1^2``) and a nucleus's numbers before its symbol are none. Knows places alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain

from pipelines.corpus.layout.pieces import Grid, Piece

_NUMBER = re.compile(r"\d{1,3}")
_SMALL = 0.87  # of the line's size
_NEAR = 0.2  # of the line's size: what stands nearer is joined to the fraction
_SPACE = 0.3  # of the line's size
_APART = (0.5, 1.3)  # of the fraction's size: from one number's line to the other's
_SLOPED = re.compile(r"(\d?)\^(\d{1,3}) ?[/\u2044\u2215] ?_(\d{1,4})(?!\d)")
_RAISED = re.compile(r"(?<![\w)\]}\u2019'])\^(\d{1,3})[/\u2044\u2215](\d{1,4})(?!\d)")


def with_fractions(run: Sequence[Piece]) -> list[Piece]:
    """A column's pieces, two that are a fraction as one on the line they stand in."""
    numbers = [number for number, one in enumerate(run) if _NUMBER.fullmatch(one.text.strip())]
    if len(numbers) < 2:
        return list(run)
    begins, ends = Grid(run, "left"), Grid(run, "right")
    made, gone = list(run), set[int]()
    for over in numbers:
        for under in _below(over, numbers, run, begins):
            if over in gone or under in gone:
                continue
            piece = _fraction(over, under, run, begins, ends)
            if piece is not None:
                made[over] = piece
                gone.update((over, under))
                made[under] = piece
    seen = set[int]()
    return [one for one in made if not (id(one) in seen or seen.add(id(one)))]  # type: ignore[func-returns-value]


def _below(over: int, numbers: Sequence[int], run: Sequence[Piece], begins: Grid) -> Iterator[int]:
    """Numbers of a size that stand under a number."""
    one, among = run[over], set(numbers)
    for other in begins.near(one.left, one.base, 2 * one.size):
        two = run[other]
        if other in among and abs(two.size - one.size) <= 0.05 * one.size:
            both = min(one.right, two.right) - max(one.left, two.left)
            close = _APART[0] * one.size < two.base - one.base < _APART[1] * one.size
            if close and both > 0.8 * min(one.right - one.left, two.right - two.left):
                yield other


def _between(line: Piece, over: Piece, under: Piece) -> bool:
    """Whether a piece is of a line that a raised number and a lowered one stand in."""
    rise, drop = ((line.base - one.base) / line.size for one in (over, under))
    return over.size <= _SMALL * line.size and 0.15 < rise < 0.65 and -0.5 < drop < -0.02


def _fraction(over: int, under: int, run: Sequence[Piece], begins: Grid, ends: Grid) -> Piece | None:
    """Two numbers as one piece of the line that they stand in; none if they are no fraction."""
    one, two = run[over], run[under]
    left, right = min(one.left, two.left), max(one.right, two.right)
    places = chain(ends.near(left, two.base, 2 * one.size), begins.near(right, two.base, 2 * one.size))
    line = [run[number] for number in places if _between(run[number], one, two)]
    if not line:
        return None
    size, base = line[0].size, line[0].base
    before = next((piece for piece in line if abs(left - piece.right) < _NEAR * size and piece.text[-1:] != " "), None)
    after = next((piece for piece in line if abs(piece.left - right) < _NEAR * size), None)
    if before is not None and (before.text[-1].isalpha() or before.text[-1] in ")]}"):
        return None
    if before is not None and before.text[-1].isdigit():
        if int(one.text) >= int(two.text):
            return None
        left = before.right + _SPACE * size
    if after is not None and after.text[:1].isalnum():
        if before is None and re.match(r"[A-Z][a-z]?(?![a-z])", after.text):
            return None
        right = after.left - _SPACE * size
    text = f"{one.text.strip()}/{two.text.strip()}"
    return Piece(left, right, base, size, line[0].bold, text + " " * (one.text + two.text).endswith(" "))


def sloped(text: str) -> str:
    """A line whose fractions are set as a raised number, a stroke and a lowered one, these as they are said."""
    text = _SLOPED.sub(lambda found: f"{found[1]}{' ' if found[1] else ''}{found[2]}/{found[3]}", text)
    return _RAISED.sub(r"\1/\2", text)

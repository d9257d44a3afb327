"""The letters of a PDF's pages with their places, as pdfium reads them. Knows pdfium; not how a page is laid out."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Container, Iterator
from functools import cache
from typing import Any

from pipelines.corpus.layout.pieces import Letters

_BOLD = 600
_SURROGATES = range(0xD800, 0xE000)
# A hyphen at a line's end comes as one of two letters of pdfium's own; a soft hyphen that is printed is a hyphen.
_HYPHENS = {2, 0xFFFE, 0xAD}
_UNKNOWN = "\ufffd"


def letters_of(page: Any, kept: Container[int] | None = None) -> list[Letters]:
    """A page's letters in pdfium's order: as many together as stand between spaces in one font.

    Args:
        page: A page of pypdfium2.
        kept: Numbers of the letters that are wanted; all if not given.
    """
    import pypdfium2.raw as pdfium

    text = page.get_textpage()
    raw, unicode_of = text.raw, pdfium.FPDFText_GetUnicode
    pen = _Pen(raw)
    made: list[Letters] = []
    held: list[str] = []
    for number in range(text.count_chars()):
        code = unicode_of(raw, number)
        letter = _letter(code)
        wanted = bool(letter) and (kept is None or number in kept)
        if held and (letter.isspace() or not wanted):
            made += pen.drawn(number - len(held), held)
            held = []
        if letter.isspace():
            made.append(Letters(letter, (0.0, 0.0), 0.0, 0.0, False, 0.0))
        elif wanted:
            held.append(letter)
    made += pen.drawn(text.count_chars() - len(held), held) if held else ()
    text.close()
    return made


@cache
def _letter(code: int) -> str:
    if code in _HYPHENS:
        return "-"
    letter = chr(code) if code and code not in _SURROGATES else _UNKNOWN if code else ""
    if letter.isspace():
        return letter if letter in "\r\n" else " "
    return _UNKNOWN if code and code < 0xA0 and not letter.isprintable() else letter


class _Pen:
    """Looks up where letters stand and in which font."""

    def __init__(self, raw: Any) -> None:
        import pypdfium2.raw as pdfium

        self._pdfium, self._raw = pdfium, raw
        self._x, self._y = ctypes.c_double(), ctypes.c_double()
        self._box, self._matrix = pdfium.FS_RECTF(), pdfium.FS_MATRIX()
        self._fonts: dict[int, tuple[float, bool, float]] = {}

    def drawn(self, first: int, letters: list[str]) -> Iterator[Letters]:
        """Letters from a number on, together where they are drawn at once, one by one where they are not."""
        last = first + len(letters) - 1
        if len(letters) == 1 or self._run(first) == self._run(last):
            yield self._made(first, last, "".join(letters))
        else:
            for number, letter in enumerate(letters, first):
                yield self._made(number, number, letter)

    def _run(self, number: int) -> int:
        found = self._pdfium.FPDFText_GetTextObject(self._raw, number)
        return ctypes.addressof(found.contents) if found else 0

    def _made(self, first: int, last: int, text: str) -> Letters:
        size, bold, angle = self._font(first)
        self._pdfium.FPDFText_GetCharOrigin(self._raw, first, self._x, self._y)
        start = (self._x.value, self._y.value)
        self._pdfium.FPDFText_GetLooseCharBox(self._raw, last, self._box)
        self._pdfium.FPDFText_GetCharOrigin(self._raw, last, self._x, self._y)
        across = abs(math.cos(angle)) >= abs(math.sin(angle))
        width = abs(self._box.right - self._box.left) if across else abs(self._box.top - self._box.bottom)
        width += math.hypot(self._x.value - start[0], self._y.value - start[1])
        return Letters(text, start, width, size, bold, angle)

    def _font(self, number: int) -> tuple[float, bool, float]:
        """Size, weight and direction of a letter."""
        run = self._run(number)
        if run not in self._fonts or not run:
            self._pdfium.FPDFText_GetMatrix(self._raw, number, self._matrix)
            size = self._pdfium.FPDFText_GetFontSize(self._raw, number) * math.hypot(self._matrix.c, self._matrix.d)
            bold = self._pdfium.FPDFText_GetFontWeight(self._raw, number) >= _BOLD
            self._fonts[run] = (size, bold, math.atan2(self._matrix.b, self._matrix.a))
        return self._fonts[run]


def box_of(page: Any) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of what is shown of a page."""
    media, crop = page.get_mediabox(), page.get_cropbox()
    left, bottom = max(media[0], crop[0]), max(media[1], crop[1])
    right, top = min(media[2], crop[2]), min(media[3], crop[3])
    if left < right and bottom < top:
        return left, bottom, right, top
    if media[0] < media[2] and media[1] < media[3]:
        return tuple(media)
    return 0.0, 0.0, *page.get_size()  # boxes that no page can have; pdfium takes a page of its own


def drawn_on(page: Any) -> bool:
    """Whether pictures, lines or shadings stand on a page."""
    import pypdfium2.raw as pdfium

    kinds = (pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_SHADING, pdfium.FPDF_PAGEOBJ_FORM)
    raw = page.raw
    objects = (pdfium.FPDFPage_GetObject(raw, number) for number in range(pdfium.FPDFPage_CountObjects(raw)))
    return any(pdfium.FPDFPageObj_GetType(one) in kinds for one in objects)

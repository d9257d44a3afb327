"""The letters of a PDF's pages with their places, as pdfium reads them. Knows pdfium; not how a page is laid out."""

from __future__ import annotations

import ctypes
import math
from typing import Any

from pipelines.corpus.layout.pieces import Letter

_BOLD = 600
_SURROGATES = range(0xD800, 0xE000)
# A hyphen at a line's end comes as one of two letters of pdfium's own; a soft hyphen that is printed is a hyphen.
_UNKNOWN = "\ufffd"
_HYPHENS = {2, 0xFFFE, 0xAD}


def letters_of(page: Any) -> list[Letter | None]:
    """A page's letters, spaces and line ends in pdfium's order and count; none where one cannot be placed."""
    import pypdfium2.raw as pdfium

    text = page.get_textpage()
    raw = text.raw
    x, y = ctypes.c_double(), ctypes.c_double()
    box, matrix = pdfium.FS_RECTF(), pdfium.FS_MATRIX()
    made: list[Letter | None] = []
    held, size, bold, angle = None, 0.0, False, 0.0
    for number in range(text.count_chars()):
        code = pdfium.FPDFText_GetUnicode(raw, number)
        letter = "-" if code in _HYPHENS else chr(code) if code not in _SURROGATES else _UNKNOWN
        if code == 0 or not pdfium.FPDFText_GetCharOrigin(raw, number, x, y):
            made.append(None)
            continue
        if letter.isspace():
            letter = letter if letter in "\r\n" else " "
            made.append(Letter(letter, (x.value, y.value), 0.0, size, bold, angle))
            continue
        letter = letter if letter.isprintable() or code > 0xFF else _UNKNOWN
        run = ctypes.cast(pdfium.FPDFText_GetTextObject(raw, number), ctypes.c_void_p).value
        if run != held or run is None:
            held = run
            pdfium.FPDFText_GetMatrix(raw, number, matrix)
            size = pdfium.FPDFText_GetFontSize(raw, number) * math.hypot(matrix.c, matrix.d)
            bold = pdfium.FPDFText_GetFontWeight(raw, number) >= _BOLD
            angle = math.atan2(matrix.b, matrix.a)
        pdfium.FPDFText_GetLooseCharBox(raw, number, box)
        across = abs(math.cos(angle)) >= abs(math.sin(angle))
        width = abs(box.right - box.left) if across else abs(box.top - box.bottom)
        made.append(Letter(letter, (x.value, y.value), width, size, bold, angle))
    text.close()
    return made


def box_of(page: Any) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of what is shown of a page."""
    media, crop = page.get_mediabox(), page.get_cropbox()
    left, bottom = max(media[0], crop[0]), max(media[1], crop[1])
    right, top = min(media[2], crop[2]), min(media[3], crop[3])
    return (left, bottom, right, top) if left < right and bottom < top else tuple(media)


def drawn_on(page: Any) -> bool:
    """Whether pictures, lines or shadings stand on a page."""
    import pypdfium2.raw as pdfium

    kinds = (pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_SHADING, pdfium.FPDF_PAGEOBJ_FORM)
    raw = page.raw
    objects = (pdfium.FPDFPage_GetObject(raw, number) for number in range(pdfium.FPDFPage_CountObjects(raw)))
    return any(pdfium.FPDFPageObj_GetType(one) in kinds for one in objects)

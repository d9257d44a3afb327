"""Files of papers to Markdown, page by page. Each converter is one function; a table at the end names them.

`pdfium` reads a PDF's runs of text, `pdftext` its single letters (slower; finer where fonts change within a line); both
share the reading order. `marker` is a model that reads scans too, and a command of its own. They run in child processes
(`training.parsing`), which a hostile file may stop.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.reading_order import Block, Page, Piece, blocks_of
from workspace.errors import DataError, ServiceError

PAGES = 1500
_LETTERS = 1 << 16
_BOLD = 600
_FEWEST = 20  # letters a page on average; fewer are a scan's


def _opened(path: Path) -> Any:
    import pypdfium2 as pdfium
    import pypdfium2.raw as pdfium_c

    try:
        document = pdfium.PdfDocument(path)
        count = len(document)
    except pdfium.PdfiumError as fault:
        if getattr(fault, "err_code", None) == pdfium_c.FPDF_ERR_PASSWORD:
            raise DataError("it is encrypted") from None
        raise DataError("it is no readable PDF") from None
    if count > PAGES:
        raise DataError(f"it has {count} pages; at most {PAGES} are read")
    if not count:
        raise DataError("it has no pages")
    return document


def _pdfium_pages(path: Path) -> list[Page]:
    """Runs of letters of one font and line, as pdfium finds them."""
    import pypdfium2 as pdfium

    document = _opened(path)
    try:
        return [_pdfium_page(page) for page in document]
    except pdfium.PdfiumError as fault:
        raise DataError(f"a page cannot be read: {fault}") from None
    finally:
        document.close()


def _pdfium_page(page: Any) -> Page:
    import pypdfium2.raw as pdfium_c

    text, height = page.get_textpage(), page.get_height()
    buffer = (ctypes.c_ushort * _LETTERS)()
    left, top, right, bottom = (ctypes.c_double() for _ in range(4))
    pieces = []
    for number in range(text.count_rects()):
        pdfium_c.FPDFText_GetRect(text.raw, number, left, top, right, bottom)
        box = (left.value, top.value, right.value, bottom.value)
        count = pdfium_c.FPDFText_GetBoundedText(text.raw, *box, buffer, _LETTERS)
        told = ctypes.string_at(buffer, 2 * count).decode("utf-16-le", errors="replace")
        # A hyphen at a line's end comes as one of two letters of pdfium's own.
        told = told.translate({0: "", 2: "-", 0xFFFE: "-", 10: " ", 13: None})
        if not told.strip():
            continue
        size, weight = _font(text, box)
        # A font size of 1 that a matrix enlarges tells nothing; the letters' height does.
        size = size if size > 2 else 1.2 * (box[1] - box[3])
        pieces.append(Piece(box[0], height - box[1], box[2], height - box[3], size, weight >= _BOLD, told))
    return Page(page.get_width(), height, tuple(pieces))


def _font(text: Any, box: tuple[float, float, float, float]) -> tuple[float, int]:
    """Size in points and weight of the letters in a box; zeros where none is met."""
    import pypdfium2.raw as pdfium_c

    left, top, right, bottom = box
    for share in (0.5, 0.25, 0.75, 0.4, 0.6, 0.1, 0.9):
        place = left + share * (right - left)
        letter = pdfium_c.FPDFText_GetCharIndexAtPos(text.raw, place, (top + bottom) / 2, 1.0, 4.0)
        if letter >= 0 and pdfium_c.FPDFText_GetUnicode(text.raw, letter) not in (0, 10, 13, 32):
            return (
                pdfium_c.FPDFText_GetFontSize(text.raw, letter),
                pdfium_c.FPDFText_GetFontWeight(text.raw, letter),
            )
    return 0.0, 0


def _pdftext_pages(path: Path) -> list[Page]:
    """Spans of letters of one font, as pdftext puts them together."""
    from pdftext.extraction import dictionary_output

    _opened(path).close()
    return [
        Page(
            page["width"],
            page["height"],
            tuple(
                _piece(span)
                for block in page["blocks"]
                for line in block["lines"]
                for span in line["spans"]
                if span["text"].strip()
            ),
        )
        for page in dictionary_output(str(path), disable_links=True)
    ]


def _piece(span: Any) -> Piece:
    left, top, right, bottom = span["bbox"]
    text = span["text"]
    letter = (right - left) / len(text)  # spaces at its ends are part of a span's box
    left, right = left + letter * (len(text) - len(text.lstrip())), right - letter * (len(text) - len(text.rstrip()))
    return Piece(left, top, right, bottom, span["font"]["size"], span["font"]["weight"] >= _BOLD, text)


def _laid(pages: Sequence[Page]) -> list[str]:
    letters = sum(len(piece.text) for page in pages for piece in page.pieces)
    if letters < _FEWEST * len(pages):
        raise DataError("it has no text, only pictures of pages; a converter that reads scans is needed (marker)")
    return [markdown(blocks) for blocks in blocks_of(pages)]


def markdown(blocks: Sequence[Block]) -> str:
    """A page's blocks as Markdown; lines of a paragraph stay lines, for the cleaning to join."""
    parts = []
    for block in blocks:
        if block.heading:
            parts.append("## " + " ".join(block.lines))
        elif block.table:
            parts.append("\n".join(f"| {line} |" for line in block.lines))
        else:
            parts.append("\n".join(block.lines))
    return "\n\n".join(parts)


def from_pdfium(path: Path) -> list[str]:
    """A PDF's pages by pdfium's runs of text."""
    return _laid(_pdfium_pages(path))


def from_pdftext(path: Path) -> list[str]:
    """A PDF's pages by pdftext's spans."""
    return _laid(_pdftext_pages(path))


def from_marker(path: Path) -> list[str]:
    """A PDF's pages by the command `marker_single`, which brings its own models and may live in its own environment."""
    command = shutil.which("marker_single")
    if command is None:
        raise ServiceError("marker is not installed: no command marker_single on PATH", hint="pipx install marker-pdf")
    with tempfile.TemporaryDirectory(prefix="studio-marker-") as folder:
        done = subprocess.run(
            [command, str(path), "--output_format", "markdown", "--paginate_output", "--output_dir", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        made = sorted(Path(folder).rglob("*.md"))
        if done.returncode or not made:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise DataError(f"marker could not read it: {said[-1][:160] if said else 'it wrote nothing'}")
        return re.split(r"\n*\{\d+\}-{10,}\n*", made[0].read_text(encoding="utf-8"))[1:]


def from_text(path: Path) -> list[str]:
    """A Markdown or text file; form feeds part its pages."""
    try:
        told = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as fault:
        raise DataError(f"it is not UTF-8 (byte {fault.start})") from None
    if "\0" in told:
        raise DataError("it is no text")
    return told.split("\f")


PDF: Mapping[str, Callable[[Path], list[str]]] = {
    "pdfium": from_pdfium,
    "pdftext": from_pdftext,
    "marker": from_marker,
}
TEXT = (".md", ".markdown", ".txt")


def convert(path: Path, pdf: str) -> list[str]:
    """A file's pages as Markdown.

    Args:
        path: A PDF, Markdown or text file.
        pdf: The converter of PDFs, a key of `PDF`.

    Raises:
        DataError: It cannot be read; the text says why, without naming the file.
        ServiceError: The converter is not installed.
    """
    if path.suffix.lower() == ".pdf":
        return PDF[pdf](path)
    if path.suffix.lower() in TEXT:
        return from_text(path)
    raise DataError(f"{path.suffix or 'a file without a suffix'} is not read; PDF, Markdown and text are")

"""Files of papers to Markdown, page by page. Each converter is one function; a table at the end names them.

`pdfium` reads a PDF's runs of text, `pdftext` its single letters (slower; finer where fonts change within a line); both
share the reading order. `marker` is a model that reads scans too, and a command of its own. They run in child processes
(`pipelines.corpus.parsing`), which a hostile file may stop.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.corpus.config import PAGES, Converter
from pipelines.corpus.reading_order import Block, Page, Piece, blocks_of
from workspace.errors import DataError, ServiceError, one_line

_LETTERS = 1 << 16
_BOLD = 600
_FEWEST = 20  # letters a page on average; fewer are a scan's


@contextmanager
def _opened(path: Path, most: int) -> Iterator[Any]:
    """A PDF document within the block; DataError if it does not open or has too many pages."""
    import pypdfium2 as pdfium
    import pypdfium2.raw as pdfium_c

    with path.open("rb") as file:
        try:
            document = pdfium.PdfDocument(file)
        except pdfium.PdfiumError as fault:
            if getattr(fault, "err_code", None) == pdfium_c.FPDF_ERR_PASSWORD:
                raise DataError("it is encrypted and opens by a password alone; save a copy without one") from None
            raise DataError(_no_pdf(path)) from None
        try:
            if len(document) > most:
                raise DataError(f"it has {len(document):,} pages; at most {most:,} are read (--most-pages)")
            if not len(document):
                raise DataError("it has no pages")
            yield document
        finally:
            document.close()


def _no_pdf(path: Path) -> str:
    """What is wrong with a file that does not open."""
    with path.open("rb") as file:
        head = file.read(1024)
    if not head:
        return "it is empty (0 bytes)"
    if b"%PDF-" in head:
        return "it is damaged or cut off; get it anew"
    return f"it is no PDF; it begins with {head[:40].decode('latin-1')!r}"


def _pdfium_pages(path: Path, most: int) -> list[Page]:
    """Runs of letters of one font and line, as pdfium finds them."""
    with _opened(path, most) as document:
        return [_pdfium_page(page) for page in document]


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
        words = ctypes.string_at(buffer, 2 * count).decode("utf-16-le", errors="replace")
        # A hyphen at a line's end comes as one of two letters of pdfium's own.
        words = words.translate({0: "", 2: "-", 0xFFFE: "-", 10: " ", 13: None})
        if not words.strip():
            continue
        size, weight = _font(text, box)
        # A font size of 1 that a matrix enlarges tells nothing; the letters' height does.
        size = size if size > 2 else 1.2 * (box[1] - box[3])
        pieces.append(Piece(box[0], height - box[1], box[2], height - box[3], size, weight >= _BOLD, words))
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


def _pdftext_pages(path: Path, most: int) -> list[Page]:
    """Spans of letters of one font, as pdftext puts them together."""
    from pdftext.extraction import dictionary_output

    with _opened(path, most), path.open("rb") as file:
        pages = dictionary_output(file, disable_links=True)
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
        for page in pages
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
        raise DataError("it has no text, only pictures of pages; marker reads scans (--pdf marker)")
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


def from_pdfium(path: Path, most: int) -> list[str]:
    """A PDF's pages by pdfium's runs of text."""
    return _laid(_pdfium_pages(path, most))


def from_pdftext(path: Path, most: int) -> list[str]:
    """A PDF's pages by pdftext's spans."""
    return _laid(_pdftext_pages(path, most))


def from_marker(path: Path, most: int) -> list[str]:
    """A PDF's pages by the command `marker_single`, which brings its own models and may live in its own environment."""
    command = shutil.which("marker_single")
    if command is None:
        raise ServiceError("marker is not installed: no command marker_single on PATH", hint="pipx install marker-pdf")
    with _opened(path, most), tempfile.TemporaryDirectory(prefix="studio-marker-") as folder:
        done = subprocess.run(
            [command, str(path), "--output_format", "markdown", "--paginate_output", "--output_dir", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        made = sorted(Path(folder).rglob("*.md"))
        if done.returncode or not made:
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise DataError(f"marker could not read it: {one_line(lines[-1]) if lines else 'it wrote nothing'}")
        return re.split(r"\n*\{\d+\}-{10,}\n*", made[0].read_text(encoding="utf-8"))[1:]


def from_text(path: Path) -> list[str]:
    """A Markdown or text file; form feeds part its pages."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as fault:
        raise DataError(f"it is not UTF-8 (byte {fault.start}); save it as UTF-8") from None
    if "\0" in text:
        raise DataError(f"it is no UTF-8 text: letter {text.index(chr(0)) + 1} is NUL; save it as UTF-8")
    return text.split("\f")


PDF: Mapping[Converter, Callable[[Path, int], list[str]]] = {
    "pdfium": from_pdfium,
    "pdftext": from_pdftext,
    "marker": from_marker,
}
TEXT = (".md", ".markdown", ".txt")


def convert(path: Path, pdf: Converter, most: int = PAGES) -> list[str]:
    """A file's pages as Markdown.

    Args:
        path: A PDF, Markdown or text file.
        pdf: The converter of PDFs, a key of `PDF`.
        most: Pages of a PDF; one of more is refused.

    Raises:
        DataError: It cannot be read; the text says why, without naming the file.
        ServiceError: The converter is not installed.
    """
    if path.suffix.lower() == ".pdf":
        from pypdfium2 import PdfiumError

        try:
            return PDF[pdf](path, most)
        except PdfiumError as fault:
            raise DataError(f"a page cannot be read: {one_line(fault)}") from None
    if path.suffix.lower() in TEXT:
        return from_text(path)
    raise DataError(f"{path.suffix or 'a file without a suffix'} is not read; PDF, Markdown and text are")

"""Files of papers to Markdown, page by page. Each converter is one function; a table at the end names them.

`pdfium` reads a PDF's letters with their places; `pdftext` leaves out those of words that are printed twice in one
place (slower); both share the layout. `marker` is a model that reads scans too, and a command of its own. They run in
child processes (`pipelines.corpus.parsing`), which a hostile file may stop.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.corpus.config import PAGES, Converter
from pipelines.corpus.layout.letters import box_of, drawn_on, letters_of
from pipelines.corpus.layout.lines import Block
from pipelines.corpus.layout.pieces import Page, page_of
from pipelines.corpus.layout.reading_order import blocks_of
from workspace.errors import DataError, ServiceError, one_line

_FEWEST = 20  # letters of a page; fewer are a scan's
PICTURE = "![a page without text]()"
"""What a page that holds a picture and no text is in Markdown."""


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


def from_pdfium(path: Path, most: int) -> list[str]:
    """A PDF's pages by pdfium's letters."""
    with _opened(path, most) as document:
        return _laid([page_of(letters_of(page), box_of(page), drawn_on(page)) for page in document])


def from_pdftext(path: Path, most: int) -> list[str]:
    """A PDF's pages by the letters that pdftext keeps: none of a word that is printed twice in one place."""
    from pdftext.extraction import dictionary_output

    with _opened(path, most) as document, path.open("rb") as file:
        pages = []
        for page, found in zip(document, dictionary_output(file, keep_chars=True, disable_links=True), strict=True):
            spans = (span for block in found["blocks"] for line in block["lines"] for span in line["spans"])
            kept = {letter["char_idx"] for span in spans for letter in span["chars"]}
            pages.append(page_of(letters_of(page, kept), box_of(page), drawn_on(page)))
        return _laid(pages)


def _laid(pages: Sequence[Page]) -> list[str]:
    """Pages as Markdown; one that is drawn and holds no text is `PICTURE`."""
    found = [markdown(blocks) for blocks in blocks_of(pages)]
    empty = [len(text.strip()) < _FEWEST for text in found]
    if all(empty):
        raise DataError("it has no text, only pictures of pages; marker reads scans (--pdf marker)")
    return [PICTURE if none and page.drawn else text for text, none, page in zip(found, empty, pages, strict=True)]


NOTE = "[^]: "
"""What a note below a column begins with in Markdown."""


def without_text(pages: Sequence[str]) -> str:
    """Which pages of a document hold pictures and no text, in words; empty if none."""
    numbers = [number for number, page in enumerate(pages, 1) if page == PICTURE]
    if not numbers:
        return ""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    named = ", ".join(f"{run[0]}-{run[-1]}" if run[1:] else str(run[0]) for run in runs)
    hold = "hold" if len(numbers) > 1 else "holds"
    return f"{len(numbers)} of {len(pages)} pages {hold} no text ({named}); marker reads scans (--pdf marker)"


def markdown(blocks: Sequence[Block]) -> str:
    """A page's blocks as Markdown; lines of a paragraph stay lines, for the cleaning to join."""
    parts = []
    for block in blocks:
        if block.heading:
            parts.append("## " + " ".join(block.lines))
        elif block.table:
            parts.append("\n".join(f"| {line} |" for line in block.lines))
        elif block.note:
            parts.append(NOTE + "\n".join(block.lines))
        else:
            parts.append("\n".join(block.lines))
    return "\n\n".join(parts)


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

"""The order in which a document's pages are read: letters' places in, paragraphs and headings out.

Read top to bottom: margins are cleared, columns found, their lines put into paragraphs, headings and notes told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pipelines.corpus.layout.columns import columns_of_all
from pipelines.corpus.layout.lines import Block, paragraphs
from pipelines.corpus.layout.margins import without_margins
from pipelines.corpus.layout.pieces import Page, Piece, size_of

_NOTE = 0.93  # of the text's size: notes below a column are smaller


def blocks_of(pages: Sequence[Page]) -> list[list[Block]]:
    """Every page's blocks in reading order, without what stands in its margins."""
    cleared = without_margins(pages)
    body = size_of(piece for page in cleared for piece in page.pieces)
    bold = _mostly_bold(piece for page in cleared for piece in page.pieces)
    found = []
    for runs in columns_of_all([page.pieces for page in cleared]):
        blocks = []
        for run in runs:
            part = paragraphs(run)
            _mark_notes(part, body)
            blocks += part
        for block in blocks:
            words = sum(len(line.split()) for line in block.lines)
            larger = block.size > 1.1 * body or (block.bold and not bold)
            most = 6 if block.lines[-1].endswith(".") else 16
            block.heading = larger and words <= most and len(block.lines) <= 3 and not block.table
        found.append(blocks)
    return found


def _mark_notes(blocks: Sequence[Block], body: float) -> None:
    """Mark the small blocks that end a column of text."""
    small = len(blocks)
    while small and blocks[small - 1].size < _NOTE * body:
        small -= 1
    if small:
        for block in blocks[small:]:
            block.note = True


def _mostly_bold(pieces: Iterable[Piece]) -> bool:
    weights = Counter[bool]()
    for piece in pieces:
        weights[piece.bold] += len(piece.text)
    return weights[True] > weights[False]

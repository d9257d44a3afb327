"""BibTeX as Mendeley, Zotero, JabRef, DBLP, Scopus and EndNote write it. One broken entry costs that entry."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

from pipelines.corpus.references.entry import Bad, Entry

_HEAD = re.compile(r"@\s*(\w+)\s*[{(]\s*([^,\s{}()=]*)")
_NO_COMMA = re.compile(r"[}\"]\s*\n\s*(\w+)\s*=\s*[{\"]")
_PIECES = re.compile(r"\s*#\s*(?=[{\"\w])")
_DOIS = ("doi", "url", "ee", "link", "howpublished")


def from_bibtex(text: str, bad: Bad) -> Iterator[Entry]:
    """Every entry; two of the same key are two papers."""
    from bibtexparser.entrypoint import parse_string
    from bibtexparser.model import DuplicateFieldKeyBlock
    from bibtexparser.model import Entry as Parsed

    logging.getLogger("bibtexparser").addHandler(logging.NullHandler())  # what it cannot read is told below
    library = parse_string(text)
    strings = {name.lower(): str(one.value) for name, one in library.strings_dict.items()}
    for block in library.blocks:
        held: Any = getattr(block, "ignore_error_block", None)
        entry = block if isinstance(block, Parsed) else held if isinstance(held, Parsed) else None
        line = (block.start_line or 0) + 1
        if entry is None:
            if block in library.failed_blocks:
                head = _HEAD.search(block.raw or "")
                bad(line, head[2] if head else "", "it is no whole entry: a brace, a comma or a name is missing")
            continue
        fields = _fields(entry, first=isinstance(block, DuplicateFieldKeyBlock))
        missing = next((found[1] for value in fields.values() if (found := _NO_COMMA.search(value))), None)
        if missing:
            bad(line, entry.key, f"a comma is missing before {missing}")
            continue
        told = {name: _joined(value, strings) for name, value in fields.items()}
        yield Entry(
            line,
            entry.key,
            {
                "title": (told.get("title", ""),),
                "doi": tuple(told[name] for name in _DOIS if name in told),
                "year": tuple(told[name] for name in ("year", "date", "issued") if name in told),
                "file": (told.get("file", ""),),
            },
            latex=True,
        )


def _fields(entry: Any, first: bool) -> dict[str, str]:
    """An entry's fields by small names; of those that stand twice the first."""
    pairs = [(field.key.lower(), str(field.value)) for field in entry.fields]
    return dict(reversed(pairs)) if first else dict(pairs)


def _joined(value: str, strings: dict[str, str]) -> str:
    """A value whose pieces are joined by #, and whose names stand for what @string says."""
    if not _PIECES.search(value) or not (value.lstrip()[:1] in '{"' or value.rstrip()[-1:] in '}"'):
        return value
    return "".join(strings.get(piece.lower(), piece.strip('"')) for piece in _PIECES.split(value))

"""Lists as tables: Scopus's, PubMed's, Web of Science's and Zotero's CSV, or any with a column title or doi."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipelines.corpus.delimited import table
from pipelines.corpus.references.entry import Bad, Entry
from workspace.errors import DataError

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "title": ("title", "article title", "document title", "paper title", "ti"),
    "doi": ("doi", "di", "doi link", "doi url", "link", "url"),
    "year": ("year", "publication year", "pubyear", "py", "publication date", "date"),
    "file": ("file", "path", "pdf", "file attachments"),
}
_KEYS = ("key", "eid", "pmid", "ut (unique wos id)", "ut")


def fits(header: Sequence[str]) -> bool:
    """Whether a row could be a list's header."""
    names = {name.lower() for name in header}
    return not names.isdisjoint((*COLUMNS["title"], "doi", "di", "link"))


def from_sheet(text: str, bad: Bad) -> Iterator[Entry]:
    """Every row.

    Raises:
        DataError: No row could be the header.
    """
    header, rows = table(text, fits, lambda line, why: bad(line, "", why))
    if not header:
        first, _ = table(text, lambda names: any(names), lambda *_: None)
        raise DataError(f"no column title or doi; its columns are {', '.join(first)[:200] or 'none'}")
    for row in rows:
        cells = {name.lower(): cell for name, cell in reversed(list(row.cells.items()))}
        fields = {name: tuple(cells[one] for one in names if cells.get(one)) for name, names in COLUMNS.items()}
        yield Entry(row.line, next((cells[name] for name in _KEYS if cells.get(name)), ""), fields)

"""CSL's JSON, as Zotero, Mendeley, Pandoc and Crossref write it: an array of items, or items under a name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipelines.corpus.references.entry import Bad, Entry
from workspace.errors import DataError, one_line


def from_csl(text: str, bad: Bad) -> Iterator[Entry]:
    """Every item; one that is no object costs that item.

    Raises:
        DataError: The whole is no JSON.
    """
    try:
        held = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise DataError(f"no readable JSON: {one_line(fault)}") from None
    items = held.get("items", [held]) if isinstance(held, dict) else held
    for number, item in enumerate(items if isinstance(items, list) else [items], 1):
        if not isinstance(item, dict):
            bad(number, "", "it is no object")
            continue
        fields = {
            "title": _texts(item.get("title")),
            "doi": (*_texts(item.get("DOI", item.get("doi"))), *_texts(item.get("URL", item.get("url")))),
            "year": _years(item.get("issued", item.get("date"))),
        }
        yield Entry(number, str(item.get("id", "")), fields)


def _texts(value: Any) -> tuple[str, ...]:
    """A text or a list of them."""
    return tuple(one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))


def _years(value: Any) -> tuple[str, ...]:
    if not isinstance(value, dict):
        return _texts(value)
    parts = value.get("date-parts")
    first = parts[0] if isinstance(parts, list) and parts else None
    year = first[0] if isinstance(first, list) and first else None
    return (str(year),) if isinstance(year, int | str) else _texts(value.get("raw", value.get("literal")))

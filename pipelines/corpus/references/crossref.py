"""Missing DOIs from Crossref, by title; no title is asked for twice."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from pipelines.corpus.references.lists import Reference
from pipelines.corpus.references.matching import ALIKE, bare, likeness
from pipelines.corpus.references.plain import doi_of, title_of
from workspace.errors import ServiceError, one_line
from workspace.files import publish

_TRIES = 3
CROSSREF = "https://api.crossref.org"
"""Where DOIs are looked up."""


def look_up(
    references: Sequence[Reference],
    cache: Path,
    mail: str | None = None,
    server: str | None = None,
    pause: float = 0.1,
) -> list[Reference]:
    """Fill in missing DOIs by their titles. What was found, or not, is kept: no title is asked for twice.

    Args:
        references: Papers; those with a DOI are left as they are.
        cache: JSON file of titles asked for before.
        mail: Address sent along, for Crossref's polite pool.
        server: Where Crossref is; `CROSSREF` if not given.
        pause: Seconds between questions.

    Raises:
        ServiceError: Crossref does not answer; what was found is kept.
    """
    known: dict[str, str] = json.loads(cache.read_text(encoding="utf-8")) if cache.is_file() else {}
    asked = [one.title for one in references if not one.doi and one.title and one.title not in known]
    try:
        for title in asked:
            known[title] = _crossref(title, mail, server or CROSSREF, pause)
            time.sleep(pause)
    finally:
        if asked:
            publish(cache, json.dumps(known, indent=1, ensure_ascii=False))
    return [
        one if one.doi or not known.get(one.title) else one.model_copy(update={"doi": known[one.title]})
        for one in references
    ]


def _crossref(title: str, mail: str | None, server: str, pause: float) -> str:
    """The DOI of the paper with this title; empty if Crossref knows none that is alike enough."""
    import httpx2
    from habanero import Crossref, RequestError

    client = Crossref(base_url=server, mailto=mail, timeout=20)
    for turn in range(_TRIES):
        try:
            answer = client.works(query_bibliographic=title, limit=3, select=["DOI", "title"])
            items = answer["message"]["items"]
            break
        except (RequestError, RuntimeError, httpx2.HTTPError, OSError, KeyError, TypeError, ValueError) as fault:
            if turn == _TRIES - 1:
                raise ServiceError(
                    f"Crossref does not answer at {server}: {one_line(fault)}",
                    hint="the same command asks only for what is missing; or give DOIs in the list",
                ) from None
            time.sleep(pause * 10 * 2**turn)
    for item in items:
        found = title_of(" ".join(item.get("title") or []))
        if likeness(bare(found), bare(title)) >= ALIKE:
            return doi_of(item.get("DOI", ""))
    return ""

"""Lists of papers: CSV, BibTeX, RIS and Web of Science exports in, references out; missing DOIs from Crossref.

Knows lists, not papers: the files themselves are the user's own.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from workspace.errors import DataError, ServiceError, one_line
from workspace.files import publish

_DOI = re.compile(r"10\.\d{4,9}/\S+", re.I)
_ALIKE = 0.9
_TRIES = 3
CROSSREF = "https://api.crossref.org"
"""Where DOIs are looked up."""

_WOS = {"TI": "title", "DI": "doi", "PY": "year"}
SUFFIXES = (".csv", ".bib", ".ris", ".ciw", ".wos")


class Reference(BaseModel):
    """One paper of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = ""
    doi: str = ""
    year: str = ""
    file: str = ""


def read_references(path: Path) -> list[Reference]:
    """The papers of a list, in its order.

    Raises:
        DataError: The file cannot be read, or has no titles and no DOIs.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as fault:
        raise DataError(f"cannot read {path}: {fault.strerror}") from None
    except UnicodeDecodeError as fault:
        raise DataError(f"{path} is not UTF-8 (byte {fault.start})", hint="save it as UTF-8") from None
    kind = path.suffix.lower()
    rows = {".csv": _from_csv, ".bib": _from_bibtex, ".ris": _from_ris}.get(kind, _from_wos)(text, path)
    listed = [
        Reference(
            title=" ".join(row.get("title", "").replace("{", "").replace("}", "").split()),
            doi=_doi(row.get("doi", "")),
            year=row.get("year", "")[:4],
            file=row.get("file", "").strip(),
        )
        for row in rows
    ]
    named = [one for one in listed if one.title or one.doi]
    if not named:
        raise DataError(f"{path} names no papers", hint="a list has titles or DOIs: CSV, BibTeX, RIS or Web of Science")
    return named


def _doi(text: str) -> str:
    found = _DOI.search(text)
    return found.group().rstrip(".,;)}").lower() if found else ""


def _from_csv(text: str, path: Path) -> list[dict[str, str]]:
    sample = text[:4096]
    try:
        dialect: Any = csv.Sniffer().sniff(sample, delimiters=",;\t")
    except csv.Error:
        dialect = csv.excel
    rows = csv.DictReader(io.StringIO(text), dialect=dialect)
    names = {(name or "").strip().lower(): name for name in rows.fieldnames or ()}
    wanted = {
        "title": ("title", "article title", "document title", "ti"),
        "doi": ("doi", "di", "link"),
        "year": ("year", "publication year", "py"),
        "file": ("file", "path", "pdf"),
    }
    found = {key: next((names[name] for name in choices if name in names), None) for key, choices in wanted.items()}
    if found["title"] is None and found["doi"] is None:
        raise DataError(f"{path} has no column title or doi; its columns are {', '.join(names) or 'none'}")
    try:
        return [{key: (row.get(name) or "") for key, name in found.items() if name} for row in rows]
    except csv.Error as fault:
        raise DataError(f"{path}, line {rows.line_num}: {fault}") from None


def _from_bibtex(text: str, path: Path) -> list[dict[str, str]]:
    from bibtexparser.entrypoint import parse_string

    library = parse_string(text)
    if library.failed_blocks:
        bad = library.failed_blocks[0]
        raise DataError(f"{path}, line {(bad.start_line or 0) + 1}: no readable BibTeX entry")
    return [
        {key.lower(): str(field.value) for key, field in entry.fields_dict.items()} | {"file": ""}
        for entry in library.entries
    ]


def _from_ris(text: str, path: Path) -> list[dict[str, str]]:
    import rispy

    try:
        rows = rispy.loads(text)
    except (OSError, ValueError, rispy.parser.ParseError) as fault:
        raise DataError(f"{path} is no readable RIS: {one_line(fault)}") from None
    return [
        {
            "title": str(row.get("title") or row.get("primary_title") or ""),
            "doi": str(row.get("doi") or " ".join(row.get("urls", ()))),
            "year": str(row.get("year") or row.get("publication_year") or ""),
        }
        for row in rows
    ]


def _from_wos(text: str, path: Path) -> list[dict[str, str]]:
    """A Web of Science export: tagged fields, or its table parted by tabs."""
    if "\t" in text.split("\n", 1)[0]:
        return _from_csv(text, path)
    rows: list[dict[str, str]] = [{}]
    tag = ""
    for line in text.splitlines():
        if line.startswith("ER"):
            rows.append({})
        elif line[:2].strip() and line[2:3] in (" ", ""):
            tag = line[:2]
            if tag in _WOS:
                rows[-1][_WOS[tag]] = line[3:]
        elif tag in _WOS and line.startswith("   "):
            rows[-1][_WOS[tag]] = rows[-1].get(_WOS[tag], "") + " " + line.strip()
    return [row for row in rows if row]


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
        found = " ".join(item.get("title") or [])
        if difflib.SequenceMatcher(None, _bare(found), _bare(title)).ratio() >= _ALIKE:
            return _doi(item.get("DOI", ""))
    return ""


def _bare(title: str) -> str:
    return " ".join(re.findall(r"\w+", title.lower()))


def match(path: Path, title: str, references: Iterable[Reference]) -> Reference | None:
    """The reference that a file is: named by the list, named by its DOI, or with the same title."""
    stem = re.sub(r"[^a-z0-9]+", "", path.stem.lower())
    for one in references:
        if one.file and Path(one.file).name == path.name:
            return one
        if one.doi and stem == re.sub(r"[^a-z0-9]+", "", one.doi):
            return one
    wanted = _bare(title)
    for one in references:
        if wanted and one.title and difflib.SequenceMatcher(None, wanted, _bare(one.title)).ratio() >= _ALIKE:
            return one
    return None

"""Lists of papers: which file is one, by what it holds, and the papers that it names. Knows lists, not papers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipelines.corpus.delimited import decoded
from pipelines.corpus.references.bibtex import from_bibtex
from pipelines.corpus.references.csl_json import from_csl
from pipelines.corpus.references.endnote_xml import from_xml
from pipelines.corpus.references.entry import Reader
from pipelines.corpus.references.plain import doi_of, file_of, title_of, year_of
from pipelines.corpus.references.sheets import from_sheet
from pipelines.corpus.references.tagged import READERS
from workspace.errors import DataError

FORMS = "CSV, BibTeX, RIS, PubMed (.nbib), Web of Science, EndNote (.enw, XML), CSL (.json)"
_READERS: Mapping[str, Reader] = {
    **READERS,
    "table": from_sheet,
    "BibTeX": from_bibtex,
    "XML": from_xml,
    "CSL": from_csl,
}
_BY_NAME = {
    **{".csv": "table", ".tsv": "table", ".bib": "BibTeX", ".ris": "RIS", ".nbib": "PubMed", ".enw": "EndNote"},
    **{".ciw": "Web of Science", ".wos": "Web of Science"},
}
_BY_CONTENT = (
    (re.compile(r"FN (?:Clarivate|Thomson|ISI )|FN .*\s+VR \d|PT [A-Z]\r?\n[A-Z]{2} "), "Web of Science"),
    (re.compile(r"PT\t(?:[A-Z][A-Z0-9]\t)+"), "table"),
    (re.compile(r"PMID *- "), "PubMed"),
    (re.compile(r"(?:[^\n]*\n){0,10}?\s*TY {1,2}- ?[A-Z]"), "RIS"),
    (re.compile(r"%0 \S"), "EndNote"),
    (re.compile(r"(?:<\?xml[^>]*>\s*)?(?:<xml>\s*)?<records>"), "XML"),
    (re.compile(r"(?:\{\s*\"items\"\s*:\s*)?\[\s*\{[\s\S]{0,3000}?\"(?:title|DOI|doi)\"\s*:"), "CSL"),
    (re.compile(r"@\w+\s*[{(]|Scopus\s+EXPORT DATE"), "BibTeX"),
)
_MAYBE = (".txt", ".xml", ".json")
_START = 4096
_MOST_BYTES = 256 << 20


class Reference(BaseModel):
    """One paper of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = ""
    doi: str = ""
    year: str = ""
    file: str = ""


@dataclass(frozen=True)
class ReferenceList:
    """The papers of a list, in its order, and what of it cannot be read: the line of each entry, and why."""

    papers: list[Reference]
    faults: list[tuple[int, str]]


def is_list(path: Path) -> bool:
    """Whether a file is a list: by its name, or a text or XML file by how it begins."""
    suffix = path.suffix.lower()
    return suffix in _BY_NAME or (suffix in _MAYBE and _form(_start(path)) is not None)


def _start(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_START)
    except OSError:
        return ""
    coding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    return data.decode(coding, errors="replace")


def _form(text: str) -> str | None:
    """The form of a list that begins like this; none if it is no list."""
    start = text[:_START].lstrip("\ufeff \t\r\n")
    return next((form for pattern, form in _BY_CONTENT if pattern.match(start)), None)


def read_references(path: Path) -> ReferenceList:
    """The papers of a list. An entry that cannot be read costs that entry.

    Raises:
        DataError: The file cannot be read, or has no titles and no DOIs.
    """
    try:
        if (size := path.stat().st_size) > _MOST_BYTES:
            raise DataError(f"{path} has {size >> 20:,} MB; a list has at most {_MOST_BYTES >> 20}", hint="split it")
        text = decoded(path.read_bytes(), str(path))
    except OSError as fault:
        raise DataError(f"cannot read {path}: {fault.strerror}") from None
    form = _form(text) or _BY_NAME.get(path.suffix.lower(), "table")
    if form == "table" and text.lstrip()[:1] in ("<", "{", "["):
        raise DataError(f"{path} is no list that is read", hint=f"lists are {FORMS}")
    faults: list[tuple[int, str]] = []

    def bad(line: int, key: str, why: str) -> None:
        faults.append((line, f"entry {key}: {why}" if key else why))

    papers = []
    try:
        for entry in _READERS[form](text, bad):
            paper = Reference(
                title=title_of(entry.first("title"), entry.latex),
                doi=doi_of(*entry.fields.get("doi", ()), latex=entry.latex),
                year=year_of(*entry.fields.get("year", ())),
                file=file_of(entry.first("file")),
            )
            if paper.title or paper.doi:
                papers.append(paper)
            else:
                bad(entry.line, entry.key, "it has neither a title nor a DOI")
    except DataError as fault:
        raise DataError(f"{path} has {fault.message}", hint=f"lists are {FORMS}") from None
    if not papers:
        what = f", line {faults[0][0]}: {faults[0][1]}" if faults else " names no papers"
        raise DataError(f"{path}{what}", hint=f"a list has titles or DOIs: {FORMS}")
    return ReferenceList(papers, sorted(faults))

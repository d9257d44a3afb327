"""Papers into a library: found, converted in child processes, cut to passages, kept one document a transaction.

Killed at any moment, the same command goes on: a document that is in is known by its content, wherever its file lies
now. Vectors are filled in afterwards, some at a time. Knows no ranking.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from pipelines.corpus.characters import plain
from pipelines.corpus.cleaning import sections, sentences
from pipelines.corpus.config import MEMORY_MB, PAGES, SECONDS, Converter
from pipelines.corpus.converters import without_text
from pipelines.corpus.files import Found, found, names, shown
from pipelines.corpus.gates import GATES
from pipelines.corpus.index.generation import build, packed, weight, windows
from pipelines.corpus.index.store import Document, Passage, Sentence, Store, passage_of
from pipelines.corpus.index.terms import length
from pipelines.corpus.parsing import Limits, parse
from pipelines.corpus.references.lists import Reference
from pipelines.corpus.references.matching import match
from pipelines.corpus.references.plain import doi_of
from workspace.errors import DataError
from workspace.files import sha256
from workspace.progress import DocumentRead, Remark, Tell, silent, waiting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Embed = Callable[[list[str]], "NDArray[np.float32]"]
"""Texts to rows of length 1, (n, 384)."""

MOST, FEWEST = 300, 6
"""Words of a passage at most, and of one that is kept at least."""

_LONGEST = 24 * MOST  # letters of a passage; a sentence of more is none
_FILLED = 64  # passages a transaction
_DOI = re.compile(r"\b10\.\d{4,9}/(?:\(sici\)\S+|[-._;()/:a-z0-9]+)", re.IGNORECASE)
_HEADING = re.compile(r"^#{1,3} +(.{8,250})$", re.MULTILINE)
_NO_TITLE = re.compile(
    r"(graphical )?abstract|summary|(\d\.? |i\. )?introduction|key ?words|contents|article info", re.I
)


class AddOptions(BaseModel):
    """How papers are read into a library."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pdf: Converter = Field("pdfium", description="Converter of PDFs; marker reads scans")
    seconds: float = Field(SECONDS, gt=0, le=86_400, description="For reading one file")
    memory_mb: int = Field(MEMORY_MB, ge=256, le=1 << 20, description="For reading one file")
    most_pages: int = Field(PAGES, ge=1, description="Pages of one PDF; longer ones are skipped")


class LibraryReport(BaseModel):
    """What became of every paper, and what the library holds now."""

    model_config = ConfigDict(extra="forbid")

    folder: Path
    added: list[str] = Field(default_factory=list, description="Documents that are new")
    updated: list[str] = Field(default_factory=list, description="Documents whose file had changed")
    unchanged: int = Field(0, description="Documents that were in already")
    moved: dict[str, str] = Field(default_factory=dict, description="Documents whose file lies elsewhere now: where")
    missing: list[str] = Field(default_factory=list, description="Documents whose file is not where it was")
    removed: list[str] = Field(default_factory=list, description="Documents that were taken out")
    skipped: dict[str, str] = Field(default_factory=dict, description="What could not be read, and why")
    unread: dict[str, str] = Field(default_factory=dict, description="Pages that hold no text")
    dropped: dict[str, int] = Field(default_factory=dict, description="Passages of new documents not kept, by reason")
    documents: int = 0
    passages: int = 0
    vectors: int = Field(0, description="Passages that are found by meaning too; the rest by their words alone")
    bytes: int = 0


@dataclass
class _Known:
    """The documents of a library, by content and by path."""

    by_content: dict[str, Document]
    by_path: dict[str, Document]

    @classmethod
    def of(cls, store: Store) -> _Known:
        held = store.documents()
        return cls({one.id: one for one in held}, {one.path: one for one in held})


def add(store: Store, inputs: Sequence[Path], options: AddOptions, tell: Tell = silent) -> LibraryReport:
    """Read papers into a library; what is in already is not read again.

    Raises:
        DataError: An input is not there, or none of the papers can be read.
    """
    papers = found(inputs)
    report = LibraryReport(folder=store.folder)
    report.skipped |= papers.closed
    _take_in(store, papers, options, report, tell)
    if len(papers.files) == len([name for name in report.skipped if name not in papers.closed]):
        told = "; ".join(f"{name}: {why}" for name, why in list(report.skipped.items())[:3])
        raise DataError(f"none of {len(papers.files)} papers can be read: {told}")
    return _finished(store, report)


def update(store: Store, options: AddOptions, tell: Tell = silent, *, forget: bool = False) -> LibraryReport:
    """Read again what changed since it was added, and name what is not there any more.

    Args:
        store: The library.
        options: How papers are read.
        tell: Takes events.
        forget: Take out the documents whose file is gone.
    """
    report = LibraryReport(folder=store.folder)
    files, gone = [], []
    for one in store.documents():
        if one.path and os.path.isfile(one.path):
            files.append(Path(one.path))
        elif one.path:
            gone.append(one)
    _take_in(store, Found(files=files), options, report, tell)
    if forget:
        store.remove([one.id for one in gone])
        report.removed = [one.name for one in gone]
    else:
        report.missing = [one.name for one in gone]
    return _finished(store, report)


def _take_in(store: Store, papers: Found, options: AddOptions, report: LibraryReport, tell: Tell) -> None:
    known = _Known.of(store)
    done, of = 0, len(papers.files)

    def told(name: str, why: str = "") -> None:
        nonlocal done
        done += 1
        tell(DocumentRead(document=name, documents=done, of=of, why=why))

    fresh: dict[Path, str] = {}
    with waiting(f"looking at {of} papers"):
        for path in papers.files:
            name = shown(path)
            try:
                digest = sha256(path)
            except OSError as fault:
                report.skipped[name] = f"it cannot be read: {fault.strerror}"
                told(name, report.skipped[name])
                continue
            held = known.by_content.get(digest[:16])
            if held is not None:
                _met_again(store, known, held, path, papers, report)
                told(name)
            elif digest in fresh.values():
                report.skipped[name] = f"it is the same as {shown(next(p for p, d in fresh.items() if d == digest))}"
                told(name, report.skipped[name])
            else:
                fresh[path] = digest
    called = names(list(fresh))
    limits = Limits(options.seconds, options.memory_mb, options.most_pages)
    for one in parse(list(fresh), options.pdf, limits):
        name = shown(one.path)
        if one.problem is not None:
            report.skipped[name] = one.problem
            told(name, one.problem)
            continue
        before = known.by_path.get(str(one.path.absolute()))
        start = "".join(one.pages[:1])
        reference = match(one.path, start, papers.references)
        if before and reference is None:  # what a list said of it, if it is that paper still
            reference = match(one.path, start, [_as_listed(before)])
        call = before.name if before else called[one.path]
        document, passages = _document(one.path, fresh[one.path], call, one.pages, reference)
        if not passages:
            report.skipped[name] = f"no passage of it is kept: {_reasons(document.dropped)}"
            told(name, report.skipped[name])
            continue
        if unread := without_text(one.pages):
            report.unread[name] = unread
            tell(Remark(text=f"{name}: {unread}"))
        if call := store.put(document, passages, time.time(), replaces=before.id if before else ""):
            (report.updated if before else report.added).append(call)
            report.dropped = dict(Counter(report.dropped) + Counter(document.dropped))
        else:
            report.unchanged += 1
        told(name)


def _reasons(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {why}" for why, count in dropped.items()) or "it has no prose"


def _as_listed(one: Document) -> Reference:
    return Reference(title=one.title, doi=one.doi, year=f"{one.year or ''}")


def _met_again(store: Store, known: _Known, held: Document, path: Path, papers: Found, report: LibraryReport) -> None:
    """Note where a document that is in lies now, and what a list says of it."""
    report.unchanged += 1
    here = str(path.absolute())
    said = match(path, f"# {held.title}\n\n{held.doi}", papers.references) or _as_listed(held)
    title, doi = said.title or held.title, said.doi or held.doi
    year = int(said.year) if said.year else held.year
    stays = held.path == here or _holds(held)
    if stays and (title, year, doi) == (held.title, held.year, held.doi):
        return
    where = held.path if stays else here
    store.known_as(held.id, path=where, title=title, year=year, doi=doi)
    if not stays:
        report.moved[held.name] = here
        if known.by_path.get(held.path) is held:  # what lies there now is another
            del known.by_path[held.path]


def _holds(held: Document) -> bool:
    """Whether a document's file is where it was, and is still what it was."""
    try:
        return bool(held.path) and sha256(Path(held.path)) == held.sha256
    except OSError:
        return False


def _document(
    path: Path, digest: str, name: str, pages: Sequence[str], reference: Reference | None
) -> tuple[Document, list[Passage]]:
    start = "".join(pages[:1])
    title = reference.title if reference and reference.title else _title(start)
    doi = reference.doi if reference and reference.doi else _doi(start)
    year = int(reference.year) if reference and reference.year else None
    bare = Document(digest[:16], name, str(path.absolute()), digest, title, year, doi, len(pages))
    passages, dropped = [], Counter[str]()
    for number, (heading, held) in enumerate(_cut(pages)):
        text = " ".join(one.text for one in held)
        if why := _unfit(text):
            dropped[why] += 1
        else:
            passages.append(passage_of(bare, number, heading, held))
    document = Document(**{**bare.__dict__, "dropped": dict(dropped)})
    return document, [Passage(one.id, document, one.heading, one.sentences) for one in passages]


def _cut(pages: Sequence[str]) -> Iterator[tuple[str, list[Sentence]]]:
    """A document's sentences by heading and passage."""
    for section in sections(pages):
        rest = [Sentence(text, page) for page, paragraph in section.paragraphs for text in sentences(paragraph)]
        for held in together(rest):
            yield section.heading, held


def together(rest: Sequence[Sentence]) -> Iterator[list[Sentence]]:
    """Sentences by the passage: of like length, at most `MOST` words but for a single sentence of more."""
    total = sum(length(one.text) for one in rest)
    share = total / max(1, -(-total // MOST))
    held: list[Sentence] = []
    count = 0
    for one in rest:
        words = length(one.text)
        if held and (count + words > MOST or count + words / 2 > share):
            yield held
            held, count = [], 0
        held.append(one)
        count += words
    if held:
        yield held


def _unfit(text: str) -> str:
    """Why a passage is not kept; empty if it is."""
    if length(text) < FEWEST:
        return "too short"
    if len(text) > _LONGEST:
        return "too long"
    return next((name for name, gate in GATES.items() if gate(text)), "")


def _title(page: str) -> str:
    """The first heading of a page that is no section's usual one."""
    headings = (" ".join(found.split()) for found in _HEADING.findall(plain(page)))
    return next((one for one in headings if not _NO_TITLE.fullmatch(one)), "")


def _doi(page: str) -> str:
    """The DOI that a first page bears, if it is one alone."""
    borne = {doi_of(found) for found in _DOI.findall(page)} - {""}
    return borne.pop() if len(borne) == 1 else ""


def fill_vectors(store: Store, embed: Embed, tell: Callable[[int, int], None] = lambda done, of: None) -> int:
    """Give every passage that has none its vectors; killed at any moment, the same call goes on.

    Args:
        store: The library.
        embed: Embeds texts.
        tell: Called with how many passages have one, and how many there are.

    Returns:
        How many were made.
    """
    made = 0
    of, done = store.size()
    while left := store.without_vectors(_FILLED):
        store.put_vectors({one.key: blob for one, blob in zip(left, vectors_of(left, embed), strict=True)})
        made += len(left)
        tell(done + made, of)
    return made


def vectors_of(passages: Sequence[Passage], embed: Embed) -> list[bytes]:
    """The vectors of passages, as `packed` gives them."""
    pieces = [windows(one) for one in passages]
    rows = embed([text for piece in pieces for text in piece])
    ends = accumulate((len(piece) for piece in pieces), initial=0)
    return [packed(rows[start:end]) for start, end in pairwise(ends)]


def _finished(store: Store, report: LibraryReport) -> LibraryReport:
    with waiting("indexing the passages"):
        build(store)
    return counted(store, report)


def counted(store: Store, report: LibraryReport) -> LibraryReport:
    """A report with what the library holds now."""
    report.documents = len(store.documents())
    report.passages, report.vectors = store.size()
    report.bytes = weight(store.folder)
    return report

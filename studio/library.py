"""A library of papers as the front door offers it: added to, kept up to date, listed, searched. Knows no terminal."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from pipelines.corpus.index.adding import AddOptions, LibraryReport
from studio.verb import Call, job, query, verb
from workspace.errors import UsageError, unknown
from workspace.progress import Remark, VectorsMade, waiting

if TYPE_CHECKING:
    from pipelines.corpus.index.store import Store


class _Place(Call):
    """Which library."""

    library: Path | None = Field(None, description="The library's folder; else your own, in STUDIO_HOME")

    @property
    def folder(self) -> Path:
        """The library's folder."""
        from studio.runs.shelf import own

        return own(self.home) if self.library is None else self.library.expanduser()


class AddCall(AddOptions, _Place):
    """How papers are added."""

    words_only: bool = Field(False, description="Make no vectors now: passages are found by their words alone")


class UpdateCall(AddCall):
    """How a library is brought up to date."""

    forget: bool = Field(False, description="Take out the documents whose file is gone")


def _inputs(inputs: Sequence[Path | str], options: AddCall) -> list[Path]:
    """What is not there is told before anything is queued."""
    from pipelines.corpus.files import found
    from workspace.files import probe

    paths = [Path(one) for one in inputs]
    with waiting("looking for the papers"):
        found(paths)
    probe(options.folder)
    return paths


@job(AddCall, check=_inputs)
def library_add(inputs: Sequence[Path | str], options: AddCall) -> LibraryReport:
    """Add papers to a library: PDF, Markdown, text, folders, lists of references (BibTeX, RIS, Zotero's).

    Killed at any moment, the same call goes on; a paper that is in is known by its content.

    Raises:
        DataError: An input is not there, or none of the papers can be read.
    """
    from pipelines.corpus.index.adding import add
    from pipelines.corpus.index.store import Store

    with Store(options.folder, writing=True) as store:
        report = add(store, [Path(one) for one in inputs], options, options.tell)
        return _with_vectors(store, report, options)


def _there(subject: Sequence[str], options: _Place) -> None:
    from pipelines.corpus.index.store import Store

    Store(options.folder).close()


@job(UpdateCall, check=_there)
def library_update(subject: Sequence[str], options: UpdateCall) -> LibraryReport:
    """Read again the papers of a library that changed, name those that are gone, and fill in what a kill left out."""
    from pipelines.corpus.index.adding import update
    from pipelines.corpus.index.store import Store

    with Store(options.folder, writing=True) as store:
        report = update(store, options, options.tell, forget=options.forget)
        return _with_vectors(store, report, options)


def _with_vectors(store: Store, report: LibraryReport, options: AddCall) -> LibraryReport:
    """Fill in the vectors that are missing, where the model that makes them is here, and index them."""
    from pipelines.corpus.index.adding import counted, fill_vectors
    from pipelines.corpus.index.generation import build
    from studio.runs.assemble import embedder

    passages, vectors = store.size()
    if options.words_only or passages == vectors:
        return report
    embed = embedder(options.home)
    if embed is None:
        options.tell(Remark(text="all-minilm-l6-v2 is not here: passages are found by their words alone"))
        return report
    begun = time.monotonic()

    def told(done: int, of: int) -> None:
        pace = (done - vectors) / max(1e-6, time.monotonic() - begun)
        options.tell(VectorsMade(passages=done, of=of, left_s=round((of - done) / pace, 1) if pace else None))

    fill_vectors(store, embed, told)
    build(store)
    return counted(store, report)


class DocumentRow(BaseModel):
    """A document of a library."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    name: str
    title: str
    year: int | None
    doi: str
    pages: int
    passages: int
    path: str
    here: bool = Field(description="Whether its file is where it was")


class LibraryContents(BaseModel):
    """What a library holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path
    documents: tuple[DocumentRow, ...]
    passages: int
    vectors: int
    bytes: int
    shipped: int = Field(description="Passages that ship with Studio: the atlas and the sample corpus")


@query(_Place)
def library_list(options: _Place) -> LibraryContents:
    """List what a library holds."""
    from pipelines.corpus.index.generation import weight
    from pipelines.corpus.index.store import FILE, Store
    from studio.runs.shelf import shipped

    folder = options.folder
    if options.library is None and not (folder / FILE).is_file():
        return LibraryContents(folder=folder, documents=(), passages=0, vectors=0, bytes=0, shipped=len(shipped()))
    with Store(folder) as store:
        counts = store.counts()
        rows = tuple(
            DocumentRow(
                **{name: getattr(one, name) for name in ("id", "name", "title", "year", "doi", "pages", "path")},
                passages=counts.get(one.id, 0),
                here=bool(one.path) and os.path.isfile(one.path),
            )
            for one in store.documents()
        )
        passages, vectors = store.size()
    return LibraryContents(
        folder=folder,
        documents=rows,
        passages=passages,
        vectors=vectors,
        bytes=weight(folder),
        shipped=len(shipped()),
    )


class Removed(BaseModel):
    """What was taken out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    removed: tuple[str, ...]


@verb(_Place)
def library_remove(documents: Sequence[str], options: _Place) -> Removed:
    """Take documents out of a library by name or id; their files stay where they are.

    Raises:
        UsageError: The library has no document of that name.
    """
    from pipelines.corpus.index.generation import build
    from pipelines.corpus.index.store import Store

    _there(documents, options)
    with Store(options.folder, writing=True) as store:
        held = store.documents()
        chosen = []
        for name in documents:
            found = [one for one in held if name in (one.name, one.id)]
            if not found:
                raise UsageError(unknown("document", name, sorted(one.name for one in held)))
            chosen += [one for one in found if one not in chosen]
        store.remove([one.id for one in chosen])
        build(store)
    return Removed(removed=tuple(one.name for one in chosen))


_FITTING = 3  # sentences of a passage that are shown first


def _fitting(question: str, sentences: Sequence[str]) -> str:
    """The sentences that have most of a question's words, in their order, with marks where some are left out."""
    from pipelines.corpus.index.terms import terms

    wanted = set(terms(question))
    best = sorted(range(len(sentences)), key=lambda place: (-len(wanted & set(terms(sentences[place]))), place))
    chosen = sorted(best[:_FITTING])
    parts = []
    for number, place in enumerate(chosen):
        gap = place > 0 if number == 0 else place > chosen[number - 1] + 1
        parts += ["[...]", sentences[place]] if gap else [sentences[place]]
    return " ".join([*parts, *(["[...]"] if chosen and chosen[-1] + 1 < len(sentences) else [])])


class SearchCall(_Place):
    """How passages are searched for."""

    count: int = Field(5, ge=1, le=100, description="Passages at most")
    document: tuple[str, ...] = Field((), description="Only documents whose name or title holds this")
    since: int | None = Field(None, ge=1500, le=2100, description="Only documents of this year or later")
    until: int | None = Field(None, ge=1500, le=2100, description="Only documents of this year or earlier")
    organism: str = Field("", max_length=200, description="Only passages that speak of this organism or material")
    quantity: str = Field(
        "",
        max_length=200,
        description="Only passages that speak of this property",
        json_schema_extra={"option": "--property"},
    )
    shipped: bool = Field(
        True,
        description="Search the atlas and the sample corpus too",
        json_schema_extra={"option": "--shipped/--no-shipped"},
    )
    words_only: bool = Field(False, description="By words alone, not by meaning")


class FoundPassage(BaseModel):
    """A passage that was found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    score: float
    words: float = Field(description="How well its words fit, 0 to 1")
    meaning: float = Field(description="How near its meaning is, a cosine")
    document: str
    title: str
    heading: str
    page: int
    doi: str
    year: int | None
    path: str
    sources: tuple[str, ...]
    fitting: str = Field(description="The sentences of it that have most of the question's words, in order")
    text: str


class FoundPassages(BaseModel):
    """What was found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str
    passages: tuple[FoundPassage, ...]


@verb(SearchCall)
def library_search(question: str, options: SearchCall) -> FoundPassages:
    """Search the libraries for passages that answer a question.

    Raises:
        UsageError: The question is empty, or a filter names no document or no years.
    """
    from pipelines.corpus.index.retrieve import Filters
    from studio.runs.assemble import embedder
    from studio.runs.shelf import shelf

    if not question.strip():
        raise UsageError("the question is empty")
    if options.since and options.until and options.since > options.until:
        raise UsageError(f"no year is {options.since} or later and {options.until} or earlier")
    folders = () if options.library is None else (options.library,)
    embed = None if options.words_only else embedder(options.home)
    held = shelf(options.home, folders, embed, ships=options.shipped, mine=options.library is None)
    try:
        filters = Filters(options.document, options.since, options.until, options.organism, options.quantity)
        hits = held.search(question, options.count, filters)
    finally:
        held.close()
    found = []
    for hit in hits:
        one, document = hit.passage, hit.passage.document
        found.append(
            FoundPassage(
                id=one.id,
                score=round(hit.score, 4),
                words=round(hit.words, 4),
                meaning=round(hit.meaning, 4),
                document=document.name,
                title=document.title,
                heading=one.heading,
                page=one.page,
                doi=document.doi,
                year=document.year,
                path=document.path,
                sources=tuple(dict.fromkeys(said.cite for said in one.sentences if said.cite)),
                fitting=_fitting(question, [said.text for said in one.sentences]),
                text=one.text,
            )
        )
    return FoundPassages(question=question, passages=tuple(found))

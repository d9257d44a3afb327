"""The corpus stage: papers in, clean passages with their sources out, and a report of what was dropped and why.

Read top to bottom: find the files, convert them in child processes, cut them to passages, pass these through the gates,
publish. Converted pages are kept by content: killed at any moment, the same command goes on, and a changed setting
converts nothing again.

    studio train corpus papers/ --out corpus --topic "spider silk and other biological materials"
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.corpus.cleaning import sections, spans
from pipelines.corpus.config import CorpusConfig
from pipelines.corpus.converters import without_text
from pipelines.corpus.duplicates import Duplicates
from pipelines.corpus.files import READ, Found, found, names, shown
from pipelines.corpus.gates import refused
from pipelines.corpus.leaks import Leaks, benchmark_texts
from pipelines.corpus.parsing import Limits, parse
from pipelines.corpus.passages import Passage, Source
from pipelines.corpus.references.crossref import look_up
from pipelines.corpus.references.lists import Reference
from pipelines.corpus.references.matching import match
from pipelines.corpus.report import CorpusReport
from workspace.errors import DataError
from workspace.extras import require
from workspace.files import probe, publish, publish_all, sha256
from workspace.progress import DocumentRead, Remark, Tell, silent, waiting

_NEEDS = ("pypdfium2", "pdftext", "datasketch", "py3langid", "bibtexparser", "habanero")
_EMBEDDER = "all-minilm-l6-v2"
_VERSION = 2  # of the converters: pages kept from an older one are made anew

Pages = tuple[tuple[str, ...], str | None]
"""A document's pages, or none and what is wrong with it."""

_LONG = 24  # letters for each word that a passage may have: a sentence of more is none


def main(config: CorpusConfig, out: Path, home: Path, tell: Tell = silent) -> CorpusReport:
    """Build a corpus.

    Args:
        config: What is read and kept.
        out: Folder for kept pages and the result: ``passages.jsonl``, ``dropped.jsonl``, ``report.json``.
        home: STUDIO_HOME, where the embedding model lies that tells documents astray.
        tell: Called with `DocumentRead` for every document, and with a remark on pages that hold no text.

    Raises:
        DataError: An input is not there, a list or a benchmark cannot be read, or nothing is left.
        ServiceError: A converter, the embedding model or Crossref is not there.
        StorageError: The folder cannot be written to.
    """
    papers, leaks = check(config, out, home)
    references = papers.references
    likeness = _likeness(config.topic, home)
    if config.crossref and references:
        with waiting(f"asking Crossref for papers of {len(references)} without a DOI"):
            references = look_up(references, out / "crossref.json", config.mail or None)
    documents = _converted(papers, config, out, tell)
    unread = {shown(path): told for path, (pages, _) in documents.items() if (told := without_text(pages))}
    for name, told in unread.items():
        tell(Remark(text=f"{name}: {told}"))
    known = {path: match(path, "".join(pages[:1]), references) for path, (pages, _) in documents.items()}
    with waiting(f"cutting {len(documents)} documents to passages, and comparing them"):
        passages, dropped = _sifted(documents, known, leaks, likeness, config)
    skipped = {shown(path): problem for path, (_, problem) in documents.items() if problem}
    report = _report(config, documents, {**papers.closed, **skipped}, unread, passages, dropped)
    if len(skipped) == len(documents):
        raise DataError(f"none of {len(documents)} documents can be read: {report.losses()}")
    if not passages:
        hint = "loosen the gate that drops most" if dropped else None
        raise DataError(f"no passage is left of {len(documents)} documents: {report.losses()}", hint=hint)
    missing = [one for one in references if one not in known.values()]
    publish_all(
        out,
        {
            "passages.jsonl": "".join(one.model_dump_json() + "\n" for one in passages),
            "dropped.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in dropped),
            "missing.jsonl": "".join(one.model_dump_json() + "\n" for one in missing),
            "report.json": json.dumps(report.model_dump(mode="json"), indent=1) + "\n",
        },
    )
    return report


def check(config: CorpusConfig, out: Path, home: Path) -> tuple[Found, Leaks]:
    """Look, before any paper is read, at all that is named: inputs, benchmarks, the embedding model, the folder.

    Returns:
        The inputs' papers, and the benchmarks' words.

    Raises:
        StudioError: As `main`.
    """
    from models.catalogue.fetch import locate

    require(*_NEEDS)
    papers = found(config.inputs)
    if all(path.suffix.lower() not in READ for path in papers.files):
        kinds = ", ".join(sorted({path.suffix.lower() or "files without a suffix" for path in papers.files}))
        raise DataError(f"{shown(papers.files[0])}: {kinds} are not read; PDF, Markdown and text are")
    leaks = Leaks({name: benchmark_texts(path) for path, name in names(config.benchmarks).items()})
    if config.topic:
        locate(_EMBEDDER, home)
    probe(out)
    return papers, leaks


def _converted(papers: Found, config: CorpusConfig, out: Path, tell: Tell) -> dict[Path, Pages]:
    """Each file's pages, or what is wrong with it, in the files' order; pages are kept by the file's content."""
    limits = Limits(config.seconds, config.memory_mb, config.most_pages)
    made: dict[Path, Pages] = {}

    def report(name: str, problem: str | None) -> None:
        tell(DocumentRead(document=name, documents=len(made), of=len(papers.files), why=problem or ""))

    def note(path: Path, pages: tuple[str, ...], problem: str | None) -> None:
        made[path] = (pages, problem)
        report(shown(path), problem)

    for name, problem in papers.closed.items():
        report(name, problem)
    kept: dict[Path, Path] = {}
    for path in papers.files:
        try:
            kept[path] = out / "pages" / f"{sha256(path)[:24]}-{config.pdf}-{_VERSION}.json"
        except OSError as fault:
            note(path, (), f"it cannot be read: {fault.strerror}")
    missing = []
    for path, file in kept.items():
        pages = tuple(json.loads(file.read_text("utf-8"))) if file.is_file() else None
        if pages is None or len(pages) > config.most_pages:
            missing.append(path)
        else:
            note(path, pages, None)
    for one in parse(missing, config.pdf, limits):
        if one.problem is None:
            publish(kept[one.path], json.dumps(one.pages, ensure_ascii=False))
        note(one.path, one.pages, one.problem)
    return {path: made[path] for path in papers.files}


def _sifted(
    documents: Mapping[Path, Pages],
    known: Mapping[Path, Reference | None],
    leaks: Leaks,
    likeness: Callable[[list[str]], list[float]] | None,
    config: CorpusConfig,
) -> tuple[list[Passage], list[dict[str, Any]]]:
    """The passages that pass every gate, and what was dropped."""
    duplicates = Duplicates(config.near)
    called = names(list(documents))
    kept: list[Passage] = []
    dropped: list[dict[str, Any]] = []
    for path, (pages, _) in documents.items():
        passages = _passages(called[path], pages, known[path], config.most)
        astray = _astray([one.text for one in passages], likeness, config.relevance)
        for passage, strange in zip(passages, astray, strict=True):
            why = _endless(passage.text, config.most) or refused(passage.text, config.fewest, config.languages)
            why = why or strange or _leaked(passage.text, leaks, config) or _twice(passage, duplicates)
            if why:
                dropped.append({"gate": why[0], "why": why[1], **passage.model_dump()})
            else:
                kept.append(passage)
    return kept, dropped


def _passages(name: str, pages: Sequence[str], known: Reference | None, most: int) -> list[Passage]:
    parts = sections(pages)
    made = []
    for number, span in enumerate(spans(parts, most)):
        digest = hashlib.sha256(f"{name}\0{number}\0{span.text}".encode()).hexdigest()[:16]
        title, doi = (known.title, known.doi) if known else ("", "")
        source = Source(document=name, title=title, heading=span.heading, doi=doi, page=span.page)
        made.append(Passage(id=digest, text=span.text, source=source))
    return made


def _endless(text: str, most: int) -> tuple[str, str] | None:
    if len(text) <= _LONG * most:
        return None
    return "long", f"it is one sentence of {len(text):,} letters; {_LONG * most:,} are the most"


def _twice(passage: Passage, duplicates: Duplicates) -> tuple[str, str] | None:
    same = duplicates.seen(passage.id, passage.text)
    if same is None:
        return None
    return ("exact duplicate", f"as {same[0]}") if same[1] == 1.0 else ("near duplicate", f"{same[1]:.0%} of {same[0]}")


def _leaked(text: str, leaks: Leaks, config: CorpusConfig) -> tuple[str, str] | None:
    leak = leaks.found(text) if config.contamination == "refuse" else None
    return ("contamination", f"it holds words of {leak[0]}: {leak[1][:120]!r}") if leak else None


def _likeness(topic: str, home: Path) -> Callable[[list[str]], list[float]] | None:
    """How near texts are to the topic, as cosines; none if there is no topic."""
    if not topic:
        return None
    from models.catalogue.fetch import locate
    from models.encoders.embeddings import Embedder

    embedder = Embedder(locate(_EMBEDDER, home))
    [about] = embedder.encode([topic])
    return lambda texts: [float(one) for one in embedder.encode(texts) @ about]


def _astray(
    texts: list[str], likeness: Callable[[list[str]], list[float]] | None, least: float
) -> list[tuple[str, str] | None]:
    """For each passage of a document whether it is beside the topic: a document as a whole, or a passage by far."""
    if likeness is None or not texts:
        return [None] * len(texts)
    cosines = likeness(texts)
    mean = sum(cosines) / len(cosines)
    if mean < least:
        return [("topic", f"its document's likeness to the topic is {mean:.2f}; {least:.2f} is the least")] * len(texts)
    return [
        ("topic", f"its likeness to the topic is {one:.2f}; {least / 2:.2f} is the least") if one < least / 2 else None
        for one in cosines
    ]


def _report(
    config: CorpusConfig,
    documents: Mapping[Path, Pages],
    skipped: Mapping[str, str],
    unread: dict[str, str],
    passages: Sequence[Passage],
    dropped: Sequence[Mapping[str, Any]],
) -> CorpusReport:
    gates = Counter(row["gate"] for row in dropped)
    return CorpusReport(
        documents=sum(problem is None for _, problem in documents.values()),
        pages=sum(len(pages) for pages, _ in documents.values()),
        skipped=dict(skipped),
        unread=unread,
        passages=len(passages),
        words=sum(len(one.text.split()) for one in passages),
        dropped=dict(gates.most_common()),
        config=config.model_dump(mode="json"),
    )

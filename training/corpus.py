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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from training.cleaning import sections, spans
from training.converters import PDF, TEXT
from training.duplicates import Duplicates, Leaks
from training.extras import require
from training.gates import refused
from training.parsing import Limits, parse
from training.references import SUFFIXES, Reference, look_up, match, read_references
from workspace.errors import DataError, unknown
from workspace.files import publish, publish_all, sha256

READ = (".pdf", *TEXT)
_NEEDS = ("pypdfium2", "pdftext", "datasketch", "py3langid", "rispy", "bibtexparser", "habanero")
_VERSION = 1  # of the converters: pages kept from an older one are made anew

Told = Callable[[dict[str, Any]], None]


class CorpusConfig(BaseModel):
    """What is read and what is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: tuple[Path, ...] = Field(min_length=1, description="files, folders, or a list of references")
    pdf: str = Field("pdfium", description="converter of PDFs")
    languages: tuple[str, ...] = Field(("en",), description="two-letter codes; none for any")
    fewest: int = Field(40, ge=1, description="words of a passage")
    most: int = Field(300, ge=20, description="words of a passage")
    near: float = Field(
        0.8, gt=0, le=1, description="similarity from which passages count as the same; 1 for exact ones"
    )
    topic: str = Field("", description="what documents should be about; empty keeps all")
    relevance: float = Field(
        0.2, ge=-1, le=1, description="mean cosine of a document's passages and the topic; a single passage needs half"
    )
    benchmarks: tuple[Path, ...] = Field((), description="evaluation sets whose words may not be in the corpus")
    contamination: Literal["refuse", "keep"] = "refuse"
    seconds: float = Field(120.0, gt=0, description="of reading one file")
    memory_mb: int = Field(4096, ge=256, description="of reading one file")
    crossref: str = Field("", description="where missing DOIs are looked up; empty looks none up")
    mail: str = Field("", description="address sent to Crossref")


class Source(BaseModel):
    """Where a passage comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    document: str
    title: str = ""
    heading: str = ""
    doi: str = ""
    page: int = Field(ge=1)


class Passage(BaseModel):
    """A row of the corpus, in the schema that continued pretraining reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    text: str
    source: Source


def main(config: CorpusConfig, out: Path, home: Path, told: Told | None = None) -> dict[str, Any]:
    """Build a corpus.

    Args:
        config: What is read and kept.
        out: Folder for kept pages and the result: ``passages.jsonl``, ``dropped.jsonl``, ``report.json``.
        home: STUDIO_HOME, where the embedding model lies that tells documents astray.
        told: Called with rows of progress: ``documents`` and ``of``, ``skipped`` and ``why``.

    Returns:
        The report.

    Raises:
        UsageError: An input does not exist.
        DataError: A list or a benchmark cannot be read, or nothing is left.
        ServiceError: A converter, the embedding model or Crossref is not there.
    """
    require(*_NEEDS)
    if config.pdf not in PDF:
        raise DataError(unknown("converter", config.pdf, PDF))
    files, references = found(config.inputs)
    if config.crossref and references:
        references = look_up(references, out / "crossref.json", config.mail or None, config.crossref)
    leaks = Leaks({path.stem: benchmark_texts(path) for path in config.benchmarks})
    documents = dict(_converted(files, config, out, told))
    skipped = {str(path): problem for path, (_, problem) in documents.items() if problem}
    passages, dropped = _sifted(
        ((path, pages) for path, (pages, problem) in documents.items() if not problem), references, leaks, config, home
    )
    report = _report(config, files, documents, skipped, passages, dropped)
    missing = [one for one in references if not any(match(path, "", [one]) for path in files)]
    if not passages:
        raise DataError(
            f"no passage is left of {len(files)} documents: {_why(report)}", hint="loosen the gate that drops most"
        )
    publish_all(
        out,
        {
            "passages.jsonl": "".join(one.model_dump_json() + "\n" for one in passages),
            "dropped.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in dropped),
            "missing.jsonl": "".join(one.model_dump_json() + "\n" for one in missing),
            "report.json": json.dumps(report, indent=1, ensure_ascii=False) + "\n",
        },
    )
    return report


def found(inputs: Sequence[Path]) -> tuple[list[Path], list[Reference]]:
    """Every paper under the inputs, sorted, and the papers that lists of references name.

    Raises:
        DataError: An input is not there or holds no papers.
    """
    files: list[Path] = []
    references: list[Reference] = []
    for one in inputs:
        path = one.expanduser()
        if path.is_dir():
            files += sorted(file for file in path.rglob("*") if file.suffix.lower() in READ and file.is_file())
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            references += (rows := read_references(path))
            files += [file for row in rows if row.file and (file := path.parent / row.file).is_file()]
        elif path.is_file():
            files.append(path)
        else:
            raise DataError(f"{one} is not there")
    files = list(dict.fromkeys(files))
    if not files:
        raise DataError(
            f"no papers in {', '.join(map(str, inputs))}", hint=f"files that are read end in {', '.join(READ)}"
        )
    return files, references


def _converted(
    files: Sequence[Path], config: CorpusConfig, out: Path, told: Told | None
) -> Iterator[tuple[Path, tuple[tuple[str, ...], str | None]]]:
    """Each file's pages, or what is wrong with it, in the files' order; pages are kept by the file's content."""
    kept = {path: out / "pages" / f"{sha256(path)[:24]}-{config.pdf}-{_VERSION}.json" for path in files}
    known = {path: tuple(json.loads(file.read_text("utf-8"))) for path, file in kept.items() if file.is_file()}
    done = {path: (pages, None) for path, pages in known.items()}
    missing = [path for path in files if path not in done]
    made: dict[Path, tuple[tuple[str, ...], str | None]] = dict(done)
    limits = Limits(config.seconds, config.memory_mb)
    for one in parse(missing, config.pdf, limits):
        made[one.path] = (one.pages, one.problem)
        if one.problem is None:
            publish(kept[one.path], json.dumps(one.pages, ensure_ascii=False))
        if told:
            told(
                {"documents": len(made), "of": len(files), "skipped": one.problem and str(one.path), "why": one.problem}
            )
    yield from ((path, made[path]) for path in files)


def _sifted(
    documents: Iterator[tuple[Path, tuple[str, ...]]],
    references: Sequence[Reference],
    leaks: Leaks,
    config: CorpusConfig,
    home: Path,
) -> tuple[list[Passage], list[dict[str, Any]]]:
    """The passages that pass every gate, and what was dropped."""
    likeness = _likeness(config.topic, home)
    duplicates = Duplicates(config.near)
    kept: list[Passage] = []
    dropped: list[dict[str, Any]] = []
    for path, pages in documents:
        passages = _passages(path, pages, references, config.most)
        astray = _astray([one.text for one in passages], likeness, config.relevance)
        for passage, strange in zip(passages, astray, strict=True):
            why = refused(passage.text, config.fewest, config.languages)
            why = why or strange or _leaked(passage.text, leaks, config) or _twice(passage, duplicates)
            if why:
                dropped.append({"gate": why[0], "why": why[1], **passage.model_dump()})
            else:
                kept.append(passage)
    return kept, dropped


def _passages(path: Path, pages: Sequence[str], references: Sequence[Reference], most: int) -> list[Passage]:
    parts = sections(pages)
    known = match(path, parts[0].heading if parts else "", references)
    made = []
    for number, span in enumerate(spans(parts, most)):
        digest = hashlib.sha256(f"{path.name}\0{number}\0{span.text}".encode()).hexdigest()[:16]
        title, doi = (known.title, known.doi) if known else ("", "")
        source = Source(document=path.name, title=title, heading=span.heading, doi=doi, page=span.page)
        made.append(Passage(id=digest, text=span.text, source=source))
    return made


def _twice(passage: Passage, duplicates: Duplicates) -> tuple[str, str] | None:
    same = duplicates.seen(passage.id, passage.text)
    if same is None:
        return None
    return ("exact duplicate", f"as {same[0]}") if same[1] == 1.0 else ("near duplicate", f"{same[1]:.0%} of {same[0]}")


def _leaked(text: str, leaks: Leaks, config: CorpusConfig) -> tuple[str, str] | None:
    told = leaks.found(text) if config.contamination == "refuse" else None
    return ("contamination", f"it holds words of {told[0]}: {told[1][:120]!r}") if told else None


def _likeness(topic: str, home: Path) -> Callable[[list[str]], list[float]] | None:
    """How near texts are to the topic, as cosines; none if there is no topic."""
    if not topic:
        return None
    from models.embeddings import Embedder
    from models.fetch import locate

    embedder = Embedder(locate("all-minilm-l6-v2", home))
    [about] = embedder.encode([topic])
    return lambda texts: [float(one) for one in embedder.encode(texts) @ about]


def _astray(
    texts: list[str], likeness: Callable[[list[str]], list[float]] | None, least: float
) -> list[tuple[str, str] | None]:
    """For each passage of a document whether it is beside the topic: a document as a whole, or a passage by far."""
    if likeness is None or not texts:
        return [None] * len(texts)
    told = likeness(texts)
    mean = sum(told) / len(told)
    if mean < least:
        return [("topic", f"its document's likeness to the topic is {mean:.2f}; {least:.2f} is the least")] * len(texts)
    return [
        ("topic", f"its likeness to the topic is {one:.2f}; {least / 2:.2f} is the least") if one < least / 2 else None
        for one in told
    ]


def benchmark_texts(path: Path) -> list[str]:
    """Every question, choice and answer of an evaluation set: any JSON or JSONL file's longer texts.

    Raises:
        DataError: It cannot be read.
    """
    try:
        text = path.expanduser().read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.splitlines() if line.strip()] if path.suffix == ".jsonl" else None
        return list(_texts(json.loads(text) if rows is None else rows))
    except (OSError, ValueError) as fault:
        raise DataError(f"cannot read the benchmark {path}: {fault}") from None


def _texts(row: Any) -> Iterator[str]:
    if isinstance(row, str):
        yield row
    elif isinstance(row, Mapping):
        for one in row.values():
            yield from _texts(one)
    elif isinstance(row, list):
        for one in row:
            yield from _texts(one)


def _report(
    config: CorpusConfig,
    files: Sequence[Path],
    documents: Mapping[Path, tuple[tuple[str, ...], str | None]],
    skipped: Mapping[str, str],
    passages: Sequence[Passage],
    dropped: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    gates = Counter(row["gate"] for row in dropped)
    return {
        "documents": len(files) - len(skipped),
        "pages": sum(len(pages) for pages, _ in documents.values()),
        "skipped": dict(skipped),
        "passages": len(passages),
        "words": sum(len(one.text.split()) for one in passages),
        "dropped": dict(gates.most_common()),
        "config": config.model_dump(mode="json"),
    }


def _why(report: Mapping[str, Any]) -> str:
    told = [f"{count} dropped by {gate}" for gate, count in report["dropped"].items()]
    told += [f"{Path(name).name}: {why}" for name, why in list(report["skipped"].items())[:3]]
    return "; ".join(told) or "they hold no prose"

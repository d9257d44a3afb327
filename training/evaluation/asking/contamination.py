"""Test questions that stand in what a model was trained on: found in its rows, word for word.

A question is found where thirteen words of it in a row stand in a training text, or all of it where it has fewer; a
very short one is looked for with its answer. Runs that several questions of a benchmark share, such as a phrase that
begins each, are none of one question's own. Knows texts, and the cards that say what a variant was trained on.

Source of the thirteen words: Brown et al., "Language models are few-shot learners" (NeurIPS 2020), appendix C.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from models.catalogue.fetch import VARIANTS
from models.catalogue.table import MODELS
from pipelines.corpus.delimited import decoded, table
from training.evaluation.asking.config import EvaluateConfig
from training.evaluation.asking.questions import Benchmark, Question
from training.sample.rows import sample_rows
from workspace.errors import DataError, one_line
from workspace.progress import Remark, Tell, waiting

RUN = 13
"""Words in a row that are no chance."""
SHORT = 5
"""A question of fewer words is looked for together with its answer."""
_SHARED = 2
"""Questions that may have a run in common; of more it is a phrase."""
_DEEPEST = 50
_SPEAKERS = ("role", "from")
_RECIPES = Path(__file__).parents[2] / "recipes"

Texts = Iterable[tuple[str, str]]
"""Where a training text stands, and the text."""
Source = Path | str
"""Where training rows are: a file, or the stage whose rows the sample corpus gives."""


class Hit(NamedTuple):
    """A test question's id, and where it stands in training rows."""

    question: str
    where: str


class Finder:
    """Looks for a benchmark's questions in texts, one text after the other.

    Args:
        questions: A benchmark's.
    """

    def __init__(self, questions: Sequence[Question]) -> None:
        self.found: dict[str, str] = {}
        self._heads: dict[tuple[str, ...], list[tuple[tuple[str, ...], list[str]]]] = {}
        for run, names in _runs(questions).items():
            self._heads.setdefault(run[:SHORT], []).append((run, names))
        self._sizes = sorted({len(head) for head in self._heads})

    def look(self, where: str, words: tuple[str, ...]) -> None:
        """Look into one text's words; of every question the first place stays."""
        for place in range(len(words)):
            for size in self._sizes:
                for run, names in self._heads.get(words[place : place + size], ()):
                    if words[place : place + len(run)] == run:
                        self.found |= {name: where for name in names if name not in self.found}


def contaminated(questions: Sequence[Question], texts: Texts) -> list[Hit]:
    """The questions that stand in training texts, each with the first place.

    Args:
        questions: A benchmark's.
        texts: What was trained on.
    """
    finder = Finder(questions)
    for where, text in texts:
        finder.look(where, words_of(text))
    return _hits(questions, finder.found)


def _hits(questions: Sequence[Question], found: Mapping[str, str]) -> list[Hit]:
    """What was found, in the benchmark's order."""
    return [Hit(one.id, found[one.id]) for one in questions if one.id in found]


def _runs(questions: Sequence[Question]) -> dict[tuple[str, ...], list[str]]:
    """The runs of words by which questions are told, each with the ids of those that it tells."""
    owners: dict[tuple[str, ...], list[str]] = {}
    for question in questions:
        words = words_of(question.question)
        if len(words) < SHORT:
            words = (*words, *words_of(question.answer))
        for run in {words[place : place + RUN] for place in range(max(1, len(words) - RUN + 1))} - {()}:
            owners.setdefault(run, []).append(question.id)
    return {run: names for run, names in owners.items() if len(names) <= _SHARED}


def check_contamination(
    benchmarks: Sequence[Benchmark], models: Iterable[Path], config: EvaluateConfig, home: Path, tell: Tell
) -> dict[str, int]:
    """Refuse benchmarks whose questions stand in what models were trained on, or tell of them.

    Args:
        benchmarks: Those that are to be asked.
        models: Folders; the rows of variants are found by their cards.
        config: Further rows, and whether to go on all the same.
        home: STUDIO_HOME.
        tell: Called with a `Remark` of what was found, and of rows that are not where they were.

    Returns:
        By benchmark, how many of its questions stand in training rows.

    Raises:
        DataError: There are such questions, and nothing says to go on.
    """
    known = [training_rows(folder, home) for folder in models]
    for missing in dict.fromkeys(chain.from_iterable(one.missing for one in known)):
        tell(Remark(text=f"{missing} cannot be looked at: it is not where it was; test questions may be in it"))
    sources = dict.fromkeys([*config.training, *chain.from_iterable(one.sources for one in known)])
    asked = tuple(benchmark.questions for benchmark in benchmarks)
    found = [_found(source, _stamp(source), asked) for source in sources]
    counts = {}
    for place, benchmark in enumerate(benchmarks):
        first: dict[str, str] = {}
        for one in reversed(found):
            first |= one[place]
        hits = _hits(benchmark.questions, first)
        counts[benchmark.name] = len(hits)
        if not hits:
            continue
        shown = "; ".join(f"{hit.question} in {hit.where}" for hit in hits[:3]) + ("; ..." if hits[3:] else "")
        line = f"{benchmark.name}: {len(hits)} of {len(benchmark.questions)} questions stand in training rows: {shown}"
        if not config.allow_contamination:
            raise DataError(line, hint="allow_contamination goes on all the same")
        tell(Remark(text=line))
    return counts


@lru_cache(maxsize=256)
def _found(
    source: Source, stamp: tuple[int, ...], asked: tuple[tuple[Question, ...], ...]
) -> tuple[Mapping[str, str], ...]:
    """Of each benchmark the questions that stand in rows, each with its first place; many models share rows."""
    finders = [Finder(questions) for questions in asked]
    name = source.name if isinstance(source, Path) else f"the sample's {source} rows"
    with waiting(f"looking for test questions in {name}"):
        for where, text in texts_of(source) if isinstance(source, Path) else _sample(source):
            words = words_of(text)
            for finder in finders:
                finder.look(where, words)
    return tuple(finder.found for finder in finders)


def _stamp(source: Source) -> tuple[int, ...]:
    """What a file no longer has when it has changed."""
    try:
        stat = source.stat() if isinstance(source, Path) else None
    except OSError:  # reading it will say why
        stat = None
    return () if stat is None else (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def words_of(text: str) -> tuple[str, ...]:
    """A text's words without case, accents of writing and punctuation."""
    return tuple(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


@dataclass(frozen=True)
class TrainedOn:
    """What a variant was trained on, and what of it cannot be looked at any more.

    Attributes:
        sources: Where its rows are.
        missing: In words, which rows are not where they were.
    """

    sources: tuple[Source, ...]
    missing: tuple[str, ...]


def training_rows(folder: Path, home: Path) -> TrainedOn:
    """The rows of a variant and of its parents, by their cards, where they still are.

    Args:
        folder: The variant's; one without a card was not trained here, and nothing is known of it.
        home: STUDIO_HOME.
    """
    sources: dict[Source, None] = {}
    missing: dict[str, None] = {}
    left, seen = [folder], set[Path]()
    while left:
        one = left.pop(0)
        if one in seen:
            continue
        seen.add(one)
        card = _card(one)
        stage = str(card.get("stage", ""))
        for name in _listed(_part(card, "data").get("files")):
            files = _files(name, card, home)
            if name == "sample" and stage:
                sources[stage] = None
            sources |= dict.fromkeys(files)
            if name != "sample" and not files:
                missing[f"{name} of {card.get('name', one.name)}"] = None
        for parent in [*_listed(card.get("parent")), *_listed(card.get("parents")), *_listed(card.get("base"))]:
            place = home / VARIANTS / parent if "/" not in parent else Path(os.path.expanduser(parent))
            if (place / "variant.json").is_file():
                left.append(place)
            elif parent not in MODELS and not (place / "config.json").is_file():
                missing[f"what {parent} was trained on"] = None
    return TrainedOn(tuple(sources), tuple(missing))


def _sample(stage: str) -> Iterator[tuple[str, str]]:
    for number, row in enumerate(sample_rows(stage), 1):
        yield f"the sample's {stage} rows, row {number}", _joined(row)


def _card(folder: Path) -> dict[str, Any]:
    """What a variant's card says, with the parents that a merge's record names; nothing where there is none."""
    held: dict[str, Any] = {}
    for name in ("merge.json", "variant.json"):
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as fault:
            raise DataError(f"cannot read {folder / name}: {one_line(fault)}") from None
        held |= found if isinstance(found, dict) else {}
    return held


def _part(card: dict[str, Any], name: str) -> dict[str, Any]:
    held = card.get(name)
    return held if isinstance(held, dict) else {}


def _listed(held: Any) -> list[str]:
    """Names that a card lists, in a list or between commas."""
    names = held.split(",") if isinstance(held, str) else held if isinstance(held, list) else []
    return [str(name).strip() for name in names if str(name).strip()]


def _files(name: str, card: dict[str, Any], home: Path) -> list[Path]:
    """The files that a card names: what an earlier stage made, or a file by its path."""
    made = home / "training" / f"{card.get('recipe', '')}-{name}"
    if "/" not in name and made.is_dir():
        return sorted([*made.glob("*.jsonl"), *made.glob("data/*.jsonl")])
    path = Path(os.path.expanduser(name))
    places = [path] if path.is_absolute() else [Path.cwd() / path, _RECIPES / path]
    return [place for place in places if place.is_file()][:1]


def texts_of(path: Path) -> Iterator[tuple[str, str]]:
    """Where each row of a file stands, and its words, whatever its fields are called.

    Args:
        path: JSON, JSONL, CSV, TSV, Parquet, or plain text.

    Raises:
        DataError: It cannot be read.
    """
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet

            for number, row in enumerate(pyarrow.parquet.read_table(path).to_pylist(), 1):
                yield f"{path}, row {number}", _joined(row)
            return
        text = decoded(path.read_bytes(), str(path))
    except (OSError, ValueError) as fault:
        raise DataError(f"cannot read {path}: {one_line(fault)}", hint="training rows are JSON, JSONL or CSV") from None
    for number, row in enumerate(_rows(text, path), 1):
        yield f"{path}, row {number}", _joined(row)


def _rows(text: str, path: Path) -> Iterator[Any]:
    if path.suffix.lower() in (".csv", ".tsv"):
        _, rows = table(text, lambda names: len(names) > 1, lambda line, why: None)
        yield from (list(row.cells.values()) for row in rows)
    elif path.suffix.lower() == ".json":
        held = _loaded(text)
        yield from held if isinstance(held, list) else [held]
    else:
        yield from (_loaded(line) if line.lstrip()[:1] in ("{", "[") else line for line in text.split("\n") if line)


def _loaded(text: str) -> Any:
    """JSON, or the text itself where it is none: its words count all the same."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _joined(row: Any, deep: int = 0) -> str:
    """All words of a row, in their order, but for who says them."""
    if isinstance(row, str):
        return row
    if isinstance(row, dict):
        row = [value for key, value in row.items() if key not in _SPEAKERS]
    if deep > _DEEPEST or not isinstance(row, list):
        return ""
    return "\n".join(filter(None, (_joined(one, deep + 1) for one in row)))

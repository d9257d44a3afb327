"""A recipe's stages that make rows: a corpus from papers, training data distilled from it. Neither is done twice.

A stage is done when its folder holds the key of what made it: settings, files, model. Knows nothing of training.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.corpus import build as papers
from pipelines.corpus.config import CorpusConfig
from pipelines.corpus.files import found
from pipelines.corpus.references.crossref import CROSSREF
from pipelines.corpus.report import CorpusReport
from training.distil.config import DistilConfig
from training.distil.report import DistilResult
from workspace.errors import DataError, pydantic_fault
from workspace.files import publish, sha256
from workspace.progress import Tell
from workspace.settings import RoleCall

DONE = "done.json"
PASSAGES = "passages.jsonl"
FILES: Mapping[str, str] = {
    "cpt": "data/text.jsonl",
    "sft": "data/messages.jsonl",
    "dpo": "data/preferences.jsonl",
    "orpo": "data/preferences.jsonl",
}
"""Where in a distil stage's folder the rows for each kind of training lie."""

Report = TypeVar("Report", CorpusReport, DistilResult)


class _Done(BaseModel):
    """What a stage's folder says of how it was made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    report: dict[str, Any]


def make_corpus(config: CorpusConfig, folder: Path, work: Path, home: Path, tell: Tell) -> tuple[CorpusReport, bool]:
    """Make a corpus.

    Args:
        config: What is read and kept.
        folder: Where relative paths start.
        work: The stage's own folder.
        home: STUDIO_HOME.
        tell: Called with events of progress.

    Returns:
        The report, and whether it was made now.
    """
    inputs, benchmarks = _from(folder, config.inputs), _from(folder, config.benchmarks)
    here = config.model_copy(update={"inputs": inputs, "benchmarks": benchmarks})
    papers_and_lists = found(inputs)
    lists = [path for path in (*inputs, *benchmarks, *papers_and_lists.lists) if os.path.isfile(path)]
    settings = config.model_dump(mode="json", exclude={"mail"})
    key = {
        # Crossref's address stood here before it was a yes or no: what was made then is not made again.
        "config": settings | {"crossref": CROSSREF if config.crossref else ""},
        "files": [(path.name, _content(path)) for path in dict.fromkeys((*papers_and_lists.files, *lists))],
    }
    return _once(CorpusReport, work, PASSAGES, key, partial(papers.main, here, work, home, tell))


def check_corpus(config: CorpusConfig, folder: Path) -> None:
    """Look whether a corpus's papers are there.

    Raises:
        DataError: An input is not there, or none holds a paper.
    """
    found(_from(folder, config.inputs))


def make_rows(
    config: DistilConfig, call: RoleCall, source: Path, folder: Path, work: Path, home: Path, tell: Tell
) -> tuple[DistilResult, bool]:
    """Distil a corpus.

    Args:
        config: What is distilled and kept.
        call: The model that writes.
        source: The corpus stage's folder.
        folder: Where relative paths start.
        work: The stage's own folder.
        home: STUDIO_HOME.
        tell: Called with events of progress.

    Returns:
        The report, and whether it was made now.
    """
    from models.chat.choose import describe
    from training.distil import stage as distil
    from training.distil.asking import version

    here = config.model_copy(update={"benchmarks": _from(folder, config.benchmarks)})
    key = {
        "config": here.model_dump(mode="json", exclude={"workers", "benchmarks", "model", "server", "adapter"}),
        "benchmarks": [sha256(path) for path in here.benchmarks if path.is_file()],
        "corpus": sha256(source / PASSAGES),
        "model": describe(call, home),
        "versions": {kind: version(kind) for kind in here.kinds},
    }

    def make() -> DistilResult:
        return distil.main(source, here, distil.open_maker(call, home), work, tell)

    return _once(DistilResult, work, "data", key, make)


def _from(folder: Path, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    return tuple(folder / os.path.expanduser(path) for path in paths)


def _content(path: Path) -> str:
    """What tells a file's content; what cannot be read is named by the corpus stage."""
    try:
        return sha256(path)
    except OSError as fault:
        return str(fault.strerror)


def _once(
    kind: type[Report], work: Path, made: str, key: Mapping[str, Any], make: Callable[[], Report]
) -> tuple[Report, bool]:
    """The report of what lies in the folder as ``made``, unless another key made it."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    done = work / DONE
    try:
        known = _Done.model_validate_json(done.read_text(encoding="utf-8")) if done.is_file() else None
        if known and known.key == digest and (work / made).exists():
            return kind.model_validate(known.report), False
    except ValidationError as fault:
        why = f"{done} is damaged: {pydantic_fault(fault)}"
        raise DataError(why, hint="remove it, and the stage is done anew") from None
    report = make()
    publish(done, _Done(key=digest, report=report.model_dump(mode="json")).model_dump_json())
    return report, True

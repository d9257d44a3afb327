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
from typing import Any

from pydantic import ValidationError

from pipelines.corpus import build as papers
from pipelines.corpus.build import CorpusConfig
from pipelines.corpus.files import found
from training.distil.documents import DistilConfig
from workspace.errors import DataError
from workspace.files import publish, sha256
from workspace.settings import ChatSettings, RoleCall, SamplingSettings

DONE = "done.json"
PASSAGES = "passages.jsonl"
LONGEST = 2048  # tokens of a document
FILES: Mapping[str, str] = {
    "cpt": "data/text.jsonl",
    "sft": "data/messages.jsonl",
    "dpo": "data/preferences.jsonl",
    "orpo": "data/preferences.jsonl",
}
"""Where in a distil stage's folder the rows for each kind of training lie."""

Report = dict[str, Any]
Told = Callable[[dict[str, Any]], None]


def call_of(model: str, server: str | None = None, adapter: str | None = None) -> RoleCall:
    """How the model that distils is called.

    Raises:
        DataError: The model, the server or the adapter is not as the settings take it.
    """
    try:
        chat = ChatSettings(model=model, server=server, adapter=adapter)
    except ValidationError as fault:
        first = fault.errors()[0]
        why = first["msg"].removeprefix("Value error, ")
        raise DataError(f"distil, {'.'.join(map(str, first['loc']))}: {why}, not {first['input']!r}") from None
    return RoleCall(chat=chat, sampling=SamplingSettings(max_tokens=LONGEST))


def make_corpus(config: CorpusConfig, folder: Path, work: Path, home: Path, told: Told) -> tuple[Report, bool]:
    """Make a corpus.

    Args:
        config: What is read and kept.
        folder: Where relative paths start.
        work: The stage's own folder.
        home: STUDIO_HOME.
        told: Called with rows of progress.

    Returns:
        The report, and whether it was made now.
    """
    inputs, benchmarks = _from(folder, config.inputs), _from(folder, config.benchmarks)
    here = config.model_copy(update={"inputs": inputs, "benchmarks": benchmarks})
    lists = [path for path in (*inputs, *benchmarks) if os.path.isfile(path)]
    key = {
        "config": config.model_dump(mode="json", exclude={"mail"}),
        "files": [(path.name, _content(path)) for path in dict.fromkeys((*found(inputs).files, *lists))],
    }
    return _once(work, PASSAGES, key, partial(papers.main, here, work, home, told))


def make_rows(
    config: DistilConfig, call: RoleCall, source: Path, folder: Path, work: Path, home: Path, told: Told
) -> tuple[Report, bool]:
    """Distil a corpus.

    Args:
        config: What is distilled and kept.
        call: The model that writes.
        source: The corpus stage's folder.
        folder: Where relative paths start.
        work: The stage's own folder.
        home: STUDIO_HOME.
        told: Called with rows of progress.

    Returns:
        The report, and whether it was made now.
    """
    from models.chat.choose import describe
    from training.distil import stage as distil
    from training.distil.asking import version

    plain = {name: getattr(config, name) for name in DistilConfig.model_fields}
    here = DistilConfig(**plain | {"benchmarks": _from(folder, config.benchmarks)})
    key = {
        "config": here.model_dump(mode="json", exclude={"workers", "benchmarks"}),
        "benchmarks": [sha256(path) for path in here.benchmarks if path.is_file()],
        "corpus": sha256(source / PASSAGES),
        "model": describe(call, home),
        "versions": {kind: version(kind) for kind in here.kinds},
    }
    return _once(work, "data", key, lambda: distil.main(source, here, distil.open_maker(call, home), work, told))


def _from(folder: Path, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    return tuple(folder / os.path.expanduser(path) for path in paths)


def _content(path: Path) -> str:
    """What tells a file's content; what cannot be read is named by the corpus stage."""
    try:
        return sha256(path)
    except OSError as fault:
        return str(fault.strerror)


def _once(work: Path, made: str, key: Mapping[str, Any], make: Callable[[], Report]) -> tuple[Report, bool]:
    """The report of what lies in the folder as ``made``, unless another key made it."""
    told = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    done = work / DONE
    known = json.loads(done.read_text(encoding="utf-8")) if done.is_file() else {}
    if known.get("key") == told and (work / made).exists():
        return known["report"], False
    report = make()
    publish(done, json.dumps({"key": told, "report": report}, ensure_ascii=False))
    return report, True

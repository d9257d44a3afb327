"""The distil stage: passages in, questions and answers, prose and preference pairs out, checked, each with its source.

Read top to bottom: read the passages, ask the model for each kind from each, keep every answer at once, gather the rows
that stand in their passage and stand in no other row, publish. Killed at any moment, the same command goes on, and
nothing is asked twice.

    studio train distil corpus --out distilled --model llama-3.1-8b-instruct
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from langchain_core.language_models import BaseChatModel

from models.catalogue.fetch import locate
from pipelines.corpus.files import names
from pipelines.corpus.leaks import Leaks, benchmark_texts
from pipelines.corpus.passages import Passage, digest, read_passages
from training.at_once import each
from training.distil.answers import Kept, maker
from training.distil.asking import ask, version
from training.distil.card import lay
from training.distil.config import DistilConfig
from training.distil.report import DistilReport, DistilResult, Refusal
from training.distil.rows import Gathering, candidates
from workspace.errors import DataError, Interrupted, ServiceError, Unfinished
from workspace.extras import require
from workspace.files import claim, probe, publish, sha256, sweep
from workspace.progress import PassageDistilled, Tell, silent
from workspace.settings import RoleCall

_NEEDS = ("datasketch", "pyarrow")
_ELSEWHERE = {
    "retry",
    "workers",
    "benchmarks",
    "model",
    "server",
    "adapter",
}  # or of no matter
_ONES_OWN = frozenset({400, 413, 422})  # a server's word on one request, not on all


@dataclass(frozen=True)
class Maker:
    """The model that writes, and what the report says of it: name, fingerprint or server, licence, sampling."""

    model: BaseChatModel
    description: Mapping[str, Any]
    served: bool


def open_maker(call: RoleCall, home: Path) -> Maker:
    """The model that the settings name, in this process or on a server.

    Raises:
        ServiceError: It is not there.
    """
    from models.catalogue.table import MODELS
    from models.chat.choose import chat_model, describe

    entry = MODELS.get(call.chat.model)
    description = {
        **describe(call, home),
        "licence": entry.licence if entry else "unknown",
        "sampling": call.sampling.model_dump(mode="json"),
    }
    return Maker(chat_model(call, home), description, bool(call.chat.server))


def main(corpus: Path, config: DistilConfig, made_by: Maker, out: Path, tell: Tell = silent) -> DistilResult:
    """Distil a corpus.

    Args:
        corpus: A folder that `pipelines.corpus.build` made, or its ``passages.jsonl``.
        config: What is distilled and kept.
        made_by: From `open_maker`.
        out: Folder for the answers (``ledger``) and the rows (``data``).
        tell: Called with `PassageDistilled` after every passage.

    Raises:
        DataError: The corpus cannot be read, or no row is left.
        ServiceError: The model is not there.
        Unfinished: The model went away midway, and what it wrote is kept; or another process distils into ``out``.
        Interrupted: Stopped; what was written is kept.
    """
    file, passages, leaks = check(corpus, config, out)
    depends = {key: value for key, value in made_by.description.items() if key not in ("server", "licence")}
    name = maker({**depends, "seed": config.seed})
    with claim(out / ".lock"):
        sweep(out)
        kept = [Kept.read(out / "ledger", passage, name) for passage in passages]
        started = time.monotonic()
        asked = _asked(kept, config, made_by, out, tell)
        gathering = Gathering(config.near, config.grounding, config.seed, leaks)
        for one in kept:
            documents = {kind: document for kind in config.kinds if (document := one.document(kind))}
            gathering.add(one.passage, documents)
        report = _report(file, config, made_by, kept, gathering)
        if not any(gathering.made.rows.values()):
            raise DataError(f"no row is left of {len(kept)} passages: {report.losses()}", hint="--retry asks again")
        publish(out / "data", partial(lay, made=gathering.made, report=report))
    minutes = max(1e-9, time.monotonic() - started) / 60
    return DistilResult(**dict(report), data=out / "data", asked=asked, minutes=round(minutes, 2))


def check(corpus: Path, config: DistilConfig, out: Path) -> tuple[Path, list[Passage], Leaks]:
    """Look, before anything is asked, at all that is named: corpus, benchmarks, the folder.

    Returns:
        The corpus's file, its passages, and the benchmarks' words.

    Raises:
        DataError: The corpus or a benchmark cannot be read.
        StorageError: The folder cannot be written to.
    """
    require(*_NEEDS)
    leaks = Leaks({name: benchmark_texts(path) for path, name in names(config.benchmarks).items()})
    file, passages = read_passages(corpus, config.limit)
    probe(out)
    return file, passages, leaks


def check_maker(call: RoleCall, home: Path) -> None:
    """Look whether the model that is to write is there, if it writes in this process; loads nothing.

    Raises:
        StudioError: It is unknown, not fetched, or of another kind.
    """
    if call.chat.server is None:
        locate(call.chat.model, home)
        if call.chat.adapter:
            locate(call.chat.adapter, home, kind="adapter")


def _asked(kept: Sequence[Kept], config: DistilConfig, made_by: Maker, out: Path, tell: Tell) -> int:
    """Ask for all that is not there yet; how many answers that took."""
    left = [one for one in kept if any(one.open(kind, config.retry) for kind in config.kinds)]
    before, started = len(kept) - len(left), time.monotonic()
    count = rows = 0
    halt = Event()
    work = partial(_distil, config=config, model=made_by.model, halt=halt)
    workers = config.workers if made_by.served else 1
    try:
        for done, (one, asked, good) in enumerate(each(work, left, workers, halt), 1):
            count, rows = count + asked, rows + good
            pace = done / max(1e-9, time.monotonic() - started)
            tell(
                PassageDistilled(
                    passage=one.passage.id,
                    passages=before + done,
                    of=len(kept),
                    rows=rows,
                    per_minute=round(60 * pace, 1),
                    left_s=round((len(left) - done) / pace),
                    why=next((f"{kind}: {why}" for kind in config.kinds if (why := one.refused(kind))), ""),
                )
            )
    except ServiceError as fault:
        raise _stopped(Unfinished, fault.message, kept, config, out) or fault from None
    except KeyboardInterrupt:
        raise _stopped(Interrupted, "stopped", kept, config, out) or Interrupted("stopped") from None
    return count


def _stopped(
    kind: type[Unfinished] | type[Interrupted], why: str, kept: Sequence[Kept], config: DistilConfig, out: Path
) -> Unfinished | Interrupted | None:
    """The error of a run that is partly done; none if nothing is kept."""
    held = sum(one.path.is_file() for one in kept)
    whole = sum(one.path.is_file() and not any(one.open(name, False) for name in config.kinds) for one in kept)
    if not held:
        return None
    state = f"{whole} of {len(kept)} passages are done and kept in {out / 'ledger'}"
    return kind(f"{why}; {state}", hint="the same command goes on")


def _distil(one: Kept, config: DistilConfig, model: BaseChatModel, halt: Event) -> tuple[Kept, int, int]:
    """Ask for what a passage lacks, keeping each answer; how many were asked for, and how many rows are sound."""
    asked = good = 0
    for kind in config.kinds:
        if halt.is_set() or not one.open(kind, config.retry):
            continue
        drawn_by = f"{config.seed}/{digest(one.passage.text)}/{kind}/{one.tries(kind)}"
        seed = int.from_bytes(hashlib.sha256(drawn_by.encode()).digest()[:4], "big") >> 1
        try:
            one.keep(kind, ask(model, kind, one.passage, seed))
        except DataError as fault:
            one.keep(kind, fault.message)
        except ServiceError as fault:
            if getattr(fault.__cause__, "status_code", None) not in _ONES_OWN:
                raise
            one.keep(kind, fault.message)
        asked += 1
        document = one.document(kind)
        if document is not None:
            made = candidates(kind, document, one.passage, config.grounding, config.seed)
            good += sum(len(each.rows) for each in made if each.fault is None)
    return one, asked, good


def _report(
    file: Path, config: DistilConfig, made_by: Maker, kept: Sequence[Kept], gathering: Gathering
) -> DistilReport:
    made = gathering.made
    refused = [
        Refusal(passage=one.passage.id, kind=kind, why=why)
        for one in kept
        for kind in config.kinds
        if (why := one.refused(kind))
    ]
    return DistilReport(
        corpus=file.name,
        corpus_sha256=sha256(file),
        passages=len(kept),
        documents=len({one.passage.source.document for one in kept}),
        rows={name: len(rows) for name, rows in made.rows.items()},
        kinds=dict(Counter(row["kind"] for rows in made.rows.values() for row in rows).most_common()),
        dropped=dict(Counter(row["check"] for row in made.dropped).most_common()),
        refused=tuple(refused),
        model=dict(made_by.description),
        versions={kind: version(kind) for kind in config.kinds},
        config=config.model_dump(mode="json", exclude=_ELSEWHERE),
        benchmarks=tuple(path.name for path in config.benchmarks),
    )

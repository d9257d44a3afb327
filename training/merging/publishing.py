"""A merge as a variant's folder: weights, tokenizer, template, card and record; whole or not at all, tried first.

Knows folders; not how parents were found.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

from training.evaluation.results import MergeRecord, SearchedScore
from training.loadable import check_loads
from training.loop.heap import peak
from training.merging.by_mergekit import run
from training.merging.engine import write
from training.merging.parents import config_of, speaker, take_speech
from training.merging.plan import MergePlan, Prepared
from training.trial import settle, try_out
from training.variants import card_of
from workspace.files import publish
from workspace.progress import OFTEN, Remark, Tell, silent, waiting

RECORD = "merge.json"


def lay_out(
    made: Prepared,
    folder: Path,
    card: Mapping[str, Any],
    tell: Tell = silent,
    *,
    tried: bool = True,
    searched: SearchedScore | None = None,
) -> MergeRecord:
    """Merge and publish.

    Args:
        made: The merge, from `training.merging.plan`.
        folder: Where it is published.
        card: What its card says beside what the plan says.
        tell: Called with remarks.
        tried: Whether the merge writes a few words before it is published.
        searched: Where t was searched, what that told.

    Raises:
        DataError: What was merged does not load, or computes what is no number.
        StorageError: The disk says no; nothing is left behind.
    """
    started = time.perf_counter()
    records: list[MergeRecord] = []

    def lay(staged: Path) -> None:
        remarks = _merge(made, staged)
        settle(staged)
        for remark in remarks:
            tell(Remark(text=remark))
        if tried:
            tell(Remark(text=try_out(staged, made.plan.free_memory_bytes)))
        else:
            check_loads(staged)
        record = _record(made.plan, time.perf_counter() - started, peak(), searched)
        shown = {**card, "merge": made.plan.yaml, **_apart(made.plan)}
        (staged / "README.md").write_text(card_of(shown), encoding="utf-8")
        (staged / "variant.json").write_text(json.dumps(shown, indent=1) + "\n", encoding="utf-8")
        (staged / RECORD).write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
        records.append(record)

    publish(folder, lay)
    return records[0]


def _merge(made: Prepared, staged: Path) -> list[str]:
    """Write weights, configuration and tokenizer; what mergekit warned of."""
    first = made.parents[0].folder
    other = made.parents[1].folder if len(made.parents) > 1 else first
    if made.job is None:
        doing = f"merging {len(made.parents)} models with mergekit"
        with waiting(doing, made.plan.bytes) as done, _watched(staged, done):
            remarks = run(made.document, staged)
        if not any(made.document.get(key) for key in ("tokenizer", "tokenizer_source", "chat_template")):
            take_speech(speaker(other, first), staged)
        return remarks
    write(made.job, staged)
    config = {**config_of(first), "dtype": "bfloat16"}
    config.pop("torch_dtype", None)
    if made.job.untied:
        for one in (config, config.get("text_config")):
            if isinstance(one, dict):
                one["tie_word_embeddings"] = False
    (staged / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    take_speech(speaker(other, first), staged)
    return []


@contextmanager
def _watched(folder: Path, done: Callable[[int], None]) -> Iterator[None]:
    """Within it, count the bytes of weights that another library, which tells nothing, writes into a folder."""
    ended = Event()

    def look() -> None:
        known = 0
        while not ended.wait(OFTEN):
            size = _written(folder)
            done(size - known)
            known = size

    with ThreadPoolExecutor(1) as aside:
        looking = aside.submit(look)
        try:
            yield
        finally:
            ended.set()
        looking.result()


def _written(folder: Path) -> int:
    size = 0
    for file in folder.glob("*.safetensors"):
        with suppress(FileNotFoundError):  # it has another name by now
            size += file.stat().st_size
    return size


def _record(plan: MergePlan, seconds: float, peak_mb: float, searched: SearchedScore | None) -> MergeRecord:
    return MergeRecord(
        name=plan.name,
        method=plan.method,
        preset=plan.preset,
        parents=plan.parents,
        base=plan.base,
        curve=plan.curve,
        tensors=plan.tensors,
        linear=plan.linear,
        cosines=plan.cosines,
        task_cosines=plan.task_cosines,
        yaml=plan.yaml,
        seconds=seconds,
        searched=searched,
        peak_mb=peak_mb,
    )


def _apart(plan: MergePlan) -> dict[str, Any]:
    """How far apart the parents lie, for the card."""
    made: dict[str, Any] = {}
    if plan.summary is not None:
        made["cosines"] = {
            "between": f"{plan.parents[0]} and {plan.parents[1]}",
            "lowest": f"{plan.summary.lowest:.6f} ({plan.summary.lowest_at})",
            "median": f"{plan.summary.median:.6f}",
            "highest": f"{plan.summary.highest:.6f}",
            "linear": f"{plan.linear} of {plan.summary.tensors} tensors, where mergekit's SLERP is a straight line",
        }
    if plan.task_summary is not None:
        made["task vectors"] = {"from": plan.base, "cosines": str(plan.task_summary)}
    return made

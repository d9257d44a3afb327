"""Benchmarks by name: those that come with Studio, the study's on the model hub, a file's, a task of lm-eval's.

Knows where questions are; not how models answer them. `tasks/` beside this file holds the shipped ones as task YAML,
which also runs under plain ``lm_eval --include_path``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from training.evaluation.asking.harness_tasks import harness_benchmark
from training.evaluation.asking.question_files import questions_of, read_questions
from training.evaluation.asking.questions import Benchmark, Question
from training.sample.rows import benchmark as sample_questions
from workspace.errors import ServiceError, UsageError, one_line, unknown
from workspace.extras import require
from workspace.files import publish_all
from workspace.progress import waiting

FOLDER = Path(__file__).with_name("tasks")
SPLIT = "test"
KINDS = ("answers", "letters", "written")
"""The ways in which a benchmark is put, a task of lm-eval's each."""
HUB: Mapping[str, str] = {
    "spider-silk": "lamm-mit/spider-silk-benchmark",
    "bioinspired": "lamm-mit/bioinspired-benchmark",
}
"""The study's benchmarks on the model hub."""
_FILES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".yaml", ".yml")
_SPLITS = ("test", "validation", "train")


def benchmark_of(task: str, columns: Mapping[str, str] | None = None) -> Benchmark:
    """A benchmark by its name, hub id or file.

    Args:
        task: One of `shipped_names`, ``owner/name`` on the model hub, a CSV, TSV, JSON or JSONL file, or the YAML of
            a multiple-choice task of lm-eval.
        columns: What a file or a hub's data set calls our fields, where it is none of the usual names.

    Raises:
        DataError: A row is no question; file, row and field are named.
        ServiceError: The hub cannot be reached.
        UsageError: There is no such benchmark.
    """
    if task in _SHIPPED:
        return shipped(task, columns)
    path = Path(os.path.expanduser(task))
    if os.path.isfile(path):
        if path.suffix.lower() in (".yaml", ".yml"):
            return harness_benchmark(path)
        return Benchmark(path.stem, read_questions(path, columns))
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", task) and not path.suffix and not path.parent.is_dir():
        return from_hub(task, columns)
    if path.suffix.lower() in _FILES:
        raise UsageError(f"no benchmark at {path}")
    raise UsageError(
        unknown("benchmark", task, _SHIPPED), hint="or a hub id, or the path of a CSV, JSON, JSONL or YAML file"
    )


def shipped_names() -> tuple[str, ...]:
    """The names of the benchmarks that Studio knows."""
    return tuple(_SHIPPED)


def shipped(name: str, columns: Mapping[str, str] | None = None) -> Benchmark:
    """One of the benchmarks that Studio knows."""
    return _SHIPPED[name](columns)


def _sample(columns: Mapping[str, str] | None = None) -> Benchmark:
    """The sample corpus's held-out questions; a passage's are numbered."""
    counts: dict[str, int] = {}
    found = []
    for row in sample_questions():
        counts[row["passage"]] = counts.get(row["passage"], 0) + 1
        found.append(
            Question(
                id=f"{row['passage']}-{counts[row['passage']]}", **{**row, "options": tuple(row.get("options", ()))}
            )
        )
    return Benchmark("sample", tuple(found))


def _forgetting(columns: Mapping[str, str] | None = None) -> Benchmark:
    return Benchmark("forgetting", read_questions(FOLDER / "forgetting.jsonl"))


def from_hub(hub_id: str, columns: Mapping[str, str] | None = None, name: str = "") -> Benchmark:
    """The questions of a data set on the model hub, of its first split of test, validation, train."""
    require("datasets")
    from datasets import load_dataset

    try:
        with waiting(f"fetching {hub_id} from the model hub"):
            held = load_dataset(hub_id)
    except Exception as fault:  # the hub's client raises what it likes: no network, no such data set, a form unknown
        raise ServiceError(
            f"cannot fetch {hub_id} from the model hub: {one_line(fault)}",
            hint="or save its rows as CSV or JSONL, and name the file",
        ) from fault
    split = next((one for one in _SPLITS if one in held), next(iter(held)))
    return Benchmark(name or hub_id, questions_of(held[split], f"{hub_id}, {split}", columns))


_SHIPPED: Mapping[str, Callable[[Mapping[str, str] | None], Benchmark]] = {
    "sample": _sample,
    "forgetting": _forgetting,
    **{name: partial(from_hub, hub_id, name=name) for name, hub_id in HUB.items()},
}


def docs(benchmark: Benchmark) -> list[dict[str, Any]]:
    """A benchmark's rows as its task YAML expects them."""
    return [
        {**one.model_dump(mode="json"), "offered": list(one.offered), "wanted": one.wanted}
        for one in benchmark.questions
    ]


def write_task(benchmark: Benchmark, folder: Path) -> list[str]:
    """Write a benchmark as tasks of lm-evaluation-harness, for ``lm_eval --include_path FOLDER``.

    Args:
        benchmark: Any.
        folder: Where the YAML and the rows go.

    Returns:
        The tasks' names: by answers in words, by letters, and written (which needs Studio beside lm_eval).
    """
    stem = re.sub(r"\W+", "_", benchmark.name).strip("_").lower() or "benchmark"
    rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in docs(benchmark))
    contents: dict[str, str | Callable[[Path], None]] = {f"{stem}.jsonl": rows}
    names = [f"studio_{stem}_{kind}" for kind in KINDS]
    for kind, name in zip(KINDS, names, strict=True):
        told = {
            "include": f"_{kind}.yaml",
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {SPLIT: str((folder / f"{stem}.jsonl").absolute())}},
        }
        contents[f"{stem}_{kind}.yaml"] = yaml.safe_dump(told, sort_keys=False, allow_unicode=True)
        contents[f"_{kind}.yaml"] = partial(_copied, FOLDER / f"_{kind}.yaml")
    publish_all(folder, contents)
    return names


def _copied(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)

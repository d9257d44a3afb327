"""Multiple-choice tasks of lm-evaluation-harness, read as questions of ours, put as their YAML words them.

Functions that a YAML names are code, and only those of ours are run. Knows the harness's shapes; asks no model.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from training.evaluation.asking.questions import Benchmark, Question
from workspace.errors import DataError, one_line, pydantic_fault
from workspace.extras import require

_OWN = "training.evaluation.asking.harness."


def harness_benchmark(path: Path) -> Benchmark:
    """The questions of a multiple-choice task of lm-evaluation-harness, put as its YAML words them.

    Args:
        path: The task's YAML. Functions that it names are code and are not run, but for those of
            `training.evaluation.asking.harness`.

    Raises:
        DataError: It is no such task, names functions, gives examples, or its rows are no questions.
    """
    require("lm_eval", "datasets")
    for spec in _functions(path, ()):
        if not spec.startswith(_OWN):
            raise DataError(f"{path} names the function {spec!r}, which would be run", hint="save its rows as JSONL")
    from lm_eval.tasks import TaskManager

    try:
        with _quiet():
            [(name, task)] = TaskManager(include_defaults=False).load(str(path))["tasks"].items()
        config, rows = task.config, list(task.eval_docs)
    except DataError:
        raise
    except Exception as fault:  # whatever the harness, or its loader of data, trips over
        raise DataError(f"{path} is no task of lm-eval: {type(fault).__name__}: {one_line(fault)}") from fault
    if "kind" in task.features and "wanted" in task.features:
        return Benchmark(str(name), tuple(_own(row) for row in rows))
    if config.output_type != "multiple_choice" or task.multiple_input:
        raise DataError(f"{path}: output_type is {config.output_type}; here multiple_choice is read")
    for field in ("num_fewshot", "gen_prefix", "description"):
        if getattr(config, field):
            raise DataError(f"{path}: {field} is not put here", hint="run it by lm_eval")
    return Benchmark(str(name), tuple(_foreign(task, row, number, path) for number, row in enumerate(rows, 1)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the harness logs, and bars, from the terminal."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    log, bars = logging.getLogger("lm_eval"), not are_progress_bars_disabled()
    level = log.level
    log.setLevel(logging.ERROR)
    disable_progress_bars()
    try:
        yield
    finally:
        log.setLevel(level)
        if bars:
            enable_progress_bars()


def _own(row: Mapping[str, Any]) -> Question:
    fields = {name: row[name] for name in Question.model_fields if row.get(name)}
    return Question.model_validate(fields | {"options": tuple(row["options"] or ())})


def _foreign(task: Any, row: Mapping[str, Any], number: int, path: Path) -> Question:
    """A row as its task words it."""
    where = f"{path}, row {number}"
    try:
        text, options, target = task.doc_to_text(row), task.doc_to_choice(row), task.doc_to_target(row)
        answer = options[target] if isinstance(target, int) else target
        named = {name: str(row[name]) for name in ("id", "subset", "passage") if row.get(name) is not None}
        fields = {"id": str(number), "kind": "choice", "question": text, "options": tuple(options), "answer": answer}
        return Question.model_validate(fields | named)
    except ValidationError as fault:
        raise DataError(f"{where}, {pydantic_fault(fault, Question)}") from None
    except Exception as fault:  # a template of the task's own
        raise DataError(f"{where} cannot be put: {type(fault).__name__}: {one_line(fault)}") from fault


class _Specs(yaml.SafeLoader):
    """Reads YAML with functions as the names that stand there."""


class _Spec(str):
    """The name of a function."""


_Specs.add_constructor("!function", lambda loader, node: _Spec(node.value))


def _functions(path: Path, seen: tuple[Path, ...]) -> Iterator[str]:
    """The functions that a task's YAML names, and those of what it includes."""
    try:
        held = yaml.load(path.read_text(encoding="utf-8"), Loader=_Specs)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as fault:
        raise DataError(f"cannot read {path}: {one_line(fault)}") from None
    if not isinstance(held, dict):
        raise DataError(f"{path} is no task of lm-eval: it holds no keys")
    yield from _named(held)
    included = held.get("include", [])
    for one in included if isinstance(included, list) else [included]:
        other = path.parent / str(one)
        if other not in seen:
            yield from _functions(other, (*seen, path))


def _named(held: Any) -> Iterator[str]:
    if isinstance(held, _Spec):
        yield held
    elif isinstance(held, dict | list):
        for one in held.values() if isinstance(held, dict) else held:
            yield from _named(one)
    if isinstance(held, dict):
        yield from (str(held[key]) for key in ("class", "hf_evaluate") if held.get(key))

"""An evaluation set's words, which must not be trained on: read from its files, found in texts. Drops none."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.corpus.duplicates import runs, words_of
from pipelines.corpus.files import shown
from workspace.errors import DataError, one_line

LEAK = 8  # words: questions are short, and eight in a row are no chance


class Leaks:
    """Tells of each text whether it holds eight words in a row of a benchmark's question or answer.

    Args:
        benchmarks: Name of a benchmark to its texts.
    """

    def __init__(self, benchmarks: Mapping[str, Iterable[str]]) -> None:
        self._runs: dict[str, tuple[str, str]] = {}
        for name, texts in benchmarks.items():
            for text in texts:
                if len(words_of(text)) >= LEAK:
                    for run in runs(text, LEAK):
                        self._runs.setdefault(run, (name, text))

    def found(self, text: str) -> tuple[str, str] | None:
        """The benchmark and its text whose words are in this one; none for a clean text."""
        if not self._runs:
            return None
        words = words_of(text)
        for place in range(len(words) - LEAK + 1):
            if leak := self._runs.get(" ".join(words[place : place + LEAK])):
                return leak
        return None


def benchmark_texts(path: Path) -> list[str]:
    """Every question, choice and answer of an evaluation set: any JSON or JSONL file's longer texts.

    Raises:
        DataError: It cannot be read.
    """
    try:
        texts = [text for row in _loaded(Path(os.path.expanduser(path))) for text in _texts(row)]
    except (OSError, ValueError, RecursionError) as fault:
        raise DataError(
            f"cannot read the benchmark {shown(path)}: {one_line(fault)}", hint="it is JSON or JSONL"
        ) from None
    if not any(len(words_of(one)) >= LEAK for one in texts):
        raise DataError(f"the benchmark {shown(path)} tells nothing: no text in it has {LEAK} words")
    return texts


def _loaded(path: Path) -> Iterator[Any]:
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() != ".jsonl":
        yield json.loads(text)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError as fault:
                raise ValueError(f"line {number}: {fault.msg}, column {fault.colno}") from None


def _texts(row: Any) -> Iterator[str]:
    if isinstance(row, str):
        yield row
    elif isinstance(row, Mapping):
        for one in row.values():
            yield from _texts(one)
    elif isinstance(row, list):
        for one in row:
            yield from _texts(one)

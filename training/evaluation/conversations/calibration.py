"""People's scores of conversations, and what they say of a judge's. Knows files of labels, no statistics.

A file of labels is CSV with a header or JSONL: ``conversation`` (its fingerprint), ``criterion``, ``score`` from 1 to
10, and ``rater`` where several people scored; their mean counts.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import ValidationError

from training.evaluation.conversations.shapes import CRITERIA, Criterion, Label
from training.evaluation.statistics.intervals import Estimate
from workspace.errors import DataError, one_line, pydantic_fault

Marks = Mapping[Criterion, float]
Scale = Criterion | Literal["average"]
AVERAGE: Literal["average"] = "average"
TOTAL = "total"
"""Beside the criteria: the mean of the four, and their sum. What is true of one is true of the other, four times."""


class Sample(NamedTuple):
    """What a model's mean scores are over: conversations, or repeats of judging its only one."""

    conversations: tuple[str, ...]
    """The fingerprint of what each is of."""
    marks: tuple[Marks, ...]


class Corrections(NamedTuple):
    """Each model's corrected scores by criterion, total and average; of each what it rests on or why there is none."""

    values: dict[str, dict[str, Estimate]]
    notes: tuple[str, ...]


def read_labels(path: Path) -> tuple[Label, ...]:
    """People's scores.

    Raises:
        DataError: The file cannot be read, or a row is none; told with its line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"cannot read {path}: {one_line(fault)}") from None
    labels: dict[tuple[str, str, str], Label] = {}
    for line, row in _csv(path, text) if path.suffix.lower() == ".csv" else _jsonl(path, text):
        try:
            label = Label.model_validate(row)
        except ValidationError as fault:
            raise DataError(f"{path}:{line}: {pydantic_fault(fault, Label)}") from None
        key = (label.conversation, label.criterion, label.rater)
        if key in labels:
            raise DataError(f"{path}:{line}: {label.criterion} of conversation {label.conversation} stands twice")
        labels[key] = label
    if not labels:
        raise DataError(f"{path} holds no labels")
    return tuple(labels.values())


def _csv(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text))
    try:
        for row in reader:
            if None in row or None in row.values():
                raise DataError(f"{path}:{reader.line_num}: the row has not as many cells as the header")
            yield reader.line_num, dict(row)
    except csv.Error as fault:
        raise DataError(f"{path}:{reader.line_num}: {one_line(fault)}") from None


def _jsonl(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as fault:
                raise DataError(f"{path}:{number}: {one_line(fault)}") from None


def correct(labels: Sequence[Label], panel: Mapping[str, Marks], samples: Mapping[str, Sample]) -> Corrections:
    """Correct models' mean scores for how the judges err on the labelled conversations.

    The total and the average are corrected by people's own, of conversations that are labelled on all criteria: a
    judge that errs on one criterion of a conversation errs on the others with it, and intervals of criteria would not
    add up to theirs. Where people have scored a conversation, their score stands for the judges'.

    Args:
        labels: People's scores.
        panel: The judges' mean scores by conversation.
        samples: By model.
    """
    values: dict[str, dict[str, Estimate]] = {model: {} for model in samples}
    notes = _strangers(labels, panel)
    people = _people(labels)
    for name in (*CRITERIA, AVERAGE):
        known = {one: of[name] for one, of in people.items() if one in panel and name in of}
        why = "" if known else f"no judged conversation is labelled{' on all criteria' if name == AVERAGE else ''}"
        for model, sample in samples.items() if known else ():
            found = _corrected(sample, known, panel, name)
            if isinstance(found, str):
                why = found
            else:
                values[model][name] = found
        title = f"{TOTAL} and {AVERAGE}" if name == AVERAGE else name
        notes.append(f"{title}: not corrected: {why}" if why else f"{title}: corrected by {len(known)} labels")
    for of in values.values():
        if AVERAGE in of:
            of[TOTAL] = Estimate(*(len(CRITERIA) * end for end in of[AVERAGE]))
    return Corrections(values, tuple(notes))


def _corrected(sample: Sample, known: Mapping[str, float], panel: Mapping[str, Marks], name: Scale) -> Estimate | str:
    """A corrected mean, or why the labels do not allow one."""
    from training.evaluation.statistics.judge_correction import corrected_score

    scores, told = [_of(one, name) for one in sample.marks], [_of(panel[one], name) for one in known]
    own, lone = [known.get(one) for one in sample.conversations], len(set(sample.conversations)) == 1
    try:
        return corrected_score(scores, [*known.values()], told, known=own, of_one=lone).corrected
    except DataError as fault:
        return fault.message


def _of(marks: Marks, name: Scale) -> float:
    return float(np.mean([*marks.values()])) if name == "average" else marks[name]


def _people(labels: Sequence[Label]) -> dict[str, dict[str, float]]:
    """The people's mean by conversation and criterion, and the average where all four are labelled."""
    held: dict[str, dict[str, list[float]]] = {}
    for one in labels:
        held.setdefault(one.conversation, {}).setdefault(one.criterion, []).append(one.score)
    means = {one: {name: float(np.mean(scores)) for name, scores in of.items()} for one, of in held.items()}
    for of in means.values():
        if len(of) == len(CRITERIA):
            of[AVERAGE] = float(np.mean([*of.values()]))
    return means


def _strangers(labels: Sequence[Label], panel: Mapping[str, Marks]) -> list[str]:
    """What of the labels is of no use here."""
    strange = {one.conversation for one in labels} - set(panel)
    return [f"{len(strange)} labelled conversations are not among the judged ones"] if strange else []

"""The door: a model is asked benchmarks, question by question, none twice; what it answers is kept and returned.

What a model said stands in ``home/evaluations/<model>/<how>.jsonl`` as it comes, so an evaluation that was stopped goes
on where it was; whole evaluations stand beside as JSON. Knows how the parts go together; each part knows its own.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from training.evaluation.asking.answering import Told, chance, prompts, scores, to_write
from training.evaluation.asking.askers import Asker, LocalModel, ServedModel
from training.evaluation.asking.config import EvaluateConfig
from training.evaluation.asking.contamination import check_contamination
from training.evaluation.asking.kept import Kept, opened
from training.evaluation.asking.questions import Benchmark, Question, digest
from training.evaluation.asking.tasks import benchmark_of
from training.evaluation.asking.written_answers import read_answer
from training.evaluation.results import Answer, Evaluation
from workspace.errors import DataError, ServiceError
from workspace.files import publish
from workspace.progress import QuestionsAnswered, Remark, Tell, silent

EVALUATIONS = "evaluations"
"""Where answers are kept, within the home."""


def evaluate(model: str | Path, config: EvaluateConfig, home: Path, tell: Tell = silent) -> list[Evaluation]:
    """Ask a model benchmarks.

    Args:
        model: A catalogue id, a variant's name, a model's or a LoRA's folder, or ``BASE+ADAPTER``; with a server the
            name that it knows.
        config: Which benchmarks, and how they are put.
        home: STUDIO_HOME.
        tell: Called with `QuestionsAnswered` after every question, and with a `Remark` of what should be known.

    Returns:
        An evaluation a benchmark, in their order.

    Raises:
        DataError: A benchmark is not as it must be; the model is damaged; questions stand in training rows.
        ServiceError: A model or a server is not there, or fails midway: what was answered is kept, and the same call
            goes on.
        UsageError: There is no such model or benchmark.
    """
    found = [benchmark_of(task, config.columns).chosen(config.subsets, config.limit) for task in config.tasks]
    asker: Asker = ServedModel(str(model), config) if config.server else LocalModel(model, config, home)
    if not config.server and config.template and not asker.template:
        tell(Remark(text=f"{asker.name} has no chat template; questions are put as plain text"))
    folders = [asker.folder, asker.adapter] if isinstance(asker, LocalModel) else []
    known = check_contamination(found, filter(None, folders), config, home, tell)
    return [_evaluated(one, known.get(one.name, 0), asker, config, home, tell) for one in found]


def kept_evaluations(home: Path) -> list[Evaluation]:
    """All whole evaluations that are kept, ordered by model and task; of weights that were replaced, the newest.

    Raises:
        DataError: One of them is damaged.
    """
    made: dict[tuple[str, ...], Evaluation] = {}
    for path in sorted((home / EVALUATIONS).glob("*/*.json"), key=lambda path: (path.stat().st_mtime_ns, str(path))):
        try:
            one = Evaluation.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as fault:
            raise DataError(f"{path} is damaged; remove it and evaluate again") from fault
        made[one.model, one.task, one.task_fingerprint, one.protocol, one.rule] = one
    return sorted(made.values(), key=lambda one: (one.model, one.task, one.protocol, one.rule))


def _evaluated(
    benchmark: Benchmark, contaminated: int, asker: Asker, config: EvaluateConfig, home: Path, tell: Tell
) -> Evaluation:
    keys = [_key(question, config) for question in benchmark.questions]
    how = f"{config.protocol}-{'template' if asker.template else 'plain'}"
    folder = home / EVALUATIONS / asker.fingerprint[:24]
    began = time.monotonic()
    with opened(folder / f"{how}.jsonl", tell) as kept:
        asked = _ask(benchmark, keys, asker, config, kept, tell)
        said = [kept.get(key) for key in keys]
    evaluation = Evaluation(
        model=asker.name,
        fingerprint=asker.fingerprint,
        task=benchmark.name,
        task_fingerprint=digest([how, [(one.id, one.wanted) for one in benchmark.questions], keys]),
        protocol=config.protocol,
        rule=config.rule if config.protocol == "likelihood" else "",
        template=asker.template,
        contaminated=contaminated,
        seconds=time.monotonic() - began if asked else 0.0,
        answers=tuple(_answer(*one, config) for one in zip(benchmark.questions, said, strict=True)),
    )
    if evaluation.unparsed:
        tell(Remark(text=_unparsed(evaluation)))
    parts = _plain(asker.name), _plain(benchmark.name), evaluation.task_fingerprint, config.protocol, evaluation.rule
    path = folder / f"{'-'.join(filter(None, parts))}.json"
    if asked or _contaminated(path) != contaminated:
        publish(path, evaluation.model_dump_json(indent=1) + "\n")
    else:
        os.utime(path)  # of several of one name the one that was asked for last is reported
    return evaluation


def _contaminated(path: Path) -> int | None:
    """How many questions a kept evaluation says stand in training rows; none where it is not there or damaged."""
    try:
        return Evaluation.model_validate_json(path.read_bytes()).contaminated
    except (OSError, ValidationError):
        return None


def _key(question: Question, config: EvaluateConfig) -> str:
    """What tells that which is put from all else; the right answer is no part of it."""
    row = question.row()
    if config.protocol == "likelihood":
        return digest(prompts(row))
    return digest([to_write(row), config.max_tokens])


def _ask(
    benchmark: Benchmark, keys: Sequence[str], asker: Asker, config: EvaluateConfig, kept: Kept, tell: Tell
) -> int:
    """Ask what was not asked before, and keep it; how many questions that were."""
    left = {key: place for place, key in reversed(list(enumerate(keys))) if kept.get(key) is None}
    places = sorted(left.values())
    answered = len(keys) - sum(key in left for key in keys)
    twice = {place: sum(key == keys[place] for key in keys) for place in places}
    tell(QuestionsAnswered(model=asker.name, answered=answered, of=len(keys)))

    def heard(number: int, said: Any) -> None:
        nonlocal answered
        place = places[number]
        if isinstance(said, Told) and not all(map(math.isfinite, chain.from_iterable(said))):
            raise DataError(f"{asker.name} gives {benchmark.questions[place].id} no number; its weights are damaged")
        kept.add(keys[place], benchmark.questions[place].id, said._asdict())
        answered += twice[place]
        tell(QuestionsAnswered(model=asker.name, answered=answered, of=len(keys)))

    questions = [benchmark.questions[place] for place in places]
    try:
        if questions:
            (asker.likelihoods if config.protocol == "likelihood" else asker.writes)(questions, heard)
    except ServiceError as fault:
        told = f"{fault.message}; {answered} of {len(keys)} answers to {benchmark.name} are kept"
        hint = f"{fault.hint}; then the same command goes on" if fault.hint else "the same command goes on"
        raise ServiceError(told, hint=hint) from fault
    return len(questions)


def _answer(question: Question, said: dict[str, Any], config: EvaluateConfig) -> Answer:
    """What was said to a question, as an answer."""
    confidence, text = None, ""
    if config.protocol == "likelihood":
        ranks = scores(config.rule, question.row(), Told(*(tuple(said[name]) for name in Told._fields)))
        given, confidence = question.letters[ranks.index(max(ranks))], chance(ranks)
    else:
        text = str(said["text"])
        given = "" if said["declined"] else read_answer(text, question.letters, question.options)
    return Answer(
        id=question.id,
        passage=question.passage,
        subset=question.subset,
        kind=question.kind,
        wanted=question.wanted,
        given=given,
        right=given == question.wanted,
        confidence=confidence,
        text=text,
    )


def _unparsed(evaluation: Evaluation) -> str:
    """How many answers could not be read, with the first of them."""
    unread = [answer for answer in evaluation.answers if not answer.given]
    shown = "; ".join(f"{one.id}: {json.dumps(' '.join(one.text.split())[:60])}" for one in unread[:3])
    return (
        f"{evaluation.task}: {len(unread)} of {len(evaluation.answers)} answers could not be read as one that was "
        f"offered, and count as wrong: {shown}{'; ...' if unread[3:] else ''}"
    )


def _plain(name: str) -> str:
    """A benchmark's name as part of a file's."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)[:60]

"""Has judges score conversations without knowing whose they are; every answer and every failure is kept at once.

Read top to bottom: hide names, draw up the questions, ask what is not kept, retry what came to nothing with a new
seed, gather. A failure is kept as one and never stands for a number.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Any

from training.at_once import each
from training.evaluation.conversations import prompts
from training.evaluation.conversations.calibration import read_labels
from training.evaluation.conversations.config import JudgeConfig
from training.evaluation.conversations.hiding import Disguise
from training.evaluation.conversations.kept import JUDGEMENTS, Ledger
from training.evaluation.conversations.questions import RemarksDocument, document, messages, questions, scores_in
from training.evaluation.conversations.shapes import (
    Conversation,
    Failure,
    Judgement,
    Judgements,
    Question,
    Remarks,
    Row,
    digest,
    seed_of,
)
from training.evaluation.conversations.speaker import Speaker, open_speaker
from training.evaluation.conversations.verdict import NoVerdict, ask
from workspace.errors import DataError, Interrupted, ServiceError, Unfinished, UsageError
from workspace.files import claim, publish
from workspace.progress import QuestionsAnswered, Remark, Tell, silent
from workspace.settings import ChatSettings


@dataclass
class _Sitting:
    """One judge at work."""

    speaker: Speaker
    id: str
    ledger: Ledger
    config: JudgeConfig
    by_fingerprint: dict[str, Conversation]
    disguise: Disguise
    asked: int = 0
    halt: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)


def judge(
    conversations: Sequence[Conversation],
    judges: Sequence[ChatSettings],
    config: JudgeConfig,
    home: Path,
    tell: Tell = silent,
) -> Judgements:
    """Have every question answered that is not answered yet, by every judge.

    Args:
        conversations: From `hold`, of all models that are compared.
        judges: Models that judge.
        config: How.
        home: STUDIO_HOME; judgements are kept under ``judgements``.
        tell: Called with `QuestionsAnswered` after every question, with `Remark` about every failure.

    Raises:
        UsageError: There is no judge.
        DataError: A conversation is not whole, or there are too few; or people's labels cannot be read.
        ServiceError: A judge is not there.
        Unfinished: A judge stopped answering midway, and what it said is kept; or another process asks it.
        Interrupted: Stopped; what was said is kept.
    """
    if not judges:
        raise UsageError("no judge is named", hint="name at least one chat model")
    _check_whole(conversations)
    labels = read_labels(config.labels) if config.labels else ()
    wanted = questions(conversations, config)
    rows: list[Row] = []
    notes: list[str] = []
    asked = 0
    for speaker in [open_speaker(one, config.sampling, home) for one in judges]:
        notes += _own_work(speaker, conversations)
        sitting = _sitting(speaker, conversations, config, home)
        with claim(sitting.ledger.folder / ".lock"):
            rows += _answers(sitting, wanted, tell)
        asked += sitting.asked
    for note in notes:
        tell(Remark(text=note))
    return Judgements(
        conversations=tuple(conversations), rows=tuple(rows), labels=labels, asked=asked, notes=tuple(notes)
    )


def _check_whole(conversations: Sequence[Conversation]) -> None:
    if not conversations:
        raise DataError("there are no conversations to judge")
    for one in conversations:
        if not one.whole:
            why = f"the conversation of {one.model} about {one.topic} has {len(one.turns)} of {one.wanted} turns"
            raise DataError(why, hint="let it be finished first")


def _own_work(speaker: Speaker, conversations: Sequence[Conversation]) -> list[str]:
    own = dict(speaker.description)
    names = dict.fromkeys(one.model for one in conversations if dict(one.maker) == own)
    return [f"the judge {speaker.name} judges conversations of its own: {', '.join(names)}"] if names else []


def _sitting(speaker: Speaker, conversations: Sequence[Conversation], config: JudgeConfig, home: Path) -> _Sitting:
    """Open a judge's ledger; what it depends on is written beside its answers."""
    depends = {
        "model": dict(speaker.description),
        "sampling": config.sampling.model_dump(mode="json"),
        "prompts": prompts.judge_version(),
        "seed": config.seed,
    }
    folder = home / JUDGEMENTS / digest(depends)
    if not (folder / "judge.json").is_file():
        publish(folder / "judge.json", json.dumps({"name": speaker.name, **depends}, indent=1) + "\n")
    names = [name for one in conversations for name in (one.model, str(one.maker.get("model", "")))]
    return _Sitting(
        speaker,
        folder.name,
        Ledger(folder),
        config,
        {one.fingerprint: one for one in conversations},
        Disguise([*names, speaker.name]),
    )


def _answers(sitting: _Sitting, wanted: Sequence[Question], tell: Tell) -> list[Row]:
    """Every question's row, in the questions' order."""
    open_ones = [one for one in wanted if _is_open(sitting.ledger.of(one), sitting.config)]
    count = len(wanted) - len(open_ones)
    workers = sitting.config.workers if sitting.speaker.served else 1
    try:
        for row in each(lambda one: _settled(sitting, one), open_ones, workers, sitting.halt):
            count += 1
            if isinstance(row, Failure):
                tell(Remark(text=f"{row.judge} gave no verdict in {len(row.why)} attempts: {row.why[-1]}"))
            tell(QuestionsAnswered(model=sitting.speaker.name, answered=count, of=len(wanted)))
    except ServiceError as fault:
        if not any(sitting.ledger.of(one) for one in wanted):
            raise
        raise Unfinished(_state(fault.message, sitting, wanted), hint="the same command goes on") from None
    except KeyboardInterrupt:
        raise Interrupted(_state("stopped", sitting, wanted), hint="the same command goes on") from None
    return [kept for one in wanted if (kept := sitting.ledger.of(one)) is not None]


def _state(why: str, sitting: _Sitting, wanted: Sequence[Question]) -> str:
    done = sum(not _is_open(sitting.ledger.of(one), sitting.config) for one in wanted)
    return f"{why}; {done} of {len(wanted)} questions are answered and kept in {sitting.ledger.folder}"


def _is_open(row: Row | None, config: JudgeConfig) -> bool:
    """Whether a question has to be asked: it was not, or not yet as often as it may be."""
    return row is None or (isinstance(row, Failure) and not row.hopeless and len(row.why) < config.attempts)


def _settled(sitting: _Sitting, question: Question) -> Row:
    """Ask until there is an answer or enough attempts were made; each failed attempt is kept before the next."""
    with sitting.lock:
        kept = sitting.ledger.of(question)
    why = kept.why if isinstance(kept, Failure) else ()
    row: Row | None = kept
    while _is_open(row, sitting.config) and not sitting.halt.is_set():
        row = _asked(sitting, question, why)
        with sitting.lock:
            sitting.asked += 1
            sitting.ledger.keep(row)
        why = row.why if isinstance(row, Failure) else why
    if row is None:
        raise Interrupted("stopped")  # another question's fault has ended the work
    return row


def _asked(sitting: _Sitting, question: Question, why: tuple[str, ...]) -> Row:
    seed = seed_of(sitting.config.seed, question.key, len(why))
    task, hidden = messages(question, sitting.by_fingerprint, sitting.disguise)
    told: dict[str, Any] = {"judge": sitting.speaker.name, "judge_id": sitting.id, "question": question}
    started = time.monotonic()
    try:
        written = ask(sitting.speaker.model, document(question), task, seed)
    except NoVerdict as fault:
        return Failure(**told, why=(*why, fault.message), hopeless=fault.hopeless)
    told |= {"seed": seed, "failures": why, "hidden": hidden, "seconds": round(time.monotonic() - started, 2)}
    if isinstance(written, RemarksDocument):
        return Remarks(**told | {name: tuple(said) for name, said in written.model_dump().items()})
    return Judgement(**told, scores=scores_in(written, question))

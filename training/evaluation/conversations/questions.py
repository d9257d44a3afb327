"""Which questions a judge is asked, what it reads, and the document it writes. Asks nobody.

Side by side, conversations about one topic stand in a ring, another for every repeat: each is judged beside the next
and beside the one before, every pair in both orders. The place on the ring follows from the conversation itself, so a
model that is added later changes the pairs about it alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, ConfigDict, Field, create_model

from training.evaluation.conversations import prompts
from training.evaluation.conversations.config import JudgeConfig
from training.evaluation.conversations.hiding import Disguise
from training.evaluation.conversations.shapes import (
    CRITERIA,
    LEAST,
    MOST,
    Conversation,
    Criterion,
    Question,
    Score,
    digest,
    seed_of,
)
from workspace.errors import DataError

_STRICT = ConfigDict(extra="forbid")
_LONGEST = 600
Sentence = Annotated[str, Field(min_length=3, max_length=_LONGEST)]


class RemarksDocument(BaseModel):
    """Strengths, weaknesses and observations."""

    model_config = _STRICT

    strengths: list[Sentence] = Field(
        min_length=1, max_length=4, description="What is good about the answer", json_schema_extra={"x-items": 2}
    )
    weaknesses: list[Sentence] = Field(
        min_length=1, max_length=4, description="What is wrong with the answer", json_schema_extra={"x-items": 2}
    )
    observations: list[Sentence] = Field(
        min_length=1, max_length=4, description="What else stands out in the answer", json_schema_extra={"x-items": 1}
    )


def questions(conversations: Sequence[Conversation], config: JudgeConfig) -> list[Question]:
    """All that a judge is asked, the two orders of a pair one after the other.

    Raises:
        DataError: Two are to be judged side by side, and there is but one about a topic.
    """
    found: list[Question] = []
    for topic, fingerprints in _by_topic(conversations).items():
        if config.layout == "pairs" and len(fingerprints) < 2:
            why = f"there is but one conversation about {topic}, and layout pairs sets two side by side"
            raise DataError(why, hint="judge it with layout alone")
        for repeat in range(config.repeats):
            for shown in _sets(fingerprints, config, repeat):
                found += _both_orders(shown, config, repeat)
    if config.remarks:
        first = {one.fingerprint for one in conversations if one.repeat == 0}
        found += [Question(kind="remarks", shown=(one,)) for one in sorted(first)]
    return found


def _by_topic(conversations: Sequence[Conversation]) -> dict[str, list[str]]:
    topics: dict[str, list[str]] = {}
    for one in conversations:
        held = topics.setdefault(one.topic, [])
        held += [] if one.fingerprint in held else [one.fingerprint]
    return topics


def _sets(fingerprints: Sequence[str], config: JudgeConfig, repeat: int) -> list[tuple[str, ...]]:
    if config.layout == "alone":
        return [(one,) for one in fingerprints]
    ring = sorted(fingerprints, key=lambda one: digest([config.seed, repeat, one]))
    pairs = list(zip(ring, [*ring[1:], ring[0]], strict=True))
    return list(pairs[:1] if len(ring) == 2 else pairs)


def _both_orders(shown: tuple[str, ...], config: JudgeConfig, repeat: int) -> list[Question]:
    """A question and the same in the other order; the order of criteria is drawn, and of one alone turned about."""
    draw = random.Random(seed_of(config.seed, repeat, *sorted(shown)))
    criteria = tuple(draw.sample(CRITERIA, len(CRITERIA)))
    if len(shown) == 1:
        return [Question(shown=shown, criteria=order, repeat=repeat) for order in (criteria, criteria[::-1])]
    return [Question(shown=order, criteria=criteria, repeat=repeat) for order in (shown, shown[::-1])]


def labels(question: Question) -> list[str]:
    """What the answers are called."""
    return [f"Answer {place}" for place in range(1, len(question.shown) + 1)]


def messages(
    question: Question, by_fingerprint: Mapping[str, Conversation], disguise: Disguise
) -> tuple[list[BaseMessage], int]:
    """What a judge reads, and how many names were hidden in it."""
    shown = [disguise.turns(by_fingerprint[one].turns) for one in question.shown]
    task = prompts.judge_task(question.kind, labels(question), [turns for turns, _ in shown], question.criteria)
    return [SystemMessage(prompts.judge_system()), HumanMessage(task)], sum(count for _, count in shown)


def document(question: Question) -> type[BaseModel]:
    """The class of the document that a judge writes."""
    return RemarksDocument if question.kind == "remarks" else _scores(len(question.shown), question.criteria)


@lru_cache(maxsize=64)
def _scores(count: int, criteria: tuple[Criterion, ...]) -> type[BaseModel]:
    """Scores of one answer or of two, fields in the order of the criteria, reasons before numbers."""
    parts: dict[str, Any] = {}
    for place in range(1, count + 1):
        fields: dict[str, Any] = {name: (_score(f"Answer {place}", name), ...) for name in criteria}
        parts[f"answer_{place}"] = (_model(f"Answer{place}", fields), ...)
    return _model("Scores", parts)


def _score(label: str, name: Criterion) -> type[BaseModel]:
    title = prompts.criterion(name)["title"].lower()
    reason = Field(min_length=3, max_length=_LONGEST, description=f"Why {label} deserves its score for {title}")
    number = Field(
        ge=LEAST, le=MOST, strict=True, description=f"Score of {label} for {title}, from 1 very poor to 10 outstanding"
    )
    return _model(f"{label.replace(' ', '')}{name.capitalize()}", {"reason": (str, reason), "score": (int, number)})


def _model(name: str, fields: Mapping[str, Any]) -> type[BaseModel]:
    made: type[BaseModel] = create_model(name, __config__=_STRICT, **fields)
    return made


def scores_in(written: BaseModel, question: Question) -> tuple[dict[Criterion, Score], ...]:
    """The scores in a judge's document, an answer each, criteria in their usual order."""
    told = written.model_dump()
    parts = [told[f"answer_{place}"] for place in range(1, len(question.shown) + 1)]
    return tuple({name: Score.model_validate(part[name]) for name in CRITERIA} for part in parts)

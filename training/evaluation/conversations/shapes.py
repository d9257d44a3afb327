"""What conversations and their judging leave behind, as shapes. Knows neither models nor files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Criterion = Literal["depth", "creativity", "clarity", "quantitative"]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
LEAST, MOST = 1, 10
"""The scale of a score."""


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def digest(value: Any) -> str:
    """A short fingerprint of plain data: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def seed_of(*parts: object) -> int:
    """A seed that follows from what it is for: the same parts, the same seed."""
    return int(digest([str(part) for part in parts])[:8], 16) >> 1


class Turn(_Kept):
    """A question and what the model said to it."""

    asked: str
    said: str = Field(description="Empty where the model said nothing")
    finish: str = Field("stop", description="Why it ended: stop, or length where it was cut off at max_tokens")
    seed: int = Field(ge=0)
    notices: tuple[str, ...] = Field((), description="What of the conversation the model could not be shown")
    seconds: float = Field(0.0, ge=0)


class Conversation(_Kept):
    """One model's conversation about one topic, with one seed."""

    model: str = Field(description="Its name in tables")
    fingerprint: str = Field(description="Of the model, the prompts, the sampling and the seed")
    maker: Mapping[str, Any] = Field(description="The model: its id and fingerprint, or its server")
    topic: str
    repeat: int = Field(ge=0, description="Which of the conversations about this topic; each has its own seeds")
    system: str
    sampling: Mapping[str, Any]
    not_taken: tuple[str, ...] = Field((), description="Parts of the sampling that a server was not told")
    keys: tuple[str, ...] = Field(description="What the last answer's JSON ought to hold")
    wanted: int = Field(ge=1, description="Turns of the whole conversation")
    turns: tuple[Turn, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether every turn was said."""
        return len(self.turns) == self.wanted


class Question(_Kept):
    """What a judge is asked: which conversations it sees in which order, and on what it judges them."""

    kind: Literal["scores", "remarks"] = "scores"
    shown: tuple[str, ...] = Field(min_length=1, max_length=2, description="Conversations' fingerprints, in order")
    criteria: tuple[Criterion, ...] = Field((), description="In the order in which they are asked for")
    repeat: int = Field(0, ge=0)

    @property
    def key(self) -> str:
        """Its fingerprint."""
        return digest(self.model_dump(mode="json"))

    @property
    def block(self) -> tuple[frozenset[str], int]:
        """What it shares with the question in the other order."""
        return frozenset(self.shown), self.repeat


class Score(_Kept):
    """A judge's number, and why."""

    reason: str
    score: int = Field(ge=LEAST, le=MOST)


class _Answered(_Kept):
    judge: str = Field(description="Its name")
    judge_id: str = Field(description="Fingerprint of its model, prompts, sampling and seed")
    question: Question
    seed: int = Field(ge=0)
    failures: tuple[str, ...] = Field((), description="Why earlier attempts at this question came to nothing")
    hidden: int = Field(0, ge=0, description="Names of models that were taken out of what the judge read")
    seconds: float = Field(0.0, ge=0)


class Judgement(_Answered):
    """Scores of the conversations that a judge was shown."""

    type: Literal["judgement"] = "judgement"
    scores: tuple[dict[Criterion, Score], ...] = Field(min_length=1, max_length=2, description="As `shown` has them")

    def of(self, fingerprint: str) -> dict[Criterion, Score]:
        """The scores of one of the conversations."""
        return self.scores[self.question.shown.index(fingerprint)]


class Remarks(_Answered):
    """What a judge says of one conversation in words."""

    type: Literal["remarks"] = "remarks"
    strengths: tuple[str, ...]
    weaknesses: tuple[str, ...]
    observations: tuple[str, ...]


class Failure(_Kept):
    """A question that the judge could not be brought to answer; it never stands for a number."""

    type: Literal["failure"] = "failure"
    judge: str
    judge_id: str
    question: Question
    why: tuple[str, ...] = Field(min_length=1, description="An attempt each")
    hopeless: bool = Field(False, description="Whether another attempt would end the same way")


Row = Annotated[Judgement | Remarks | Failure, Field(discriminator="type")]
ROW: TypeAdapter[Row] = TypeAdapter(Row)


class Label(_Kept):
    """A person's score of a conversation."""

    conversation: str = Field(min_length=1, description="Its fingerprint")
    criterion: Criterion
    score: float = Field(ge=LEAST, le=MOST)
    rater: str = ""


class Judgements(_Kept):
    """All that judges said of conversations."""

    conversations: tuple[Conversation, ...]
    rows: tuple[Row, ...]
    labels: tuple[Label, ...] = Field((), description="People's scores, by which the judges' are corrected")
    asked: int = Field(0, ge=0, description="Requests that this took now; what was kept is not asked again")
    notes: tuple[str, ...] = Field((), description="What a reader should know, such as a judge of its own answers")

    @property
    def judges(self) -> tuple[str, ...]:
        """Their ids, in the order in which they were asked."""
        return tuple(dict.fromkeys(row.judge_id for row in self.rows))

    @property
    def scored(self) -> tuple[Judgement, ...]:
        """The rows that hold scores."""
        return tuple(row for row in self.rows if isinstance(row, Judgement))

    @property
    def remarks(self) -> tuple[Remarks, ...]:
        """The rows that hold words."""
        return tuple(row for row in self.rows if isinstance(row, Remarks))

    @property
    def failed(self) -> tuple[Failure, ...]:
        """The questions without an answer."""
        return tuple(row for row in self.rows if isinstance(row, Failure))

    @property
    def attempts_failed(self) -> int:
        """Attempts in vain, those of questions that were answered later too."""
        kept = sum(len(row.failures) for row in self.rows if not isinstance(row, Failure))
        return kept + sum(len(row.why) for row in self.failed)


def models_of(conversations: Sequence[Conversation]) -> dict[str, list[Conversation]]:
    """The conversations of each model, in the order in which models come first."""
    found: dict[str, list[Conversation]] = {}
    for one in conversations:
        found.setdefault(one.model, []).append(one)
    return found

"""From judgements to each model's scores: both orders averaged, then repeats, then judges, then conversations.

A pair or a conversation of which one order failed gives no score: what is left would carry the worth of its place. An
interval is Student's t over conversations where a model has several; over repeats of judging it tells only how steady
the judge is, and is marked so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from training.evaluation.conversations.calibration import Corrections, Sample, correct
from training.evaluation.conversations.shapes import (
    CRITERIA,
    LEAST,
    MOST,
    Conversation,
    Criterion,
    Judgement,
    Judgements,
    models_of,
)
from training.evaluation.statistics.agreement import krippendorff_alpha
from training.evaluation.statistics.intervals import Estimate

Over = Literal["conversations", "repeats", "nothing"]
Marks = dict[Criterion, float]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Mean(_Shape):
    """A mean with its 95% interval and spread; both are none where there is but one value."""

    value: float
    low: float | None = None
    high: float | None = None
    spread: float | None = Field(None, description="Standard deviation of the values")
    values: int = Field(ge=1)
    over: Over = Field(description="What the values are: conversations, or repeats of judging one conversation")


class ModelScores(_Shape):
    """A model's line of the study's table of scores."""

    model: str
    criteria: dict[Criterion, Mean]
    total: Mean = Field(description="Sum of the four criteria, of 40")
    average: float
    normalised: Mean = Field(description="Total / best total x 10; the best total is taken as it is")
    whole: int = Field(ge=0, description="Comparisons that were answered in both orders")
    half: int = Field(ge=0, description="Comparisons that failed in one order and are not counted")
    failures: int = Field(ge=0, description="Questions about it that no judge's attempt answered")
    corrected: dict[str, Estimate] = Field(
        {}, description="Criteria, total and average, corrected for the judges' error where people have labelled"
    )
    labelled: int = Field(0, ge=0, description="Its conversations that people have labelled on some criterion")
    missing: int = Field(ge=0, description="Conversations that some judge has not scored, once for each such judge")


class ScoreTable(_Shape):
    """All models' scores, the best first, and how far the judges can be believed."""

    rows: tuple[ModelScores, ...]
    unscored: tuple[str, ...] = Field((), description="Models without a comparison in both orders")
    judges: tuple[str, ...]
    agreement: dict[str, Estimate | None] = Field(
        description="Krippendorff's alpha between judges, of each criterion and the total; none where there is but one"
    )
    corrections: tuple[str, ...] = Field((), description="What corrected scores rest on, or why there are none")
    first_place: Mean | None = Field(None, description="Points of 40 that being shown first is worth")
    questions: int = Field(ge=0)
    attempts_failed: int = Field(ge=0)
    failures: int = Field(ge=0)


class Marked:
    """Every comparison that was answered in both orders, as the mean of the two."""

    def __init__(self, judgements: Judgements) -> None:
        held: dict[tuple[str, Any], list[Judgement]] = {}
        for row in judgements.scored:
            held.setdefault((row.judge_id, row.question.block), []).append(row)
        self.half = [rows[0] for rows in held.values() if len(rows) < 2]
        self.whole = [rows for rows in held.values() if len(rows) == 2]
        self._marks: dict[tuple[str, str], dict[int, list[Marks]]] = {}
        for rows in self.whole:
            for one in rows[0].question.shown:
                of_judge = self._marks.setdefault((rows[0].judge_id, one), {})
                of_judge.setdefault(rows[0].question.repeat, []).append(_mean([_numbers(row, one) for row in rows]))

    def conversation(self, fingerprint: str, judge: str) -> Marks | None:
        """A judge's scores of a conversation, the mean of all repeats; none where it has none."""
        repeats = self._marks.get((judge, fingerprint))
        return None if repeats is None else _mean([_mean(marks) for marks in repeats.values()])

    def repeats(self, fingerprint: str, judges: Sequence[str]) -> list[Marks]:
        """The scores of a conversation by repeat, the mean of the judges who scored it then."""
        held = [self._marks.get((judge, fingerprint), {}) for judge in judges]
        numbers = sorted({number for one in held for number in one})
        return [_mean([_mean(one[number]) for one in held if number in one]) for number in numbers]

    def first_place(self) -> list[float]:
        """For each pair, the mean of its two: a conversation's total when shown first, less that when shown second."""
        pairs = [rows for rows in self.whole if len(rows[0].question.shown) == 2]
        return [float(np.mean([_worth(row, 0) - _worth(row, 1) for row in rows])) for rows in pairs]


def _worth(row: Judgement, place: int) -> int:
    return sum(score.score for score in row.scores[place].values())


def _numbers(row: Judgement, fingerprint: str) -> Marks:
    return {name: float(score.score) for name, score in row.of(fingerprint).items()}


def _mean(marks: Sequence[Mapping[Criterion, float]]) -> Marks:
    return {name: float(np.mean([one[name] for one in marks])) for name in CRITERIA}


def score(judgements: Judgements) -> ScoreTable:
    """Every model's scores.

    Args:
        judgements: From `judge`; of one judge or several.
    """
    marked, judges = Marked(judgements), judgements.judges
    models = models_of(judgements.conversations)
    samples = {model: _sample(conversations, marked, judges) for model, conversations in models.items()}
    scored = {model: sample for model, sample in samples.items() if sample.marks}
    correction = _corrections(judgements, marked, scored)
    lines = [_model_scores(model, sample, judgements, marked, correction) for model, sample in scored.items()]
    best = max((row.total.value for row in lines), default=1.0)
    rows = [row.model_copy(update={"normalised": _scaled(row.total, MOST / best)}) for row in lines]
    place = marked.first_place()
    return ScoreTable(
        rows=tuple(sorted(rows, key=lambda row: -row.total.value)),
        unscored=tuple(model for model in models if model not in scored),
        judges=tuple(dict.fromkeys(row.judge for row in judgements.rows)),
        agreement=_agreement(judgements, marked),
        corrections=correction.notes,
        first_place=_interval(place, "repeats", -36, 36) if place else None,
        questions=len(judgements.rows),
        attempts_failed=judgements.attempts_failed,
        failures=len(judgements.failed),
    )


def _model_scores(
    model: str, sample: Sample, judgements: Judgements, marked: Marked, correction: Corrections
) -> ModelScores:
    """A model's line; the best total, by which it is normalised, is not known yet."""
    conversations = models_of(judgements.conversations)[model]
    units, over = sample.marks, _over(sample)
    total = _interval([sum(one.values()) for one in units], over, LEAST * len(CRITERIA), MOST * len(CRITERIA))
    return ModelScores(
        model=model,
        criteria={name: _interval([one[name] for one in units], over, LEAST, MOST) for name in CRITERIA},
        total=total,
        average=total.value / len(CRITERIA),
        normalised=total,
        corrected=correction.values.get(model, {}),
        **_counts(conversations, judgements, marked),
    )


def _corrections(judgements: Judgements, marked: Marked, samples: Mapping[str, Sample]) -> Corrections:
    if not judgements.labels:
        return Corrections({}, ())
    panel: dict[str, Marks] = {}
    for one in judgements.conversations:
        marks = [found for judge in judgements.judges if (found := marked.conversation(one.fingerprint, judge))]
        panel |= {one.fingerprint: _mean(marks)} if marks else {}
    return correct(judgements.labels, panel, samples)


def _sample(conversations: Sequence[Conversation], marked: Marked, judges: Sequence[str]) -> Sample:
    """The values that a model's mean is over: a conversation each, or each repeat of its only one."""
    by_conversation: dict[str, Marks] = {}
    for one in conversations:
        marks = [found for judge in judges if (found := marked.conversation(one.fingerprint, judge)) is not None]
        by_conversation |= {one.fingerprint: _mean(marks)} if marks else {}
    if len(by_conversation) != 1:
        return Sample(tuple(by_conversation), tuple(by_conversation.values()))
    (only,) = by_conversation
    repeats = marked.repeats(only, judges)
    return Sample((only,) * len(repeats), tuple(repeats))


def _over(sample: Sample) -> Over:
    if len(set(sample.conversations)) > 1:
        return "conversations"
    return "repeats" if len(sample.marks) > 1 else "nothing"


def _interval(values: Sequence[float], over: Over, least: float, most: float) -> Mean:
    """Mean, standard deviation and Student's t interval, cut to the scale."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return Mean(value=mean, values=count, over=over)
    from scipy.stats import t

    spread = float(np.std(values, ddof=1))
    half = float(t.ppf(0.975, count - 1)) * spread / count**0.5
    low, high = max(least, mean - half), min(most, mean + half)
    return Mean(value=mean, low=low, high=high, spread=spread, values=count, over=over)


def _scaled(mean: Mean, factor: float) -> Mean:
    scaled = {
        name: None if (value := getattr(mean, name)) is None else value * factor
        for name in ("value", "low", "high", "spread")
    }
    return mean.model_copy(update=scaled)


def _counts(conversations: Sequence[Conversation], judgements: Judgements, marked: Marked) -> dict[str, int]:
    own = {one.fingerprint for one in conversations}
    scores = [row for row in judgements.failed if row.question.kind == "scores"]
    cells = [(one, judge) for one in own for judge in judgements.judges]
    return {
        "labelled": len(own & {label.conversation for label in judgements.labels}),
        "whole": sum(bool(own & set(rows[0].question.shown)) for rows in marked.whole),
        "half": sum(bool(own & set(row.question.shown)) for row in marked.half),
        "failures": sum(bool(own & set(row.question.shown)) for row in scores),
        "missing": sum(marked.conversation(one, judge) is None for one, judge in cells),
    }


def _agreement(judgements: Judgements, marked: Marked) -> dict[str, Estimate | None]:
    """Krippendorff's alpha, at interval level, of the judges' scores of conversations."""
    shown = list(dict.fromkeys(one.fingerprint for one in judgements.conversations))
    table = [[marked.conversation(one, judge) for one in shown] for judge in judgements.judges]
    found: dict[str, Estimate | None] = {}
    for name in CRITERIA:
        found[name] = _alpha([[None if one is None else one[name] for one in row] for row in table])
    found["total"] = _alpha([[None if one is None else sum(one.values()) for one in row] for row in table])
    return found


def _alpha(table: Sequence[Sequence[float | None]]) -> Estimate | None:
    """Alpha of a table [judges, conversations]; none where no two judges scored one, or all scores are the same."""
    shared = [
        held for column in zip(*table, strict=True) if len(held := [one for one in column if one is not None]) > 1
    ]
    if len({one for held in shared for one in held}) < 2:
        return None
    return krippendorff_alpha(table)

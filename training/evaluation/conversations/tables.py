"""The study's tables of conversations: scores with intervals, remarks in words, and measures that no judge takes.

Knows how a table is laid; not how judges were asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from training.evaluation.conversations import prompts
from training.evaluation.conversations.automatic import Automatic
from training.evaluation.conversations.calibration import AVERAGE, TOTAL
from training.evaluation.conversations.scores import Mean, ModelScores, ScoreTable
from training.evaluation.conversations.shapes import CRITERIA, Judgements, models_of
from training.evaluation.statistics.intervals import Estimate

Cell = str | float | int | None


class Table(BaseModel):
    """A table; a cell is none where there is nothing to say."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    title: str
    columns: tuple[str, ...] = Field(min_length=1)
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """The table in Markdown, its notes below it."""
        lines = [f"**{self.title}**", "", _line(self.columns), _line(["---"] * len(self.columns))]
        lines += [_line([_shown(cell) for cell in row]) for row in self.rows]
        lines += ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in cells)} |"


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)


def _with_interval(mean: Mean) -> str:
    return f"{mean.value:.2f}" if mean.low is None else f"{mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}]"


def _estimate(one: Estimate | None) -> str | None:
    return None if one is None else f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"


def score_table(scores: ScoreTable) -> Table:
    """The study's table 3: four criteria, their total of 40, average and normalised score, the best first."""
    columns = ("Model", *_titles(), "Total of 40", "Average", "Normalised", "Spread of totals", "Judged", "Failed")
    rows = tuple(_score_row(row) for row in scores.rows)
    return Table(title="Scores by judges", columns=columns, rows=rows, notes=tuple(_score_notes(scores)))


def corrected_table(scores: ScoreTable) -> Table | None:
    """The same scores as people would have given them, or none where nobody has labelled; in the same order."""
    if not scores.corrections:
        return None
    columns = ("Model", *_titles(), "Total of 40", "Average", "Labelled")
    rows = tuple(
        (row.model, *(_estimate(row.corrected.get(name)) for name in (*CRITERIA, TOTAL, AVERAGE)), row.labelled)
        for row in scores.rows
    )
    notes = tuple(_corrected_notes(scores))
    return Table(title="Scores by judges, corrected by people's labels", columns=columns, rows=rows, notes=notes)


def _titles() -> list[str]:
    return [prompts.criterion(name)["title"] for name in CRITERIA]


def _score_row(row: ModelScores) -> tuple[Cell, ...]:
    marks = [_with_interval(row.criteria[name]) for name in CRITERIA]
    sums = (_with_interval(row.total), row.average, _with_interval(row.normalised), row.total.spread)
    return (row.model, *marks, *sums, row.whole, row.failures)


def _score_notes(scores: ScoreTable) -> list[str]:
    notes = [f"Judges: {', '.join(scores.judges)}. Names were hidden, and both orders are averaged."]
    over = {row.total.over for row in scores.rows}
    if "conversations" in over:
        notes.append("Brackets are 95% intervals (Student's t) over a model's conversations.")
    if "repeats" in over:
        lone = "each" if over == {"repeats"} else "some"
        notes.append(
            f"Of {lone} model there is one conversation: its brackets are over repeats of judging and say how steady "
            "the judge is, not how the model would do in another conversation."
        )
    if "nothing" in over:
        notes.append("A value without brackets rests on one judgement.")
    notes.append("Normalised is total / best total x 10; the best total's own uncertainty is not in its brackets.")
    if scores.first_place is not None:
        notes.append(f"Being shown first is worth {_with_interval(scores.first_place)} points of 40.")
    told = {name: value for name, value in scores.agreement.items() if value is not None}
    if told:
        shown = ", ".join(f"{name} {value:.2f} [{low:.2f}, {high:.2f}]" for name, (value, low, high) in told.items())
        notes.append(f"Krippendorff's alpha between judges (interval level): {shown}.")
    notes.append(
        f"{scores.failures} of {scores.questions} questions were never answered validly and count for nothing; "
        f"{scores.attempts_failed} attempts failed in all."
    )
    halves = [f"{row.model} {row.half}" for row in scores.rows if row.half]
    if halves:
        notes.append(f"Comparisons left out because only one order was answered: {', '.join(halves)}.")
    missing = [f"{row.model} {row.missing}" for row in scores.rows if row.missing]
    if missing:
        notes.append(f"Conversations that not every judge scored, by judge: {', '.join(missing)}.")
    return notes + ([f"Without any score: {', '.join(scores.unscored)}."] if scores.unscored else [])


def _corrected_notes(scores: ScoreTable) -> list[str]:
    notes = [f"Correction by people's scores: {note}." for note in scores.corrections]
    rows = [row for row in scores.rows if row.corrected]
    if not rows:
        return notes
    notes.append(
        "Brackets are 95% intervals (Fieller) and hold what the correction costs: how far the judges are off on the "
        "labelled conversations, and how few these are. Where people have scored a conversation, their score stands "
        "for the judges'. Total and average are corrected by people's own: the errors of one conversation's criteria "
        "go together, and intervals of criteria do not add up to theirs."
    )
    lone = [row.model for row in rows if row.total.over != "conversations"]
    if lone:
        notes.append(
            f"Of {', '.join(lone)} there is one conversation: the brackets are of what people would give this one, not "
            "of how the model would do in another."
        )
    strange = [row.model for row in rows if not row.labelled]
    if strange:
        notes.append(
            f"No conversation of {', '.join(strange)} is labelled: it is taken that the judges err on these as on the "
            "others."
        )
    notes.append(
        "People's mean is taken for the truth: how far people differ is in no bracket. All models share the "
        "correction, and so its error: overlapping brackets do not tell how sure a difference of two is."
    )
    return notes


def remark_table(judgements: Judgements) -> Table:
    """The study's table 2: strengths, weaknesses and observations of each model, as judges wrote them."""
    rows: list[tuple[Cell, ...]] = []
    for model, conversations in models_of(judgements.conversations).items():
        own = {one.fingerprint: one.topic for one in conversations}
        for said in judgements.remarks:
            (shown,) = said.question.shown
            if shown in own:
                words = [" ".join(part) for part in (said.strengths, said.weaknesses, said.observations)]
                rows.append((model, own[shown], said.judge, *words))
    failed = sum(row.question.kind == "remarks" for row in judgements.failed)
    notes = (f"{failed} conversations have none: the judge gave no valid answer.",) if failed else ()
    columns = ("Model", "Topic", "Judge", "Strengths", "Weaknesses", "Observations")
    return Table(title="Strengths, weaknesses, observations", columns=columns, rows=tuple(rows), notes=notes)


def automatic_table(measures: Sequence[Automatic]) -> Table:
    """What can be measured without a judge: means over each model's conversations."""
    by_model: dict[str, list[Automatic]] = {}
    for one in measures:
        by_model.setdefault(one.model, []).append(one)
    columns = (
        "Model", "Conversations", "Valid JSON", "Some JSON", "Wanted keys", "Quantities per 100 words", "Words",
        "Distinct-1", "Distinct-2", "Distinct-3", "Repetition", "Relevance", "Cut off", "Empty",
    )  # fmt: skip
    rows = tuple(_automatic_row(model, held) for model, held in by_model.items())
    notes = ("Distinct-n falls as texts grow longer; compare it at like numbers of words.",)
    return Table(title="Measured without a judge", columns=columns, rows=rows, notes=notes)


def _automatic_row(model: str, held: Sequence[Automatic]) -> tuple[Cell, ...]:
    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    return (
        model,
        len(held),
        mean([float(one.valid_json) for one in held]),
        mean([float(one.some_json) for one in held]),
        mean([one.keys for one in held]),
        mean([one.quantities_per_100 for one in held]),
        mean([float(one.words) for one in held]),
        *(mean([one.distinct[size] for one in held]) for size in range(3)),
        mean([one.repetition for one in held]),
        mean([one.relevance for one in held]),
        sum(one.cut for one in held),
        sum(one.empty for one in held),
    )

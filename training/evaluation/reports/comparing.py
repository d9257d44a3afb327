"""Two reports side by side: what each model answers now and then. Knows reports, not where they lie.

Of the same questions put in the same way the difference is paired and tested, all models corrected together (Holm).
Otherwise models answered different questions: the difference's interval is then put together from the two scores' own
(Newcombe, "Interval estimation for the difference between independent proportions", 1998, method 10; Zou and Donner,
2008), and nothing is claimed of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from training.evaluation.reports.boards import words
from training.evaluation.reports.folder import write_pages
from training.evaluation.reports.pages import Column, Section, Table
from training.evaluation.reports.shapes import Interval, Report, Standing
from training.evaluation.reports.wording import between, chance, number, signed
from training.evaluation.statistics.correction import corrected
from training.evaluation.statistics.paired import contrasts
from workspace.errors import DataError
from workspace.files import Published


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Pair(_Kept):
    """A model in both reports."""

    name: str
    same_weights: bool
    one: Interval
    other: Interval
    difference: Interval = Field(description="Second less first; where paired, with the corrected interval")
    p: float | None = None
    corrected_p: float | None = None
    verdict: str


class ComparedReports(_Kept):
    """What two reports say of the same models."""

    one: str = Field(description="The first report's title")
    other: str
    paired: bool = Field(description="Whether both asked the same questions in the same way")
    remark: str
    pairs: tuple[Pair, ...]
    only_one: tuple[str, ...] = Field(description="Models of the first report alone")
    only_other: tuple[str, ...]


def scores(answers: str) -> list[float]:
    """Right (1) or wrong (0) of every question, from a report's letters."""
    return [float(letter == "1") for letter in answers]


def compare(one: Report, other: Report) -> ComparedReports:
    """Compare the benchmarks of two reports, model by model.

    Args:
        one: The earlier, or the one that the other is compared with.
        other: Differences are its scores less the first's.

    Raises:
        DataError: They have no model in common.
    """
    mine, theirs = ({row.name: row for row in report.board.standings} for report in (one, other))
    names = [name for name in mine if name in theirs]
    if not names:
        raise DataError(f"the reports {one.title!r} and {other.title!r} have no model in common")
    reason = _apart(one, other)
    rows = [(mine[name], theirs[name]) for name in names]
    pairs = [_unpaired(a, b) for a, b in rows] if reason else _paired(rows, one.board.benchmark.passage_of)
    return ComparedReports(
        one=one.title,
        other=other.title,
        paired=not reason,
        remark=reason
        or "Both asked the same questions in the same way: differences are paired, and corrected together.",
        pairs=tuple(pairs),
        only_one=tuple(name for name in mine if name not in theirs),
        only_other=tuple(name for name in theirs if name not in mine),
    )


def write_comparison(compared: ComparedReports, folder: Path) -> Published:
    """Write a comparison as ``report.json``, ``report.md`` and ``report.html``, in place of what was there.

    Raises:
        UsageError: Something other than a report is there.
        StorageError: If the disk refuses.
    """
    title = f"{compared.one} and {compared.other}" if compared.one != compared.other else f"{compared.one}: two reports"
    return write_pages(compared, title, [_section(compared)], [], folder)


def _apart(one: Report, other: Report) -> str:
    """Why the two did not ask the same; empty if they did."""
    mine, theirs = one.board.benchmark, other.board.benchmark
    shared = len(set(mine.questions) & set(theirs.questions))
    if mine.questions != theirs.questions:
        what = f"the questions differ ({mine.n} and {theirs.n}, {shared} in both)"
    elif mine.fingerprint != theirs.fingerprint:
        what = "the benchmark's text, or how its questions are put, has changed"
    elif (mine.protocol, mine.rule) != (theirs.protocol, theirs.rule):
        what = f"answers were taken otherwise ({mine.protocol} {mine.rule} and {theirs.protocol} {theirs.rule})"
    else:
        return ""
    return (
        f"Not the same benchmark: {what}. Differences are those of independent scores, and nothing is claimed of them."
    )


def _scores(answers: str) -> list[float]:
    """Right (1) or wrong (0) of every question, from a report's letters."""
    return [float(letter == "1") for letter in answers]


def _paired(rows: Sequence[tuple[Standing, Standing]], passages: Sequence[str]) -> list[Pair]:
    family = contrasts([_scores(b.answers) for _, b in rows], [_scores(a.answers) for a, _ in rows], passages or None)
    return [
        Pair(
            name=a.name,
            same_weights=a.fingerprint == b.fingerprint,
            one=a.accuracy,
            other=b.accuracy,
            difference=Interval.corrected(told),
            p=told.alone.p,
            corrected_p=told.p,
            verdict=words(told),
        )
        for (a, b), told in zip(rows, corrected(family), strict=True)
    ]


def _unpaired(a: Standing, b: Standing) -> Pair:
    one, other = a.accuracy, b.accuracy
    difference = other.value - one.value
    low = difference - math.hypot(other.value - other.low, one.high - one.value)
    high = difference + math.hypot(other.high - other.value, one.value - one.low)
    return Pair(
        name=a.name,
        same_weights=a.fingerprint == b.fingerprint,
        one=one,
        other=other,
        difference=Interval(value=difference, low=max(-1.0, low), high=min(1.0, high)),
        verdict="not claimed",
    )


def _section(compared: ComparedReports) -> Section:
    columns = [
        Column("Model"),
        Column("Weights"),
        Column("First", True),
        Column("Second", True),
        Column("Second less first", True),
        Column("Corrected interval" if compared.paired else "95% interval", True),
        Column("p", True),
        Column("Corrected p", True),
        Column("In words: the second is"),
    ]
    rows = [
        [
            one.name,
            "the same" if one.same_weights else "others",
            f"{number(one.one.value)} ({between(one.one)})",
            f"{number(one.other.value)} ({between(one.other)})",
            signed(one.difference.value),
            between(one.difference),
            chance(one.p),
            chance(one.corrected_p),
            one.verdict,
        ]
        for one in compared.pairs
    ]
    texts = [f"First: {compared.one}. Second: {compared.other}.", compared.remark]
    for names, which in ((compared.only_one, "first"), (compared.only_other, "second")):
        texts += [f"In the {which} alone: {', '.join(names)}."] if names else []
    return Section(
        "comparison", "The same models in two reports", texts=texts, tables=(Table("Accuracy", columns, rows),)
    )

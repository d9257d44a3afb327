"""Reports as the front door offers them: what was measured, as figures and a page. Knows no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from studio.verb import Call, verb
from training.evaluation.reports.shapes import ReportOptions
from workspace.errors import DataError, UsageError, one_line, unknown
from workspace.progress import waiting

if TYPE_CHECKING:
    from training.evaluation.conversations.shapes import Judgements
    from training.evaluation.reports.shapes import Report
    from training.evaluation.results import Evaluation


class ReportCall(ReportOptions, Call):
    """What is reported, and where."""

    out: Path = Field(Path("report"), description="Folder for the page, Markdown, numbers and figures")
    judged: Path | None = Field(None, description="Verdicts of `studio train judge`, its file")
    beside: Path | None = Field(None, description="Another report's folder, to compare with: in OUT-beside")
    figures: bool = Field(True, description="Draw figures", json_schema_extra={"option": "--figures/--no-figures"})


class Reported(BaseModel):
    """A report that was written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path
    page: Path
    models: int
    comparisons: int = Field(description="Merges beside their rivals")
    better: tuple[str, ...] = Field(description="Merges that are better than their best parent, corrected")
    synergy: tuple[str, ...] = Field(description="Merges that are better than every rival, corrected")
    beside: Path | None = None
    note: str = Field("", description="What it is, where it is no report of anything evaluated")


@verb(ReportCall)
def train_report(models: Sequence[str] | None, options: ReportCall) -> Reported:
    """Write a report of what was evaluated: leaderboard, merges beside their rivals, the study's figures, limits.

    Args:
        models: Names; all that were evaluated if none is given.
        options: See `training.evaluation.reports.shapes.ReportOptions`.
    """
    with waiting("reading what was evaluated"):
        from training.evaluation.asking.evaluate import kept_evaluations
        from training.evaluation.reports.folder import write_report

        kept = kept_evaluations(options.home)
    folder = options.out.expanduser()
    if options.published and not (kept or models or any(getattr(options, name) for name in _OF_RESULTS)):
        return _published(folder, options)
    other = _other(options)
    report = _report(_chosen(kept, list(models or ())), options)
    with waiting("drawing the figures"):
        write_report(report, folder, figures=options.figures)
    return Reported(
        folder=folder,
        page=folder / "report.html",
        models=len(report.board.standings),
        comparisons=sum(len(one.rivals) for one in report.findings),
        better=tuple(dict.fromkeys(one.merge for one in report.findings if one.rivals[0].verdict == "better")),
        synergy=tuple(dict.fromkeys(one.merge for one in report.findings if one.verdict == "synergy")),
        beside=None if other is None else _compared(other, report, folder),
    )


_OF_RESULTS = ("task", "rule", "forgetting", "baseline", "judged", "beside")
"""What is asked of results of one's own, and so needs them."""


def _published(folder: Path, options: ReportCall) -> Reported:
    """The study's own figures alone."""
    from training.evaluation.reports.folder import write_published
    from training.evaluation.reports.published import STATED

    if not options.figures:
        raise UsageError("nothing has been evaluated yet, and without figures there is nothing published to show")
    write_published(folder, **({"title": options.title} if "title" in options.model_fields_set else {}))
    page = folder / "report.html"
    return Reported(folder=folder, page=page, models=0, comparisons=0, better=(), synergy=(), note=STATED)


def _report(evaluations: Sequence[Evaluation], options: ReportCall) -> Report:
    from training.evaluation.conversations.automatic import measure
    from training.evaluation.lineage import lineage, merge_record
    from training.evaluation.reports.report import build_report

    home = options.home
    names = list(dict.fromkeys(one.model for one in evaluations))
    records = [record for name in names if (record := merge_record(name, home)) is not None]
    tasks = {one.task for one in evaluations}
    asked = ReportOptions(**{name: getattr(options, name) for name in ReportOptions.model_fields})
    general = options.forgetting or ("forgetting" if "forgetting" in tasks and len(tasks) > 1 else "")
    looked_over = options.contamination_allowed or any(one.contaminated for one in evaluations)
    asked = asked.model_copy(update={"forgetting": general, "contamination_allowed": looked_over})
    judgements = _judgements(options.judged) if options.judged else None
    measures = [measure(one) for one in judgements.conversations] if judgements else []
    return build_report(evaluations, records, [lineage(name, home) for name in names], asked, judgements, measures)


def _chosen(kept: Sequence[Evaluation], models: Sequence[str]) -> list[Evaluation]:
    """The evaluations of the models that are asked for.

    Raises:
        DataError: Nothing is kept.
        UsageError: One of the models was not evaluated.
    """
    if not kept:
        raise DataError("nothing has been evaluated yet", hint="studio train evaluate MODEL...")
    known = list(dict.fromkeys(one.model for one in kept))
    for name in models:
        if name not in known:
            raise UsageError(unknown("evaluated model", name, known), hint=f"studio train evaluate {name}")
    return [one for one in kept if not models or one.model in models]


def _judgements(path: Path) -> Judgements:
    from pydantic import ValidationError

    from training.evaluation.conversations.shapes import Judgements

    try:
        return Judgements.model_validate_json(path.expanduser().read_bytes())
    except (OSError, ValidationError) as fault:
        raise DataError(f"cannot read {path}: {one_line(fault)}", hint="studio train judge writes it") from None


def _other(options: ReportCall) -> Report | None:
    """The report that this one is compared with, read before anything is written in its place."""
    if options.beside is None:
        return None
    from training.evaluation.reports.folder import read_report

    return read_report(options.beside.expanduser())


def _compared(other: Report, report: Report, folder: Path) -> Path:
    from training.evaluation.reports.comparing import compare, write_comparison

    beside = folder.with_name(f"{folder.name}-beside")
    write_comparison(compare(other, report), beside)
    return beside

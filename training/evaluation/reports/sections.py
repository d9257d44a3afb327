"""A report's numbers as sections of words, tables and figures. Knows the report's shapes; not how a page is set.

Nothing is computed here. That one model is more than another is said in the words that the statistics chose, and so
only where a corrected interval excludes zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from training.evaluation.conversations.tables import Table as ConversationTable
from training.evaluation.conversations.tables import corrected_table, score_table
from training.evaluation.reports import merge_sections
from training.evaluation.reports.pages import Column, Section, Table
from training.evaluation.reports.shapes import Board, Report, Standing
from training.evaluation.reports.wording import NONE, able, asked, between, chance, number, signed


def sections(report: Report) -> list[Section]:
    """All sections that have something to say, in order."""
    found = [
        _leaderboard(report),
        _subsets(report.board),
        merge_sections.rivals(report),
        merge_sections.parents(report),
        _calibration(report),
        _forgetting(report),
        merge_sections.recipes(report),
        _judges(report),
        *(_other(board, place) for place, board in enumerate(report.others, start=1)),
        _published(report),
        _left_out(report),
        Section("limits", "Limits", points=report.limits),
    ]
    return [one for one in found if one is not None]


def _standings(board: Board, baseline: str) -> Table:
    parsed = any(row.unparsed for row in board.standings)
    columns = [
        Column("Model"),
        Column("Kind"),
        Column("Accuracy (95% interval)", True),
        Column("Group", True),
        Column("p beside its leader", True),
    ]
    columns += [Column("Unread answers", True)] if parsed else []
    if baseline:
        columns += [Column(f"Over {baseline} (corrected interval)", True), Column("p", True), Column("In words")]
    rows = [_standing(row, parsed, baseline) for row in board.standings]
    note = (
        "A group holds its leader (*) and all models that cannot be told apart from it; p is corrected for all "
        f"{board.pairs} pairs ({board.test}). A model may stand above the leader of a later group and yet not be told "
        "apart from some of that group. Gains over the baseline are corrected together on their own."
    )
    return Table("Leaderboard", columns, rows, note if board.pairs else "")


def _group(row: Standing) -> tuple[str, str]:
    return f"{row.group}{'*' if row.leads else ''}", chance(row.group_p)


def _standing(row: Standing, parsed: bool, baseline: str) -> list[str]:
    cells = [row.name, _kind(row), f"{number(row.accuracy.value)} ({between(row.accuracy)})", *_group(row)]
    cells += [str(row.unparsed)] if parsed else []
    if baseline:
        gain = f"{signed(row.gain.value)} ({between(row.gain)})" if row.gain else NONE
        cells += [gain, chance(row.p), row.verdict or ("baseline" if row.name == baseline else "")]
    return cells


def _kind(row: Standing) -> str:
    return f"{row.kind} ({', '.join(row.stages)})" if row.stages else row.kind


def _leaderboard(report: Report) -> Section:
    return Section(
        "leaderboard",
        "Leaderboard",
        texts=(asked(report.board), able(report.board)),
        tables=(_standings(report.board, report.baseline),),
        pictures=report.shown("accuracy", "improvement", "epochs", "tuned", "tokens"),
    )


def _subsets(board: Board) -> Section | None:
    names = list(board.benchmark.subsets)
    if len(names) < 2:
        return None
    columns = [
        Column("Model"),
        *(Column(f"{name or 'no part'} (n = {board.benchmark.subsets[name]})", True) for name in names),
    ]
    rows = [
        [row.name, *(f"{number(row.subsets[name].value)} ({between(row.subsets[name])})" for name in names)]
        for row in board.standings
    ]
    note = "Intervals of parts are wide and not corrected for their number; no difference within one column is claimed."
    return Section("parts", "Parts of the benchmark", tables=(Table("Accuracy by part", columns, rows, note),))


def _calibration(report: Report) -> Section | None:
    if not report.calibration:
        return None
    columns = [
        Column("Model"),
        Column("Calibration error", True),
        Column("Less its bias", True),
        Column("95% interval", True),
        Column("Brier score", True),
        Column("Confidence less accuracy", True),
    ]
    rows = [
        [
            one.name,
            number(one.error),
            number(one.unbiased.value),
            between(one.unbiased),
            f"{number(one.brier.value)} ({between(one.brier)})",
            signed(one.overconfidence),
        ]
        for one in report.calibration
    ]
    note = (
        "Expected calibration error over bins of equally many questions. Chance counts as error, so that even a "
        "calibrated model has some: beside it stands what is left when that bias is taken off, with its interval. "
        "These intervals are not corrected. A positive last column: too sure."
    )
    return Section(
        "calibration",
        "Calibration",
        tables=(Table("Calibration error", columns, rows, note),),
        pictures=report.shown("reliability"),
    )


def _forgetting(report: Report) -> Section | None:
    if not report.forgetting:
        return None
    columns = [
        Column("Model"),
        Column("General questions right (95% interval)", True),
        Column(f"Change over {report.baseline} (corrected interval)", True),
        Column("Gain on the benchmark (corrected interval)", True),
        Column("In words"),
    ]
    rows = [
        [
            one.name,
            f"{number(one.general.value)} ({between(one.general)})",
            f"{signed(one.change.value)} ({between(one.change)})" if one.change else NONE,
            f"{signed(one.gain.value)} ({between(one.gain)})" if one.gain else NONE,
            one.verdict,
        ]
        for one in report.forgetting
    ]
    return Section(
        "forgetting",
        "Forgetting",
        texts=("General questions, beside those of the benchmark: a merge may win by what it does not forget.",),
        tables=(Table("General questions", columns, rows),),
        pictures=report.shown("forgetting"),
    )


def _judges(report: Report) -> Section | None:
    told = report.judging
    if told is None:
        return None
    tables = [score_table(told.scores), corrected_table(told.scores), told.remarks, told.automatic]
    return Section(
        "judges",
        "Conversations, judged",
        texts=told.notes,
        tables=[_conversation_table(table) for table in tables if table is not None and table.rows],
        pictures=report.shown("judges"),
    )


def _conversation_table(table: ConversationTable) -> Table:
    columns = [
        Column(title, all(isinstance(row[place], (int, float, type(None))) for row in table.rows))
        for place, title in enumerate(table.columns)
    ]
    rows = [
        [NONE if cell is None else number(cell, 2) if isinstance(cell, float) else str(cell) for cell in row]
        for row in table.rows
    ]
    return Table(table.title, columns, rows, " ".join(table.notes))


def _other(board: Board, place: int) -> Section:
    return Section(
        f"other-{place}",
        f"Another benchmark: {board.benchmark.task}",
        texts=(asked(board), able(board)),
        tables=(_standings(board, ""),),
    )


def _published(report: Report) -> Section | None:
    pictures = tuple(one for one in report.pictures if one.mark)
    if not pictures:
        return None
    return Section(
        "published",
        "Published figures beside these",
        texts=(
            "Drawn from the numbers that the study's text, tables and code state; other models, other questions: to be "
            "laid beside the figures above, not compared with them number by number.",
        ),
        pictures=pictures,
    )


def left_out_table(rows: Iterable[tuple[str, str]]) -> Table:
    """Figures that are not there, and why."""
    return Table("Figures left out", [Column("Figure"), Column("Why")], [list(row) for row in rows])


def _left_out(report: Report) -> Section | None:
    rows: Sequence[tuple[str, str]] = [(one.title, one.why) for one in report.left_out]
    return Section("left-out", "Not drawn", tables=(left_out_table(rows),)) if rows else None

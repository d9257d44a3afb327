"""What a sceptical reader should hold against a report, from its own facts. Knows the report; measures nothing."""

from __future__ import annotations

from collections.abc import Iterator

from training.evaluation.reports.shapes import Report, ReportOptions

_MOSTLY = 0.5


def limits(report: Report, options: ReportOptions) -> Iterator[str]:
    """One sentence or a few for each limit, the gravest first.

    Args:
        report: All else of it is there.
        options: What it was told.
    """
    yield from _size(report)
    yield from _comparisons(report)
    yield from _benchmark(report, options)
    yield from _answers(report)
    yield from _search(report)
    yield from _rivals(report)
    yield from _geometry(report)
    yield from _rest(report)


def _size(report: Report) -> Iterator[str]:
    what, power = report.board.benchmark, report.board.power
    passages = f" about {what.passages} passages" if what.passages else ""
    yield (
        f"{what.n} questions{passages}: a difference below {power.paired:.1%} between two models will be missed more "
        f"than one time in five, and one below {power.corrected:.1%} where {power.comparisons} models are compared "
        "with the baseline. That models cannot be told apart does not say that they are the same."
    )
    weak = [row.name for row in report.board.standings if row.accuracy.low <= what.constant]
    if weak:
        yield (
            f"Always giving the commonest letter of each kind of question would be right in {what.constant:.1%}. "
            f"{_count(len(weak), len(report.board.standings), 'model')} cannot be told from that by interval: "
            f"{_few(weak)}."
        )


def _comparisons(report: Report) -> Iterator[str]:
    yield (
        "Three families of comparisons are corrected, each on its own (Holm, 5%): all pairs of the leaderboard, all "
        "models against the baseline, and all merges against what they have to beat. Intervals of single scores, of "
        "parts of the benchmark and of the study's expected scores are not corrected."
    )
    yield (
        "Whoever leads a table of many is flattered by chance: its score here is more likely above than below what new "
        "questions would show. The same holds of the higher of two parents, to the merge's disadvantage."
    )
    yield (
        "Intervals hold for other questions like these, asked of these very weights: how far a training with another "
        "seed would have come out differently is not in them."
    )


def _benchmark(report: Report, options: ReportOptions) -> Iterator[str]:
    tasks = [report.board.benchmark.task, *(one.benchmark.task for one in report.others)]
    yield (
        f"Benchmarks: {', '.join(dict.fromkeys(tasks))}. Nothing is known of other fields, of other wordings of the "
        "same questions, or of what models write at length."
    )
    methods = {one.method for one in report.recipes}
    tuned = sorted({stage for row in report.board.standings for stage in row.stages} - methods)
    if tuned:
        yield (
            f"Variants were tuned ({', '.join(tuned)}). Where that was on documents that the questions are about, "
            "gains say what was learned of these documents, not of the field at large."
        )
    if options.contamination_allowed:
        yield (
            "Contamination was allowed: training rows may hold questions of the benchmark, and every score of a tuned "
            "model may be memory."
        )
    else:
        yield (
            "Training rows that hold a question of the benchmark are refused by comparing words. A question in other "
            "words is not found that way, nor is what the base models were pretrained on known."
        )


def _answers(report: Report) -> Iterator[str]:
    what = report.board.benchmark
    unread = sum(row.unparsed for row in report.board.standings)
    if what.protocol == "written":
        total = sum(row.n for row in report.board.standings)
        worst = max(report.board.standings, key=lambda row: row.unparsed)
        most = f", most of them of {worst.name} ({worst.unparsed} of {worst.n})" if unread else ""
        yield (
            f"{unread} of {total} written answers could not be read{most}; they count as wrong. The score is of "
            "knowing the answer and of giving it in one word, together."
        )
    else:
        yield (
            f"Answers are told by their likelihood (rule {what.rule or 'plain'}): what a model would write is not "
            "asked, and another rule ranks models otherwise."
        )
    with_template, without = what.template
    if with_template and without:
        yield (
            f"{with_template} models were asked in their chat template and {without} without one: part of their "
            "difference is the template's."
        )


def _search(report: Report) -> Iterator[str]:
    for one in report.searched:
        yield (
            f"t of {one.name} was searched on the development split of {one.task}: {one.development:.3f} there, "
            f"{one.test.value:.3f} on the test split ({one.part:+.3f} apart). The first figure is the largest of many "
            "trials; its line in the leaderboard holds questions that chose it."
        )


def _rivals(report: Report) -> Iterator[str]:
    asked = [one for one in report.findings if one.merge not in report.plain]
    lacking = [one for one in asked if one.missing]
    if lacking:
        missing = dict.fromkeys(rival for one in lacking for rival in one.missing)
        yield (
            f"{_count(len({one.merge for one in lacking}), len({one.merge for one in asked}), 'merge')} lack something "
            f"that they have to beat ({', '.join(missing)}): nothing is claimed of them beyond their best parent."
        )
    soups = {
        one.model for finding in report.findings for one in finding.rivals if one.rival == "soup of as much compute"
    }
    if soups:
        yield (
            f"That the soups ({_few(sorted(soups))}) took as much compute as what they are compared with is in no "
            "record."
        )
    if report.expected:
        yield (
            "That a merge lies above the mean of its parents is no gain: so does its best parent. Clusters, tree and "
            f"correlations of {len(report.expected)} merges that share parents are pictures, not tests."
        )


def _geometry(report: Report) -> Iterator[str]:
    round_ones = [one for one in report.recipes if one.method == "slerp" and one.tensors]
    linear = [one.name for one in round_ones if one.linear > _MOSTLY * one.tensors]
    if linear:
        yield (
            f"{_count(len(linear), len(round_ones), 'merge')} called spherical took most tensors as linear, because "
            f"the cosine of what they join is above mergekit's threshold: {_few(linear)}. These are linear merges in "
            "all but name."
        )


def _rest(report: Report) -> Iterator[str]:
    if not report.forgetting:
        yield (
            "No general questions were asked: what variants forgot, and whether a merge only forgets less, is not "
            "known."
        )
    if report.judging is not None:
        yield (
            "Judges are language models. Names were hidden from them and orders averaged, but not their liking for "
            "length and for their own manner; no score of theirs enters any other table."
        )
    undescribed = [row.name for row in report.board.standings if row.kind == "not described"]
    if undescribed:
        yield (
            f"Where these models come from is not known, and figures by family or stage lack them: {_few(undescribed)}."
        )


def _count(part: int, whole: int, noun: str) -> str:
    return f"{part} of {whole} {noun}s"


def _few(names: list[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

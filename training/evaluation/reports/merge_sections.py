"""What a report says of merges: against what they have to beat, beside their parents, how they were made."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from training.evaluation.reports.pages import Column, Listing, Section, Table
from training.evaluation.reports.shapes import Report
from training.evaluation.reports.wording import NONE, between, chance, number, signed
from training.evaluation.statistics.synergy import Finding


def rivals(report: Report) -> Section | None:
    """Each merge against what it has to beat."""
    if not report.findings:
        return None
    several = len({one.benchmark for one in report.findings}) > 1
    columns = [
        Column("Merge"),
        *([Column("Benchmark")] if several else []),
        Column("Has to beat"),
        Column("Model"),
        Column("Difference", True),
        Column("Corrected interval", True),
        Column("p", True),
        Column("Corrected p", True),
        Column("Right alone: merge, other", True),
        Column("In words"),
    ]
    rows = [
        [
            finding.merge,
            *([finding.benchmark] if several else []),
            one.rival,
            one.model,
            signed(one.comparison.alone.difference),
            f"{number(one.comparison.low)} to {number(one.comparison.high)}",
            chance(one.comparison.alone.p),
            chance(one.comparison.p),
            f"{one.comparison.alone.one_only}, {one.comparison.alone.other_only}",
            one.verdict,
        ]
        for finding in report.findings
        for one in finding.rivals
    ]
    verdicts = [_verdict(finding, finding.merge in report.plain, several) for finding in report.findings]
    text = (
        "A merge has to beat, on the same questions and after correction, each of: its best parent, linear "
        "interpolation at equal t, task arithmetic, and a soup of as much compute. Intervals and p are corrected "
        f"together for all {len(rows)} comparisons of this section; a difference is put in words only where its "
        "corrected interval excludes zero."
    )
    heads = [Column("Merge"), *([Column("Benchmark")] if several else []), Column("In words"), Column("Not measured")]
    return Section(
        "rivals",
        "Merges against what they have to beat",
        texts=(text,),
        tables=(Table("All in all", heads, verdicts), Table("Comparisons", columns, rows)),
        pictures=report.shown("deviation"),
    )


def _verdict(finding: Finding, plain: bool, several: bool) -> list[str]:
    where = [finding.benchmark] if several else []
    if plain:  # what others have to beat is itself held against its parents alone
        return [finding.merge, *where, f"{finding.rivals[0].verdict} (beside its best parent)", "a rival itself"]
    return [finding.merge, *where, finding.words, ", ".join(finding.missing) or NONE]


def parents(report: Report) -> Section | None:
    """Merges in the study's terms."""
    if not report.expected:
        return None
    columns = [
        Column("Merge"),
        Column("Parents"),
        Column("P1, P2", True),
        Column("Expected", True),
        Column("Observed", True),
        Column("Improvement", True),
        Column("Diversity", True),
        Column("Disagreement", True),
        Column("Both wrong", True),
        Column("Yule's Q", True),
        Column("Task vectors' cosine", True),
    ]
    rows = [
        [
            one.merge,
            " and ".join(one.parents),
            ", ".join(number(score) for score in one.scores),
            f"{number(one.expected.value)} ({between(one.expected)})",
            f"{number(one.observed.value)} ({between(one.observed)})",
            f"{signed(one.improvement.value)} ({between(one.improvement)})",
            f"{number(one.diversity.value)} ({between(one.diversity)})",
            f"{number(one.disagreement.value)} ({between(one.disagreement)})",
            number(one.double_fault.value),
            f"{number(one.yule_q.value)} ({between(one.yule_q)})" if one.yule_q else NONE,
            number(one.task_cosine),
        ]
        for one in report.expected
    ]
    note = (
        "Expected: mean of the parents' scores. Improvement: merge less the parent of higher score. Diversity: size of "
        "the difference of the parents' scores, which is small too where they know different things; disagreement, the "
        "share of questions that one of them alone answers right, does not have that fault. 95% intervals, each on its "
        "own: they are not corrected."
    )
    return Section(
        "parents",
        "Merges beside their parents",
        tables=(Table("In the study's terms", columns, rows, note),),
        pictures=report.shown("observed", "clusters", "tree", "correlation"),
    )


def _span(cosines: Mapping[str, float]) -> str:
    if not cosines:
        return NONE
    ordered = sorted(cosines.values())
    return ", ".join(f"{value:.6f}" for value in (ordered[0], median(ordered), ordered[-1]))


def recipes(report: Report) -> Section | None:
    """How merges were made."""
    if not report.recipes:
        return None
    columns = [
        Column("Merge"),
        Column("Method"),
        Column("Curve"),
        Column("Parents"),
        Column("Base"),
        Column("Tensors", True),
        Column("Taken as linear", True),
        Column("Cosine: least, median, most", True),
        Column("Task vectors' cosine", True),
        Column("Seconds", True),
        Column("Peak MB", True),
    ]
    rows = [
        [
            one.name,
            one.method,
            one.preset or NONE,
            ", ".join(one.parents),
            one.base or NONE,
            str(one.tensors),
            f"{one.linear} ({one.linear / one.tensors:.0%})" if one.tensors else NONE,
            _span(one.cosines),
            _span(one.task_cosines),
            f"{one.seconds:.1f}",
            f"{one.peak_mb:,.0f}",
        ]
        for one in report.recipes
    ]
    note = (
        "Taken as linear: tensors whose parents' cosine is so near 1 that mergekit's slerp interpolates linearly. "
        "Where that is most of them, the merge is a linear one, whatever it is called."
    )
    tables = [Table("How merges were made", columns, rows, note), *_searched(report)]
    listings = [Listing(f"{one.name}: mergekit's configuration", one.yaml) for one in report.recipes if one.yaml]
    return Section(
        "recipes", "Merge recipes", tables=tables, pictures=report.shown("gradients", "cosines"), listings=listings
    )


def _searched(report: Report) -> list[Table]:
    """Merges whose t was searched: on both splits, and how far these part."""
    if not report.searched:
        return []
    columns = [
        Column("Merge"),
        Column("Benchmark"),
        Column("Development", True),
        Column("Test", True),
        Column("Apart", True),
    ]
    rows = [
        [
            one.name,
            one.task,
            number(one.development),
            f"{number(one.test.value)} ({between(one.test)})",
            signed(one.part),
        ]
        for one in report.searched
    ]
    note = (
        "The development score is the largest of many trials and so too high; the test score was taken once. On this "
        "benchmark such a merge is compared with no other here: half of its questions chose it. Beside its rivals on "
        "the test split it stands in the search's own result."
    )
    return [Table("Searched on the development split, told on the test split", columns, rows, note)]

"""Which figures a report's numbers suffice for, and why others are left out. Knows the report; draws nothing yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from training.evaluation.conversations.calibration import AVERAGE
from training.evaluation.reports.figures import bars, correlation, curves, depth, judges, merges, tradeoff
from training.evaluation.reports.figures.drawing import Drawing, LeftOut
from training.evaluation.reports.shapes import Report, Standing

_TITLES = {
    "accuracy": "Accuracy of every variant",
    "improvement": "Relative improvement over the baseline",
    "epochs": "Score over epochs of continued pretraining",
    "tuned": "Tuned against untuned, a family",
    "tokens": "Score over tokens of pretraining",
    "deviation": "Deviation from the best parent",
    "observed": "Observed over expected score",
    "clusters": "Two clusters of merges",
    "tree": "Which merges score alike",
    "correlation": "What goes with a merge's score",
    "gradients": "Curves of t over depth, beside their scores",
    "cosines": "How far the parents' tensors point apart",
    "reliability": "Calibration: how sure, and how often right",
    "forgetting": "Gain against forgetting",
    "judges": "Judges' scores of the conversations",
}


def drawings(report: Report) -> tuple[list[Drawing], list[LeftOut]]:
    """Every figure that can be drawn, and every other with the reason.

    Args:
        report: Its pictures are not looked at.
    """
    drawn: list[Drawing] = []
    left_out: list[LeftOut] = []
    for name, make in _FIGURES.items():
        found = make(report)
        if isinstance(found, str):
            left_out.append(LeftOut(name=name, title=_TITLES[name], why=found))
        else:
            drawn.append(found)
    return drawn, left_out


def _bar(row: Standing) -> bars.Bar:
    return bars.Bar(row.name, row.kind, row.accuracy.value, row.accuracy.low, row.accuracy.high)


def _baseline(report: Report) -> Standing | None:
    return next((row for row in report.board.standings if row.name == report.baseline), None)


def _accuracy(report: Report) -> Drawing | str:
    return bars.accuracy([_bar(row) for row in report.board.standings], report.baseline, "share answered right")


def _improvement(report: Report) -> Drawing | str:
    base = _baseline(report)
    others = [row for row in report.board.standings if row.gain is not None]
    if base is None or not others:
        return "there is no other model to compare the baseline with"
    if not base.right:
        return f"the baseline, {base.name}, answered nothing right"
    scale = 100 / base.accuracy.value
    found = [
        bars.Bar(row.name, row.kind, scale * row.gain.value, scale * row.gain.low, scale * row.gain.high)
        for row in others
        if row.gain
    ]
    return bars.improvement(found, base.name)


def _epochs(report: Report) -> Drawing | str:
    base = _baseline(report)
    lines: dict[str, list[curves.Point]] = {}
    for row in report.board.standings:
        if row.epoch is not None:
            start = f" from {row.start}" if row.start else ""
            point = curves.Point(row.name, row.epoch, *_ends(row))
            lines.setdefault(f"{row.family}{start}: {', '.join(row.stages)}".strip(" :"), []).append(point)
    kept = {name: sorted(points, key=lambda one: one.x) for name, points in lines.items() if len(points) > 1}
    if base is None or not kept:
        return "no line of continued pretraining has two kept epochs that were measured"
    return curves.epochs(kept, (base.name, base.accuracy.value))


def _ends(row: Standing) -> tuple[float, float, float]:
    return row.accuracy.value, row.accuracy.low, row.accuracy.high


def _families(report: Report) -> list[tuple[str, Standing, Standing]]:
    """Families of which an untuned model and one trained or merged from it were measured: the best of each."""
    found = []
    for family in dict.fromkeys(row.family for row in report.board.standings if row.family):
        rows = [row for row in report.board.standings if row.family == family]
        untuned, tuned = ([row for row in rows if (row.kind == "untuned") is wanted] for wanted in (True, False))
        if untuned and tuned:
            found.append((family, untuned[0], tuned[0]))  # standings come best first
    return found


def _tuned(report: Report) -> Drawing | str:
    families = [bars.Family(name, _bar(untuned), _bar(tuned)) for name, untuned, tuned in _families(report)]
    return bars.tuned(families) if families else "of no family were both an untuned and a tuned model measured"


def _tokens(report: Report) -> Drawing | str:
    found = {
        name: [curves.Point(row.name, untuned.pretraining_tokens, *_ends(row)) for row in (untuned, tuned)]
        for name, untuned, tuned in _families(report)
        if untuned.pretraining_tokens is not None
    }
    if len(found) < 2:
        return f"it takes two families whose tokens of pretraining are known; there are {len(found)}"
    return curves.tokens(found)


def _deviation(report: Report) -> Drawing | str:
    found = []
    for finding in report.findings:
        if finding.benchmark == report.board.benchmark.task:
            over = finding.rivals[0]  # the best parent comes first
            told = over.comparison
            ends = told.alone.difference, told.low, told.high
            found.append(bars.Deviation(finding.merge, over.model, *ends, told.better or told.worse))
    return bars.deviation(found) if found else _NO_MERGES


_NO_MERGES = "no merge was measured together with its parents"


def _merged(report: Report) -> list[merges.Merged]:
    return [
        merges.Merged(
            one.merge,
            *(one.expected.value, one.expected.low, one.expected.high),
            *(one.observed.value, one.observed.low, one.observed.high),
        )
        for one in report.expected
    ]


def _observed(report: Report) -> Drawing | str:
    found = _merged(report)
    return merges.observed(found) if found else _NO_MERGES


def _too_few(fewest: int, count: int) -> str:
    return f"it takes {fewest} merges measured together with their parents; there are {count}"


def _clusters(report: Report) -> Drawing | str:
    return _of_several(report, merges.clusters)


def _tree(report: Report) -> Drawing | str:
    return _of_several(report, merges.tree)


def _of_several(report: Report, make: Callable[[Sequence[merges.Merged]], Drawing]) -> Drawing | str:
    found = _merged(report)
    if len(found) < merges.FEWEST:
        return _too_few(merges.FEWEST, len(found))
    if len({(one.expected, one.observed) for one in found}) < 2:
        return "all merges have the same scores"
    return make(found)


def _correlation(report: Report) -> Drawing | str:
    if len(report.expected) < correlation.FEWEST:
        return _too_few(correlation.FEWEST, len(report.expected))
    rows = {row.name: row for row in report.board.standings}
    of = [(one, rows[one.merge]) for one in report.expected]
    columns: dict[str, Sequence[float | None]] = {
        "merged": [one.observed.value for one, _ in of],
        "improvement": [one.improvement.value for one, _ in of],
        "diversity": [one.diversity.value for one, _ in of],
        "SFT": [float("sft" in row.stages) if row.stages else None for _, row in of],
        "DPO/ORPO": [float(bool({"dpo", "orpo"} & set(row.stages))) if row.stages else None for _, row in of],
        "from instruct": [float(row.start == "instruct") if row.start else None for _, row in of],
    }
    return correlation.heatmap(correlation.correlations(columns), list(columns))


def _gradients(report: Report) -> Drawing | str:
    rows = {row.name: row for row in report.board.standings}
    found = [
        depth.Gradient(one.name, one.curve, _ends(rows[one.name]))
        for one in report.recipes
        if one.curve and one.name in rows
    ]
    return depth.gradients(found) if found else "no measured merge has a curve of t over depth"


def _cosines(report: Report) -> Drawing | str:
    pairs = {" and ".join(one.parents[:2]): one.cosines for one in report.recipes if one.cosines}
    return depth.cosines(pairs) if pairs else "no merge has the cosines of its parents on record"


def _reliability(report: Report) -> Drawing | str:
    found = [
        curves.Calibrated(
            one.name,
            one.error,
            [
                curves.Bin(part.confidence, part.accuracy.value, part.accuracy.low, part.accuracy.high, part.count)
                for part in one.bins
            ],
        )
        for one in report.calibration
    ]
    return (
        curves.reliability(found)
        if found
        else "no answer has a confidence: models wrote their answers, or were not asked"
    )


def _forgetting(report: Report) -> Drawing | str:
    kinds = {row.name: row.kind for row in report.board.standings}
    found = [
        tradeoff.Tradeoff(
            one.name,
            kinds[one.name],
            *(one.gain.value, one.gain.low, one.gain.high),
            *(one.change.value, one.change.low, one.change.high),
        )
        for one in report.forgetting
        if one.gain and one.change
    ]
    return (
        tradeoff.forgetting(found, report.baseline)
        if found
        else "no general questions were asked of the baseline and another model"
    )


def _judges(report: Report) -> Drawing | str:
    if report.judging is None or not report.judging.scores.rows:
        return "no conversation was judged"
    found = []
    for row in report.judging.scores.rows:
        scale = row.average / row.total.value
        low, high = (None if end is None else end * scale for end in (row.total.low, row.total.high))
        criteria: dict[str, float] = {name: mean.value for name, mean in row.criteria.items()}
        found.append(judges.Judged(row.model, criteria, row.average, low, high, row.corrected.get(AVERAGE)))
    return judges.judged(found)


_FIGURES: dict[str, Callable[[Report], Drawing | str]] = {
    "accuracy": _accuracy,
    "improvement": _improvement,
    "epochs": _epochs,
    "tuned": _tuned,
    "tokens": _tokens,
    "deviation": _deviation,
    "observed": _observed,
    "clusters": _clusters,
    "tree": _tree,
    "correlation": _correlation,
    "gradients": _gradients,
    "cosines": _cosines,
    "reliability": _reliability,
    "forgetting": _forgetting,
    "judges": _judges,
}

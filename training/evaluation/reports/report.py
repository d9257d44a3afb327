"""From evaluations, merge records and variants to a report's numbers. Knows what is asked of statistics; sets no page.

Three families of comparisons are corrected for on their own: every pair of the leaderboard, every model against the
baseline, and every merge against its rivals on all benchmarks but the general questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from training.evaluation.conversations.automatic import Automatic
from training.evaluation.conversations.scores import score
from training.evaluation.conversations.shapes import Judgements
from training.evaluation.conversations.tables import automatic_table, remark_table
from training.evaluation.reports.boards import board, kinds, over_baseline, right, together, words
from training.evaluation.reports.limits import limits
from training.evaluation.reports.pictures import drawings
from training.evaluation.reports.published import published_drawings, published_left_out
from training.evaluation.reports.rivals import PLAIN, rivals_of
from training.evaluation.reports.shapes import (
    Bin,
    Calibration,
    Expected,
    Forgetting,
    Interval,
    Judging,
    Picture,
    Recipe,
    Report,
    ReportOptions,
    Searched,
)
from training.evaluation.results import Evaluation, MergeRecord, SearchedScore, Variant
from training.evaluation.statistics.calibration import calibration
from training.evaluation.statistics.diversity import diversity, improvement
from training.evaluation.statistics.intervals import share
from training.evaluation.statistics.synergy import Finding, Rival, Trial, verdicts
from workspace.errors import DataError, UsageError, unknown

Group = list[Evaluation]


def build_report(
    evaluations: Sequence[Evaluation],
    merges: Sequence[MergeRecord] = (),
    variants: Sequence[Variant] = (),
    options: ReportOptions | None = None,
    judgements: Judgements | None = None,
    measures: Sequence[Automatic] = (),
) -> Report:
    """Put a report's numbers together.

    Args:
        evaluations: Of every model and benchmark; those of one benchmark on the same questions.
        merges: Records of the merges among the models.
        variants: Where the models come from.
        options: What else is told.
        judgements: What judges said of the models' conversations.
        measures: What was measured of these without a judge.

    Raises:
        DataError: There is no evaluation, a model was asked twice, or models were asked other questions.
        UsageError: An option names a benchmark or model that is not there.
    """
    options = options or ReportOptions()
    records = {one.name: one for one in merges}
    described = {one.name: one for one in variants}
    if not evaluations:
        raise DataError("there is no evaluation to report; `studio train evaluate` makes them")
    groups = together(evaluations)
    main, general, others = _chosen(groups, options)
    baseline = _baseline(main, described, options)
    kind = kinds(evaluations, described, records)
    measured = {one.model: one for one in main}
    report = Report(
        title=options.title,
        baseline=baseline,
        board=board(main, described, kind, baseline, options.seed),
        others=tuple(board(group, described, kind, baseline, options.seed) for group in others),
        findings=tuple(_findings(_once_each(main, others), records, described, options)),
        plain=tuple(one.name for one in merges if one.method in PLAIN and one.name in measured),
        expected=tuple(_expected(main, records, described, options.seed)),
        calibration=tuple(_calibration(main, options.seed)),
        forgetting=tuple(_forgetting(main, general, baseline, options.seed)),
        recipes=tuple(_recipe(one) for one in merges),
        searched=tuple(
            _searched(one.name, one.searched) for one in merges if one.name in measured and one.searched is not None
        ),
        judging=_judging(judgements, measures),
        limits=(),
    )
    drawn, left_out = drawings(report)
    if options.published:
        drawn, left_out = drawn + published_drawings(), left_out + published_left_out()
    pictures = [Picture(name=one.name, title=one.title, caption=one.caption, mark=one.mark) for one in drawn]
    report = report.model_copy(update={"pictures": tuple(pictures), "left_out": tuple(left_out)})
    return report.model_copy(update={"limits": tuple(limits(report, options))})


def _chosen(groups: Sequence[Group], options: ReportOptions) -> tuple[Group, Group, list[Group]]:
    """The benchmark that is reported, the general questions, and all else."""
    tasks = dict.fromkeys(group[0].task for group in groups)
    for noun, name in (("benchmark", options.task), ("set of general questions", options.forgetting)):
        if name and name not in tasks:
            raise UsageError(unknown(noun, name, tasks))
    if options.task and options.task == options.forgetting:
        raise UsageError(f"{options.task!r} cannot be both the benchmark and the general questions")
    general = [group for group in groups if options.forgetting and group[0].task == options.forgetting]
    rest = [group for group in groups if group not in general]
    fitting = [group for group in rest if not options.task or group[0].task == options.task]
    fitting = [group for group in fitting if not options.rule or group[0].rule == options.rule]
    if not fitting:
        asked = f" by rule {options.rule}" if options.rule else ""
        raise DataError(f"there is no evaluation{asked} of any benchmark but the general questions")
    main = max(fitting, key=len)
    return main, max(general, key=len, default=[]), [group for group in rest if group is not main]


def _once_each(main: Group, others: Sequence[Group]) -> list[Group]:
    """One group of every benchmark: asked in two ways, it is still one benchmark to be corrected for."""
    found = {main[0].task: main}
    for group in sorted(others, key=len, reverse=True):
        found.setdefault(group[0].task, group)
    return list(found.values())


def _baseline(main: Group, variants: Mapping[str, Variant], options: ReportOptions) -> str:
    names = [one.model for one in main]
    if options.baseline:
        if options.baseline not in names:
            raise UsageError(unknown("baseline", options.baseline, names))
        return options.baseline
    untuned = [name for name in names if name in variants and not variants[name].stages and not variants[name].parents]
    instruct = [name for name in untuned if variants[name].start == "instruct"]
    return (instruct or untuned or names)[0]


def _parents(name: str, records: Mapping[str, MergeRecord], variants: Mapping[str, Variant]) -> tuple[str, ...]:
    """Of a merge; none of any other model."""
    if name in records:
        return records[name].parents
    found = variants[name].parents if name in variants else ()
    return found if len(found) > 1 else ()


def _findings(
    groups: Sequence[Group],
    records: Mapping[str, MergeRecord],
    variants: Mapping[str, Variant],
    options: ReportOptions,
) -> list[Finding]:
    """Every merge whose parents were asked the same questions, against them and its other rivals."""
    merges = {one.model for group in groups for one in group if _parents(one.model, records, variants)}
    for name in options.rivals:
        if name not in merges:
            raise UsageError(unknown("merge", name, merges))
    trials = []
    for group in groups:
        answers = {one.model: right(one) for one in group}
        scores = {name: sum(row) for name, row in answers.items()}
        measured = [record for name, record in records.items() if name in answers]
        for name in answers:
            parents = _parents(name, records, variants)
            if not parents or not all(parent in answers for parent in parents):
                continue
            if _was_searched_on(records.get(name), group[0].task):
                continue  # half of these questions chose it
            rivals: dict[Rival, str] = rivals_of(records[name], measured, scores) if name in records else {}
            rivals |= options.rivals.get(name, {})
            trials.append(
                Trial(
                    merge=name,
                    answers=answers[name],
                    parents={parent: answers[parent] for parent in parents},
                    rivals={rival: (other, _of(answers, other, group)) for rival, other in rivals.items()},
                    passages=group[0].passages,
                    benchmark=group[0].task,
                )
            )
    return verdicts(trials, options.seed)


def _was_searched_on(record: MergeRecord | None, task: str) -> bool:
    return record is not None and record.searched is not None and record.searched.task == task


def _of(answers: Mapping[str, list[float]], name: str, group: Group) -> list[float]:
    if name not in answers:
        raise UsageError(f"{unknown('rival', name, answers)}; it was not asked {group[0].task}")
    return answers[name]


def _expected(
    main: Group, records: Mapping[str, MergeRecord], variants: Mapping[str, Variant], seed: int
) -> list[Expected]:
    """The study's figures of every merge of two measured parents."""
    answers, passages = {one.model: right(one) for one in main}, main[0].passages
    found = []
    for name in answers:
        parents = _parents(name, records, variants)
        if len(parents) != 2 or not all(parent in answers for parent in parents):
            continue
        one, other = parents
        rows = answers[one], answers[other]
        scores = (sum(rows[0]) / len(rows[0]), sum(rows[1]) / len(rows[1]))
        gained = improvement(answers[name], *rows, passages, seed)
        apart = diversity(*rows, passages, seed)
        cosines = records[name].task_cosines if name in records else {}
        found.append(
            Expected(
                merge=name,
                parents=(one, other),
                scores=scores,
                best_parent=one if scores[0] >= scores[1] else other,
                expected=Interval.of(gained.expected),
                observed=Interval.of(gained.score),
                improvement=Interval.of(gained.over_best),
                diversity=Interval.of(apart.difference),
                disagreement=Interval.of(apart.disagreement),
                double_fault=Interval.of(apart.double_fault),
                yule_q=Interval.of(apart.yule_q) if apart.yule_q else None,
                task_cosine=sum(cosines.values()) / len(cosines) if cosines else None,
            )
        )
    return found


def _calibration(main: Group, seed: int) -> list[Calibration]:
    """Of every model that told its confidence in every answer, the smallest error first."""
    found = []
    for one in main:
        sure = [answer.confidence for answer in one.answers if answer.confidence is not None]
        if len(sure) < len(one.answers):
            continue
        told = calibration(sure, right(one), one.passages, seed)
        bins = [
            Bin(confidence=part.confidence, accuracy=Interval.of(part.right), count=part.answers)
            for part in told.points
        ]
        found.append(
            Calibration(
                name=one.model,
                error=told.error,
                unbiased=Interval.of(told.unbiased),
                brier=Interval.of(told.brier),
                overconfidence=told.overconfidence,
                bins=tuple(bins),
            )
        )
    return sorted(found, key=lambda one: (one.unbiased.value, one.error, one.name))


def _forgetting(main: Group, general: Group, baseline: str, seed: int) -> list[Forgetting]:
    """General questions of every model, with their change and the benchmark's gain over the baseline."""
    changes, gains = over_baseline(general, baseline, seed) if general else {}, over_baseline(main, baseline, seed)
    found = []
    for one in general:
        change, gained = changes.get(one.model), gains.get(one.model)
        found.append(
            Forgetting(
                name=one.model,
                general=Interval.of(share(right(one), one.passages)),
                change=Interval.corrected(change) if change else None,
                gain=Interval.corrected(gained) if gained else None,
                verdict=words(change) if change else "",
            )
        )
    return sorted(found, key=lambda one: (-one.general.value, one.name))


def _recipe(one: MergeRecord) -> Recipe:
    return Recipe(
        name=one.name,
        method=one.method,
        preset=one.preset,
        parents=one.parents,
        base=one.base,
        tensors=one.tensors,
        linear=one.linear,
        curve=one.curve,
        cosines=one.cosines,
        task_cosines=one.task_cosines,
        seconds=one.seconds,
        peak_mb=one.peak_mb,
        yaml=one.yaml,
    )


def _searched(name: str, told: SearchedScore) -> Searched:
    test = Interval(value=told.test, low=told.low, high=told.high)
    return Searched(
        name=name, task=told.task, development=told.development, test=test, part=told.development - told.test
    )


def _judging(judgements: Judgements | None, measures: Sequence[Automatic]) -> Judging | None:
    if judgements is None:
        return None
    return Judging(
        scores=score(judgements),
        remarks=remark_table(judgements),
        automatic=automatic_table(measures) if measures else None,
        notes=judgements.notes,
    )

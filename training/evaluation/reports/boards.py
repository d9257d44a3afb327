"""A leaderboard of models that answered the same questions. Knows answers and what models were made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

from training.evaluation.reports.shapes import Benchmark, Board, Interval, Power, Standing
from training.evaluation.results import Answer, Evaluation, Variant
from training.evaluation.statistics.correction import Corrected, corrected
from training.evaluation.statistics.intervals import share
from training.evaluation.statistics.paired import contrasts
from training.evaluation.statistics.power import design_effect, detectable_paired, detectable_unpaired
from training.evaluation.statistics.ranking import leaderboard
from workspace.errors import DataError

_DISCORDANCE = 0.15  # where there are no two models to see it of
Scores = list[float]


def kinds(
    evaluations: Sequence[Evaluation], variants: Mapping[str, Variant], merges: Mapping[str, object]
) -> dict[str, str]:
    """What each model is: untuned, tuned, merge, or not described."""
    found = {}
    for name in dict.fromkeys(one.model for one in evaluations):
        variant = variants.get(name)
        if name in merges or (variant and len(variant.parents) > 1):
            found[name] = "merge"
        elif variant is None:
            found[name] = "not described"
        else:
            found[name] = "tuned" if variant.stages else "untuned"
    return found


def right(evaluation: Evaluation) -> Scores:
    """Right (1) or wrong (0), a question each."""
    return [float(one) for one in evaluation.right]


def together(evaluations: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """Evaluations by benchmark and by how its questions were put, each group's questions the same and in order.

    Raises:
        DataError: A model was asked twice, or two models of a group were asked other questions.
    """
    found: dict[tuple[str, str, str, str], list[Evaluation]] = {}
    for one in evaluations:
        found.setdefault((one.task, one.task_fingerprint, one.protocol, one.rule), []).append(one)
    for group in found.values():
        first = group[0]
        twice = [name for name, count in Counter(one.model for one in group).items() if count > 1]
        if twice:
            raise DataError(f"model {twice[0]!r} has two evaluations of {first.task}; one is shown at a time")
        ids = [answer.id for answer in first.answers]
        if len(set(ids)) < len(ids):
            raise DataError(f"two questions of {first.task} have the same id, as {first.model!r} answered them")
        for one in group:
            if [answer.id for answer in one.answers] != ids:
                raise DataError(f"{first.model!r} and {one.model!r} were not asked the same questions of {first.task}")
    return list(found.values())


def board(
    group: Sequence[Evaluation],
    variants: Mapping[str, Variant],
    kind: Mapping[str, str],
    baseline: str,
    seed: int = 0,
) -> Board:
    """The leaderboard of models that answered the same questions.

    Args:
        group: One of `together`.
        variants: By model, where they are described.
        kind: Of every model, as `kinds` has it.
        baseline: Whom others are compared with; empty, or one that is not there, for nobody.
        seed: Of the flips that are drawn.
    """
    passages = group[0].passages
    rows = {one.model: right(one) for one in group}
    ranked = leaderboard(rows, passages, seed)
    gains = over_baseline(group, baseline, seed)
    by_name = {one.model: one for one in group}
    standings = []
    for place in ranked.places:
        one, variant, gain = by_name[place.model], variants.get(place.model), gains.get(place.model)
        standings.append(
            Standing(
                name=place.model,
                kind=kind[place.model],
                family=variant.family if variant else "",
                start=variant.start if variant else "",
                stages=variant.stages if variant else (),
                epoch=variant.epoch if variant else None,
                pretraining_tokens=variant.pretraining_tokens if variant else None,
                fingerprint=one.fingerprint,
                answers="".join(_letter(answer) for answer in one.answers),
                right=sum(one.right),
                n=len(one.answers),
                accuracy=Interval.of(place.score),
                unparsed=one.unparsed,
                group=place.group,
                leads=place.leads,
                group_p=place.p,
                gain=Interval.corrected(gain) if gain else None,
                p=gain.p if gain else None,
                verdict=words(gain) if gain else "",
                subsets=_subsets(one),
            )
        )
    return Board(
        benchmark=_benchmark(group),
        power=_power(group, baseline),
        standings=tuple(standings),
        pairs=ranked.comparisons,
        test=ranked.test or "",
    )


def words(told: Corrected) -> str:
    """What may be said of a model beside another: better or worse only where the corrected interval excludes zero."""
    return "better" if told.better else "worse" if told.worse else "cannot be told apart"


def over_baseline(group: Sequence[Evaluation], baseline: str, seed: int = 0) -> dict[str, Corrected]:
    """Every other model's gain over the baseline, corrected together; empty where the baseline was not asked."""
    base = next((right(one) for one in group if one.model == baseline), None)
    others = [one for one in group if one.model != baseline]
    if base is None or not others:
        return {}
    found = contrasts([right(one) for one in others], [base] * len(others), group[0].passages, seed=seed)
    return {one.model: told for one, told in zip(others, corrected(found), strict=True)}


def _letter(answer: Answer) -> str:
    return "1" if answer.right else "0" if answer.given else "?"


def _subsets(one: Evaluation) -> dict[str, Interval]:
    found = {}
    for name in dict.fromkeys(answer.subset for answer in one.answers):
        inside = [answer for answer in one.answers if answer.subset == name]
        passages = None if one.passages is None else [answer.passage or answer.id for answer in inside]
        found[name] = Interval.of(share([float(answer.right) for answer in inside], passages))
    return found


def _benchmark(group: Sequence[Evaluation]) -> Benchmark:
    first = group[0]
    passages = first.passages
    with_template = sum(one.template for one in group)
    commonest = 0
    for kind in {answer.kind for answer in first.answers}:
        letters = Counter(answer.wanted for answer in first.answers if answer.kind == kind)
        commonest += letters.most_common(1)[0][1]
    return Benchmark(
        task=first.task,
        fingerprint=first.task_fingerprint,
        protocol=first.protocol,
        rule=first.rule,
        n=len(first.answers),
        passages=None if passages is None else len(set(passages)),
        subsets=dict(Counter(answer.subset for answer in first.answers)),
        kinds=dict(Counter(answer.kind for answer in first.answers)),
        questions=tuple(answer.id for answer in first.answers),
        passage_of=passages or (),
        constant=commonest / len(first.answers),
        template=(with_template, len(group) - with_template),
    )


def _power(group: Sequence[Evaluation], baseline: str) -> Power:
    """What the benchmark can show, at the median score and at the median discordance with the baseline."""
    n, passages = len(group[0].answers), group[0].passages
    rows = {one.model: right(one) for one in group}
    score = min(max(median(sum(row) / n for row in rows.values()), 1 / (n + 1)), n / (n + 1))
    base = rows.get(baseline, right(group[0]))
    apart = [[a - b for a, b in zip(row, base, strict=True)] for row in rows.values() if row != base]
    seen = median(sum(map(abs, row)) / n for row in apart) if apart else None
    discordance = min(seen or _DISCORDANCE, n / (n + 1))
    effect_alone = max(1.0, median(design_effect(row, passages) for row in rows.values()))
    effect = max(1.0, median(design_effect(row, passages) for row in apart)) if apart else effect_alone
    comparisons = max(1, len(rows) - 1)
    return Power(
        score=score,
        discordance=discordance,
        seen=seen is not None,
        effect=effect,
        unpaired=detectable_unpaired(n, score, effect_alone),
        paired=detectable_paired(n, discordance, effect),
        corrected=detectable_paired(n, discordance, effect, comparisons),
        comparisons=comparisons,
    )

"""Merging as the front door offers it: models into a variant, t over depth searched first. Knows no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from studio.verb import Call, job
from training.evaluation.asking.config import Rule
from training.merging.config import MergeConfig, MergeOptions
from workspace.options import checked
from workspace.progress import Remark, waiting

if TYPE_CHECKING:
    from training.evaluation.asking.config import EvaluateConfig
    from training.evaluation.results import MergeRecord, SearchedScore
    from training.merging.plan import MergePlan

Models = Sequence[str]


class MergeCall(MergeOptions, Call):
    """How models are merged, and whether t is searched first."""

    plan: bool = Field(False, description="Check everything, print curve, cosines and sizes; merge nothing")
    search: str | None = Field(
        None, min_length=1, max_length=1000, description="Search t over depth on half of this benchmark first"
    )
    trials: int = Field(60, ge=1, le=10_000, description="With --search: merges that are made and scored, at most")
    anchors: int = Field(5, ge=1, le=16, description="With --search: values of t over depth, of each part of a layer")
    questions: int | None = Field(
        None, ge=4, le=100_000, description="With --search: questions a trial, chosen by item response theory"
    )
    rule: Rule = Field("pmi", description="With --search: how the likeliest answer is told")
    seed: int = Field(42, ge=0, lt=2**31, description="With --search: of the split and of what is drawn")


def _merge_config(models: Models, options: MergeCall) -> MergeConfig:
    given = {name: getattr(options, name) for name in MergeOptions.model_fields if name in options.model_fields_set}
    return checked(MergeConfig, given | ({"models": tuple(models)} if models else {}))


def _merging(models: Models, options: MergeCall) -> None:
    """Look at everything a merge stands on: what is wrong with it is told before anything is queued."""
    config = _merge_config(models, options)
    with waiting("looking at the models"):
        from training.merging.run import plan, planned

        if options.search is None:
            planned(config, options.home)
            return
        from training.evaluation.asking.tasks import benchmark_of
        from training.merging.search.run import check_search

        check_search(config, _asked(options))
        benchmark_of(options.search)
        plan(config, options.home)


@job(MergeCall, check=_merging, at_once=lambda options: options.plan)
def train_merge(models: Models, options: MergeCall) -> MergeRecord | MergePlan:
    """Merge models into a variant: SLERP with gradients over depth, LERP, task arithmetic, TIES, DARE, soups.

    The same merge is not made twice. The variant is a model: ``studio.design(..., model=NAME)``.

    Args:
        models: Names or folders; where there is a t over depth, that of t = 0 first. None with a YAML of one's own.
        options: See `training.merging.config.MergeConfig`.
    """
    config = _merge_config(models, options)
    with waiting("loading the libraries of the merge"):
        from training.merging.run import merge, planned
    if options.plan:
        with waiting("looking at the models"):
            return planned(config, options.home)
    if options.search is None:
        return merge(config, options.home, options.tell)
    best, told = _searched(config, options)
    return merge(best, options.home, options.tell, searched=told)


def _asked(options: MergeCall) -> EvaluateConfig:
    from training.evaluation.asking.config import EvaluateConfig

    return EvaluateConfig(tasks=(options.search or "",), rule=options.rule)


def _searched(config: MergeConfig, options: MergeCall) -> tuple[MergeConfig, SearchedScore]:
    """The merge that a search finds best, and its scores, which are told beside those of its rivals."""
    with waiting("loading the libraries of the search"):
        from training.evaluation.results import SearchedScore
        from training.merging.search.config import SearchConfig
        from training.merging.search.run import search
    wide = SearchConfig(trials=options.trials, anchors=options.anchors, questions=options.questions, seed=options.seed)
    found = search(config, wide, _asked(options), options.home, options.tell)
    best, apart = found.best, found.optimism
    told = [
        f"searched: {best.development.value:.1%} of the development questions, {best.test.value:.1%} of the test "
        f"questions ({best.test.low:.1%} to {best.test.high:.1%}), {100 * apart.value:+.1f} points apart",
        *(f"on the test questions beside {one.other}: {one.verdict}" for one in found.beside),
    ]
    for text in told:
        options.tell(Remark(text=text))
    assert best.merge is not None  # a winner is a merge
    scores = SearchedScore(
        task=found.task,
        development=best.development.value,
        test=best.test.value,
        low=best.test.low,
        high=best.test.high,
    )
    return best.merge, scores

"""Evaluation as the front door offers it: models asked the questions of benchmarks. Knows no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from studio.verb import Call, job
from training.evaluation.asking.config import EvaluateConfig
from workspace.errors import UsageError
from workspace.progress import Remark, Tell, waiting

if TYPE_CHECKING:
    from training.evaluation.results import Evaluation

Models = Sequence[str]


class EvaluateCall(EvaluateConfig, Call):
    """How models are evaluated."""


class Score(BaseModel):
    """A model's share of right answers to a benchmark."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    task: str
    questions: int
    right: float = Field(description="Share answered right")
    low: float = Field(description="Lower end of its 95% interval, over passages where questions share them")
    high: float
    unparsed: int = Field(description="Answers that could not be read; they count as wrong")
    protocol: str
    rule: str = ""
    template: bool


class Scores(BaseModel):
    """What was evaluated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scores: tuple[Score, ...]


def _evaluate_config(options: EvaluateCall) -> EvaluateConfig:
    return EvaluateConfig(**{name: getattr(options, name) for name in EvaluateConfig.model_fields})


def _evaluating(models: Models, options: EvaluateCall) -> None:
    """Read the benchmarks and look for the models."""
    with waiting("reading the benchmarks"):
        from training.evaluation.asking.askers import find
        from training.evaluation.asking.tasks import benchmark_of

        for task in options.tasks:
            benchmark_of(task, options.columns).chosen(options.subsets, options.limit)
        names = [model if options.server else find(model, options.base, options.home).name for model in models]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"two models are called {twice}: tables could not tell them apart")


@job(EvaluateCall, check=_evaluating)
def train_evaluate(models: Models, options: EvaluateCall) -> Scores:
    """Ask models the questions of benchmarks, and say how many they answer right, with intervals.

    The same call goes on where it was stopped; no question is asked twice. ``studio train report``
    compares what is kept.

    Args:
        models: Names or folders, or ``BASE+ADAPTER``; with a server the names that it knows.
        options: See `training.evaluation.asking.config.EvaluateConfig`.
    """
    with waiting("loading the libraries of the evaluation"):
        from training.evaluation.asking.evaluate import evaluate
    config = _evaluate_config(options)
    _tell_power(config, options.tell)
    made = [one for model in models for one in evaluate(model, config, options.home, options.tell)]
    return Scores(scores=tuple(score_of(one) for one in made))


def _tell_power(config: EvaluateConfig, tell: Tell) -> None:
    """Say, before anything is asked, which differences the benchmarks can show."""
    from training.evaluation.asking.tasks import benchmark_of
    from training.evaluation.statistics.power import detectable_paired, detectable_unpaired

    for task in config.tasks:
        benchmark = benchmark_of(task, config.columns).chosen(config.subsets, config.limit)
        count = len(benchmark.questions)
        tell(
            Remark(
                text=f"{benchmark.name}: {count} questions show, four times out of five, a difference of "
                f"{100 * detectable_paired(count, discordance=0.15):.1f} points between two models where 15% of the "
                f"answers differ, {100 * detectable_unpaired(count):.1f} without pairing; questions of one passage "
                "show less"
            )
        )


def score_of(one: Evaluation) -> Score:
    """What an evaluation comes to, with its interval."""
    from training.evaluation.statistics.intervals import share

    found = share([float(right) for right in one.right], one.passages)
    return Score(
        model=one.model,
        task=one.task,
        questions=len(one.answers),
        right=found.value,
        low=found.low,
        high=found.high,
        unparsed=one.unparsed,
        protocol=one.protocol,
        rule=one.rule,
        template=one.template,
    )

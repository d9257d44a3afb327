"""The study's own figures, from the numbers that its tables and text state. Knows ``published.yaml``, not our results.

A number that stands in a picture alone is not here; what that leaves out is said. Intervals are computed here from a
score and the number of questions, since the study states none, and are marked as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from training.evaluation.reports.figures.bars import Bar, accuracy, improvement
from training.evaluation.reports.figures.depth import Gradient, gradients
from training.evaluation.reports.figures.drawing import Drawing, LeftOut
from training.evaluation.reports.figures.judges import Judged, judged

_FILE = Path(__file__).with_name("published.yaml")
STATED = "the study's stated numbers, without answers question by question: none can be compared or tested"
"""What published numbers are, and what cannot be done with them."""
_TITLES = {
    "accuracy": "the overall scores in the text",
    "improvement": "best gain over the instruct model",
    "judges": "one judge's scores (table 3)",
    "gradients": "the two curves of t in the code",
}
_CRITERIA = ("depth", "creativity", "clarity", "quantitative")


class _Stated(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Placed(_Stated):
    place: str = Field(description="Where the study states it")


class StatedBenchmark(_Placed):
    """A benchmark's size."""

    name: str
    questions: int = Field(ge=1)


class StatedScore(_Placed):
    """A variant's overall score."""

    name: str
    score: float = Field(ge=0, le=1)


class StatedImprovement(_Placed):
    """A family's best gain over its instruct model."""

    name: str
    percent: float
    words: str = Field(description="As the study rounds it")


class StatedStrategy(_Placed):
    """A family's best strategy."""

    family: str
    start: str
    stages: str


class StatedTokens(_Placed):
    """Tokens that a family was pretrained on."""

    family: str
    trillions: float = Field(gt=0)


class StatedScores(_Stated):
    """A row of the study's table 3."""

    name: str
    depth: int = Field(ge=1, le=10)
    creativity: int = Field(ge=1, le=10)
    clarity: int = Field(ge=1, le=10)
    quantitative: int = Field(ge=1, le=10)
    total: int = Field(ge=4, le=40)
    normalised: float = Field(ge=0, le=10)


class StatedGradient(_Placed):
    """A curve of t over depth, as the anchors that mergekit interpolates."""

    name: str
    self_attn: tuple[float, ...]
    mlp: tuple[float, ...]
    rest: tuple[float, ...]


class StatedAbsence(_Stated):
    """A figure for which the study states too few numbers, or none."""

    name: str
    why: str


class Study(_Stated):
    """All that is stated."""

    study: str
    mark: str = Field(description="Put on every figure")
    doi: str
    benchmarks: tuple[StatedBenchmark, ...]
    accuracy: tuple[StatedScore, ...]
    improvement: tuple[StatedImprovement, ...]
    strategies: tuple[StatedStrategy, ...]
    tokens: tuple[StatedTokens, ...]
    judges: tuple[StatedScores, ...]
    gradients: tuple[StatedGradient, ...]
    left_out: tuple[StatedAbsence, ...]

    @property
    def questions(self) -> int:
        """Questions of both benchmarks, which the overall score counts alike."""
        return sum(one.questions for one in self.benchmarks)


@cache
def study() -> Study:
    """The stated numbers."""
    import yaml

    return Study.model_validate(yaml.safe_load(_FILE.read_text(encoding="utf-8")))


def published_drawings() -> list[Drawing]:
    """The figures that the stated numbers suffice for, each marked."""
    from training.evaluation.statistics.intervals import share

    stated = study()
    bars = []
    for one in stated.accuracy:
        right = round(one.score * stated.questions)
        _, low, high = share([1] * right + [0] * (stated.questions - right))
        bars.append(Bar(one.name, "merge", one.score, low, high))
    gains = [
        Bar(f"{one.name} ({one.words})", "merge", one.percent, one.percent, one.percent) for one in stated.improvement
    ]
    scores = [
        Judged(one.name, {name: getattr(one, name) for name in _CRITERIA}, one.total / len(_CRITERIA))
        for one in stated.judges
    ]
    curves = [
        Gradient(one.name, {"self_attn": one.self_attn, "mlp": one.mlp, "rest": one.rest}) for one in stated.gradients
    ]
    found = [
        accuracy(
            bars,
            "",
            "overall score",
            stated.mark,
            f"The two overall scores that the text states ({_places(stated.accuracy)}). The intervals are computed "
            f"here (Wilson, {stated.questions} questions); the study states none.",
        ),
        improvement(
            gains,
            "the family's instruct model",
            stated.mark,
            f"Best gain over the family's instruct model, rounded as the study does ({_places(stated.improvement)}); "
            "stated without an interval.",
        ),
        judged(
            scores,
            stated.mark,
            "Scores by one judge, GPT-4o, stated without spread or agreement (table 3).",
        ),
        gradients(
            curves,
            stated.mark,
            f"The two curves that the study's code states ({_places(stated.gradients)}), between their five anchors; "
            "t = 0 is the instruct model. Their scores are not stated.",
        ),
    ]
    return [replace(one, name=f"published-{one.name}", title=f"Published: {_TITLES[one.name]}") for one in found]


def published_left_out() -> list[LeftOut]:
    """The study's figures for which it states too few numbers, and what is missing."""
    titles = {
        "accuracy": "Accuracy of every variant",
        "improvement": "Relative improvement over the baseline",
        "epochs": "Score over epochs of continued pretraining",
        "observed": "Observed over expected score",
        "clusters": "Two clusters of merges",
        "tree": "Which merges score alike",
        "correlation": "What goes with a merge's score",
        "deviation": "Deviation from the best parent",
        "gradients": "Curves of t over depth, beside their scores",
        "tuned": "Tuned against untuned, a family",
        "tokens": "Score over tokens of pretraining",
    }
    return [
        LeftOut(name=f"published-{one.name}", title=f"Published: {titles[one.name]}", why=one.why)
        for one in study().left_out
    ]


def _places(stated: Sequence[_Placed]) -> str:
    return "; ".join(dict.fromkeys(one.place for one in stated))

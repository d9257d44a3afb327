"""Scores along an axis: epochs of continued pretraining, pretraining tokens, stated confidence. Knows plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from training.evaluation.reports.figures.drawing import Drawing
from training.evaluation.reports.figures.style import (
    BLACK,
    GREY,
    LINES,
    MARKERS,
    SERIES,
    grid,
    intervals,
    legend,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LINES = 6
"""Series that can be told apart in a print column."""


class Point(NamedTuple):
    """A score at a place of the axis, with its interval."""

    name: str
    x: float
    value: float
    low: float
    high: float


class Bin(NamedTuple):
    """Answers of like confidence: how sure the model was, and how often it was right."""

    confidence: float
    accuracy: float
    low: float
    high: float
    questions: int


class Calibrated(NamedTuple):
    """A model's calibration error and its bins."""

    name: str
    error: float
    bins: Sequence[Bin]


def epochs(series: Mapping[str, Sequence[Point]], baseline: tuple[str, float]) -> Drawing:
    """Score over epochs of continued pretraining, the baseline as a dashed line.

    Args:
        series: By name of the line, in order of epochs; at most :data:`MOST_LINES` are drawn.
        baseline: Name and score.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for place, (name, points) in enumerate(list(series.items())[:MOST_LINES]):
            places = [point.x + 0.02 * place for point in points]
            axes.plot(
                places,
                [point.value for point in points],
                color=SERIES[place],
                marker=MARKERS[place],
                linestyle=LINES[place],
                label=shortened([name], 40)[0],
            )
            intervals(axes, places, [one.low for one in points], [one.high for one in points], SERIES[place])
        axes.axhline(baseline[1], color=BLACK, linestyle="--", linewidth=0.9, label=shortened([baseline[0]], 40)[0])
        axes.set(xlabel="epoch of continued pretraining", ylabel="accuracy")
        ticks = sorted({point.x for points in series.values() for point in points})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        grid(axes)
        legend(axes, columns=2)

    return Drawing(
        "epochs",
        "Score over epochs of continued pretraining",
        f"Accuracy after each kept epoch, with 95% intervals; dashed: the baseline, {baseline[0]}."
        + _left_over(len(series), "lines"),
        ("line", "model", "epoch", "value", "low", "high"),
        tuple((name, *point) for name, points in series.items() for point in points),
        2.4 + 0.13 * min(len(series), MOST_LINES),
        draw,
    )


def tokens(families: Mapping[str, Sequence[Point]]) -> Drawing:
    """Score over tokens of pretraining in trillions: of each family its untuned and its best tuned model."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for place, (name, points) in enumerate(families.items()):
            colour, marker = SERIES[place % len(SERIES)], MARKERS[place % len(MARKERS)]
            for point, face in zip(points, ("white", colour), strict=True):
                intervals(axes, [point.x], [point.low], [point.high], colour)
                axes.plot(
                    [point.x],
                    [point.value],
                    marker,
                    color=colour,
                    markerfacecolor=face,
                    zorder=5,
                    label=shortened([name], 40)[0] if face != "white" else None,
                )
        ticks = sorted({point.x for points in families.values() for point in points})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.margins(x=0.15)
        axes.set(xlabel="tokens of pretraining (trillions)", ylabel="accuracy")
        grid(axes)
        legend(axes)

    return Drawing(
        "tokens",
        "Score over tokens of pretraining",
        "Open markers: untuned; filled: best of those tuned or merged; 95% intervals. Families differ in more than "
        "their pretraining, so that no trend is drawn through them.",
        ("family", "model", "trillion_tokens", "value", "low", "high"),
        tuple((name, *point) for name, points in families.items() for point in points),
        2.4,
        draw,
    )


def reliability(models: Sequence[Calibrated]) -> Drawing:
    """How often answers of like confidence are right, against the diagonal of perfect calibration."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=0.8, label="calibrated")
        for place, model in enumerate(models[:MOST_LINES]):
            bins = model.bins
            places = [one.confidence for one in bins]
            axes.plot(
                places,
                [one.accuracy for one in bins],
                color=SERIES[place],
                marker=MARKERS[place],
                linestyle=LINES[place],
                label=f"{shortened([model.name], 36)[0]}: {model.error:.3f}",
            )
            axes.vlines(places, [one.low for one in bins], [one.high for one in bins], SERIES[place], linewidth=0.4)
        axes.set(xlabel="confidence in the answer given", ylabel="share right", xlim=(0, 1), ylim=(0, 1))
        axes.set_box_aspect(0.85)
        grid(axes)
        legend(axes, columns=2)

    return Drawing(
        "reliability",
        "Calibration: how sure, and how often right",
        "Questions in bins of confidence, with 95% intervals of the share right; beside each name its expected "
        "calibration error. Below the diagonal a model is too sure." + _left_over(len(models), "models"),
        ("model", "calibration_error", "confidence", "share_right", "low", "high", "questions"),
        tuple((model.name, model.error, *one) for model in models for one in model.bins),
        2.8 + 0.13 * min(len(models), MOST_LINES),
        draw,
    )


def _left_over(count: int, what: str) -> str:
    return (
        f" Only the first {MOST_LINES} of {count} {what} are drawn; all are in the table." if count > MOST_LINES else ""
    )

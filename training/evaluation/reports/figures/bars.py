"""Bars a variant: accuracy, improvement over a baseline, deviation from the best parent, tuned against untuned.

Knows values with their intervals; not what they were measured on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from training.evaluation.reports.figures.drawing import Drawing
from training.evaluation.reports.figures.style import (
    BLACK,
    BLUE,
    KINDS,
    SKY,
    VERMILLION,
    Look,
    grid,
    intervals,
    legend,
    name_rows,
    rows_height,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Bar(NamedTuple):
    """A variant's value with its interval."""

    name: str
    kind: str
    """A key of :data:`KINDS`."""
    value: float
    low: float
    high: float


class Family(NamedTuple):
    """A family's model before training and the best of those trained from it."""

    name: str
    untuned: Bar
    tuned: Bar


class Deviation(NamedTuple):
    """How far a merge lies from its best parent, with the corrected interval."""

    name: str
    parent: str
    value: float
    low: float
    high: float
    excludes_zero: bool


_COLUMNS = ("name", "kind", "value", "low", "high")


def _patches(looks: Sequence[Look]) -> list[Any]:
    from matplotlib.patches import Patch

    return [Patch(facecolor=look.colour, hatch=look.hatch, edgecolor=BLACK, lw=0.4, label=look.label) for look in looks]


def _draw_bars(axes: Axes, bars: Sequence[Bar]) -> None:
    """Horizontal bars in order, each kind in its look, with intervals."""
    for kind, look in KINDS.items():
        places = [place for place, bar in enumerate(bars) if bar.kind == kind]
        axes.barh(
            places,
            [bars[place].value for place in places],
            height=0.72,
            color=look.colour,
            hatch=look.hatch,
            edgecolor=BLACK,
            linewidth=0.4,
        )
    _intervals(axes, [(bar.value, bar.low, bar.high) for bar in bars])
    name_rows(axes, [bar.name for bar in bars])


def _intervals(axes: Axes, values: Sequence[tuple[float, float, float]]) -> None:
    """Lines from low to high with caps; none where there is no interval."""
    found = [(place, low, high) for place, (_, low, high) in enumerate(values) if low < high]
    if found:
        places, low, high = zip(*found, strict=True)
        axes.hlines(places, low, high, color=BLACK, linewidth=0.8, zorder=4)
        for ends in (low, high):
            axes.plot(ends, places, "|", color=BLACK, markersize=3.5, markeredgewidth=0.7, zorder=4)


def accuracy(bars: Sequence[Bar], baseline: str, measure: str, mark: str = "", caption: str = "") -> Drawing:
    """Accuracy of every variant, and the baseline as a dashed line.

    Args:
        bars: In the order they are drawn, from the top.
        baseline: Name of the one that the line stands for, or empty.
        measure: What is on the axis.
        mark: Where the numbers come from, if they were not measured here.
        caption: In place of the usual one.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _draw_bars(axes, bars)
        axes.set(xlabel=measure, xlim=(0, 1))
        grid(axes, "x")
        handles = _patches([KINDS[kind] for kind in KINDS if any(bar.kind == kind for bar in bars)])
        line = [bar.value for bar in bars if bar.name == baseline]
        if line:
            handles.append(
                axes.axvline(line[0], color=BLACK, linestyle="--", linewidth=0.9, label="baseline", zorder=2)
            )
        legend(axes, handles, columns=4)

    return Drawing(
        "accuracy",
        "Accuracy of every variant",
        caption
        or "Share of questions answered right, with 95% intervals"
        + (f"; dashed: the baseline, {baseline}." if baseline else "."),
        _COLUMNS,
        tuple(bars),
        rows_height(len(bars)),
        draw,
        mark,
    )


def improvement(bars: Sequence[Bar], baseline: str, mark: str = "", caption: str = "") -> Drawing:
    """Relative improvement over the baseline in percent of its score, best first.

    Args:
        bars: Values and intervals in percent.
        baseline: What they are compared with.
        mark: Where the numbers come from, if they were not measured here.
        caption: In place of the usual one.
    """
    ordered = sorted(bars, key=lambda bar: -bar.value)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _draw_bars(axes, ordered)
        axes.axvline(0, color=BLACK, linewidth=0.8)
        axes.set_xlabel("improvement over the baseline (%)")
        grid(axes, "x")
        legend(axes, _patches([KINDS[kind] for kind in KINDS if any(bar.kind == kind for bar in bars)]))

    return Drawing(
        "improvement",
        "Relative improvement over the baseline",
        caption
        or f"Gain in score over {baseline} in percent of its score, with the interval of the paired difference; "
        "the baseline's own score is taken as it is.",
        _COLUMNS,
        tuple(ordered),
        rows_height(len(bars)),
        draw,
        mark,
    )


def deviation(merges: Sequence[Deviation]) -> Drawing:
    """Merged minus best parent, largest first; red below zero, pale where the interval holds zero."""
    ordered = sorted(merges, key=lambda one: -one.value)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for place, one in enumerate(ordered):
            axes.barh(
                place,
                one.value,
                height=0.72,
                color=BLUE if one.value >= 0 else VERMILLION,
                alpha=1.0 if one.excludes_zero else 0.35,
                hatch="" if one.value >= 0 else "xxxx",
                edgecolor=BLACK,
                linewidth=0.4,
            )
        _intervals(axes, [(one.value, one.low, one.high) for one in ordered])
        name_rows(axes, [one.name for one in ordered])
        axes.axvline(0, color=BLACK, linewidth=0.8)
        axes.set_xlabel("merge minus best parent")
        grid(axes, "x")
        looks = [Look("above", BLUE, "", ""), Look("below", VERMILLION, "xxxx", "")]
        handles = _patches(looks)
        from matplotlib.patches import Patch

        handles.append(Patch(facecolor=SKY, alpha=0.5, edgecolor=BLACK, lw=0.4, label="pale: interval holds zero"))
        legend(axes, handles)

    return Drawing(
        "deviation",
        "Deviation from the best parent",
        "Score of each merge minus that of its best parent, largest first, with corrected intervals. Red and hatched: "
        "below the parent. Pale: the interval holds zero, so that no difference can be told.",
        ("name", "best_parent", "merged_minus_best", "low", "high", "excludes_zero"),
        tuple((one.name, one.parent, one.value, one.low, one.high, str(one.excludes_zero).lower()) for one in ordered),
        rows_height(len(ordered)),
        draw,
    )


def tuned(families: Sequence[Family]) -> Drawing:
    """The untuned model of each family beside the best of those tuned from it."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for kind, offset in (("untuned", -0.2), ("tuned", 0.2)):
            look = KINDS[kind]
            bars = [family.untuned if kind == "untuned" else family.tuned for family in families]
            places = [place + offset for place in range(len(families))]
            axes.bar(
                places,
                [bar.value for bar in bars],
                width=0.38,
                color=look.colour,
                hatch=look.hatch,
                edgecolor=BLACK,
                linewidth=0.4,
                label=look.label if kind == "untuned" else "best of the tuned and merged",
            )
            intervals(axes, places, [bar.low for bar in bars], [bar.high for bar in bars])
        axes.set_xticks(range(len(families)), shortened([family.name for family in families], 48 // len(families)))
        axes.set(ylim=(0, 1), xlim=(-0.6, len(families) - 0.4), ylabel="accuracy")
        grid(axes, "y")
        legend(axes)

    return Drawing(
        "tuned",
        "Tuned against untuned, a family",
        "Untuned model of each family beside the best of those tuned or merged from it, with 95% intervals. The best "
        "of many is chosen by the score shown, which flatters it.",
        ("family", "model", *_COLUMNS[1:]),
        tuple((family.name, *bar) for family in families for bar in (family.untuned, family.tuned)),
        2.4,
        draw,
    )

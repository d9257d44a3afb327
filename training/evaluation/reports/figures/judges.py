"""Judges' scores of conversations, by criterion. Knows scores with their spread, no judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from training.evaluation.reports.figures.drawing import Cell, Drawing
from training.evaluation.reports.figures.style import (
    BLACK,
    MARKERS,
    SERIES,
    grid,
    legend,
    name_rows,
    rows_height,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BELOW = 0.32  # of a row


class Judged(NamedTuple):
    """A variant's mean score by criterion, 1 to 10, and the average of them with its interval if it has one.

    Where people have labelled, also the average that this lets expect of them: value, lower and upper end.
    """

    name: str
    criteria: Mapping[str, float]
    average: float
    low: float | None = None
    high: float | None = None
    corrected: tuple[float, float, float] | None = None


def judged(variants: Sequence[Judged], mark: str = "", caption: str = "") -> Drawing:
    """Criteria as markers and their average as a bar, best first; below it the average corrected by people's labels.

    Args:
        variants: All with the same criteria.
        mark: Where the numbers come from, if they were not measured here.
        caption: In place of the usual one.
    """
    ordered = sorted(variants, key=lambda one: -one.average)
    criteria = list(ordered[0].criteria)
    labelled = any(one.corrected for one in ordered)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _averages(axes, ordered)
        for place, name in enumerate(criteria):
            offset = 0.4 * (place / max(len(criteria) - 1, 1) - 0.5)
            axes.plot(
                [one.criteria[name] for one in ordered],
                [row + offset for row in range(len(ordered))],
                MARKERS[place % len(MARKERS)],
                color=SERIES[place % len(SERIES)],
                markeredgecolor=BLACK,
                markeredgewidth=0.3,
                markersize=3.4,
                label=name,
            )
        if labelled:
            _corrected(axes, ordered)
        name_rows(axes, [one.name for one in ordered])
        axes.set(xlabel="score (1 to 10)", xlim=(0, 10.4))
        grid(axes, "x")
        legend(axes, columns=2)

    told = "Mean score of each criterion (markers) and their average (bar), best first; lines are 95% intervals."
    if labelled:
        told += " White diamonds: the average as people would have given it, by their labels."
    more = ("corrected", "corrected low", "corrected high") if labelled else ()
    return Drawing(
        "judges",
        "Judges' scores of the conversations",
        caption or told,
        ("name", *criteria, "average", "low", "high", *more),
        tuple(_row(one, criteria)[: len(criteria) + 4 + len(more)] for one in ordered),
        rows_height(len(ordered), row=0.28 if labelled else 0.22, rest=1.3 if labelled else 1.15),
        draw,
        mark,
    )


def _row(one: Judged, criteria: Sequence[str]) -> tuple[Cell, ...]:
    scores = [one.criteria[name] for name in criteria]
    return (one.name, *scores, one.average, one.low, one.high, *(one.corrected or (None, None, None)))


def _averages(axes: Axes, ordered: Sequence[Judged]) -> None:
    axes.barh(
        range(len(ordered)),
        [one.average for one in ordered],
        height=0.72,
        color="0.87",
        edgecolor=BLACK,
        linewidth=0.4,
        label="average",
    )
    for place, one in enumerate(ordered):
        if one.low is not None and one.high is not None:
            axes.hlines(place, one.low, one.high, color=BLACK, linewidth=0.8)


def _corrected(axes: Axes, ordered: Sequence[Judged]) -> None:
    known = [(place + _BELOW, one.corrected) for place, one in enumerate(ordered) if one.corrected]
    for at, (_, low, high) in known:
        axes.hlines(at, low, high, color=BLACK, linewidth=0.8)
    axes.plot(
        [corrected[0] for _, corrected in known],
        [at for at, _ in known],
        "D",
        color="white",
        markeredgecolor=BLACK,
        markeredgewidth=0.7,
        markersize=3.4,
        label="average, corrected",
    )

"""Judges' scores of conversations, by criterion. Knows scores with their spread, no judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from training.evaluation.reports.figures.drawing import Drawing
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
    from matplotlib.figure import Figure


class Judged(NamedTuple):
    """A variant's mean score by criterion, 1 to 10, and the average of them with its interval if it has one."""

    name: str
    criteria: Mapping[str, float]
    average: float
    low: float | None = None
    high: float | None = None


def judged(variants: Sequence[Judged], mark: str = "", caption: str = "") -> Drawing:
    """Criteria as markers and their average as a bar, best first.

    Args:
        variants: All with the same criteria.
        mark: Where the numbers come from, if they were not measured here.
        caption: In place of the usual one.
    """
    ordered = sorted(variants, key=lambda one: -one.average)
    criteria = list(ordered[0].criteria)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
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
        name_rows(axes, [one.name for one in ordered])
        axes.set(xlabel="score (1 to 10)", xlim=(0, 10.4))
        grid(axes, "x")
        legend(axes, columns=2)

    return Drawing(
        "judges",
        "Judges' scores of the conversations",
        caption
        or "Mean score of each criterion (markers) and their average (bar), best first; lines are 95% intervals.",
        ("name", *criteria, "average", "low", "high"),
        tuple(
            (one.name, *(one.criteria[name] for name in criteria), one.average, one.low, one.high) for one in ordered
        ),
        rows_height(len(ordered), row=0.22, rest=1.15),
        draw,
        mark,
    )

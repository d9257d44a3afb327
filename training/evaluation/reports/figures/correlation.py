"""How what merges are made of goes with how they score: a heatmap of correlations. Knows columns of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from training.evaluation.reports.figures.drawing import Drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST = 5
"""Merges below which an interval of a correlation is all that there could be."""


class Correlation(NamedTuple):
    """Pearson's correlation of two columns and its 95% interval.

    The interval is by Fisher's transformation ("Statistical Methods", 1925); all are missing of a constant column.
    """

    one: str
    other: str
    value: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def correlations(columns: Mapping[str, Sequence[float | None]]) -> list[Correlation]:
    """Correlations of every two columns, over the rows in which both are known.

    Args:
        columns: By name; of equal length, a missing value where something is not known of a merge.
    """
    from scipy.stats import pearsonr

    names, found = list(columns), []
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            pairs = [
                (a, b) for a, b in zip(columns[one], columns[other], strict=True) if a is not None and b is not None
            ]
            values = np.array(pairs, dtype=np.float64).reshape(-1, 2)
            if len(values) < FEWEST or np.ptp(values, axis=0).min() < 1e-12:
                found.append(Correlation(one, other, None, None, None, len(values)))
                continue
            result = pearsonr(values[:, 0], values[:, 1])
            ends = result.confidence_interval(0.95)
            value, low, high = (float(number) for number in (result.statistic, ends.low, ends.high))
            found.append(Correlation(one, other, value, low, high, len(values)))
    return found


def heatmap(found: Sequence[Correlation], names: Sequence[str]) -> Drawing:
    """The correlations as a triangle of colours and numbers, a star where the interval excludes zero.

    Args:
        found: Of every two of the names.
        names: In order.
    """
    count = len(names)
    place = {name: index for index, name in enumerate(names)}
    most = max(one.n for one in found)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        values = np.full((count, count), np.nan)
        for one in found:
            row, column = sorted((place[one.one], place[one.other]), reverse=True)
            values[row, column] = np.nan if one.value is None else one.value
            text = "–" if one.value is None else f"{one.value:+.2f}{'*' if one.excludes_zero else ''}"
            if one.n != most and one.value is not None:
                text += f"\nn={one.n}"
            dark = one.value is not None and abs(one.value) > 0.6
            axes.text(column, row, text, ha="center", va="center", fontsize=6, color="white" if dark else "black")
        image = axes.imshow(
            values[1:, :-1], cmap="PuOr_r", vmin=-1, vmax=1, extent=(-0.5, count - 1.5, count - 0.5, 0.5)
        )
        axes.set_xticks(range(count - 1), names[:-1], rotation=35, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(1, count), names[1:])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02, ticks=[-1, -0.5, 0, 0.5, 1])
        bar.outline.set_visible(False)
        axes.text(1.0, 0.98, f"n = {most} merges", transform=axes.transAxes, ha="right", va="top", fontsize=6.5)

    return Drawing(
        "correlation",
        "What goes with a merge's score",
        f"Pearson's correlation over {most} merges; a star where its 95% interval (Fisher) excludes zero, which one in "
        "twenty does by chance; a dash where a column does not vary. Merges that share parents are not independent.",
        ("one", "other", "correlation", "low", "high", "n", "excludes_zero"),
        tuple((*one, str(one.excludes_zero).lower()) for one in found),
        3.1,
        draw,
    )

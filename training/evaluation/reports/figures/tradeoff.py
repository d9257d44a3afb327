"""What a variant gained on its benchmark against what it forgot elsewhere. Knows two differences a variant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from training.evaluation.reports.figures.drawing import Drawing
from training.evaluation.reports.figures.style import BLACK, GREY, KINDS, grid, key_height, legend, numbered, with_key

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Tradeoff(NamedTuple):
    """Gain on the benchmark and change on the forgetting set, both over the baseline, with intervals."""

    name: str
    kind: str
    gain: float
    gain_low: float
    gain_high: float
    change: float
    change_low: float
    change_high: float


def forgetting(variants: Sequence[Tradeoff], baseline: str) -> Drawing:
    """Change on general questions over gain on the benchmark."""
    height = 3.1 + key_height(len(variants))

    def draw(figure: Figure) -> None:
        axes = with_key(figure, [one.name for one in variants], height)
        values = np.array([one[2:] for one in variants])
        axes.axhline(0, color=BLACK, linewidth=0.7)
        axes.axvline(0, color=BLACK, linewidth=0.7)
        axes.hlines(values[:, 3], values[:, 1], values[:, 2], color=GREY, linewidth=0.5)
        axes.vlines(values[:, 0], values[:, 4], values[:, 5], color=GREY, linewidth=0.5)
        looks = [KINDS[one.kind] for one in variants]
        numbered(axes, values[:, 0].tolist(), values[:, 3].tolist(), looks)
        axes.set(xlabel="gain on the benchmark", ylabel="change on general questions")
        axes.set_box_aspect(0.8)
        grid(axes)
        from matplotlib.lines import Line2D

        legend(
            axes,
            [
                Line2D(
                    [],
                    [],
                    marker=look.marker,
                    color=look.colour,
                    markeredgecolor=BLACK,
                    markeredgewidth=0.4,
                    linestyle="none",
                    label=look.label,
                )
                for look in KINDS.values()
                if look in looks
            ],
        )

    return Drawing(
        "forgetting",
        "Gain against forgetting",
        f"Change on general questions over gain on the benchmark, both against {baseline}, with 95% intervals. Below "
        "the line a variant forgot; a merge may win by what it does not forget.",
        ("name", "kind", "gain", "gain_low", "gain_high", "change", "change_low", "change_high"),
        tuple(variants),
        height,
        draw,
    )

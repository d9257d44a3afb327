"""Figures of an evaluation. Knows shares with their intervals, no models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from training.evaluation.statistics.accuracy import Accuracy
from workspace.files import publish


def plot_accuracy(rows: Mapping[str, Accuracy], path: Path, title: str) -> None:
    """Draw the accuracy of variants as bars with their intervals, the first one's as a dashed line, as a PNG.

    Args:
        rows: By name.
        path: Where the picture goes.
        title: What was measured.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    names = list(rows)
    heights = [rows[name].accuracy for name in names]
    below = [rows[name].accuracy - rows[name].low for name in names]
    above = [rows[name].high - rows[name].accuracy for name in names]
    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=110)
    axes.bar(names, heights, yerr=[below, above], capsize=4, color=["0.75"] + ["#0a693e"] * (len(names) - 1))
    axes.axhline(heights[0], color="0.4", linestyle="--", linewidth=1)
    axes.set(ylabel="share answered right", ylim=(0, 1), title=title)
    axes.tick_params(axis="x", rotation=20)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    publish(path, lambda staged: figure.savefig(staged, format="png"))
    pyplot.close(figure)

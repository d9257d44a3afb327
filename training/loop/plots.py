"""Plots of a training. Knows rows of metrics; not what was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workspace.files import publish


def plot_loss(rows: Sequence[Mapping[str, Any]], path: Path, title: str) -> None:
    """Draw loss over step, with its moving mean of ten points, as a PNG.

    Args:
        rows: Each with ``step`` and ``loss``; of a step logged twice the later row counts.
        path: Where the picture goes.
        title: What was trained.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    held = {int(row["step"]): float(row["loss"]) for row in rows}
    steps = sorted(held)
    losses = [held[step] for step in steps]
    smooth = [sum(losses[max(0, n - 9) : n + 1]) / min(n + 1, 10) for n in range(len(losses))]
    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=110)
    axes.plot(steps, losses, color="0.75", linewidth=1, label="loss")
    axes.plot(steps, smooth, color="#0a693e", linewidth=2, label="mean of ten")
    axes.set(xlabel="step", ylabel="loss", title=title)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    publish(path, lambda staged: figure.savefig(staged, format="png"))
    pyplot.close(figure)


def plot_accuracy(rows: Mapping[str, Mapping[str, float]], path: Path, title: str) -> None:
    """Draw the accuracy of variants as bars with their intervals, the first one's as a dashed line, as a PNG.

    Args:
        rows: By name ``accuracy``, ``low`` and ``high``, from 0 to 1.
        path: Where the picture goes.
        title: What was measured.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    names = list(rows)
    heights = [rows[name]["accuracy"] for name in names]
    below = [rows[name]["accuracy"] - rows[name]["low"] for name in names]
    above = [rows[name]["high"] - rows[name]["accuracy"] for name in names]
    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=110)
    axes.bar(names, heights, yerr=[below, above], capsize=4, color=["0.75"] + ["#0a693e"] * (len(names) - 1))
    axes.axhline(heights[0], color="0.4", linestyle="--", linewidth=1)
    axes.set(ylabel="share answered right", ylim=(0, 1), title=title)
    axes.tick_params(axis="x", rotation=20)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    publish(path, lambda staged: figure.savefig(staged, format="png"))
    pyplot.close(figure)

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

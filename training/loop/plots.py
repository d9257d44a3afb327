"""Plots of a training. Knows rows of metrics; not what was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workspace.files import publish


def plot_loss(rows: Sequence[Mapping[str, Any]], path: Path, title: str) -> None:
    """Draw loss over step, with its moving mean of ten points and the held-out loss, as a PNG.

    Args:
        rows: Each with ``step`` and ``loss``, ``held_out`` or both; of a step logged twice the later row counts.
        path: Where the picture goes.
        title: What was trained.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    trained = {int(row["step"]): float(row["loss"]) for row in rows if "loss" in row}
    held_out = {int(row["step"]): float(row["held_out"]) for row in rows if "held_out" in row}
    steps = sorted(trained)
    losses = [trained[step] for step in steps]
    smooth = [sum(losses[max(0, n - 9) : n + 1]) / min(n + 1, 10) for n in range(len(losses))]
    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=110)
    axes.plot(steps, losses, color="0.75", linewidth=1, label="loss")
    axes.plot(steps, smooth, color="#0a693e", linewidth=2, label="mean of ten")
    if held_out:
        axes.plot(
            sorted(held_out), [held_out[step] for step in sorted(held_out)], "o-", color="#b5442e", label="held out"
        )
    axes.set(xlabel="step", ylabel="loss", title=title)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    publish(path, lambda staged: figure.savefig(staged, format="png"))
    pyplot.close(figure)

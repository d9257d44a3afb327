"""What changes over a model's depth: curves of t beside the scores they led to, cosines of the parents' tensors.

Knows tensors by name and t by layer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from training.evaluation.reports.figures.drawing import Drawing
from training.evaluation.reports.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    grid,
    legend,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PANELS = 12
LINEAR_FROM = 0.9995
"""Cosine above which mergekit's slerp interpolates linearly (its ``dot_threshold``)."""
_LAYER = re.compile(r"\blayers?\.(\d+)\.|\bh\.(\d+)\.|\bblocks\.(\d+)\.")
_PARTS = {"self_attn": (BLUE, "o", "-"), "mlp": (ORANGE, "s", "--"), "rest": (GREEN, "^", ":")}
_NEAREST = 1e-8
"""Least distance from 1 that is drawn: cosines are kept to single precision."""


class Gradient(NamedTuple):
    """t over depth by part, and the score of the merge, if there is one."""

    name: str
    curve: Mapping[str, Sequence[float]]
    score: tuple[float, float, float] | None = None


def part(tensor: str) -> str:
    """Which of the study's filters a tensor falls under: self_attn, mlp or rest."""
    return next((name for name in ("self_attn", "mlp") if f".{name}." in tensor), "rest")


def layer(tensor: str) -> int | None:
    """The layer that a tensor belongs to; none for embeddings, the head and the last norm."""
    found = _LAYER.search(tensor)
    return None if found is None else int(next(group for group in found.groups() if group is not None))


def gradients(variants: Sequence[Gradient], mark: str = "", caption: str = "") -> Drawing:
    """Curves of t over depth, a panel a merge, best score first, each with its score.

    Args:
        variants: At most :data:`MOST_PANELS` are drawn.
        mark: Where the numbers come from, if they were not measured here.
        caption: In place of the usual one.
    """
    ordered = sorted(variants, key=lambda one: -(one.score[0] if one.score else 0.0))
    shown = ordered[:MOST_PANELS]
    rows = -(-len(shown) // 2)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False).flat
        labels = shortened([one.name for one in shown], 27)
        for axes, one, label in zip(panels, shown, labels, strict=False):
            for name, (colour, _, line) in _PARTS.items():
                values = one.curve.get(name)
                if values is not None:
                    depth = [place / max(len(values) - 1, 1) for place in range(len(values))]
                    axes.plot(depth, values, line, color=colour, linewidth=1.2, label=name)
            axes.set_title(label, fontsize=6, pad=2, loc="left")
            if one.score:
                value, low, high = one.score
                axes.text(0.5, 1.02, f"{value:.3f}  [{low:.3f}, {high:.3f}]", fontsize=5.5, ha="center", va="bottom")
            axes.set(xlim=(0, 1), ylim=(-0.06, 1.2 if one.score else 1.06), yticks=(0, 0.5, 1))
            grid(axes)
        _outer_labels(figure, len(shown), 2, "depth, first layer to last", "t")
        legend(figure.axes[0])

    return Drawing(
        "gradients",
        "Curves of t over depth, beside their scores",
        caption or _caption(len(variants)),
        ("merge", "part", "layer", "t", "score", "low", "high"),
        tuple(
            (one.name, name, place, float(value), *(one.score or (None, None, None)))
            for one in ordered
            for name, values in one.curve.items()
            for place, value in enumerate(values)
        ),
        0.7 + 0.85 * rows,
        draw,
        mark,
    )


def _caption(count: int) -> str:
    most = f" Drawn are the best {MOST_PANELS} of {count}; all are in the table." if count > MOST_PANELS else ""
    return (
        "t of each layer by part (0: the first parent, 1: the second), best score first; above the curves the score "
        f"with its 95% interval.{most}"
    )


def _outer_labels(figure: Figure, shown: int, across: int, x: str, y: str) -> None:
    """Words at the outer panels alone, and nothing where there is no panel."""
    for place, axes in enumerate(figure.axes):
        if place >= shown:
            axes.set_axis_off()
            continue
        if place + across >= shown:
            axes.set_xlabel(x)
            axes.tick_params(labelbottom=True)
        if place % across == 0:
            axes.set_ylabel(y)


def cosines(pairs: Mapping[str, Mapping[str, float]]) -> Drawing:
    """How far the parents' tensors point apart over depth: 1 - cosine, a panel a pair of parents.

    Args:
        pairs: Cosine by tensor, by the name of the pair; at most :data:`MOST_PANELS` are drawn.
    """
    shown = dict(list(pairs.items())[:MOST_PANELS])
    rows = -(-len(shown) // 2)
    across = min(len(shown), 2)
    deepest = max((layer(name) or 0 for tensors in pairs.values() for name in tensors), default=0)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(rows, across, sharex=True, sharey=True, squeeze=False).flat
        for axes, (pair, tensors) in zip(panels, shown.items(), strict=False):
            for name, (colour, marker, _) in _PARTS.items():
                inside = [(tensor, value) for tensor, value in tensors.items() if part(tensor) == name]
                if inside:
                    depth = [deepest + 1 if layer(tensor) is None else layer(tensor) for tensor, _ in inside]
                    apart = [max(1 - value, _NEAREST) for _, value in inside]
                    axes.plot(depth, apart, marker, color=colour, markersize=2.2, alpha=0.75, label=name)
            axes.axhline(1 - LINEAR_FROM, color=BLACK, linestyle="--", linewidth=0.8, label="slerp is linear below")
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}".replace("e-0", "e−"))
            axes.set_title(shortened([pair], 54 // across)[0], fontsize=6, pad=2, loc="left")
            grid(axes, "y")
        _outer_labels(figure, len(shown), across, "layer", "1 − cosine")
        legend(figure.axes[0])

    return Drawing(
        "cosines",
        "How far the parents' tensors point apart",
        f"1 minus the cosine of each tensor in the two parents. Below the dashed line (cosine above {LINEAR_FROM}) "
        "mergekit's slerp is plain linear interpolation. Embeddings, head and last norm stand after the last layer."
        + (
            f" Drawn are {MOST_PANELS} of {len(pairs)} pairs; all are in the table." if len(pairs) > MOST_PANELS else ""
        ),
        ("parents", "tensor", "part", "layer", "cosine"),
        tuple(
            (pair, tensor, part(tensor), layer(tensor), value)
            for pair, tensors in pairs.items()
            for tensor, value in tensors.items()
        ),
        0.9 + (0.95 if rows > 1 else 1.5) * rows,
        draw,
    )

"""One look for every figure: a print column wide, colours that the colour-blind tell apart, hatches and markers beside.

Knows colours, labels and axes; no models and no measurements. Colours are those of Okabe and Ito, "Color universal
design" (2008); each stands with a hatch or a marker of its own, so that a figure survives a grey printer.
"""

from __future__ import annotations

from collections.abc import Sequence
from os.path import commonprefix
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN = 3.5
"""Width of a print column in inches."""
DOTS = 220
"""Dots an inch of a PNG."""

BLACK, GREY, PALE = "#000000", "#8c8c8c", "#d9d9d9"
ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
SERIES = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MOST_LETTERS = 30
"""Of a name beside an axis."""

SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "figure.titlesize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "studio",
    "text.parse_math": False,
    "axes.unicode_minus": True,
}


class Look(NamedTuple):
    """How one kind of model is drawn."""

    label: str
    colour: str
    hatch: str
    marker: str


KINDS = {
    "untuned": Look("untuned", PALE, "", "o"),
    "tuned": Look("tuned", SKY, "////", "s"),
    "merge": Look("merge", BLUE, "", "^"),
    "not described": Look("not described", "#ffffff", "....", "D"),
}
"""Kinds of models, lightest first."""


def shortened(names: Sequence[str], most: int = MOST_LETTERS) -> list[str]:
    """Names short enough for an axis, and a number where two would look the same.

    An ellipsis stands for the words with which all that are too long begin, in every name that begins so, then for
    what is in the middle.
    """
    found: list[str] = []
    whole = [" ".join(name.split()) for name in names]
    long = {text for text in whole if len(text) > most}
    common = commonprefix(list(long)) if len(long) > 1 else ""  # noqa: RUF071 - no paths
    begin = common.rfind("-") + 1
    for text in whole:
        if begin > 1 and len(text) > begin and text.startswith(common[:begin]):
            text = f"…{text[begin:]}"
        if len(text) > most:
            head = (most - 1) * 2 // 5
            text = f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"
        count, label = 2, text
        while label in found:
            label, count = f"{text} ({count})", count + 1
        found.append(label)
    return found


def rows_height(count: int, *, row: float = 0.165, rest: float = 0.9) -> float:
    """Height in inches of a figure with so many lines of names."""
    return rest + row * max(count, 2)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Names down the left side, first on top."""
    axes.set_yticks(range(len(names)), shortened(names))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def grid(axes: Axes, axis: str = "both") -> None:
    """Faint lines behind the data."""
    axes.grid(axis=axis, color=PALE, linewidth=0.4)  # type: ignore[arg-type]


def intervals(
    axes: Axes, places: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str = BLACK
) -> None:
    """Upright lines from low to high with caps; an interval need not hold its value."""
    axes.vlines(places, low, high, color=colour, linewidth=0.7, zorder=4)
    for ends in (low, high):
        axes.plot(places, ends, "_", color=colour, markersize=3.5, markeredgewidth=0.7, zorder=4)


def numbered(axes: Axes, x: Sequence[float], y: Sequence[float], looks: Sequence[Look | None]) -> None:
    """Points with their number beside them, on the side away from the nearest other; names stand in :func:`key`."""
    across, up = (max(max(values) - min(values), 1e-12) for values in (x, y))
    for look in dict.fromkeys(looks):
        places = [place for place, other in enumerate(looks) if other == look]
        colour, marker = (look.colour, look.marker) if look else (BLUE, "o")
        points = [x[place] for place in places], [y[place] for place in places]
        axes.plot(*points, marker, color=colour, markeredgecolor=BLACK, markeredgewidth=0.4, zorder=3)
    for place, (one, other) in enumerate(zip(x, y, strict=True)):
        away = [((one - a) / across, (other - b) / up) for k, (a, b) in enumerate(zip(x, y, strict=True)) if k != place]
        right, above = min(away, key=lambda step: step[0] ** 2 + step[1] ** 2, default=(1.0, 1.0))
        axes.annotate(
            str(place + 1),
            (one, other),
            (2.6 if right >= 0 else -2.6, 2.2 if above >= 0 else -2.2),
            textcoords="offset points",
            ha="left" if right >= 0 else "right",
            va="bottom" if above >= 0 else "top",
            fontsize=5.5,
            zorder=4,
        )


def key_height(count: int) -> float:
    """Height in inches that :func:`key` takes."""
    return 0.06 + 0.1 * -(-count // 2)


def key(axes: Axes, names: Sequence[str]) -> None:
    """What the numbers of points stand for, in two columns, on axes that show nothing else."""
    axes.set_axis_off()
    half = -(-len(names) // 2)
    labels = [f"{place}  {name}" for place, name in enumerate(shortened(names, 26), start=1)]
    for column, part in enumerate((labels[:half], labels[half:])):
        axes.text(
            0.5 * column, 1.0, "\n".join(part), transform=axes.transAxes, va="top", fontsize=5.5, linespacing=1.15
        )


def with_key(figure: Figure, names: Sequence[str], height: float) -> Axes:
    """Axes for points and, beneath, the key of their numbers; ``height`` is the figure's."""
    lower = key_height(len(names))
    above, below = figure.subplots(2, 1, height_ratios=[height - lower, lower])
    key(below, names)
    upper: Axes = above
    return upper


def legend(axes: Axes, handles: Sequence[Any] | None = None, columns: int = 3) -> None:
    """A legend under the figure, so that it hides no data; one column where its words are long."""
    figure = axes.get_figure()
    assert figure is not None
    found = list(axes.get_legend_handles_labels()[0] if handles is None else handles)
    fit = max(1, 62 // (max(len(str(one.get_label())) for one in found) + 6))
    figure.legend(handles=found, loc="outside lower center", ncols=min(columns, fit), columnspacing=1.0)

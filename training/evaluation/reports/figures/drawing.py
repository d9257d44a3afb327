"""What a figure is before it is drawn, and its three files. Knows how files are written, not what is in a figure.

A figure is drawn only when its files are asked for, since that takes a tenth of a second or more.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from training.evaluation.reports.figures.style import COLUMN, DOTS, GREY, SETTINGS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = str | float | int | None


class LeftOut(BaseModel):
    """A figure that cannot be drawn, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="The figure's")
    title: str = Field(description="What it would show")
    why: str = Field(description="What is not there")


@dataclass(frozen=True)
class Drawing:
    """A figure's data, and how to draw them."""

    name: str
    """Of its files, without suffix."""
    title: str
    caption: str
    columns: tuple[str, ...]
    """Of the data beside it."""
    rows: tuple[tuple[Cell, ...], ...]
    height: float
    """In inches; the width is a print column."""
    draw: Callable[[Figure], None]
    mark: str = ""
    """Drawn at the lower edge: where numbers come from that were not measured here."""


def _table(drawing: Drawing) -> bytes:
    text = io.StringIO()
    written = csv.writer(text, lineterminator="\n")
    written.writerow(drawing.columns)
    for row in drawing.rows:
        written.writerow(["" if cell is None else f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row])
    return text.getvalue().encode()


def files(drawing: Drawing) -> dict[str, bytes]:
    """A figure's PNG, SVG and CSV, by file name; the same bytes for the same data."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    found = {f"{drawing.name}.csv": _table(drawing)}
    with mpl.rc_context(SETTINGS), warnings.catch_warnings():
        # a name in a script that the font lacks is drawn as boxes; the table beside has it whole
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(COLUMN, drawing.height), layout="constrained")
        figure.suptitle(drawing.title, x=0.01, ha="left", weight="bold")
        layout = figure.get_layout_engine()
        assert layout is not None
        if drawing.mark:
            figure.text(0.99, 0.004, drawing.mark, ha="right", va="bottom", fontsize=5.5, color=GREY)
            layout.set(rect=(0, 0.14 / drawing.height, 1, 1 - 0.14 / drawing.height))  # type: ignore[call-arg]
        drawing.draw(figure)
        layout.execute(figure)
        figure.set_layout_engine(None)  # what is laid out stays: finding the places anew would double the time
        for suffix, options in (("svg", {"metadata": {"Date": None, "Creator": None}}), ("png", {"dpi": DOTS})):
            picture = io.BytesIO()
            figure.savefig(picture, format=suffix, **options)
            found[f"{drawing.name}.{suffix}"] = picture.getvalue()
    return found

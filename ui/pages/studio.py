"""The first page: where a design is asked for, watched, answered and taken away. Its pieces come from `ui.desk`."""

from __future__ import annotations

from typing import Any

from ui.desk.render import render
from ui.pages.frame import frame


def lay_out(gr: Any) -> None:
    """Lay out the page."""
    frame(gr, "Studio")
    gr.HTML(render("studio"), apply_default_css=False, elem_classes=["piece", "studio-page"])

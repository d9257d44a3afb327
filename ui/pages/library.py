"""The page of past designs and their pictures."""

from __future__ import annotations

from typing import Any

from ui.desk.render import render
from ui.pages.frame import frame


def lay_out(gr: Any) -> None:
    """Lay out the page."""
    frame(gr, "Library")
    gr.HTML(render("library_page"), apply_default_css=False, elem_classes=["piece", "library-page"])

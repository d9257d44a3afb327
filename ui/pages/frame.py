"""What all pages have in common: the masthead, the bar of pages, a live region, pieces that are read by name."""

from __future__ import annotations

from typing import Any

from ui.desk.render import render

MAIN = "Studio"


def frame(gr: Any, title: str) -> None:
    """Lay out the head of a page: one bar of pages, the masthead, and the region where short news is said."""
    gr.Navbar(main_page_name=MAIN)
    gr.HTML(render("head", title=title), apply_default_css=False, elem_id="masthead")


def piece(gr: Any, name: str, *, every: float = 0, label: str = "") -> Any:
    """Lay out a piece that the browser reads by name with the page's own query.

    Args:
        gr: Gradio.
        name: One of `ui.desk.table.READERS`.
        every: Seconds between two readings while the page is looked at; 0 for once.
        label: What stands there until it has come.
    """
    html = render("piece", reader=name, every=int(every * 1000), label=label or "Loading …")
    return gr.HTML(html, apply_default_css=False, elem_classes=["piece"])


def place(gr: Any, name: str) -> Any:
    """Lay out an empty place, which a press of a button fills; news of it is read out.

    Args:
        gr: Gradio.
        name: Its id, as a `Reply` names it.
    """
    return gr.HTML(render("place", id=name), apply_default_css=False, elem_classes=["piece"])

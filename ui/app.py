"""The page: one Gradio app on the front door. Lays out the form and the pieces; see `ui.pages.desk`.

It only submits and observes. A design runs in a worker process and is kept in the ledger, so closing the page ends
nothing and `?run=ID` shows a run again, whatever became of the page that asked for it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ui.pages.calls import Calls
from ui.pages.design import TICK, form, pieces, wire
from ui.pages.desk import Desk
from ui.pages.door import Door, FrontDoor
from ui.pages.render import render

if TYPE_CHECKING:
    from fastapi import FastAPI
    from gradio import Blocks

HERE = Path(__file__).parent / "pages" / "static"


def _gradio() -> Any:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio

    return gradio


def build(door: Door | None = None, desk: Desk | None = None) -> Blocks:
    """Lay out the page and wire its handlers.

    Args:
        door: What the page asks; by default the real front door with the resolved settings.
        desk: The handlers, when they are shared with the route that serves pictures.
    """
    gr = _gradio()
    door = door or FrontDoor()
    with gr.Blocks(title="Studio", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.HTML(render("head"), apply_default_css=False, elem_id="masthead")
        with gr.Row(elem_id="desk"):
            with gr.Column(elem_id="ask", min_width=260):
                made = form(gr, door)
            with gr.Column(elem_id="table", min_width=260):
                made |= pieces(gr)
            with gr.Column(elem_id="shelf", min_width=260):
                made["past"] = gr.HTML("", apply_default_css=False, elem_id="past")
        made["run"] = gr.Textbox("", visible=False)
        made["shown"] = gr.JSON({}, visible=False)
        made["timer"] = gr.Timer(TICK, active=False)
        wire(gr, page, made, desk or Desk(door))
    return page


def theme(gr: Any) -> Any:
    """A calm theme from system fonts alone; the rest of the look is in `page.css`."""
    sans = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Liberation Sans", "sans-serif")
    mono = ("ui-monospace", "SFMono-Regular", "Menlo", "DejaVu Sans Mono", "monospace")
    return gr.themes.Base(
        primary_hue="emerald",
        neutral_hue="stone",
        radius_size="lg",
        font=[gr.themes.Font(name) for name in sans],
        font_mono=[gr.themes.Font(name) for name in mono],
    )


def application(door: Door | None = None, names: Sequence[str] = ()) -> FastAPI:
    """Make the web application: the page, and the route that serves a run's pictures.

    Args:
        door: What the page asks; by default the real front door with the resolved settings.
        names: What this machine may be called, beside its addresses and ``localhost``.
    """
    return asyncio.run(_assemble(door or FrontDoor(), names))


async def _assemble(door: Door, names: Sequence[str]) -> FastAPI:
    """Assemble it inside an event loop: without one Gradio makes a loop for every lock and leaves it open."""
    gr = _gradio()
    from ui.pages.server import gallery

    desk = Desk(door)
    page = build(door, desk)
    return gr.mount_gradio_app(  # type: ignore[no-any-return]
        gallery(desk.picture, names, Calls(page.get_config_file())),
        page,
        path="/",
        theme=theme(gr),
        css_paths=[HERE / "page.css"],
        head=f"<script>{(HERE / 'page.js').read_text(encoding='utf-8')}</script>",
        favicon_path=str(HERE / "page_icon.svg"),
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        max_file_size=1,
    )

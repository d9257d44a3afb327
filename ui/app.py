"""The pages: one Gradio app on the front door, and our own routes that bring what it shows; see `ui.desk`.

It only submits and observes. A design runs in a worker process and is kept in the ledger, so closing the page ends
nothing and `?run=ID` shows a run again, whatever became of the page that asked for it.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ui.desk.door import Door, FrontDoor
from ui.desk.run.desk import Desk
from ui.pages import batch, compare, jobs, library, models, settings, studio, training

if TYPE_CHECKING:
    from fastapi import FastAPI
    from gradio import Blocks

    from studio.sharing.users import Users

HERE = Path(__file__).parent / "pages" / "static"
SCRIPTS = ("pieces.js", "studio.js", "ask.js", "library.js")
PAGES: Mapping[str, Callable[[Any], None]] = {
    "Library": library.lay_out,
    "Compare": compare.lay_out,
    "Models": models.lay_out,
    "Training": training.lay_out,
    "Batch": batch.lay_out,
    "Jobs": jobs.lay_out,
    "Settings": settings.lay_out,
}
"""The pages beside the first, by name, in the order of their bar."""


def _gradio() -> Any:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio

    return gradio


def build() -> Blocks:
    """Lay out the pages; what they show and do comes from the routes of our own."""
    gr = _gradio()
    with gr.Blocks(title="Studio", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        studio.lay_out(gr)
    for name, lay_out in PAGES.items():
        with page.route(name):
            lay_out(gr)
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


def application(
    door: Door | None = None, names: Sequence[str] = (), *, users: Users | None = None, api: bool = False
) -> FastAPI:
    """Make the web application: the page, and the route that serves a run's pictures.

    Args:
        door: What the page asks; by default the real front door with the resolved settings.
        names: What this machine may be called, beside its addresses and ``localhost``.
        users: Who may log in; without them nobody has to.
        api: Whether the API is open at ``/api/v1``.
    """
    return asyncio.run(_assemble(door or FrontDoor(), names, users, api))


def _head(logged_in: bool) -> str:
    """The scripts of all pages; where people log in, the masthead's way out is shown."""
    scripts = "".join(f"<script>{(HERE / name).read_text(encoding='utf-8')}</script>" for name in SCRIPTS)
    return scripts + ("<style>.masthead .log-out { display: inline-block !important; }</style>" if logged_in else "")


async def _assemble(door: Door, names: Sequence[str], users: Users | None, api: bool) -> FastAPI:
    """Assemble it inside an event loop: without one Gradio makes a loop for every lock and leaves it open."""
    gr = _gradio()
    from ui.desk.table import ACTIONS, READERS
    from ui.web.calls import Calls
    from ui.web.routes import routes

    page = build()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "SSR mode is not supported", UserWarning)  # it is off already
        return gr.mount_gradio_app(  # type: ignore[no-any-return]
            routes(door, Desk(door).picture, READERS, ACTIONS, names, Calls(page.get_config_file()), users, api),
            page,
            path="/",
            theme=theme(gr),
            css_paths=sorted(HERE.glob("*.css")),
            head=_head(users is not None),
            favicon_path=str(HERE / "page_icon.svg"),
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            max_file_size=1,
        )

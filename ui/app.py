"""The page: one Gradio app on the front door. Lays out the form and the pieces; what they hold comes from `page_desk`.

It only submits and observes. A design runs in a worker process and is kept in the ledger, so closing the page ends
nothing and `?run=ID` shows a run again, whatever became of the page that asked for it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ui.pages.desk import PIECES, Desk, Sheet
from ui.pages.door import Door, FrontDoor

if TYPE_CHECKING:
    from fastapi import FastAPI
    from gradio import Blocks

HERE = Path(__file__).parent / "pages" / "static"
TICK = 0.5
IDEAS = (
    ("Impact-proof panel", "A light panel that stops cracks from an impact", "nacre, spider silk"),
    ("Breathing facade", "A facade skin that opens when the air is humid", "pine cone, leaf stomata"),
    ("Bone-like filter", "A stiff, porous filter that can be washed and used again", "trabecular bone, diatom"),
)
"""Ideas to begin with: what the button says, the brief, the inspirations."""


def _gradio() -> Any:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio

    return gradio


def _form(gr: Any, door: Door) -> dict[str, Any]:
    choices = door.choices()
    made: dict[str, Any] = {}
    made["brief"] = gr.Textbox(
        label="Brief", lines=4, max_lines=12, placeholder="What should the material do, and where?", elem_id="brief"
    )
    made["inspirations"] = gr.Textbox(
        label="Inspirations", placeholder="nacre, spider silk", info="Living materials, comma separated"
    )
    made["program"] = gr.Dropdown(
        [(name.replace("-", " ").capitalize(), name) for name in choices.programs],
        value=choices.program,
        label="Program",
        info="How the roles talk it through",
        filterable=False,
    )
    with gr.Row(elem_id="numbers"):
        made["images"] = gr.Number(choices.images, label="Pictures", precision=0, min_width=70)
        made["rounds"] = gr.Number(choices.rounds, label="Rounds", precision=0, min_width=70)
        made["seed"] = gr.Textbox(label="Seed", placeholder="random", max_lines=1, min_width=70)
    made["design"] = gr.Button("Design", variant="primary", size="lg", elem_id="design")
    made["error"] = gr.HTML("", apply_default_css=False, elem_id="form-error")
    with gr.Row(elem_id="ideas"):
        for name, brief, sources in IDEAS:
            idea = gr.Button(name, size="sm", min_width=60)
            idea.click(
                _constant(brief, sources),
                outputs=[made["brief"], made["inspirations"]],
                queue=False,
                show_progress="hidden",
                api_visibility="private",
            )
    return made


def _constant(*values: str) -> Callable[[], tuple[str, ...]]:
    return lambda: values


def _pieces(gr: Any) -> dict[str, Any]:
    made = {"status": gr.HTML("", apply_default_css=False, elem_id="status")}
    with gr.Row(elem_id="controls"):
        made["stop"] = gr.Button("Stop", size="sm", visible=False, elem_id="stop", min_width=90, scale=0)
        made["resume"] = gr.Button(
            "Resume", size="sm", variant="primary", visible=False, elem_id="resume", min_width=90, scale=0
        )
    for name in ("pictures", "card", "talk"):
        made[name] = gr.HTML("", apply_default_css=False, elem_id=name)
    return made


def _writer(gr: Any, names: list[str]) -> Callable[[Sheet], list[Any]]:
    """Turn a sheet into updates of the components, in the order of ``names``."""

    def write(sheet: Sheet) -> list[Any]:
        updates: dict[str, Any] = {"error": sheet.error}
        if sheet.run_id is not None:
            updates |= sheet.pieces
            updates |= {"run": sheet.run_id, "shown": sheet.shown, "timer": gr.update(active=sheet.running)}
            stop = gr.update(visible=sheet.running)
            if sheet.stopping is not None:
                word = "Stopping …" if sheet.stopping else "Stop"
                stop = gr.update(visible=sheet.running, value=word, interactive=not sheet.stopping)
            updates |= {"stop": stop, "resume": gr.update(visible=sheet.resumable)}
            label = "Designing …" if sheet.running else "Design"
            updates["design"] = gr.update(interactive=not sheet.running, value=label)
        for name in ("brief", "inspirations"):
            if (text := getattr(sheet, name)) is not None:
                updates[name] = text
        return [updates.get(name, gr.skip()) for name in names]

    return write


def _wire(gr: Any, page: Any, made: dict[str, Any], desk: Desk) -> None:
    """Connect what people do, and the clock, to the desk."""
    names = [*PIECES, "run", "shown", "error", "timer", "stop", "resume", "design", "brief", "inspirations"]
    write = _writer(gr, names)
    outputs = [made[name] for name in names]
    held = [made["run"], made["shown"]]
    asked = [made[name] for name in ("brief", "inspirations", "program", "images", "rounds", "seed")]
    # Plain requests: an answer lost on a queue's stream would leave the clock waiting for it forever.
    quiet = {"outputs": outputs, "show_progress": "hidden", "api_visibility": "private", "queue": False}

    def opened(run_id: str) -> list[Any]:
        return write(desk.open(run_id))

    def began(*values: Any) -> list[Any]:
        return write(desk.begin(*values))

    def ticked(run_id: str, shown: Mapping[str, str]) -> list[Any]:
        return write(desk.tick(run_id, shown))

    def stopped(run_id: str, shown: Mapping[str, str]) -> list[Any]:
        return write(desk.stop(run_id, shown))

    def resumed(run_id: str, shown: Mapping[str, str]) -> list[Any]:
        return write(desk.resume(run_id, shown))

    page.load(opened, inputs=[made["run"]], js="() => studioRun()", **quiet)
    made["timer"].tick(ticked, inputs=held, **quiet)
    made["stop"].click(stopped, inputs=held, **quiet)
    made["resume"].click(resumed, inputs=held, **quiet)
    for trigger in (made["design"].click, made["brief"].submit):
        trigger(began, inputs=asked, trigger_mode="once", **quiet).then(
            None,
            inputs=[made["run"]],
            js="(run) => studioAddress(run)",
            show_progress="hidden",
            api_visibility="private",
        )


def build(door: Door | None = None, desk: Desk | None = None) -> Blocks:
    """Lay out the page and wire its handlers.

    Args:
        door: What the page asks; by default the real front door with the resolved settings.
        desk: The handlers, when they are shared with the route that serves pictures.
    """
    gr = _gradio()
    door = door or FrontDoor()
    with gr.Blocks(title="Studio", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.HTML((HERE / "page_head.html").read_text(encoding="utf-8"), apply_default_css=False, elem_id="masthead")
        with gr.Row(elem_id="desk"):
            with gr.Column(elem_id="ask", min_width=260):
                made = _form(gr, door)
            with gr.Column(elem_id="table", min_width=260):
                made |= _pieces(gr)
            with gr.Column(elem_id="shelf", min_width=260):
                made["past"] = gr.HTML("", apply_default_css=False, elem_id="past")
        made["run"] = gr.Textbox("", visible=False)
        made["shown"] = gr.JSON({}, visible=False)
        made["timer"] = gr.Timer(TICK, active=False)
        _wire(gr, page, made, desk or Desk(door))
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


def application(door: Door | None = None) -> FastAPI:
    """Make the web application: the page, and the route that serves a run's pictures."""
    return asyncio.run(_assemble(door or FrontDoor()))


async def _assemble(door: Door) -> FastAPI:
    """Assemble it inside an event loop: without one Gradio makes a loop for every lock and leaves it open."""
    gr = _gradio()
    from ui.pages.server import gallery

    desk = Desk(door)
    return gr.mount_gradio_app(  # type: ignore[no-any-return]
        gallery(desk.picture),
        build(door, desk),
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


def serve(host: str = "127.0.0.1", port: int = 7860, open_browser: bool = False) -> None:
    """Serve the page until Ctrl-C.

    Args:
        host: Address to listen on; the page has no log-in, so keep it on loopback or behind one.
        port: Port to listen on, 0 for any free one.
        open_browser: Whether to open the page in the default browser.

    Raises:
        ServiceError: If the port cannot be had.
    """
    from ui.pages.server import run

    run(application(), host, port, open_browser=open_browser)

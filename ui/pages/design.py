"""The design page laid out and wired: the form, the pieces, what they do. What they hold comes from `ui.pages.desk`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ui.pages.desk import PIECES, Desk, Sheet
from ui.pages.door import Door

TICK = 0.5
STILL = 4.0  # seconds between two looks at a run that stands still: another page or a terminal may go on with it


IDEAS = (
    ("Impact-proof panel", "A light panel that stops cracks from an impact", "nacre, spider silk"),
    ("Breathing facade", "A facade skin that opens when the air is humid", "pine cone, wheat awn"),
    ("Bone-like filter", "A stiff, porous filter that can be washed and used again", "trabecular bone, diatom"),
)
"""Ideas to begin with: what the button says, the brief, the inspirations."""


def form(gr: Any, door: Door) -> dict[str, Any]:
    """Lay out the form and return its components by name."""
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


def pieces(gr: Any) -> dict[str, Any]:
    """Lay out what shows a run and return its components by name."""
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
            updates |= {"run": sheet.run_id, "shown": sheet.shown, "timer": _clock(gr, sheet)}
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


def _clock(gr: Any, sheet: Sheet) -> Any:
    """How often the page asks: often while a run goes on, seldom while it stands still, not once it is finished."""
    return gr.update(active=sheet.running or sheet.resumable, value=TICK if sheet.running else STILL)


def wire(gr: Any, page: Any, made: dict[str, Any], desk: Desk) -> None:
    """Connect what people do, and the clock, to the desk."""
    names = [*PIECES, "run", "shown", "error", "timer", "stop", "resume", "design", "brief", "inspirations"]
    write = _writer(gr, names)
    outputs = [made[name] for name in names]
    held = [made["run"], made["shown"]]
    asked = [made[name] for name in ("brief", "inspirations", "program", "images", "rounds", "seed")]
    # Plain requests: an answer lost on a queue's stream would leave the clock waiting for it forever.
    quiet = {"outputs": outputs, "show_progress": "hidden", "api_visibility": "private", "queue": False}

    def opened(run_id: str | None) -> list[Any]:
        return write(desk.open(run_id or ""))

    def began(brief: str | None, inspirations: str | None, program: str, *numbers: Any) -> list[Any]:
        return write(desk.begin(brief or "", inspirations or "", program or "", *numbers))

    def ticked(run_id: str | None, shown: Mapping[str, str] | None) -> list[Any]:
        return write(desk.tick(run_id or "", shown or {}))

    def stopped(run_id: str | None, shown: Mapping[str, str] | None) -> list[Any]:
        return write(desk.stop(run_id or "", shown or {}))

    def resumed(run_id: str | None, shown: Mapping[str, str] | None) -> list[Any]:
        return write(desk.resume(run_id or "", shown or {}))

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

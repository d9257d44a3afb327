"""What a run made: the design card and the pictures, as what their templates show. Knows views; nothing of Gradio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from studio.runs.figures import figures_line, numeral
from studio.runs.sources import Sources, read_design, where
from ui.pages.render import render
from ui.pages.view import View
from workspace.events import PictureReady

UNITS = {"1": "", "um": "µm", "degC": "°C", "MJ/m3": "MJ/m³", "J/m2": "J/m²", "kg/m3": "kg/m³", "W/mK": "W/m·K"}


@dataclass(frozen=True)
class Picture:
    """A picture as it is shown: its number among all of the run, the name of its file, what the critic found.

    ``best`` marks the one of several that the Director holds for the best.
    """

    number: int
    name: str
    seed: int
    critique: dict[str, Any] | None
    best: bool


@dataclass(frozen=True)
class Round:
    """The pictures of one round, and the prompts they were painted from."""

    pictures: list[Picture]
    short: str
    long: str


def _figure(one: Any) -> str:
    return f"{numeral(one.value)} {UNITS.get(one.unit, one.unit)}".strip()


def card(view: View) -> str:
    """The design as a readable card."""
    design = None if view.design is None else read_design(view.design)
    if design is None:
        return ""
    sources = Sources.of(design)
    return render(
        "card",
        design=design,
        sources=[(one, _borne_out(sources, one)) for one in design.inspirations],
        parts=[(item.name, item.material, item.role) for item in design.components],
        figures=[(one.name, _figure(one), one.basis, sources.origin(one)) for one in design.properties],
        mechanisms=[(one.text, _borne_out(sources, one)) for one in design.mechanisms],
        evidence=[(one.quotation, where(one), one.cite) for one in sources.sentences],
    )


def _borne_out(sources: Sources, claim: Any) -> tuple[str, int]:
    """How a claim is borne out, and the number of its sentence; 0 where there is none."""
    return sources.standing(claim.evidence), 0 if claim.evidence is None else sources.number(claim.evidence)


def _critique(view: View, picture: PictureReady) -> dict[str, Any] | None:
    found = [item for item in view.critiques if item.get("picture") == picture.index and item["round"] == picture.round]
    return found[-1] | {"measured": figures_line(found[-1].get("measures"), UNITS)} if found else None


def _picture(view: View, number: int, picture: PictureReady) -> Picture:
    best = picture.index == view.best and bool(view.critiques) and len(view.pictures) > 1
    return Picture(number, picture.path.rsplit("/", 1)[-1], picture.seed, _critique(view, picture), best)


def pictures(view: View) -> str:
    """The pictures with their seeds, and the prompts they were painted from."""
    if not view.pictures:
        return ""
    shown = sorted(view.pictures.values(), key=lambda picture: (picture.round, picture.index))
    rounds = []
    for number in sorted({picture.round for picture in shown}):
        made = [_picture(view, i, picture) for i, picture in enumerate(shown, 1) if picture.round == number]
        prompt = view.prompts.get(number, {})
        rounds.append(Round(made, str(prompt.get("short") or ""), str(prompt.get("long") or "")))
    return render("pictures", run_id=view.run_id, rounds=rounds)

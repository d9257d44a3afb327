"""What a run made: the design card and the pictures, as what their templates show. Knows views; nothing of Gradio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from studio.runs.figures import LENGTHS, figures_line, length, numeral
from studio.runs.sources import UNSUPPORTED, Sources, read_design, where
from ui.desk.render import render
from ui.desk.run.drafts import draft, listed
from ui.desk.run.offers import NOTHING, Can
from ui.desk.run.view import View
from workspace.events import PictureReady

UNITS = {"1": "", "um": "µm", "degC": "°C", "MJ/m3": "MJ/m³", "J/m2": "J/m²", "kg/m3": "kg/m³", "W/mK": "W/m·K"}
_MICROMETRES = {unit: size for size, unit in LENGTHS}
FIT_MOST = 10
STANDINGS = {
    "verified": "its source holds this figure",
    "overridden": "the first figure was replaced by one that its source, or its parts, allow",
    "computed": "it follows from the parts",
    "assumed": "nothing in the libraries bears it out",
    UNSUPPORTED: "no sentence in the libraries bears it out",
}
"""What the marks on figures and claims mean."""


@dataclass(frozen=True)
class Picture:
    """A picture as it is shown: its number among all of the run, the name of its file, what the critic found.

    ``best`` marks the one that the Director, or a person, holds for the best; ``chosen`` that a person did.
    """

    number: int
    index: int
    name: str
    seed: int
    critique: dict[str, Any] | None
    best: bool
    chosen: bool
    reason: str


@dataclass(frozen=True)
class Claim:
    """What is claimed, how it stands, and the number of the sentence that bears on it; 0 where there is none."""

    text: Any
    standing: str
    sentence: int


@dataclass(frozen=True)
class Mark:
    """A round on the strip of rounds: its best score."""

    number: int
    fit: int | None
    pictures: int
    choice: str


def figure(value: float, unit: str) -> str:
    """A figure as people read it: ``1.74 mm``, ``1,240 J/m²``."""
    if unit in _MICROMETRES and value > 0:
        return length(value * _MICROMETRES[unit], UNITS)
    return f"{numeral(value)} {UNITS.get(unit, unit)}".strip()


def _claim(sources: Sources, item: Any, text: Any) -> Claim:
    number = 0 if item.evidence is None else sources.number(item.evidence)
    standing = UNSUPPORTED if item.evidence is None else item.evidence.verdict
    return Claim(text, standing, number)


def _property(sources: Sources, one: Any) -> dict[str, Any]:
    was = "" if one.claimed is None else figure(one.claimed.value, one.claimed.unit)
    number = 0 if one.evidence is None else sources.number(one.evidence)
    return {
        "name": one.name,
        "figure": figure(one.value, one.unit),
        "basis": one.basis,
        "status": one.status,
        "meaning": STANDINGS.get(one.status, ""),
        "was": was,
        "sentence": number,
    }


def card(view: View, *, can: Can = NOTHING) -> str:
    """The design as a readable card, or as much of it as is written."""
    design = None if view.design is None else read_design(view.design)
    if design is None:
        turn = view.drafting()
        made = {} if turn is None else draft(turn.text)
        return _drafted(made) if made else ""
    sources = Sources.of(design)
    properties = [_property(sources, one) for one in design.properties]
    return render(
        "card",
        run_id=view.run_id,
        design=design,
        sources=[_claim(sources, one, one) for one in design.inspirations],
        mechanisms=[_claim(sources, one, one.text) for one in design.mechanisms],
        properties=properties,
        counted=[(name, sum(one["status"] == name for one in properties)) for name in list(STANDINGS)[:4]],
        standings=STANDINGS,
        evidence=[(one.quotation, where(one), one.cite) for one in sources.sentences],
        can=can,
    )


def _drafted(made: dict[str, Any]) -> str:
    """The design while it is written: what there is of it."""

    def words(item: Any, *names: str) -> list[str]:
        return [str(item.get(name, "")) for name in names] if isinstance(item, dict) else [str(item)]

    architecture = made.get("architecture")
    return render(
        "draft",
        title=str(made.get("title", "")),
        summary=str(made.get("summary", "")),
        architecture=str(architecture.get("description", "")) if isinstance(architecture, dict) else "",
        parts=[words(item, "name", "material", "role") for item in listed(made, "components")],
        properties=[(words(item, "name")[0], _written(item)) for item in listed(made, "properties")],
        lists=[
            (name.capitalize(), [str(item) for item in listed(made, name) if isinstance(item, str)])
            for name in ("mechanisms", "fabrication", "applications", "risks")
        ],
    )


def _written(item: Any) -> str:
    """A figure while it is written: its value, and its unit if that is there."""
    if not isinstance(item, dict) or item.get("value") in (None, ""):
        return ""
    try:
        return figure(float(item["value"]), str(item.get("unit", "")))
    except (TypeError, ValueError, ArithmeticError):
        return str(item["value"])


def _critique(view: View, picture: PictureReady) -> dict[str, Any] | None:
    found = [item for item in view.critiques if item.get("picture") == picture.index and item["round"] == picture.round]
    if not found:
        return None
    last = found[-1]
    yes = sum(check.get("answer") == "yes" for check in last.get("checks", ()))
    return {
        **last,
        "measured": figures_line(last.get("measures"), UNITS),
        "yes": yes,
        "asked": len(last.get("checks", ())),
        "change": str(last.get("change") or ""),
    }


def _reason(view: View, number: int) -> str:
    """Why the Director decided as it did after a round."""
    return next((one.reason for one in reversed(view.decisions) if one.round == number), "")


def best_of(view: View, chosen: int | None) -> int | None:
    """The picture that is held for the best: a person's choice goes before the Director's."""
    return view.best if chosen is None else chosen


def _picture(view: View, number: int, picture: PictureReady, chosen: int | None) -> Picture:
    several = len(view.pictures) > 1
    best = several and picture.index == best_of(view, chosen) and (bool(view.critiques) or chosen is not None)
    return Picture(
        number=number,
        index=picture.index,
        name=picture.path.rsplit("/", 1)[-1],
        seed=picture.seed,
        critique=_critique(view, picture),
        best=best,
        chosen=best and chosen is not None,
        reason=_reason(view, view.decisions[-1].round) if best and chosen is None and view.decisions else "",
    )


def round_of(view: View, number: int, chosen: int | None = None, *, can: Can = NOTHING) -> str:
    """The pictures of a round with their seeds and critiques, and the prompts they were painted from.

    Args:
        view: The run.
        number: The round.
        chosen: The picture that a person holds for the best, if one does.
        can: What can be done with it here.
    """
    shown = sorted(view.pictures.values(), key=lambda picture: (picture.round, picture.index))
    prompt = view.prompts.get(number, {})
    made = [_picture(view, i, picture, chosen) for i, picture in enumerate(shown, 1) if picture.round == number]
    decisions = [one for one in view.decisions if one.round == number]
    return render(
        "round",
        run_id=view.run_id,
        number=number,
        several=len(view.rounds()) > 1,
        pictures=made,
        short=str(prompt.get("short") or ""),
        long=str(prompt.get("long") or ""),
        decision=decisions[-1] if decisions else None,
        many=len(shown) > 1,
        most=FIT_MOST,
        can=can,
    )


def strip(view: View) -> str:
    """The rounds with their best scores; nothing where there is but one."""
    numbers = view.rounds()
    if len(numbers) < 2:
        return ""
    marks = []
    for number in numbers:
        fits = [int(one["fit"]) for one in view.critiques if one["round"] == number and one.get("fit") is not None]
        count = sum(picture.round == number for picture in view.pictures.values())
        choice = next((one.choice for one in reversed(view.decisions) if one.round == number), "")
        marks.append(Mark(number, max(fits, default=None), count, choice))
    return render("strip", marks=marks)

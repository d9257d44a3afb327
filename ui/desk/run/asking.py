"""The form that asks for a design: fields from the options' classes, values from a run, the time it may take.

Knows the door and the classes of options; what is shown lies in ``templates/ask.html``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ui.desk.door import Door
from ui.desk.fragments import Action, Reader, Reply
from ui.desk.render import render
from ui.desk.run.estimate import about
from ui.desk.run.restoring import taken
from workspace.errors import StudioError, UsageError

if TYPE_CHECKING:
    from studio import Asked, Pace
    from ui.desk.forms import Field

IDEAS = (
    ("Impact-proof panel", "A light panel that stops cracks from an impact", "nacre, spider silk"),
    ("Breathing facade", "A facade skin that opens when the air is humid", "pine cone, wheat awn"),
    ("Bone-like filter", "A stiff, porous filter that can be washed and used again", "trabecular bone, diatom"),
)
"""Ideas to begin with: what the button says, the brief, the inspirations."""

ROLES = ("scientist", "reviewer", "engineer", "illustrator", "critic")
LABELS = {
    "brief": "Brief",
    "inspirations": "Inspirations",
    "program": "Program",
    "images": "Pictures",
    "rounds": "Rounds",
    "seed": "Seed",
    "size": "Picture size",
    "steps": "Painting steps",
    "model": "Language model",
    "adapter": "Picture style (adapter)",
    "adapter_scale": "Style's strength",
    **{f"role_{role}": f"{role.capitalize()}'s model" for role in ROLES},
}
"""What fields are called on the page."""

SETTINGS = {
    "steps": "painter.steps",
    "adapter_scale": "painter.adapter_scale",
    **{f"role_{role}": f"roles.{role}.model" for role in ROLES},
}
"""Fields that are settings without an option of their own, by dotted key."""

WORDS = ("size", "steps", "adapter", "adapter_scale", "model", *(f"role_{role}" for role in ROLES))
"""The fields of the drawer, in their order, after pictures, rounds and seed."""


@dataclass(frozen=True)
class Preset:
    """A choice of how much is done. ``seconds`` says how long it may take here."""

    name: str
    label: str
    images: int
    rounds: int
    review: bool
    seconds: str = ""


@dataclass(frozen=True)
class Entry:
    """A field of the form with what stands in it."""

    field: Field
    label: str
    value: str
    listed: str = ""
    usual: str = ""


@cache
def described() -> dict[str, Field]:
    """The form's fields as their classes describe them."""
    from dataclasses import replace

    from studio.designs import DesignCall
    from ui.desk.forms import fields
    from workspace.settings import PainterSettings, RoleSettings

    found = {one.name: one for one in fields(DesignCall)}
    painter = {one.name: one for one in fields(PainterSettings)}
    model = next(one for one in fields(RoleSettings) if one.name == "model")
    found |= {name: painter[name] for name in ("steps", "adapter_scale")}
    return found | {f"role_{role}": replace(model, name=f"role_{role}") for role in ROLES}


def split(text: str) -> list[str]:
    """Split inspirations at commas, semicolons and line ends."""
    return [name for part in re.split(r"[,;\n、，；،؛]", text) if (name := part.strip())]


def amount(name: str, text: str) -> int | float | None:
    """A number that was entered, within the bounds of its class; ``None`` for a blank field.

    Args:
        name: The field.
        text: What was entered.

    Raises:
        UsageError: It is no such number; the field is called as on the page.
    """
    one, text, label = described()[name], text.strip(), LABELS[name]
    if not text:
        return None
    whole = one.step == "1"
    kind = "a whole number" if whole else "a number"
    bounds = f" from {one.least} to {one.most}" if one.least and one.most else ""
    if not re.fullmatch(r"[+-]?\d{1,18}" if whole else r"[+-]?\d{1,9}(\.\d{1,9})?", text):
        raise UsageError(f"{label} must be {kind}{bounds}, not {text[:40]!r}")
    value = int(text) if whole else float(text)
    if (one.least and value < float(one.least)) or (one.most and value > float(one.most)):
        raise UsageError(f"{label} must be {kind}{bounds}, not {text[:40]!r}")
    return value


def presets(door: Door, pace: Pace, turns: int) -> list[Preset]:
    """How much may be done: the profile's own amount between a quick and a thorough one."""
    flow = door.choices()
    made = (
        Preset("quick", "Quick", 1, 1, False),
        Preset("balanced", "Balanced", flow.images, flow.rounds, False),
        Preset("thorough", "Thorough", max(4, flow.images), max(3, flow.rounds), True),
    )
    return [
        Preset(one.name, one.label, one.images, one.rounds, one.review, _expected(pace, one, turns)) for one in made
    ]


def _expected(pace: Pace, one: Preset, turns: int) -> str:
    seconds = pace.expected(turns + 2 * one.review, one.images, one.rounds)
    return "" if seconds is None else about(seconds)


def form(door: Door, query: Mapping[str, str]) -> str:
    """The form, filled in as the run of the address was asked for."""
    choices, pace = door.choices(), door.pace()
    restored = taken(door, query, amount)
    asked = _asked(door, restored.run or query.get("run", ""))
    values = _values(asked) if asked is not None else {"program": choices.program}
    values |= restored.values
    blank = dict.fromkeys([*LABELS, "review", "ask", "choose", "keep_seed"], "")
    values = blank | {name: value for name, value in values.items() if choices.usual.get(name) != value}
    values["images"] = values["images"] or str(choices.images)
    values["rounds"] = values["rounds"] or str(choices.rounds)
    turns = choices.turns.get(values["program"], 3)
    models, adapters = _models(door)
    lists = {"adapter": "ask-adapters", "model": "ask-models"} | {f"role_{role}": "ask-models" for role in ROLES}
    entries = [
        Entry(described()[name], LABELS[name], values[name], lists.get(name, ""), choices.usual.get(name, ""))
        for name in WORDS
    ]
    shown = presets(door, pace, turns)
    return render(
        "ask",
        values=values,
        asked=asked,
        names=list(asked.inspirations) if asked is not None else [],
        programs=choices.programs,
        turns=choices.turns,
        presets=shown,
        preset=_preset(shown, values),
        pace=pace,
        numbers=[Entry(described()[name], LABELS[name], values[name]) for name in ("images", "rounds")],
        entries=entries,
        models=models,
        adapters=adapters,
        ideas=IDEAS,
        most=described()["inspirations"],
        note=restored.note,
    )


def _preset(shown: list[Preset], values: Mapping[str, str]) -> str:
    now = (values["images"], values["rounds"], bool(values["review"]))
    return next((one.name for one in shown if (str(one.images), str(one.rounds), one.review) == now), "")


def _asked(door: Door, run_id: str) -> Asked | None:
    if not run_id.strip():
        return None
    try:
        return door.asked_for(run_id.strip())
    except StudioError:
        return None


def _values(asked: Asked) -> dict[str, str]:
    """What a run was asked for, by the form's fields."""
    flow, painter = asked.settings.get("flow", {}), asked.settings.get("painter", {})
    roles = asked.settings.get("roles", {})
    found = {
        "brief": asked.brief,
        "program": asked.program,
        "images": flow.get("images"),
        "rounds": flow.get("rounds"),
        "review": flow.get("review"),
        "seed": asked.seed,
        "size": painter.get("size"),
        "steps": painter.get("steps"),
        "adapter": painter.get("adapter"),
        "adapter_scale": painter.get("adapter_scale"),
        "model": asked.settings.get("chat", {}).get("model"),
        "ask": asked.ask,
        "choose": asked.choose,
        **{f"role_{role}": (roles.get(role) or {}).get("model") for role in ROLES},
    }
    return {name: str(value) for name, value in found.items() if value not in (None, False, "")}


def _models(door: Door) -> tuple[list[str], list[str]]:
    """Names of language models and of picture styles that there are, to choose from."""
    rows = door.models()
    here = [one for one in rows if one.here]
    return [one.id for one in here if one.kind == "chat"], [one.id for one in here if one.kind == "adapter"]


def suggest(door: Door, query: Mapping[str, str]) -> str:
    """Living materials that fit words: by name, and by what they can do."""
    words = query.get("words", "")[:2000]
    return render("suggest", found=door.suggest(words) if words.strip() else [], words=words.strip())


def design(door: Door, values: Mapping[str, Any]) -> Reply:
    """Ask for a design; the answer leads to it."""
    text = {name: _text(values.get(name)) for name in (*LABELS, "review", "ask", "choose", "keep_seed")}
    numbers: dict[str, Any] = {}
    for name in ("images", "rounds", "seed", "size", "steps", "adapter_scale"):
        try:
            numbers[name] = amount(name, text[name])
        except UsageError as error:
            return Reply(error=f"{error.message}.", at=name)
    if not text["keep_seed"]:
        numbers["seed"] = None
    changes = {SETTINGS[name]: numbers[name] for name in ("steps", "adapter_scale") if numbers[name] is not None}
    changes |= {SETTINGS[f"role_{role}"]: found for role in ROLES if (found := text[f"role_{role}"].strip())}
    changes["flow.review"] = bool(text["review"])
    options = {name: numbers[name] for name in ("images", "rounds", "seed", "size")}
    options |= {name: text[name].strip() or None for name in ("program", "model", "adapter")}
    try:
        run_id = door.submit(
            text["brief"],
            changes=changes,
            inspirations=split(text["inspirations"]),
            ask=bool(text["ask"]),
            choose=bool(text["choose"]),
            **options,
        )
    except StudioError as error:
        return Reply(error=_sentence(str(error)), at=_place(error.message))
    return Reply(say="Your design is queued.", go=f"/?run={run_id}")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value if str(one).strip())
    return value if isinstance(value, str) else ""


def _place(message: str) -> str:
    """The field that a fault speaks of; the brief where it names none."""
    words = re.findall(r"[a-z_]+", message.lower())
    named = next((name for word in words for name in LABELS if word in (name, name.rstrip("s"))), "")
    return named or ("program" if "program" in message else "")


def _sentence(message: str) -> str:
    """A fault as a sentence that calls fields as the page does."""
    for name, label in LABELS.items():
        if re.match(rf"(the )?{name}('s)?\b", message):
            message = re.sub(rf"^(the )?{name}", label, message)
            break
    line = " ".join(message.split())
    return line[:1].upper() + line[1:]


READERS: Mapping[str, Reader] = {"run/form": form, "run/suggest": suggest}
ACTIONS: Mapping[str, Action] = {"run/design": design}

"""Training from the page: a stage's form, what it would read, its plan, its launch. Knows commands; imports no trainer.

Planning and launching run the very command that the page shows, in a process of its own: the same checks, the same
words, and nothing heavy is ever loaded by the page.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import studio
from ui.desk.door import Door
from ui.desk.forms import Field, FieldFault, arguments, check, fields, path_of
from ui.desk.fragments import Action, Reader, Reply
from ui.desk.measures import size
from ui.desk.render import render
from ui.desk.training.charts import depth_chart
from ui.desk.training.stages import STAGES, Stage, stage_of
from workspace.errors import UsageError

PLAN_SECONDS = 180
MOST_OUTPUT = 40_000
_COUNTS = (("rows", "Rows"), ("tokens", "Tokens"), ("steps", "Steps"))


def shown(stage: Stage) -> list[Field]:
    """The fields of a stage's form; its plan is a button."""
    return fields(getattr(studio, stage.verb).kind, ("plan",))


def words(stage: Stage, values: Mapping[str, Any]) -> list[str]:
    """The words of the command that a filled form stands for.

    Raises:
        FieldFault: Something that must be filled in is not, or is out of its bounds.
    """
    parts = _subjects(stage, values)
    if not parts and stage.verb != "train_merge":
        raise FieldFault(f"{stage.subject} must be filled in", "subject")
    form = shown(stage)
    if odd := next((one for one in parts if one.startswith("-")), None):
        raise FieldFault(f"{stage.subject} cannot begin with a dash: {odd[:60]!r}", "subject")
    check(getattr(studio, stage.verb).kind, form, values)
    return [*stage.command, *parts, *arguments(form, values)]


def _subjects(stage: Stage, values: Mapping[str, Any]) -> list[str]:
    subject = str(values.get("subject") or "").strip()
    return [path_of(one) for one in (subject.split(",") if stage.many else [subject]) if one.strip()]


def command_line(args: Sequence[str]) -> str:
    """A command as it is typed."""
    return shlex.join(["studio", *args])


def training(door: Door, query: Mapping[str, str]) -> str:
    """The stages, one of them as a form."""
    name = query.get("stage", "run")
    stage = stage_of(name)
    return render(
        "training",
        stages=STAGES,
        chosen=name,
        stage=stage,
        fields=shown(stage),
        given={"subject": query.get("subject", "")[:4000]},
        offered=_offered(door, stage),
    )


def _offered(door: Door, stage: Stage) -> list[str]:
    """Names that the field of the subject may offer: shipped recipes, or models that are here."""
    if stage.verb == "train_recipe":
        return list(studio.recipes())
    if stage.verb not in ("train_merge", "train_evaluate", "train_judge"):
        return []
    found = studio.list_models(settings=door.settings)
    return [*found.variants, *(one.id for one in found.models if one.kind == "chat" and one.here)]


def preview(door: Door, values: Mapping[str, Any]) -> Reply:
    """Show the beginning of what a stage would read."""
    stage = stage_of(str(values.get("stage", "")))
    parts = _subjects(stage, values)
    if not parts:
        raise FieldFault(f"{stage.subject} must be filled in", "subject")
    try:
        found = studio.preview_data(parts[0], settings=door.settings)
    except UsageError as fault:
        raise FieldFault(str(fault), "subject") from None
    columns = list(dict.fromkeys(name for row in found.rows for name in row))[:12]
    return Reply(pieces={"training-plan": render("preview", found=found, columns=columns)})


def plan(door: Door, values: Mapping[str, Any]) -> Reply:
    """Say what a stage would take, before anything is begun; the command where it has no plan."""
    stage = stage_of(str(values.get("stage", "")))
    args = words(stage, values)
    made: dict[str, Any] = {}
    if stage.plan:
        told = door.command([*args, stage.plan, "--json"], PLAN_SECONDS)
        try:
            made = json.loads(told)
        except ValueError:
            made = {}
    html = render("plan", command=command_line(args), planned=bool(stage.plan), **PLANS.get(stage.verb, _plain)(made))
    return Reply(say="The plan stands below the form.", pieces={"training-plan": html})


def _nothing() -> dict[str, Any]:
    return {"told": [], "faults": [], "rows": [], "columns": [], "drawn": "", "remarks": []}


def _recipe(made: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's plan: the machine, what would be refused, and of each stage rows, steps, memory and hours."""
    if not made:
        return _nothing()
    here = made["machine"]
    name = f"{here['gpus']} x {here['name']}" if here["gpus"] else here["name"]
    speed = "speed not known" if here["tflops"] is None else f"{here['tflops']:g} TFLOPS hoped for"
    told = [
        ("Base", made["base"]),
        ("This machine", f"{name}, {here['memory_gb']:g} GB, {speed}"),
        ("Processes", str(made["processes"]) + (f" ({made['command']})" if made["command"] else "")),
    ]
    told += [("Hours in all", _hours(sum(one.get("hours") or 0 for one in made["stages"])))]
    faults = [*([made["missing"]] if made["missing"] else []), *(f"Refused: {one}" for one in made["faults"])]
    columns = ["Stage", "From", *(word for _, word in _COUNTS), "Memory", "Fits", "Hours"]
    rows = [_stage_row(one) for one in made["stages"]]
    remarks = [f"{one['name']}: {text}" for one in made["stages"] for text in one.get("remarks", ())]
    return _nothing() | {"told": told, "faults": faults, "columns": columns, "rows": rows, "remarks": remarks}


def _stage_row(one: Mapping[str, Any]) -> list[str]:
    counts = [f"{one[key]:,}" if isinstance(one.get(key), int) else "" for key, _ in _COUNTS]
    memory = f"{one['memory_gb']:g} GB" if one.get("memory_gb") is not None else ""
    fits = {True: "yes", False: "no", None: ""}[one.get("fits")]
    hours = "" if one.get("hours") is None else _hours(one["hours"])
    return [f"{one['name']} ({one['stage']})", str(one.get("from") or ""), *counts, memory, fits, hours]


def _hours(hours: float) -> str:
    if not hours:
        return "not known"
    return f"{hours:.1f} h" if hours >= 1 else f"{max(1, round(hours * 60))} min"


def _merge(made: Mapping[str, Any]) -> dict[str, Any]:
    """A merge's plan: its parents, its curve, sizes and memory."""
    if not made:
        return _nothing()
    told = [
        ("Merge", f"{made['method']} of {', '.join(made['parents'])}"),
        ("Written", f"{size(made['bytes'])}; {size(made['free_bytes'])} free on the disk"),
        ("Memory", f"{size(made['memory_bytes'])}; {size(made['free_memory_bytes'])} free"),
        ("Tensors", f"{made['tensors']:,}"),
        ("By", "Studio's own engine" if made["engine"] == "studio" else "mergekit"),
    ]
    drawn = depth_chart(made["curve"], made["start"])
    return _nothing() | {"told": told, "remarks": list(made["remarks"]), "drawn": drawn}


def _plain(made: Mapping[str, Any]) -> dict[str, Any]:
    """Any plan, a line a value; what is missing first."""
    faults = [str(made["missing"])] if made.get("missing") else []
    kept = {name: value for name, value in made.items() if value not in (None, "", [], {}) and name != "missing"}
    remarks = [str(one) for one in kept.pop("remarks", ())]
    told = [(name.replace("_", " ").capitalize(), _text(value)) for name, value in kept.items()]
    return _nothing() | {"told": told, "faults": faults, "remarks": remarks}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))[:MOST_OUTPUT]
    return str(value)[:MOST_OUTPUT]


PLANS = {"train_recipe": _recipe, "train_merge": _merge}
"""How a stage's plan is put into words, where it is not a line a value."""


def launch(door: Door, values: Mapping[str, Any]) -> Reply:
    """Queue a stage."""
    stage = stage_of(str(values.get("stage", "")))
    door.command([*words(stage, values), "--detach"], PLAN_SECONDS)
    return Reply(say=f"{stage.title}: queued. It stands below, and on the page of jobs.", refresh=("trained",))


READERS: Mapping[str, Reader] = {"training": training}
ACTIONS: Mapping[str, Action] = {"training/plan": plan, "training/launch": launch, "training/preview": preview}

"""What is trained and was: runs with losses, variants, merges' curves, what was measured. Knows the front door."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import studio
from ui.desk.door import Door
from ui.desk.fragments import Action, Reader, Reply
from ui.desk.measures import size
from ui.desk.queue import Line, line
from ui.desk.render import render
from ui.desk.status import age
from ui.desk.training.charts import depth_chart, loss_chart
from ui.desk.training.launching import MOST_OUTPUT, PLAN_SECONDS
from ui.desk.training.stages import STAGES
from workspace.errors import StudioError

MOST_JOBS = 12
REPORT = "report"
"""The folder in the home where the page's report is written."""

_WITH_LOSS = ("train_recipe", "train_image_lora")
_KINDS = tuple(stage.verb for stage in STAGES.values())


@dataclass(frozen=True)
class Trained:
    """A training as it is listed: its chart, what came of it in words, and where to try it."""

    line: Line
    chart: str
    result: list[tuple[str, str]]
    trial: str


@dataclass(frozen=True)
class Made:
    """A variant as it is listed."""

    row: Any
    size: str
    age: str
    chart: str
    trial: str


def trained(door: Door, query: Mapping[str, str]) -> str:
    """What is trained and was, newest first, with the losses of what is at work."""
    now, asked = time.time(), query.get("job", "")
    found = studio.list_jobs(limit=MOST_JOBS, kinds=_KINDS, settings=door.settings)
    runs = [_run(door, one, now) for one in found]
    return render("trained", runs=runs, asked=asked)


def _run(door: Door, one: Any, now: float) -> Trained:
    shown = line(door, one, now)
    if one.state == "running":
        events = studio.job_events(one.job_id, settings=door.settings) if one.kind in _WITH_LOSS else []
        return Trained(shown, loss_chart(events, live=True), [], "")
    if one.state == "queued":
        return Trained(shown, "", [], "")
    return Trained(shown, *_settled(door, one))


_SETTLED: dict[tuple[Path, str, float], tuple[str, list[tuple[str, str]], str]] = {}
_MOST_SETTLED = 64


def _settled(door: Door, one: Any) -> tuple[str, list[tuple[str, str]], str]:
    """What a training that is over left: read once, since it changes no more before its row does."""
    key = (door.settings.home, one.job_id, one.updated)
    found = _SETTLED.get(key)
    if found is None:
        made = studio.open_job(one.job_id, settings=door.settings).result
        made = made if isinstance(made, dict) else {}
        events = studio.job_events(one.job_id, settings=door.settings) if one.kind in _WITH_LOSS else []
        trial = _trial_of_adapter(made) if one.kind == "train_image_lora" else ""
        while len(_SETTLED) >= _MOST_SETTLED:
            _SETTLED.pop(next(iter(_SETTLED)), None)
        found = _SETTLED[key] = (loss_chart(events), _result(one.kind, made), trial)
    return found


def _result(kind: str, made: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What came of a training, a line each; names, never folders."""
    if kind == "train_recipe":
        both = [*made.get("data", ()), *made.get("variants", ())]
        return [(str(one["name"]), "made" if one["made"] else "made before") for one in both]
    if kind == "train_merge" and "tensors" in made:
        return [("Variant", made["name"]), ("Merged", f"{made['tensors']} tensors in {made['seconds']:.1f} s")]
    if kind == "train_evaluate":
        return [
            (f"{one['model']}, {one['task']}", f"{one['right']:.1%} ({one['low']:.1%} to {one['high']:.1%})")
            for one in made.get("scores", ())
        ]
    if kind == "train_corpus" and "passages" in made:
        return [
            ("Documents", f"{made['documents']} read, {len(made['skipped'])} skipped"),
            ("Passages", f"{made['passages']} kept, {made['words']:,} words"),
        ]
    if kind == "train_distil" and "rows" in made:
        return [(f"{name}", f"{count:,} rows") for name, count in made["rows"].items()]
    plain = {name: value for name, value in made.items() if isinstance(value, str | int | float)}
    return [(name.replace("_", " ").capitalize(), _name_of(value)) for name, value in plain.items()]


def _name_of(value: Any) -> str:
    text = str(value)[:MOST_OUTPUT]
    return Path(text).name if text.startswith("/") else text


def _trial_of_adapter(made: Mapping[str, Any]) -> str:
    adapter = str(made.get("adapter") or "")
    return f"/compare?{urlencode({'adapter': adapter})}" if adapter else ""


def variants(door: Door, query: Mapping[str, str]) -> str:
    """The models that were trained here, each with what it was made of, and what was measured."""
    now = time.time()
    found = studio.list_variants(settings=door.settings).variants
    made = [
        Made(one, size(one.bytes), age(one.made, now), depth_chart(one.curve, _ends(one)), _trial(one)) for one in found
    ]
    try:
        scores, fault = studio.list_scores(settings=door.settings).scores, ""
    except StudioError as error:
        scores, fault = (), str(error)
    page = door.settings.home / "reports" / REPORT / "report.html"
    written = age(page.stat().st_mtime, now) if page.is_file() else ""
    return render("variants", made=made, tables=_tables(scores), fault=fault, written=written)


def _ends(row: Any) -> str:
    return f"t = 0 is {row.parents[0]}, t = 1 is {row.parents[1]}" if len(row.parents) == 2 else ""


def _trial(row: Any) -> str:
    return f"/compare?{urlencode({'base': row.parents[0], 'adapter': row.name})}" if row.parents else ""


def _tables(scores: Any) -> list[tuple[str, list[Any]]]:
    """Scores by benchmark and way of asking, the best first."""
    tables: dict[str, list[Any]] = {}
    for one in scores:
        how = ", ".join(filter(None, [one.task, f"{one.questions} questions", one.protocol, one.rule]))
        tables.setdefault(how, []).append(one)
    return list(tables.items())


def report(door: Door, values: Mapping[str, Any]) -> Reply:
    """Write the report of all that was measured, with its figures, where the page can show it."""
    out = door.settings.home / "reports" / REPORT
    door.command(["train", "report", "--out", str(out), "--json"], PLAN_SECONDS)
    return Reply(say="The report is written.", refresh=("variants",))


def report_page(door: Door) -> bytes | None:
    """The report's page, whole in one file; nothing where none was written."""
    from workspace.files import read_inside

    folder = door.settings.home / "reports" / REPORT
    return read_inside(folder, "report.html") if (folder / "report.html").is_file() else None


READERS: Mapping[str, Reader] = {"trained": trained, "variants": variants}
ACTIONS: Mapping[str, Action] = {"training/report": report}

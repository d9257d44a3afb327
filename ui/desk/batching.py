"""Batches from the page: briefs into a file, a plan, a launch, and how the batches stand. Knows commands and jobs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import studio
from ui.desk.door import Door
from ui.desk.forms import Field, FieldFault, arguments, check, fields
from ui.desk.fragments import Action, Reader, Reply
from ui.desk.queue import Line, line
from ui.desk.render import render
from ui.desk.status import clock
from ui.desk.training.launching import PLAN_SECONDS, command_line
from workspace.errors import StudioError, UsageError, unknown
from workspace.files import publish

SUFFIXES = {"lines": ".txt", "grid": ".yaml", "CSV": ".csv", "JSONL": ".jsonl", "YAML": ".yaml"}
"""How briefs may be given, and the suffix by which they are read so."""

KINDS = {
    "lines": "a brief a line",
    "grid": "a grid: every brief with every material and seed",
    "CSV": "CSV, with a column brief",
    "JSONL": "JSONL, an object a line",
    "YAML": "a grid written as YAML",
}
SHOWN = ("program", "images", "rounds", "seed", "in_flight", "size", "max_failures", "retry_failed")
MOST_JOBS = 12
MOST_LETTERS = 400_000
PAGE = 25
ROW_STATES = {"": "all", "running": "being made", "waiting": "waiting", "done": "done", "failed": "failed"}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


@dataclass(frozen=True)
class Stand:
    """A batch's job and what came of it; ``sheet`` says whether its contact sheet is there."""

    line: Line
    sheet: bool
    told: str


def form() -> list[Field]:
    """The fields of the form, of a batch's own options."""
    return [one for one in fields(studio.batch.kind) if one.name in SHOWN]


def batch(door: Door, query: Mapping[str, str]) -> str:
    """The form."""
    return render("batch", kinds=KINDS, fields=form())


def batches(door: Door, query: Mapping[str, str]) -> str:
    """The batches, newest first."""
    now = time.time()
    found = studio.list_jobs(limit=MOST_JOBS, kinds=("batch",), settings=door.settings)
    return render("batches", stands=[_stand(door, one, now) for one in found], asked=query.get("job", ""))


def _stand(door: Door, one: Any, now: float) -> Stand:
    try:
        made = studio.batch_rows(one.job_id, limit=1, settings=door.settings)
        told = f"{made.done} done, {made.failed} failed, {made.waiting + made.running} to be made"
    except StudioError:
        told = ""
    return Stand(line(door, one, now), sheet_of(door, one.job_id) is not None, told)


def rows(door: Door, query: Mapping[str, str]) -> str:
    """The items of the batch that the address names, as they stand; nothing where it names none."""
    job_id, state = query.get("job", ""), query.get("state", "")
    if not job_id:
        return render("batch_rows", found=None)
    if state not in ROW_STATES:
        raise UsageError(unknown("state", state, [name for name in ROW_STATES if name]))
    after = int(query["after"]) if query.get("after", "").isdecimal() else 0
    states: tuple[Any, ...] = (state,) if state else ()
    found = studio.batch_rows(job_id, states=states, after=after, limit=PAGE, settings=door.settings)
    job = line(door, studio.open_job(job_id, settings=door.settings), time.time())
    more = urlencode({"job": job_id, "state": state, "after": found.rows[-1].number}) if found.more else ""
    sheet = sheet_of(door, job_id) is not None
    return render(
        "batch_rows", found=found, job=job, state=state, states=ROW_STATES, more=more, first=not after, sheet=sheet
    )


def sheet_of(door: Door, job_id: str) -> Path | None:
    """The folder of a batch whose contact sheet can be shown; nothing of another kind of job."""
    folder = studio.batch_folder(job_id, settings=door.settings)
    return folder if folder is not None and (folder / "index.html").is_file() else None


def _asked(door: Door, values: Mapping[str, Any], *, plan: bool) -> list[str]:
    """The words of the command; what it reads is written, of a plan beside what a batch reads.

    Raises:
        FieldFault: Something is not filled in as it must be.
    """
    name = str(values.get("name") or "").strip()
    if not _NAME.fullmatch(name):
        raise FieldFault("Name must be of small letters, digits, hyphens and underscores, such as roof-tiles", "name")
    kind = str(values.get("kind") or "lines")
    if kind not in SUFFIXES:
        raise FieldFault(unknown("way to give briefs", kind, SUFFIXES), "kind")
    given = str(values.get("briefs") or "").strip()
    if not given or len(given) > MOST_LETTERS:
        why = "Briefs must be filled in" if not given else f"Briefs may have {MOST_LETTERS:,} letters"
        raise FieldFault(why, "briefs")
    text = _grid(given, values) if kind == "grid" else given
    home = door.settings.home
    out, held = home / "batches" / name, home / "briefs"
    check(studio.batch.kind, form(), {**values, "out": str(out)})
    file = held / ("plans" if plan else ".") / f"{name}{SUFFIXES[kind]}"
    if not plan and (out / "batch.db").is_file() and _differs(file, text):
        raise FieldFault(
            f"there is a batch {name} of other briefs already; choose another name, or the same briefs to go on", "name"
        )
    publish(file, f"{text}\n".encode())
    return ["batch", str(file), "--out", str(out), *arguments(form(), values)]


def _differs(file: Path, text: str) -> bool:
    return not file.is_file() or file.read_text(encoding="utf-8") != text + "\n"


def _grid(briefs: str, values: Mapping[str, Any]) -> str:
    """A grid as YAML, of the form's fields: briefs a line each, materials and seeds with commas between them."""
    grid: dict[str, Any] = {"brief": [one.strip() for one in briefs.splitlines() if one.strip()]}
    materials = [found for key in ("first", "second") if (found := _listed(values.get(key)))]
    if materials:
        grid["inspirations"] = materials
    if seeds := _listed(values.get("seeds")):
        if odd := next((one for one in seeds if not one.isdecimal()), None):
            raise FieldFault(f"Seeds must be whole numbers, not {odd[:40]!r}", "seeds")
        grid["seed"] = [int(one) for one in seeds]
    return json.dumps(grid, ensure_ascii=False, indent=1)


def _listed(text: Any) -> list[str]:
    return [one.strip() for one in re.split(r"[,\n]", str(text or "")) if one.strip()]


def plan(door: Door, values: Mapping[str, Any]) -> Reply:
    """Say what a batch would make and take."""
    args = _asked(door, values, plan=True)
    made = json.loads(door.command([*args, "--dry-run", "--json"], PLAN_SECONDS))
    shown = [word if "/plans/" not in word else word.replace("/plans/", "/") for word in args]
    html = render("batch_plan", command=command_line(shown), rows=_rows(made, _usual_seconds(door, values)))
    return Reply(say="The plan stands below the form.", pieces={"batch-plan": html})


def _usual_seconds(door: Door, values: Mapping[str, Any]) -> float | None:
    """What one design takes here, by the finished ones; nothing before any is."""
    choices = door.choices()
    images, rounds = str(values.get("images") or ""), str(values.get("rounds") or "")
    turns = choices.turns.get(str(values.get("program") or choices.program), 3)
    many = int(images) if images.isdecimal() else choices.images
    return door.pace().expected(turns, many, int(rounds) if rounds.isdecimal() else choices.rounds)


def _rows(made: Mapping[str, Any], usual: float | None) -> Sequence[tuple[str, str]]:
    counts = made["counts"]
    found = [("Designs to make", f"{counts['waiting']:,}"), ("Done before", f"{counts['done']:,}")]
    found += [("Lines that are no brief", f"{counts['faults']:,}")] if counts["faults"] else []
    found += [("Lines that say the same", f"{counts['repeats']:,}")] if counts["repeats"] else []
    found += [("At a time", str(made["in_flight"])), ("Made by", made["engine"])]
    for key, word in (("pictures", "Pictures"), ("tokens_out", "Tokens to write")):
        found += [(word, f"{made[key]:,}")] if made[key] is not None else []
    if made["seconds"] is not None:
        took = f"about {clock(made['seconds'])}, as the designs of this batch so far"
    elif usual is not None:
        took = f"about {clock(usual * counts['waiting'])} one after another, as designs made here before"
    else:
        took = "not known before the first design is made here"
    return [*found, ("Expected time", took)]


def launch(door: Door, values: Mapping[str, Any]) -> Reply:
    """Queue a batch and show its rows."""
    args = _asked(door, values, plan=False)
    told = door.command([*args, "--detach", "--json"], PLAN_SECONDS)
    try:
        job = str(json.loads(told)["job_id"])
    except (ValueError, KeyError, TypeError):
        return Reply(say="The batch is queued.", refresh=("batches",))
    return Reply(say="The batch is queued.", go=f"/batch?{urlencode({'job': job})}")


READERS: Mapping[str, Reader] = {"batch": batch, "batches": batches, "batch/rows": rows}
ACTIONS: Mapping[str, Action] = {"batch/plan": plan, "batch/launch": launch}

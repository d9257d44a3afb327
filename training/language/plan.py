"""What a recipe would do here, before any weight is read: rows, arguments, steps, memory, hours. Trains nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.catalogue.fetch import locate
from training.language.estimate import hours, machine, memory, size_of
from training.language.recipe import DATA, Stage, order, parents, resolved, steps_of
from training.language.rows import Row, digest
from training.language.run import Run
from workspace.errors import DataError, ServiceError


def plan(run: Run) -> dict[str, Any]:
    """Everything that would be done, with nothing done: arguments, rows, steps, memory, hours."""
    here = machine()
    folder, missing = _there(run)
    size = size_of(run.recipe.base, folder)
    told = []
    for stage in order(run.recipe):
        if stage.stage in DATA:
            told.append(_plan_data(run, stage))
            continue
        [parent, *into] = parents(run.recipe, stage)
        row: dict[str, Any] = {"name": stage.name, "stage": stage.stage, "from": parent}
        if stage.stage == "slerp":
            told.append({**row, "into": into[0], **stage.slerp.model_dump(mode="json")})
            continue
        args = resolved(stage)
        row |= args | {"adapter": stage.adapter and stage.adapter.model_dump(mode="json"), **_amount(run, stage, args)}
        if size is not None:
            need = memory(size, args, stage.stage, row["adapter"], run.recipe.processes)
            row["memory_gb"] = round(need, 1)
            if row["tokens"]:
                tokens = row["tokens"] * args["num_train_epochs"]
                row["hours"] = round(hours(size, tokens, stage.stage, here.flops * run.recipe.processes), 3)
        told.append(row)
    return {
        "recipe": run.recipe.name,
        "base": run.recipe.base,
        "missing": missing,
        "processes": run.recipe.processes,
        "machine": {"name": here.name, "memory_gb": round(here.memory, 1)},
        "stages": told,
    }


def _plan_data(run: Run, stage: Stage) -> dict[str, Any]:
    """What a corpus or distil stage would do; ``done`` where it has been."""
    told = stage.corpus or stage.distil
    given = told.model_dump(mode="json", exclude_defaults=True)
    if stage.stage == "distil":
        given = {"from": parents(run.recipe, stage)[0], "model": run.recipe.base} | given
    return {"name": stage.name, "stage": stage.stage, **given, "done": run.done(stage.name)}


def _there(run: Run) -> tuple[Path | None, str | None]:
    """The base's folder, or what to do about it."""
    try:
        return locate(run.recipe.base, run.home, kind="chat"), None
    except ServiceError as fault:
        return None, f"{fault.message}: {fault.hint}" if fault.hint else fault.message


def _amount(run: Run, stage: Stage, args: Mapping[str, Any]) -> dict[str, Any]:
    """Rows, tokens and steps of a stage; unknown where its data or the base is not there yet."""
    try:
        rows = run.rows(stage)
    except DataError as fault:
        waits = [one.source for one in stage.data if one.source and not run.done(one.source)]
        if waits:
            return {"rows": None, "tokens": None, "steps": None, "data": f"not made yet, by {', '.join(waits)}"}
        return {"rows": None, "tokens": None, "steps": None, "data": fault.message}
    words = sum(len(_said(row).split()) for row in rows)
    tokens = round(1.4 * words)  # English prose in a vocabulary of 50,000: 1.3 to 1.5 tokens a word
    packed = max(1, round(tokens / args["max_length"])) if args["packing"] else len(rows)
    steps = steps_of(args, packed, run.recipe.processes)
    return {"rows": len(rows), "tokens": tokens, "steps": steps, "data": digest(rows)[:16]}


def _said(row: Row) -> str:
    if "text" in row:
        return str(row["text"])
    parts = [row[name] for name in ("messages", "prompt", "chosen", "rejected") if name in row]
    return " ".join(message["content"] for part in parts for message in part)

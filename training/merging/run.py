"""Merge models into a variant: planned, said, made and published; the same merge is never made twice.

Knows the home; the rest is the other files' business.
"""

from __future__ import annotations

import json
from pathlib import Path

from models.catalogue.fetch import VARIANTS
from models.catalogue.table import MODELS
from training.evaluation.results import MergeRecord, SearchedScore
from training.loadable import check_loads
from training.loop.heap import forget_peak
from training.merging.config import MergeConfig
from training.merging.plan import MergePlan, Prepared, check_room, plan, prepare
from training.merging.publishing import RECORD, lay_out
from workspace.errors import DataError, UsageError
from workspace.files import sweep
from workspace.progress import Remark, StageFinished, StageStarted, Tell, amount, progress_to, silent

__all__ = ["MergeConfig", "MergePlan", "merge", "plan", "planned"]


def merge(
    config: MergeConfig, home: Path, tell: Tell = silent, *, searched: SearchedScore | None = None
) -> MergeRecord:
    """Merge models and publish the variant ``home/variants/NAME``.

    Args:
        config: What is merged, and how.
        home: Studio's home.
        tell: Called with events of progress; the plan's remarks come before anything is written.
        searched: Where t was searched, what that told.

    Returns:
        What is kept beside the weights, of this merge or of the same one made before.

    Raises:
        UsageError: There is no such model, or the name is another variant's.
        ServiceError: A model is not on this machine, or there is too little memory.
        DataError: The models cannot be merged.
        StorageError: The disk is too full; nothing is left behind.
    """
    with progress_to(tell):
        tell(StageStarted(doing="merging"))
        forget_peak()
        made = prepare(config, home)
        folder = home / VARIANTS / config.name
        if (record := _there(made.plan, folder)) is not None:
            tell(StageFinished(made=False))
            return record
        for line in made.plan.picture.splitlines():
            tell(Remark(text=line))
        for remark in (*made.plan.remarks, _room(made.plan)):
            tell(Remark(text=remark))
        sweep(folder.parent)
        check_room(made.plan, home)
        record = lay_out(made, folder, _card(config, made), tell, searched=searched)
        tell(StageFinished())
    return record


def _room(made: MergePlan) -> str:
    return (
        f"{amount(made.bytes)} are written ({amount(made.free_bytes)} free on the disk) with "
        f"{amount(made.memory_bytes)} of memory ({amount(made.free_memory_bytes)} free)"
    )


def planned(config: MergeConfig, home: Path) -> MergePlan:
    """What a merge will be, as `plan`, and whether its name is free.

    Raises:
        UsageError: Another variant has this name; or as `plan`.
    """
    found = plan(config, home)
    _there(found, home / VARIANTS / config.name)
    return found


def _there(made: MergePlan, folder: Path) -> MergeRecord | None:
    """The record of the same merge, made before.

    Raises:
        UsageError: Something else has its name.
    """
    if not folder.exists():
        return None
    try:
        card = json.loads((folder / "variant.json").read_text(encoding="utf-8"))
        same = card.get("key") == made.key
    except (OSError, ValueError, AttributeError):
        same = False
    if not same:
        raise UsageError(
            f"there is another variant named {made.name!r}, of other parents or another recipe",
            hint="give the merge another name, or remove that variant",
        )
    try:
        check_loads(folder)
        return MergeRecord.model_validate_json((folder / RECORD).read_text(encoding="utf-8"))
    except (DataError, OSError, ValueError):
        return None  # damaged since: made anew


def _card(config: MergeConfig, made: Prepared) -> dict[str, str]:
    licences = {_licence(place.name, place.folder) for place in made.parents}
    return {
        "name": config.name,
        "licence": licences.pop() if len(licences) == 1 else "other",
        "parents": ", ".join(made.plan.parents),
        **({"base": made.plan.base} if made.plan.base else {}),
        "stage": "merge",
        "method": made.plan.method,
        **({"t": made.plan.start} if made.plan.start else {}),
        "key": made.plan.key,
    }


def _licence(name: str, folder: Path) -> str:
    """A model's licence by the catalogue or its own card."""
    if name in MODELS:
        return MODELS[name].licence
    try:
        return str(json.loads((folder / "variant.json").read_text(encoding="utf-8"))["licence"])
    except (OSError, ValueError, KeyError, TypeError):
        return "other"

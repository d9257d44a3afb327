"""What a stage's work is made of, and what it is not: its key, what changed since, and former work that is kept.

Arguments that only say how often something is written, shown or measured, or trade memory for time, leave the weights
as they are: with others the same work goes on. What changes the weights begins anew, is said, and the old is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.catalogue.fetch import fingerprint
from training.language.arguments import BOOKKEEPING, Adapter, Arguments
from training.language.recipe import Stage, resolved
from training.language.rows import Row, digest
from workspace.errors import one_line
from workspace.files import publish

CARD = "variant.json"
_KEY, _MADE_OF = "key", "made_of.json"
_FIRST = {
    "assistant_only_loss", "beta", "bf16", "gradient_accumulation_steps", "learning_rate", "lr_scheduler_type",
    "max_grad_norm", "max_length", "max_prompt_length", "max_steps", "num_train_epochs", "optim", "packing",
    "per_device_train_batch_size", "seed", "warmup_ratio", "warmup_steps", "weight_decay",
}  # fmt: skip
"""Arguments that stand in every key; of later ones those that are not at their default, so that old keys hold."""
_FIRST_KEPT = {"gradient_checkpointing", "logging_steps", "save_steps"}  # stood in the keys of earlier versions
_FIRST_OF_ADAPTER = {"type", "r", "lora_alpha", "lora_dropout", "target_modules"}


def made_of(stage: Stage, rows: Sequence[Row], parents: Iterable[Path], template: str | None) -> dict[str, Any]:
    """All that decides what weights a stage makes.

    Args:
        stage: The stage.
        rows: Its rows, mixed.
        parents: The folders of the models that it starts from.
        template: The model whose chat template is used.
    """
    depends: dict[str, Any] = {"stage": stage.stage, "parents": [fingerprint(folder) for folder in parents]}
    if stage.stage == "slerp":
        return depends | {"slerp": stage.slerp.model_dump(mode="json")}
    plain = resolved(stage.model_copy(update={"args": Arguments()}))
    return depends | {
        "args": _told(resolved(stage), plain, _FIRST, BOOKKEEPING),
        "adapter": stage.adapter and _told(stage.adapter, Adapter(), _FIRST_OF_ADAPTER, frozenset()),
        "rows": digest(rows),
        "template": template,
    }


def _told(given: Any, default: Any, always: Iterable[str], never: Iterable[str]) -> dict[str, Any]:
    """A part's values that count: all of the first ones, of the others those that are not as if nothing were said."""
    held, plain = given.model_dump(mode="json"), default.model_dump(mode="json")
    return {
        name: value for name, value in held.items() if name in always or (name not in never and value != plain[name])
    }


@dataclass(frozen=True)
class Work:
    """What a stage's work is made of, its key, and the keys that earlier versions gave it."""

    made_of: Mapping[str, Any]
    key: str
    keys: frozenset[str]


NONE = Work({}, "", frozenset())
"""What a process has until the first one tells it."""


def work_of(made_of: Mapping[str, Any], args: Arguments, card: Mapping[str, Any]) -> Work:
    """Give a work its key, and those of earlier versions, in which bookkeeping stood: as it is now, and as a card says.

    Args:
        made_of: From `made_of`.
        args: The stage's resolved arguments.
        card: Of the variant that is there.
    """
    key = _sum(made_of)
    former: set[str] = set()
    if "args" in made_of:
        now = args.model_dump(mode="json", include=_FIRST_KEPT)
        then = {name: value for name, value in card.get("arguments", {}).items() if name in _FIRST_KEPT}
        former = {_sum({**made_of, "args": made_of["args"] | now | other}) for other in ({}, then)}
    return Work(made_of, key, frozenset({key, *former}))


def _sum(made_of: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In words what of a stage's work is not as it was: arguments with both values, rows, template, parent."""
    found: list[str] = []
    for part in ("args", "adapter", "slerp"):
        old, new = before.get(part) or {}, now.get(part) or {}
        prefix = "adapter " if part == "adapter" else ""
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                found.append(f"{prefix}{name} was {_shown(old.get(name))}, is {_shown(new.get(name))}")
    words = {"rows": "its rows", "template": "the chat template", "parents": "what it starts from", "way": "processes"}
    found += [f"{word} changed" for part, word in words.items() if part in before and before[part] != now.get(part)]
    return one_line("; ".join(found) or "what it is made of changed", 300)


def _shown(value: Any) -> str:
    return "not given" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def claim(folder: Path, work: Work, way: str) -> str:
    """Make a stage's folder its own.

    Args:
        folder: Where the stage keeps what it works on.
        work: The work that is to be done in it.
        way: How it is split over processes; from another split's checkpoint no work goes on.

    Returns:
        Empty, or in words what changed, so that it begins anew, and where the former work is kept.
    """
    noted, told = folder / _KEY, folder / _MADE_OF
    present = {**work.made_of, "way": way}
    before = noted.read_text(encoding="utf-8") if noted.is_file() else ""
    remark = ""
    if before and before not in {f"{key} {way}".strip() for key in work.keys}:
        old = json.loads(told.read_text(encoding="utf-8")) if told.is_file() else {}
        aside = _beside(folder)
        os.rename(folder, aside)
        remark = f"begins anew: {changed(old, present)}; what was trained before is kept in {aside}"
    publish(noted, f"{work.key} {way}".strip())
    publish(told, json.dumps(present, indent=1) + "\n")
    return remark


def keep_variant(folder: Path, key: str) -> str:
    """Keep a variant of other work, which is about to be made anew, under a name of its own; say which, once.

    Its files are linked, where the disk can, and take no room until the new ones replace them.
    """
    old = card(folder)
    if not folder.is_dir() or old.get("key") == key:
        return ""
    aside = _beside(folder)
    same = [one for one in folder.parent.glob(f"{folder.name}.before-*") if card(one).get("key") == old.get("key")]
    if old and same:
        return ""

    def lay(staged: Path) -> None:
        shutil.copytree(folder, staged, copy_function=_link)

    publish(aside, lay)
    return f"the variant made before is kept as {aside.name}"


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _beside(folder: Path) -> Path:
    """The first free name for what was made before."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.before-{number}")).exists():
        number += 1
    return aside


def card(folder: Path) -> dict[str, Any]:
    """What a variant's card says; nothing where there is none."""
    file = folder / CARD
    held: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return held

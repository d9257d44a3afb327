"""Where a model comes from, by the cards of variants: family, what training began from, stages, parents.

Knows catalogue and cards; not what a model answers.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

from models.catalogue.fetch import VARIANTS
from models.catalogue.table import MODELS
from training.evaluation.results import MergeRecord, Variant
from workspace.errors import DataError, one_line

TOKENS = {
    "smollm-1.7b": 1.0,  # these three as the study states them
    "mistral-7b-v0.3": 8.0,
    "llama-3.1-8b": 15.0,
    "smollm2-135m": 2.0,  # these as their paper does: Ben Allal et al., arXiv 2502.02737
    "smollm2-360m": 4.0,
    "smollm2-1.7b": 11.0,
}
"""Trillions of tokens that a family was pretrained on."""
_TUNED_FOR_TALK = re.compile(r"-(instruct|chat|it)\b")
_EPOCH = re.compile(r"(?P<stage>.+)-epoch-(?P<epoch>[0-9.]+)")
_DEEPEST = 100  # stages from a variant to its base; more go in a circle


def lineage(name: str, home: Path) -> Variant:
    """Where a model comes from, as far as its card says.

    Args:
        name: A catalogue id, a variant's name, or anything else, of which nothing is known.
        home: STUDIO_HOME.

    Raises:
        DataError: A card cannot be read.
    """
    return _lineage(name, home, 0)


def merge_record(name: str, home: Path) -> MergeRecord | None:
    """How a variant was merged; none where it is no merge, or was merged elsewhere.

    Raises:
        DataError: What is kept cannot be read.
    """
    file = home / VARIANTS / name / "merge.json"
    if not file.is_file():
        return None
    try:
        return MergeRecord.model_validate_json(file.read_bytes())
    except (OSError, ValueError) as fault:
        raise DataError(f"cannot read {file}: {one_line(fault)}", hint="merge again under another name") from None


def _lineage(name: str, home: Path, depth: int) -> Variant:
    card = _card(_folder(name, home))
    if card is None or depth > _DEEPEST:
        return _untuned(name)
    record = merge_record(name, home)
    parents = record.parents if record else _names(card.get("parents") or card.get("parent"))
    came = [_lineage(parent, home, depth + 1) for parent in parents]
    first = next((one for one in came if one.family), Variant(name=name))
    longest = max(came, key=lambda one: len(one.stages), default=first)
    stage = record.method if record else str(card.get("stage", ""))
    return Variant(
        name=name,
        family=first.family,
        start=longest.start or first.start,
        stages=(*longest.stages, *([stage] if stage else [])),
        parents=tuple(parents),
        epoch=_number(card.get("epoch")),
        pretraining_tokens=first.pretraining_tokens,
    )


def _folder(name: str, home: Path) -> Path:
    """Where a variant's card lies; of what was kept after an epoch, in its stage's work."""
    kept = _EPOCH.fullmatch(name)
    if kept and not (home / VARIANTS / name).exists():
        return home / "training" / kept["stage"] / "epochs" / kept["epoch"]
    return home / VARIANTS / name


def _untuned(name: str) -> Variant:
    """A model that was not trained here: what its name says, where the catalogue has it."""
    if name not in MODELS or name.startswith("lamm-"):  # the study's published variants are tuned, how their names tell
        return Variant(name=name)
    family = _TUNED_FOR_TALK.sub("", name)
    start: Literal["base", "instruct"] = "instruct" if family != name else "base"
    return Variant(name=name, family=family, start=start, pretraining_tokens=TOKENS.get(family))


def _card(folder: Path) -> dict[str, Any] | None:
    file = folder / "variant.json"
    if not file.is_file():
        return None
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise DataError(f"cannot read {file}: {one_line(fault)}") from None
    return held if isinstance(held, dict) else {}


def _names(listed: Any) -> tuple[str, ...]:
    return tuple(name.strip() for name in str(listed or "").split(",") if name.strip())


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

"""LoRA adapters as a server knows them: named by their content, of a rank, and made for the model that is served.

A server may keep what it computed with an adapter under the adapter's name. So the name ends in the first digits of
the content's hash: another adapter never has it, wherever it lies. Reads headers only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.catalogue.fetch import locate
from models.catalogue.folders import WEIGHTS, check_safetensors, contents, fingerprint, read_json
from workspace.errors import DataError

Shapes = Mapping[str, tuple[int, ...]]
_DIGITS = 12
_PART = re.compile(r"(?:base_model\.model\.)?(?P<layer>.+)\.lora_(?P<side>[AB])\.(?:\w+\.)?weight$")
_WITHIN = re.compile(r"(?:^|\.)(layers\.\d+\..+)$")


@dataclass(frozen=True)
class Adapter:
    """An adapter that fits a model.

    Args:
        name: What clients ask for to be answered with it.
        folder: Where it lies, in PEFT's form.
        sha256: Its fingerprint.
        rank: The largest of its layers.
    """

    name: str
    folder: Path
    sha256: str
    rank: int


def find_adapter(wanted: str, base: Path, home: Path) -> Adapter:
    """Find an adapter by its catalogue id or path, and see that it is one for this model.

    Raises:
        DataError: It is no LoRA in PEFT's form, or one of another model.
        UsageError: There is none of this name.
        ServiceError: It has not been fetched.
    """
    folder = locate(wanted, home, kind="adapter").absolute()
    if not (folder / "adapter_config.json").is_file():
        raise DataError(f"{folder} has no adapter_config.json, which says how a server applies an adapter")
    config = read_json(folder / "adapter_config.json")
    kind = config.get("peft_type", "LORA") if isinstance(config, dict) else None
    if kind != "LORA":
        raise DataError(f"the adapter {folder} is a {str(kind)[:40]}; a server applies LoRA alone")
    sum_of = fingerprint(folder)
    name = f"{plain_name(folder.name)}-{sum_of[:_DIGITS]}"
    return Adapter(name, folder, sum_of, _fitting(folder, _shapes(folder), _shapes(base), base))


def plain_name(text: str) -> str:
    """A name of letters, digits, dots, underscores and hyphens, as it may stand in a command or a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:80] or "model"


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a folder."""
    found: dict[str, tuple[int, ...]] = {}
    for file in contents(folder):
        if file.suffix == WEIGHTS:
            header: dict[str, Any] = check_safetensors(file)
            found |= {name: tuple(entry["shape"]) for name, entry in header.items()}
    return found


def _fitting(folder: Path, own: Shapes, held: Shapes, base: Path) -> int:
    """The adapter's rank, if each of its layers is one of the model's and has its width.

    Raises:
        DataError: A layer is not, or there is none.
    """
    within = {found[1]: shape for name, shape in held.items() if (found := _WITHIN.search(name))}
    parts = {name: found for name in own if (found := _PART.match(name))}
    rank, odd = 0, []
    for name, part in parts.items():
        layer = f"{part['layer']}.weight"
        short = _WITHIN.search(layer)
        there = held.get(layer) or (within.get(short[1]) if short else None)
        inside, outside = (0, 1) if part["side"] == "A" else (1, 0)
        shape = own[name]
        if there is None or len(there) != 2 or len(shape) != 2 or shape[outside] != there[outside]:
            odd.append(part["layer"])
        else:
            rank = max(rank, shape[inside])
    if odd or not rank:
        first = f"; the first that does not is {odd[0]}" if odd else ""
        fit = f"{len(parts) - len(odd)} of {len(parts)} of its matrices fit"
        raise DataError(f"the adapter {folder} is not for the model {base}: {fit}{first}")
    return rank

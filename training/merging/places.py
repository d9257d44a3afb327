"""The models that a merge names: found by name or folder, adapters folded into their bases, each with its fingerprint.

Knows the catalogue and folders; nothing is ever downloaded for a merge.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.catalogue.fetch import fingerprint, inspect, locate
from models.catalogue.table import MODELS
from training.adapted import folded, is_adapter
from workspace.errors import ServiceError, UsageError


@dataclass(frozen=True)
class Place:
    """A model that is ready to be merged.

    Attributes:
        name: What it is called, without the path it lies at.
        folder: Where its whole weights lie.
        fingerprint: Of its weights, configuration and tokenizer.
        remark: What a person should know: that an adapter was folded.
    """

    name: str
    folder: Path
    fingerprint: str
    remark: str = ""


def find(asked: str, home: Path) -> Place:
    """Find a model.

    Args:
        asked: A catalogue id, a variant's name, a hub id of the catalogue, a folder, or ``BASE+ADAPTER``.
        home: Studio's home.

    Raises:
        UsageError: There is no such model.
        ServiceError: It is a hub's and not on this machine.
        DataError: What lies there is unsafe, damaged or no language model.
    """
    base, plus, adapter = asked.partition("+")
    if plus and not Path(asked).expanduser().exists():
        return _folded(_locate(adapter, home), _locate(base, home), home)
    folder = _locate(asked, home)
    if is_adapter(folder):
        return _folded(folder, None, home)
    inspect(folder, "chat")
    return Place(_name(asked, folder), folder, fingerprint(folder))


def _folded(adapter: Path, base: Path | None, home: Path) -> Place:
    folder, base_name = folded(adapter, home, base)
    name = adapter.resolve().name
    return Place(name, folder, fingerprint(folder), f"the adapter {name} is folded into {base_name} first")


def _locate(asked: str, home: Path) -> Path:
    known = next((entry.id for entry in MODELS.values() if entry.hub == asked), asked)
    try:
        return locate(known, home)
    except UsageError as fault:
        if asked.count("/") == 1 and not asked.startswith((".", "~", "/")):
            raise ServiceError(
                f"{asked} is on no disk here: a merge fetches nothing from a hub",
                hint="fetch it yourself and give its folder, or name a model of `studio models list`",
            ) from fault
        raise


def _name(asked: str, folder: Path) -> str:
    return asked if "/" not in asked and asked not in (".", "..") else folder.resolve().name

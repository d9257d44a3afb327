"""Files of a training: named tensors with a note, and the recipe of the folder they lie in; whole or not at all.

Nothing is pickled. This module does not know what is trained.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from workspace.errors import DataError, one_line
from workspace.files import publish


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], note: Mapping[str, Any] | None = None) -> None:
    """Write named tensors and a note to a safetensors file, whole or not at all.

    Raises:
        StorageError: If the disk refuses.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"note": json.dumps(note or {}), "format": "pt"}
    publish(path, lambda staged: save_file(plain, staged, metadata=metadata))


def note_recipe(out: Path, recipe: Mapping[str, Any], free: Collection[str] = (), name: str = "recipe.json") -> None:
    """Make a training's output folder and note in it what is trained there.

    Args:
        out: The folder, new or of the same training.
        recipe: How it is trained, as plain JSON.
        free: What of it may differ from last time, as a higher number of steps.
        name: The note's file name.

    Raises:
        DataError: If something else was begun there.
    """
    noted = out / name
    former = json.loads(noted.read_text(encoding="utf-8")) if noted.is_file() else recipe
    changed = sorted(key for key in recipe if key not in free and former.get(key) != recipe[key])
    if changed:
        raise DataError(
            f"{out} holds another training; {', '.join(changed)} differ", hint="name an empty folder with --out"
        )
    publish(noted, json.dumps(recipe, indent=2))


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Raises:
        DataError: If the file is not a readable safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            return tensors, json.loads((file.metadata() or {}).get("note", "{}"))
    except (SafetensorError, OSError, json.JSONDecodeError) as fault:
        raise DataError(
            f"checkpoint {path} cannot be read: {one_line(fault)}", hint="delete it to start that stage anew"
        ) from None

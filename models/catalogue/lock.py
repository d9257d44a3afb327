"""The lock file: which revision of a model was first fetched and what each file's sha256 was; binding from then on."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workspace.errors import DataError, StorageError, pydantic_fault
from workspace.files import disk, lock, publish

NAME = "models.lock.json"


class Pin(BaseModel):
    """What was fetched for one model.

    Attributes:
        source: ``wheel`` or ``hub``.
        origin: The wheel's pin or the hub's repository.
        revision: The wheel's sha256 or the hub's commit.
        files: The sha256 of each file as it lies in the model's folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: Literal["wheel", "hub"]
    origin: str
    revision: str
    files: dict[str, str] = Field(default_factory=dict)


class _Lock(BaseModel):
    model_config = ConfigDict(extra="forbid")
    models: dict[str, dict[str, Pin]] = Field(default_factory=dict)


def pinned(models: Path, model_id: str, source: str) -> Pin | None:
    """Return what the lock file says of a model from one source, if anything.

    Args:
        models: The folder of fetched models, where the lock file lies.
        model_id: The catalogue id.
        source: ``wheel`` or ``hub``.
    """
    return _read(models / NAME).models.get(model_id, {}).get(source)


def pins(models: Path, model_id: str) -> list[Pin]:
    """Return all the lock file says of a model."""
    return list(_read(models / NAME).models.get(model_id, {}).values())


def pin(models: Path, model_id: str, entry: Pin) -> None:
    """Write down what was fetched; processes that fetch different models at once do not lose each other's line."""
    with _alone(models):
        lock = _read(models / NAME)
        lock.models.setdefault(model_id, {})[entry.source] = entry
        publish(models / NAME, json.dumps(lock.model_dump(), indent=1, sort_keys=True) + "\n")


def _read(path: Path) -> _Lock:
    if not path.is_file():
        return _Lock()
    try:
        return _Lock.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        raise DataError(
            f"{path} is damaged: {pydantic_fault(error, _Lock)}", hint="move it away to pin anew"
        ) from error


@contextmanager
def _alone(models: Path) -> Iterator[None]:
    with disk(models):
        models.mkdir(parents=True, exist_ok=True)
        stream = (models / f".{NAME}.flock").open("w")
    with stream:
        lock(stream.fileno(), fcntl.LOCK_EX, models / f".{NAME}.flock")
        yield

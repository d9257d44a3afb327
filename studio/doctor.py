"""What this installation is and what it lacks: settings and where each came from, versions, devices, disk, models.

Knows how to look; mends nothing, but says the command that does.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from studio.verb import Call, query
from workspace.errors import StudioError

if TYPE_CHECKING:
    from workspace.settings import Settings

LOW_DISK = 2_000_000_000


@dataclass(frozen=True)
class Missing:
    """One thing that is not as it should be, and the command that mends it."""

    what: str
    command: str


@dataclass(frozen=True)
class Report:
    """All that the doctor found."""

    settings: list[tuple[str, str, str]]
    versions: dict[str, str]
    devices: list[str]
    home: Path
    free_bytes: int
    used_bytes: int
    models: list[tuple[str, str, str]]
    missing: list[Missing] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "settings": [{"key": key, "value": value, "from": origin} for key, value, origin in self.settings],
            "versions": self.versions,
            "devices": self.devices,
            "home": str(self.home),
            "free_bytes": self.free_bytes,
            "used_bytes": self.used_bytes,
            "models": [{"model": model, "for": purpose, "state": state} for model, purpose, state in self.models],
            "missing": [{"what": item.what, "command": item.command} for item in self.missing],
        }


class ExamineCall(Call):
    """With which eyes it looks."""

    profile: str | None = Field(None, description="Look with the eyes of this profile")


@query(ExamineCall)
def examine(options: ExamineCall) -> Report:
    """Show the settings and where each came from, versions, devices, disk, and what is missing."""
    settings = options.using
    from studio.runs.folder import versions

    missing: list[Missing] = []
    free = shutil.disk_usage(_standing(settings.home)).free
    if free < LOW_DISK:
        missing.append(
            Missing(f"only {free / 1e9:.1f} GB are free in {settings.home}", "studio doctor --profile remote")
        )
    missing += _writable(settings.home)
    found = versions() | _sqlite(missing)
    missing += [
        Missing(f"the package {name} is not installed", "make setup")
        for name in found
        if found[name] == "not installed"
    ]
    return Report(
        settings=_settings(settings),
        versions=found,
        devices=_devices(),
        home=settings.home,
        free_bytes=free,
        used_bytes=_size(settings.home),
        models=_models(settings, missing),
        missing=missing + _servers(settings),
    )


def _standing(path: Path) -> Path:
    """The nearest folder on the way up that exists."""
    while not path.exists():
        path = path.parent
    return path


def _size(home: Path) -> int:
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file() and not path.is_symlink())


def _settings(settings: Settings) -> list[tuple[str, str, str]]:
    from workspace.layers import flatten

    data = settings.model_dump(mode="json")
    rows = []
    for key in flatten(data):
        value: Any = data
        for part in key.split("."):
            value = value[part] if isinstance(value, dict) else value
        rows.append((key, "none" if value is None else str(value), settings.origins.get(key, "default")))
    return rows


def _writable(home: Path) -> list[Missing]:
    from workspace.files import probe

    try:
        probe(home)
    except StudioError as error:
        return [Missing(error.message, "export STUDIO_HOME=<a folder you can write to>")]
    return []


def _sqlite(missing: list[Missing]) -> dict[str, str]:
    from pysqlite3 import dbapi2

    from workspace.database import SAFE_VERSION

    if dbapi2.sqlite_version_info < SAFE_VERSION:
        missing.append(Missing(f"SQLite {dbapi2.sqlite_version} is too old", "pip install --upgrade pysqlite3"))
    return {"sqlite": str(dbapi2.sqlite_version)}


def _devices() -> list[str]:
    import torch

    cores = len(os.sched_getaffinity(0))
    found = [f"cpu: {cores} cores, {torch.get_num_threads()} threads, {_memory() / 2**30:.1f} GiB memory"]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found.append(f"cuda:{index}: {properties.name}, {properties.total_memory / 2**30:.1f} GiB")
    return found


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _models(settings: Settings, missing: list[Missing]) -> list[tuple[str, str, str]]:
    from studio.runs.preflight import needs

    rows = []
    for need in needs(settings):
        if need.problem is None:
            rows.append((need.model, need.purpose, str(need.folder)))
        else:
            rows.append((need.model, need.purpose, need.problem.message))
            missing.append(Missing(need.problem.message, need.problem.hint or f"studio models verify {need.model}"))
    return rows


def _servers(settings: Settings) -> list[Missing]:
    wanted = {settings.chat.api_key_env if settings.chat.server else None}
    if settings.sees and settings.vision.server:
        wanted.add(settings.vision.api_key_env)
    return [
        Missing(f"the environment variable {name} that holds the server's key is not set", f"export {name}=<key>")
        for name in sorted(filter(None, wanted))
        if not os.environ.get(name)
    ]

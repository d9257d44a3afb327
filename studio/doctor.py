"""What this installation is and what it lacks: settings, versions, devices, disk, models, servers, engines.

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
from workspace.errors import StudioError, masked
from workspace.progress import waiting

if TYPE_CHECKING:
    from workspace.settings import ChatSettings, Settings

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
    servers: list[tuple[str, str, str]] = field(default_factory=list)
    engines: list[tuple[str, str, str]] = field(default_factory=list)
    serving: list[tuple[str, str, str]] = field(default_factory=list)
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
            "servers": [{"server": server, "for": purpose, "state": state} for server, purpose, state in self.servers],
            "engines": [{"engine": engine, "state": state, "note": note} for engine, state, note in self.engines],
            "serving": [{"name": name, "address": where, "model": model} for name, where, model in self.serving],
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

    with waiting("looking at the libraries and devices"):
        devices = _devices()
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
    with waiting(f"measuring {settings.home}"):
        used = _size(settings.home)
    with waiting("looking at the engines that serve models"):
        from models.serving import engines, records

        there = engines.table(settings.serving.engine)
        serving = [(one.name, one.address, one.model) for one in records.running(settings.home)]
    return Report(
        settings=_settings(settings),
        versions=found,
        devices=devices,
        home=settings.home,
        free_bytes=free,
        used_bytes=used,
        models=_models(settings, missing),
        servers=_ledger(settings, missing) + _servers(settings, missing),
        engines=there,
        serving=serving,
        missing=missing,
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
        rows.append((key, "none" if value is None else masked(str(value)), settings.origins.get(key, "default")))
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


def _ledger(settings: Settings, missing: list[Missing]) -> list[tuple[str, str, str]]:
    """Ask the server that has the ledger, if one has it."""
    from workspace.extras import require
    from workspace.postgres.address import Address, database_of

    place = database_of(settings.home, "ledger.db")
    if not isinstance(place, Address):
        return []
    purpose = "ledger and checkpoints"
    try:
        require("psycopg", "langgraph.checkpoint.postgres", extra="postgres")
        from workspace.postgres.connection import look

        with waiting(f"asking {place}"):
            return [(str(place), purpose, look(place))]
    except StudioError as error:
        mend = (
            error.hint if error.hint and error.hint.startswith("pip ") else "mend ledger.url, or start PostgreSQL there"
        )
        missing.append(Missing(error.message, mend))
        return [(str(place), purpose, error.message.removeprefix(f"{place} "))]


def _servers(settings: Settings, missing: list[Missing]) -> list[tuple[str, str, str]]:
    """Ask every server that a role has for its models, each once and for a short time."""
    from models.chat.servers import look
    from workspace.settings import ROLES, resolved

    asked: dict[tuple[str, str | None, str], tuple[ChatSettings, list[str]]] = {}
    for role in ROLES:
        if role != "critic" or settings.sees:
            chat = resolved(settings, role).chat
            if chat.server:
                asked.setdefault((chat.server, chat.api_key_env, chat.model), (chat, []))[1].append(role)
    looks = {}
    for chat, _ in asked.values():
        if (chat.server, chat.api_key_env) not in looks:
            with waiting(f"asking {masked(str(chat.server))}"):
                looks[chat.server, chat.api_key_env] = look(chat)
    rows = []
    for chat, roles in asked.values():
        found = looks[chat.server, chat.api_key_env]
        problem = found.problem
        if problem is None and found.lacks(chat.model):
            there = ", ".join((found.models or ())[:8]) or "none"
            problem = f"{found.server} has no model {chat.model!r}; it has: {there}"
        if problem is not None:
            missing.append(Missing(problem, _mend(chat, found.mend)))
        well = "answers" if found.models is None else "answers and has the model"
        state = well if problem is None else problem.removeprefix(f"{found.server} ")
        rows.append((found.server, f"{', '.join(roles)}: {chat.model}", state))
    return rows


def _mend(chat: ChatSettings, hint: str | None) -> str:
    from workspace.configuration.keys import key

    if chat.api_key_env and not key(chat.api_key_env):
        return f"export {chat.api_key_env}=<key>"
    return hint or "set model, beside the server, to one that it has"

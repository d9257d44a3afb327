"""Servers tried, and their keys kept, as the front door offers it. A key is set and forgotten, never shown."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from studio.verb import Call, query, verb
from workspace.configuration import keys
from workspace.errors import UsageError, unknown
from workspace.settings import ROLES, ChatSettings, Settings, resolved


class Tried(BaseModel):
    """How a server stands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    server: str = Field(description="Its address, without a password")
    model: str
    well: bool
    told: str = Field(description="One line")
    models: tuple[str, ...] = Field((), description="Models that it has, the first of them")


@verb(Call)
def try_server(where: str, options: Call) -> Tried:
    """Ask a server of the settings for its models, once and for a short time, and say how it stands.

    Args:
        where: ``chat``, ``vision``, or a role.
        options: Nothing of its own.

    Raises:
        UsageError: There is no such place, or no server is set there.
    """
    from models.chat.servers import look

    chat = _chat(options.using, where)
    if chat is None or chat.server is None:
        raise UsageError(f"no server is set for {where}: its model runs on this machine")
    found = look(chat)
    if found.problem is not None:
        told = f"{found.problem}{f'; {found.mend}' if found.mend else ''}"
        return Tried(server=found.server, model=chat.model, well=False, told=told)
    there = (found.models or ())[:12]
    if found.lacks(chat.model):
        told = f"it answers, and has no model {chat.model!r}"
        return Tried(server=found.server, model=chat.model, well=False, told=told, models=there)
    told = "it answers" if found.models is None else "it answers and has the model"
    return Tried(server=found.server, model=chat.model, well=True, told=told, models=there)


def _chat(settings: Settings, where: str) -> ChatSettings | None:
    """What a place of the settings says of its server; nothing where it names no model."""
    if where == "chat":
        return settings.chat
    if where == "vision":
        vision = settings.vision
        return None if vision.model is None else ChatSettings(**vision.model_dump())
    if where not in ROLES:
        raise UsageError(unknown("place of a server", where, ("chat", "vision", *ROLES)))
    return resolved(settings, where).chat


class KeyRow(BaseModel):
    """A key by its name; its value is told to nobody."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    place: Literal["environment", "kept", "nowhere"]
    used_by: tuple[str, ...] = Field((), description="Sections of the settings that name it")


class KeyRows(BaseModel):
    """The keys that settings name or that are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: tuple[KeyRow, ...]


@query(Call)
def list_keys(options: Call) -> KeyRows:
    """List the keys that settings name or that are kept, by name alone."""
    settings = options.using
    named: dict[str, list[str]] = {name: [] for name in keys.names(settings.home)}
    kept = set(named)
    roles = {f"roles.{name}": role.api_key_env for name, role in settings.roles.items()}
    for section, name in {"chat": settings.chat.api_key_env, "vision": settings.vision.api_key_env, **roles}.items():
        if name and name != "none":
            named.setdefault(name, []).append(section)
    return KeyRows(
        keys=tuple(
            KeyRow(name=name, place=_place(name, kept), used_by=tuple(used)) for name, used in sorted(named.items())
        )
    )


def _place(name: str, kept: set[str]) -> Literal["environment", "kept", "nowhere"]:
    if os.environ.get(name, "").strip():
        return "environment"
    return "kept" if name in kept else "nowhere"


class KeyCall(Call):
    """What is kept."""

    value: str = Field("", repr=False, description="The key itself", json_schema_extra={"hidden": True})


@verb(KeyCall)
def keep_key(name: str, options: KeyCall) -> None:
    """Keep a server's key in the home, in a file that its owner alone may read, under the name that settings say.

    Args:
        name: The variable that ``api_key_env`` names; one that is set in the environment goes first.
        options: The key.
    """
    keys.keep(options.home, name, options.value)


@verb(Call)
def forget_key(name: str, options: Call) -> bool:
    """Forget a key that is kept; say whether there was one."""
    return keys.forget(options.home, name)

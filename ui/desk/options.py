"""The settings' page: what holds and where it comes from, changed by section; servers tried; keys; the doctor's report.

A change goes into the home's own file alone. A key comes in and never goes out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import studio
from studio.configuration.settings import SettingRow, kind_of, may_be_none
from ui.desk.door import Door
from ui.desk.forms import Field, FieldFault, check, fields
from ui.desk.fragments import Action, Reader, Reply
from ui.desk.measures import size
from ui.desk.render import render
from workspace.errors import ServiceError, UsageError, masked, unknown
from workspace.settings import ROLES

LOOKING_SECONDS = 120
SECTIONS: Mapping[str, tuple[str, str]] = {
    "chat": ("Writing and reasoning", "The model that all roles use, unless they name their own."),
    "vision": ("Looking at pictures", "The critic's model; without one pictures are not judged."),
    "painter": ("Painting", "The model that paints."),
    "flow": ("How far a design goes", "Program, pictures and rounds where a design does not say otherwise."),
    "sampling": ("How words are drawn", "Temperature and the like, for all roles."),
    "evidence": ("Evidence", "What is looked up before anything is claimed."),
    "queue": ("The queue", "How much goes on at the same time on this machine."),
    "serving": ("Serving models", "What `studio serve` takes."),
    "tracing": ("Tracing", "Who is told of prompts and answers; nobody, unless it is said here."),
}
"""The sections that are changed here, each with its title and what it is about."""

_FIRST = ("model", "server", "api_key_env", "adapter")
_ROLE_FIELDS = ("model", "server", "api_key_env", "adapter", "temperature", "max_tokens")


@dataclass(frozen=True)
class Shown:
    """A setting as the page shows it: its field, its value, where it comes from, whether it can be changed here."""

    field: Field
    key: str
    value: str
    origin: str
    mine: bool
    fixed: bool


def settings(door: Door, query: Mapping[str, str]) -> str:
    """Profile, sections and roles, each with the values that hold."""
    found = studio.list_settings(settings=door.settings)
    rows = {row.key: row for row in found.settings}
    sections = {name: _section(name, rows) for name in SECTIONS}
    roles = {role: _section(f"roles.{role}", rows) for role in ROLES}
    return render(
        "settings",
        profile=rows["profile"],
        home=rows["home"],
        profiles=found.profiles,
        sections=sections,
        roles=roles,
    )


def _section(name: str, rows: Mapping[str, SettingRow], *, opened: bool = False) -> str:
    """A section as a form, with the values that hold."""
    role = name.startswith("roles.")
    title, about = (name.removeprefix("roles.").capitalize(), "Blank: as for all roles.") if role else SECTIONS[name]
    held = _held(name, rows)
    return render("settings_section", name=name, title=title, about=about, shown=held, opened=opened)


def _held(name: str, rows: Mapping[str, SettingRow]) -> list[Shown]:
    made = []
    for field in _fields(name):
        row = rows.get(f"{name}.{field.name}")
        value = "" if row is None or row.value == "none" else row.value
        said = "" if row is None or row.origin == "default" else row.origin
        about = f"From {said}." if said else ""
        made.append(Shown(field, f"{name}.{field.name}", value, about, bool(row and row.mine), bool(row and row.fixed)))
    return made


def _fields(name: str) -> list[Field]:
    found = sorted(fields(kind_of(name)), key=lambda one: _FIRST.index(one.name) if one.name in _FIRST else 9)
    return [one for one in found if one.name in _ROLE_FIELDS] if name.startswith("roles.") else found


def _servers(door: Door) -> list[tuple[str, str]]:
    """The places of the settings that have a server, and its address without a password."""
    own = {role: one.server for role, one in door.settings.roles.items() if one.server not in (None, "none")}
    every = {"chat": door.settings.chat.server, "vision": door.settings.vision.server, **own}
    return [(name, masked(str(server))) for name, server in every.items() if server]


def _name(values: Mapping[str, Any]) -> str:
    name = str(values.get("section", ""))[:100]
    if name not in SECTIONS and name not in {f"roles.{role}" for role in ROLES}:
        raise UsageError(unknown("section", name, SECTIONS))
    return name


def save(door: Door, values: Mapping[str, Any]) -> Reply:
    """Write what was changed in a section, and nothing else."""
    name = _name(values)
    rows = {row.key: row for row in studio.list_settings(settings=door.settings).settings}
    held = _held(name, rows)
    changes: dict[str, Any] = {}
    for one in held:
        sent = one.field.kind == "switch" or one.field.name in values
        given = _given(one, values)
        if sent and not one.fixed and given != one.value:
            changes[one.key] = _change(name, one, given)
    asked = {key.rpartition(".")[2]: value for key, value in changes.items() if value not in (None, "none")}
    check(kind_of(name), [one.field for one in held if one.field.name in asked], asked)
    if not changes:
        return Reply(say="Nothing was changed.")
    return _written(door, name, changes)


def _given(one: Shown, values: Mapping[str, Any]) -> str:
    text = " ".join(str(values.get(one.field.name) or "").split())
    if one.field.kind == "switch":
        return "True" if text else "False"
    return ", ".join(part.strip() for part in text.split(",") if part.strip()) if one.field.many else text


def _change(name: str, one: Shown, given: str) -> Any:
    """What a filled field is written as: nothing takes it out of the file, or says that there is none."""
    if given:
        return given == "True" if one.field.kind == "switch" else given
    if one.mine:
        return None
    if not may_be_none(name, one.field.name):
        raise FieldFault(f"{one.field.label} cannot be left blank", one.field.name)
    return "none"


def _written(door: Door, name: str, changes: Mapping[str, Any]) -> Reply:
    """Write changes, take them up, and show the section as it is now."""
    studio.change_settings(changes, settings=door.settings)
    door.reread()
    rows = {row.key: row for row in studio.list_settings(settings=door.settings).settings}
    pieces = {f"settings-{name.replace('.', '-')}": _section(name, rows, opened=True)}
    words = "Saved. It holds from now on; what is at work goes on as it was begun."
    return Reply(say=words, pieces=pieces, refresh=("settings/servers",))


def reset(door: Door, values: Mapping[str, Any]) -> Reply:
    """Take a setting out of the home's file, so that the profile or the default holds again."""
    key = str(values.get("key", ""))[:200]
    name = _name({"section": key.rpartition(".")[0]})
    return _written(door, name, {key: None})


def profile(door: Door, values: Mapping[str, Any]) -> Reply:
    """Choose another profile."""
    name = str(values.get("profile", ""))[:500]
    studio.change_settings({"profile": name}, settings=door.settings)
    door.reread()
    return Reply(say=f"The profile is {name} now.", refresh=("settings", "settings/servers", "doctor"))


def servers(door: Door, query: Mapping[str, str]) -> str:
    """What leaves this machine, the servers with a test each, and the keys."""
    return render(
        "servers",
        servers=_servers(door),
        tracing=door.settings.tracing.langsmith,
        keys=studio.list_keys(settings=door.settings).keys,
    )


def test(door: Door, values: Mapping[str, Any]) -> Reply:
    """Ask a server for its models and say how it stands."""
    where = str(values.get("where", ""))[:40]
    found = studio.try_server(where, settings=door.settings)
    return Reply(pieces={f"verdict-{where}": render("verdict", found=found)})


def keep(door: Door, values: Mapping[str, Any]) -> Reply:
    """Keep a key."""
    name = str(values.get("name") or "").strip()
    if not name:
        raise FieldFault("Name must be filled in: the variable that the settings name, such as MY_SERVER_KEY", "name")
    try:
        studio.keep_key(name, value=str(values.get("key") or ""), settings=door.settings)
    except UsageError as fault:
        raise FieldFault(str(fault), "key" if str(fault).startswith("a key") else "name") from None
    return Reply(say=f"The key {name} is kept; it is shown to nobody.", refresh=("settings/servers",))


def forget(door: Door, values: Mapping[str, Any]) -> Reply:
    """Forget a key that is kept."""
    name = str(values.get("name", ""))[:200]
    gone = studio.forget_key(name, settings=door.settings)
    words = f"The key {name} is forgotten." if gone else f"There was no key {name}."
    return Reply(say=words, refresh=("settings/servers",))


def doctor(door: Door, query: Mapping[str, str]) -> str:
    """The doctor's report, looked at anew in a process of its own, which may load what this one must not."""
    told = door.command(["doctor", "--json"], LOOKING_SECONDS, also=(ServiceError.exit_code,))
    try:
        report, _ = json.JSONDecoder().raw_decode(told)  # behind it stands what is missing, as a fault
    except ValueError:
        raise UsageError("the doctor gave no report", hint="studio doctor") from None
    return render("doctor", report=report, used=size(report["used_bytes"]), free=size(report["free_bytes"]))


READERS: Mapping[str, Reader] = {"settings": settings, "settings/servers": servers, "doctor": doctor}
ACTIONS: Mapping[str, Action] = {
    "settings/save": save,
    "settings/reset": reset,
    "settings/profile": profile,
    "settings/test": test,
    "settings/key": keep,
    "settings/forget": forget,
}

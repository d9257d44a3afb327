"""Settings as the front door offers them: what holds and where it comes from, changed in the home's own file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio.verb import Call, query, verb
from workspace.configuration.editing import FILE, change
from workspace.errors import UsageError, masked, pydantic_fault, unknown
from workspace.files import publish
from workspace.layers import flatten, profile_layer
from workspace.settings import ROLES, RoleSettings, Settings, known_keys, load_settings

SHIPPED = {
    "embedded": "Everything on this machine, on processor cores alone",
    "gpu": "One CUDA machine: model servers beside a large painter",
    "remote": "Models of a server elsewhere, pictures here",
}
"""The profiles that ship, in words."""


class SettingRow(BaseModel):
    """One setting as it holds.

    Attributes:
        key: Section and name.
        value: In words; ``none`` where there is none.
        origin: Where it comes from, in words.
        mine: Whether it stands in the home's own file.
        fixed: Whether something stronger than that file says it: the environment, the working folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    value: str
    origin: str
    mine: bool = False
    fixed: bool = False


class SettingRows(BaseModel):
    """All of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: tuple[SettingRow, ...]
    profiles: dict[str, str] = Field(description="The profiles that ship, in words")


@query(Call)
def list_settings(options: Call) -> SettingRows:
    """List every setting with the value that holds and where it comes from."""
    settings = options.using
    data = settings.model_dump(mode="json")
    rows = [_row(key, _at(data, key), settings) for key in flatten(data)]
    return SettingRows(settings=tuple(rows), profiles=SHIPPED)


def _at(data: Mapping[str, Any], key: str) -> Any:
    value: Any = data
    for part in key.split("."):
        value = value[part] if isinstance(value, dict) else value
    return value


def _row(key: str, value: Any, settings: Settings) -> SettingRow:
    words = ", ".join(map(str, value)) if isinstance(value, list) else "none" if value in (None, {}) else _words(value)
    said = settings.origins.get(key, "default")
    mine = said.startswith(str(settings.home / FILE))
    kind, fixed = said, False
    if mine:
        kind = f"your settings{said.removeprefix(str(settings.home / FILE))}"
    elif said.startswith("/"):
        kind, fixed = f"{Path(said.split(', line')[0]).name} of the working folder", True
    elif said.isupper() and said in os.environ:
        kind, fixed = f"environment: {said}", True
    return SettingRow(key=key, value=masked(words), origin=kind, mine=mine, fixed=fixed)


def _words(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


class ChangeCall(Call):
    """How settings are changed."""


def given(changes: list[str]) -> dict[str, Any]:
    """Changes as they are typed, ``KEY=VALUE`` each, or ``KEY=`` to take it out.

    Raises:
        UsageError: One has no equals sign.
    """
    made: dict[str, Any] = {}
    for one in changes:
        name, mark, value = one.partition("=")
        if not mark:
            raise UsageError(f"a change is KEY=VALUE, such as flow.images=3, not {one[:60]!r}")
        made[name.strip()] = value.strip() or None
    return made


@verb(ChangeCall)
def change_settings(changes: Mapping[str, Any] | list[str], options: ChangeCall) -> Path:
    """Change settings in the home's own file and say which it is; comments and all else in it stay.

    Args:
        changes: Values by dotted key, ``None`` to take one out; or texts ``KEY=VALUE``.
        options: Nothing of its own.

    Raises:
        UsageError: A key is unknown, a value out of its bounds, or the file is not edited safely.
    """
    wanted = dict(changes) if isinstance(changes, Mapping) else given(list(changes))
    known = known_keys() - {"home"}
    for key in wanted:
        if key not in known:
            raise UsageError(unknown("setting", key, known))
    plain = {key: _plain(key, value) for key, value in wanted.items()}
    path = options.home / FILE
    before = path.read_bytes() if path.is_file() else None
    change(options.home, plain)
    try:
        load_settings()
    except UsageError:  # together with what stands elsewhere they cannot be
        path.unlink() if before is None else publish(path, before)
        raise
    return path


def _plain(key: str, value: Any) -> Any:
    """A value as TOML has it, checked by the class that it belongs to."""
    if value is None:
        return None
    if key == "profile":
        profile_layer(str(value), Path())
        return str(value)
    section, name = key.rpartition(".")[::2]
    kind = kind_of(section)
    if isinstance(value, str) and "tuple" in str(kind.model_fields[name].annotation):
        value = [one.strip() for one in value.split(",") if one.strip()]
    try:
        kind.model_validate({name: value})
    except ValidationError as error:
        own = [one for one in error.errors(include_url=False) if one["loc"][:1] == (name,)]
        if own:
            raise UsageError(f"{key}: {_worded(own, error, kind)}") from None
    return _typed(kind, name, value)


def _worded(own: list[Any], error: ValidationError, kind: type[BaseModel]) -> str:
    if len(own) == len(error.errors()):
        return pydantic_fault(error, kind)
    return str(own[0]["msg"]).removeprefix("Value error, ").removeprefix("Input ")


def _typed(kind: type[BaseModel], name: str, value: Any) -> Any:
    """A text that stands for a number or a yes as such; "none" stays a word, which TOML has no other for."""
    if value == "none" or not isinstance(value, str):
        return value
    made = getattr(kind.__pydantic_validator__.validate_assignment(kind.model_construct(), name, value), name, value)
    return made if isinstance(made, bool | int | float) else value


_ROLES_OWN = ("server", "api_key_env", "adapter", "temperature", "top_p")


def may_be_none(section: str, name: str) -> bool:
    """Whether the word ``none`` says of a setting that there is none."""
    kind = kind_of(section)
    if kind is RoleSettings:
        return name in _ROLES_OWN
    try:
        made = kind.__pydantic_validator__.validate_assignment(kind.model_construct(), name, "none")
    except ValidationError:
        return False
    return getattr(made, name, "none") is None


def kind_of(section: str) -> type[BaseModel]:
    """The class of a section of the settings.

    Raises:
        UsageError: There is none of that name.
    """
    if section.startswith("roles.") and section.removeprefix("roles.") in ROLES:
        return RoleSettings
    info = Settings.model_fields.get(section)
    parts = [] if info is None else [info.annotation, *get_args(info.annotation)]
    found = next((one for one in parts if isinstance(one, type) and issubclass(one, BaseModel)), None)
    if found is None:
        raise UsageError(unknown("section", section, Settings.model_fields))
    return found

"""Options that override settings: bounds and description are the setting's own, so that they stand once.

A verb's options are one pydantic class; command line, page, help and errors are derived from it. Of a field's
``json_schema_extra`` these read ``option`` (its name on the command line, if it is another) and ``setting``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError

from workspace.bounds import bounds
from workspace.errors import UsageError, pydantic_fault
from workspace.settings import Settings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

O = TypeVar("O", bound=BaseModel)  # noqa: E741


def setting(key: str) -> Any:
    """A field that overrides a setting; ``None``, its default, leaves it to the profile.

    Args:
        key: Section and name, such as ``flow.images``.
    """
    section, name = key.split(".")
    annotation = Settings.model_fields[section].annotation
    parts: list[Any] = [annotation, *get_args(annotation)]
    owner = next(part for part in parts if hasattr(part, "model_fields"))
    info: FieldInfo = owner.model_fields[name]
    limits = {limit: value for limit, value in bounds(info)._asdict().items() if value is not None}
    return Field(None, description=info.description, json_schema_extra={"setting": key}, **limits)


def overrides(options: BaseModel) -> dict[str, Any]:
    """What options say of settings, by dotted key; those that were not given are left out."""
    found = {}
    for name, info in type(options).model_fields.items():
        extra = info.json_schema_extra
        key = extra.get("setting") if isinstance(extra, dict) else None
        if key and (value := getattr(options, name)) is not None:
            found[str(key)] = value
    return found


def checked(kind: type[O], given: Mapping[str, Any]) -> O:
    """Options from what a person gave.

    Raises:
        UsageError: Something is unknown or out of its bounds; it, its value and the bounds are named.
    """
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        raise UsageError(pydantic_fault(error, kind)) from None

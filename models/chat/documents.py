"""A document in words and back: the fields that are named, the JSON found in what is answered.

Knows pydantic classes and JSON; no server and no conversation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from models.chat.answers import spoken
from models.chat.lenient_json import lenient
from models.chat.refusals import clean
from workspace.errors import DataError

T = TypeVar("T", bound=BaseModel)
_MOST_STARTS = 200  # places at which JSON is looked for
_DEEP = 8
_NAMES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}
_LENIENT_STARTS, _LENIENT_LENGTH = 20, 200_000  # where and in how much JSON is read that is not strict
_FENCE = re.compile(r"(?s)(?:```|~~~)[ \t]*\w*[ \t]*\n?(.*?)(?:```|~~~|\Z)")


def wire_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema as servers take it: without the hints whose names begin with ``x-``."""
    plain: dict[str, Any] = json.loads(_written_schema(schema))
    return plain


@lru_cache(maxsize=256)
def _written_schema(schema: type[BaseModel]) -> str:
    return json.dumps(_without_hints(schema.model_json_schema()))


def _without_hints(value: Any, *, names: bool = False) -> Any:
    """Drop the hints; what stands under ``properties`` are a class's own names, which stay whatever they are."""
    if isinstance(value, dict):
        kept = {key: held for key, held in value.items() if names or not str(key).startswith("x-")}
        return {key: _without_hints(held, names=key == "properties" and not names) for key, held in kept.items()}
    return [_without_hints(held) for held in value] if isinstance(value, list) else value


@lru_cache(maxsize=256)
def in_words(schema: type[BaseModel]) -> str:
    """What a model is told of a document: that it is JSON, and its fields, drawn from the class.

    It stands in the prompt whether or not a server takes a schema, for many take one and do not look at it.
    """
    whole = wire_schema(schema)
    lines = _fields(whole, whole.get("$defs", {}), 0)
    return "\n".join(["Answer with one JSON object and nothing else. Its fields, all of them needed:", *lines])


def _fields(part: dict[str, Any], parts: dict[str, Any], depth: int) -> list[str]:
    """A line a field, with those of objects beneath it."""
    lines: list[str] = []
    for name, field in part.get("properties", {}).items():
        about = f". {field['description']}" if field.get("description") else ""
        lines.append(f"{'  ' * depth}- {name}: {_kind(field, parts)}{about}")
        inner = _resolved(field, parts)
        inner = _resolved(inner.get("items", {}), parts) if inner.get("type") == "array" else inner
        if depth < _DEEP:
            lines += _fields(inner, parts, depth + 1)
    return lines


def _resolved(field: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = parts.get(str(field.get("$ref", "")).rpartition("/")[2], {})
    return {**found, **field}


def _kind(field: dict[str, Any], parts: dict[str, Any]) -> str:
    """What a field may hold, in a few words."""
    whole = _resolved(field, parts)
    if "const" in whole:
        return json.dumps(whole["const"])
    if "enum" in whole:
        return "one of " + ", ".join(json.dumps(value) for value in whole["enum"])
    if "anyOf" in whole:
        return " or ".join(dict.fromkeys(_kind(one, parts) for one in whole["anyOf"]))
    kind = whole.get("type")
    if kind == "array":
        return f"list{_bounds(whole, 'minItems', 'maxItems')} of {_kind(whole.get('items', {}), parts)}"
    if kind == "string":
        limits = _bounds(whole, "minLength", "maxLength")
        return f"text{limits} characters" if limits else "text"
    if kind in ("integer", "number"):
        return _NAMES[kind] + _bounds(whole, "minimum", "maximum")
    return _NAMES.get(str(kind), "object")


def _bounds(field: dict[str, Any], low: str, high: str) -> str:
    least, most = (f"{value:g}" if isinstance(value := field.get(name), float) else value for name in (low, high))
    if least is not None and most is not None:
        return f" of {least}" if least == most else f" of {least} to {most}"
    return f" of at least {least}" if least is not None else f" of at most {most}" if most is not None else ""


def written(text: str, schema: type[T]) -> T:
    """The document in an answer, whatever stands around it: reasoning, prose, a fence, the class's name.

    Raises:
        ValidationError: There is JSON, and it is not a valid document.
        DataError: There is no JSON object in it.
    """
    fault: tuple[int, ValidationError] | None = None
    for found in reversed(list(objects(spoken(text)))):
        for candidate in _within(found):
            try:
                return schema.model_validate_json(json.dumps(candidate))
            except ValidationError as error:
                size = len(set(candidate) & set(schema.model_fields))
                if fault is None or size > fault[0]:
                    fault = size, error
    if fault is not None:
        raise fault[1]
    raise DataError("the answer holds no whole JSON object")


def objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects that stand in a text, in their order; if all of it is one, that alone."""
    whole = _loaded(text.strip())
    found = [whole] if isinstance(whole, dict) else []
    fenced = [] if found else [_loaded(fence[1].strip()) for fence in _FENCE.finditer(text)]
    found = found or [one for one in fenced if isinstance(one, dict)] or list(_standing(text))
    if not found and '{\\"' in text:  # JSON that was written as a text, and stands in one
        found = list(_standing(text.replace('\\"', '"').replace("\\n", "\n")))
    yield from found


def _standing(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects that stand in a text, strict ones or not."""
    decoder, start = json.JSONDecoder(strict=False), 0
    for number in range(_MOST_STARTS):
        start = text.find("{", start)
        if start < 0:
            return
        try:
            held, start = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            loose = _loose(text, start) if number < _LENIENT_STARTS else None
            if loose is None:
                start += 1
                continue
            held, start = loose
        yield _cleaned(held)


def _loose(text: str, start: int) -> tuple[Any, int] | None:
    """An object that is not strict JSON; none where it holds nothing, as braces in prose do."""
    if len(text) > _LENIENT_LENGTH:
        return None
    try:
        held, end = lenient(text, start)
    except ValueError:
        return None
    return (held, end) if held else None


def _loaded(text: str) -> Any:
    """What a text is as JSON: text that holds JSON is read again, of a list of one the one is taken."""
    held: Any = text
    for _ in range(3):
        try:
            held = json.loads(held, strict=False) if isinstance(held, str) else held
        except (ValueError, RecursionError):
            return None
        held = held[0] if isinstance(held, list) and len(held) == 1 else held
    return _cleaned(held)


def _within(found: dict[str, Any], depth: int = 0) -> Iterator[dict[str, Any]]:
    """An object, and those wrapped in it: under the class's name, as a tool's arguments, as text."""
    yield found
    for held in found.values() if depth < 3 else ():
        inner = _loaded(held.strip()) if isinstance(held, str) and held.lstrip()[:1] == "{" else held
        if isinstance(inner, dict):
            yield from _within(inner, depth + 1)


def _cleaned(value: Any) -> Any:
    """The same with no half surrogates and control characters in its texts."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _cleaned(held) for key, held in value.items()}
    return [_cleaned(held) for held in value] if isinstance(value, list) else value


def faults(error: ValidationError | DataError) -> str:
    """What is wrong with a document, for the model that is to write it again."""
    if isinstance(error, DataError):
        return error.message
    lines = [f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {fault['msg']}" for fault in error.errors()[:6]]
    return "; ".join(lines)

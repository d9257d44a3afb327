"""A design while it is being written: what its fields hold by now. Knows the ways in which models write; no HTML."""

from __future__ import annotations

import re
from typing import Any

_LINE = re.compile(r"([a-z]+)(?:\[(\d{1,2})\])?(?:\.([a-z]+))?: (.*)")
_MOST = 12  # items of a list that are shown while it is written
WORDS = {
    "inspirations": "Source",
    "components": "Part",
    "mechanisms": "Mechanism",
    "properties": "Property",
    "fabrication": "Step",
    "applications": "Use",
    "risks": "Risk",
}


def draft(text: str) -> dict[str, Any]:
    """What a design's fields hold by now.

    Args:
        text: What the Engineer has written: a field a line (``components[0].name: ...``), or the beginning of JSON.
    """
    if text.lstrip().startswith("{"):
        return _from_json(text.strip())
    made: dict[str, Any] = {}
    for line in text.split("\n")[:400]:
        found = _LINE.fullmatch(line.strip())
        if found is not None:
            _put(made, *found.groups())
    return made


def _from_json(text: str) -> dict[str, Any]:
    from pydantic_core import from_json

    try:
        made = from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return {}
    return made if isinstance(made, dict) else {}


def _put(made: dict[str, Any], field: str, place: str | None, inner: str | None, value: str) -> None:
    if place is None and inner is None:
        made[field] = value
    elif place is None:
        kept = made.setdefault(field, {})
        if isinstance(kept, dict):
            kept[str(inner)] = value
    elif int(place) < _MOST:
        items = made.setdefault(field, {})
        if inner is None and isinstance(items, dict):
            items[int(place)] = value
        elif isinstance(items, dict):
            item = items.setdefault(int(place), {})
            if isinstance(item, dict):
                item[str(inner)] = value


def listed(made: dict[str, Any], field: str) -> list[Any]:
    """The items of a list of a draft, in their order."""
    items = made.get(field)
    if isinstance(items, dict):
        return [items[place] for place in sorted(items)]
    return list(items) if isinstance(items, list) else []


def last_written(text: str) -> str:
    """The field that was written last, in words: ``Part 2, role``; empty where that is not known."""
    for line in reversed(text.rstrip().split("\n")):
        found = _LINE.fullmatch(line.strip())
        if found is not None:
            field, place, inner, _ = found.groups()
            word = WORDS.get(field, field.capitalize()) + (f" {int(place) + 1}" if place is not None else "")
            return f"{word}, {inner}" if inner else word
    return ""

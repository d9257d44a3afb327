"""What a refusal says, out of whatever form servers and gateways give it. Knows no request."""

from __future__ import annotations

import json
import re
from typing import Any

from workspace.letters import whole_letters

_TELLING = (
    "error", "errors", "detail", "details", "message", "msg", "title", "error_description", "error_msg",
    "error_message", "errorMessage", "status_msg", "base_resp", "fieldViolations", "description", "reason",
)  # fmt: skip
"""Under which names servers put what they say."""

_CONTROL = {**dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(127, 160)], "\ufffd"), 13: None}


def clean(text: str) -> str:
    """A text with halves of surrogate pairs and control characters replaced; whole pairs become their character."""
    return whole_letters(text).translate(_CONTROL)


def reason(text: str) -> str:
    """What a refusal says, out of whatever form it has; the places that it names beside it."""
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        if text.lstrip()[:1] == "<":
            title = re.search(r"(?is)<title[^>]*>(.*?)</title>", text)
            return " ".join(title[1].split()) if title else "a web page"
        return " ".join(text.split())
    lines = _said(found)
    fault = found.get("error") if isinstance(found, dict) else None
    if not lines and isinstance(found, dict) and (isinstance(fault, dict) or found.get("object") == "error"):
        named = fault if isinstance(fault, dict) else found
        lines = [name for name in (named.get("code"), named.get("type")) if isinstance(name, str) and name][:1]
    return clean("; ".join(dict.fromkeys(lines)))


def _said(found: Any, depth: int = 0) -> list[str]:
    if depth > 8:
        return []
    if isinstance(found, str):
        return _said_in_text(found, depth)
    if isinstance(found, list):
        return [line for one in found[:8] for line in _said(one, depth + 1)]
    if not isinstance(found, dict):
        return []
    lines: list[str] = []
    place = found.get("loc") or found.get("param") or found.get("field")
    where = ".".join(map(str, place)) if isinstance(place, list) else str(place or "")
    for name in _TELLING:
        lines += _said(found.get(name), depth + 1)
    metadata = found.get("metadata")
    lines += _said(metadata.get("raw"), depth + 1) if isinstance(metadata, dict) else []
    if where and not any(where in line for line in lines):
        return [f"{where}: {line}" for line in lines] or [where]
    return lines


def _said_in_text(text: str, depth: int) -> list[str]:
    """A text's words; of JSON written as text, as gateways hand on what they were told, what that says."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return _said(json.loads(text, strict=False), depth + 1) or [" ".join(text.split())]
        except (ValueError, RecursionError):
            pass
    return [" ".join(text.split())] if text.strip() else []

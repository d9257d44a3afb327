"""A tokenizer's own programs: patterns and replacements that could take for ever, or grow without end, are refused.

Knows the form of ``tokenizer.json``; runs none of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workspace.errors import DataError

_MOST_GROWTH = 64.0
_MOST_PATTERN = 20_000


def check_tokenizer(file: Path, data: Mapping[str, Any]) -> None:
    """Refuse patterns that repeat what repeats, and replacements that multiply a text.

    Args:
        file: The ``tokenizer.json``, for the error.
        data: What is in it.

    Raises:
        DataError: Such a pattern or such replacements are there.
    """
    growth = 1.0
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        for step in _steps(data.get(part)):
            for pattern in (value for value in _patterns(step) if isinstance(value, str)):
                if len(pattern) > _MOST_PATTERN or repeats_repeats(pattern):
                    shown = pattern if len(pattern) <= 60 else f"{pattern[:56]} ..."
                    raise DataError(f"{file}: the pattern {shown!r} could take for ever; such tokenizers are not read")
            if step.get("type") in ("Replace", "Prepend"):
                text = step.get("content", step.get("prepend"))
                growth *= max(1.0, float(len(text))) if isinstance(text, str) else 1.0
    if growth > _MOST_GROWTH:
        raise DataError(f"{file}: its replacements could make a text {growth:.0f} times as long")


def _steps(data: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(data, Mapping):
        if isinstance(data.get("type"), str):
            yield data
        for value in data.values():
            yield from _steps(value)
    elif isinstance(data, list):
        for value in data[:1000]:
            yield from _steps(value)


def _patterns(step: Mapping[str, Any]) -> Iterator[Any]:
    held = step.get("pattern")
    yield held.get("Regex") if isinstance(held, Mapping) else None


def repeats_repeats(pattern: str) -> bool:
    """Whether a pattern repeats a group without end that itself repeats something without end, as ``(a+)+`` does."""
    inner, place, inside = [False], 0, False
    while place < len(pattern):
        letter = pattern[place]
        if letter == "\\":
            place += 2
            closed = False
        elif inside or letter == "[":
            inside = letter != "]" if inside else True
            place += 1
            closed = False
        elif letter == "(":
            inner.append(False)
            place += 1
            continue
        elif letter == ")":
            closed = inner.pop() if len(inner) > 1 else False
            inner[-1] = inner[-1] or closed
            place += 1
        else:
            place += 1
            closed = False
        width = 0 if inside else _endless(pattern, place)
        if width:
            if closed:
                return True
            inner[-1] = True
            place += width
    return False


def _endless(pattern: str, place: int) -> int:
    """The length of a repetition without end at a place; 0 if there is none."""
    if pattern[place : place + 1] in ("*", "+"):
        return 1
    if pattern[place : place + 1] == "{":
        end = pattern.find("}", place)
        low, comma, high = pattern[place + 1 : end].partition(",") if end > 0 else ("", "", "")
        if low.strip().isdigit() and comma and not high.strip():
            return end - place + 1
    return 0

"""Patterns and replacements of model folders that could take for ever, or grow without end.

Knows the form of ``tokenizer.json`` and of Python's patterns; runs none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workspace.errors import DataError

_MOST_GROWTH = 64.0
_MOST_PATTERN = 20_000
_MOST_REPEATS = 5
_MOST_CHOICES = 12


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


def slow_on_names(pattern: str) -> bool:
    """Whether a pattern of Python's could take for ever even on names as short as those of a model's layers.

    That is, it repeats what may itself be read in several ways, or has more repetitions than such patterns need.
    """
    try:
        found = list(_repeats(re._parser.parse(pattern), False))  # type: ignore[attr-defined]
    except (re.error, OverflowError, RecursionError):
        return True
    endless = sum(most > 1 for most, _ in found)
    inner = any(inside for _, inside in found)
    return len(pattern) > _MOST_PATTERN or inner or endless > _MOST_REPEATS or len(found) > _MOST_CHOICES


def _repeats(tree: Any, inside: bool) -> Iterator[tuple[float, bool]]:
    """How often each part of a pattern may be repeated at most, and whether it lies in a repeated part itself."""
    for step in tree:
        if not (isinstance(step, tuple) and len(step) == 2):
            continue
        name, held = str(step[0]), step[1]
        if name.endswith("_REPEAT"):
            yield float(held[1]), inside
            yield from _repeats(held[2], inside or int(held[1]) > 1)
            continue
        if name == "BRANCH" and inside:
            yield 1, True
        for one in held if isinstance(held, tuple | list) else ():
            for part in one if isinstance(one, list) else [one]:
                if hasattr(part, "data"):
                    yield from _repeats(part, inside)


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

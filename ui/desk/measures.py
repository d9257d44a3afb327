"""Amounts in words: bytes, parameters, how far a job is. Knows numbers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.desk.status import clock

if TYPE_CHECKING:
    from studio import Progress


def size(count: float) -> str:
    """Bytes in words."""
    for unit, least in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= least:
            return f"{count / least:.3g} {unit}"
    return f"{count:.0f} bytes"


def count(number: int | None) -> str:
    """Parameters in words; empty where they are not known."""
    if not number:
        return ""
    return f"{number / 1e9:.3g} billion" if number >= 1e9 else f"{number / 1e6:.3g} million"


def percent(found: Progress) -> int | None:
    """How far a job is in percent; ``None`` where it is not known of how much."""
    return min(100, round(100 * found.done / found.of)) if found.of > 0 else None


def told(found: Progress) -> str:
    """How far a job is, in words: what it does, how much of how much, how fast, how long it may still take."""
    much = ""
    if found.of > 0:
        done, of = (size(found.done), size(found.of)) if found.unit == "bytes" else (found.done, found.of)
        much = f"{done} of {of}" if found.unit == "bytes" else f"{done} of {of} {found.unit}"
    fast = f"{size(found.rate)} a second" if found.rate and found.unit == "bytes" else ""
    left = "" if found.left_s is None else f"about {clock(found.left_s)} left"
    return ", ".join(filter(None, [found.doing, much, fast, left]))

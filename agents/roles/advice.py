"""What a critic says in words where it follows from what it sees: the picture in a sentence, and the one change.

A painter with a vocabulary is asked for patterns, colours and a density by name, and its critic names what it sees; the
sentence then agrees with that, and the change is the first of what was asked for and is not seen. Knows names alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NONE = "none"

_FULL = {
    "open": "thin lines with much open space",
    "medium": "lines and gaps in balance",
    "dense": "thick lines with small gaps",
}
_GRADED = {"to one side": ", growing thicker to one side", "to the centre": ", growing thicker to the centre"}


@dataclass(frozen=True)
class Wanted:
    """What a picture was asked for in a painter's own names.

    Attributes:
        patterns: Its motifs.
        palette: Its colours.
        density: How full it was to be (open, medium, dense); empty where that was left open.
        full: The painter's words for that density.
    """

    patterns: tuple[str, ...]
    palette: str
    density: str = ""
    full: str = ""


def patterns_in(sees: Mapping[str, str]) -> list[str]:
    """The patterns that are seen, the main one first."""
    return [name for name in dict.fromkeys((sees["pattern"], sees["second"])) if name != NONE]


def described(sees: Mapping[str, str]) -> str:
    """What is seen, as a sentence."""
    names = " and ".join(patterns_in(sees)) or "no pattern"
    full = f", {_FULL[sees['density']]}" if sees["density"] in _FULL else ""
    return f"The picture shows {names}{full}, {sees['palette']}{_GRADED.get(sees['gradient'], '')}."


def advised(sees: Mapping[str, str], wanted: Wanted) -> str:
    """The one change that would help most: a pattern that is missing, then colours, density, what is too much."""
    seen = patterns_in(sees)
    missing = [name for name in wanted.patterns if name not in seen]
    if missing and len(wanted.patterns) > 1:
        other = next(name for name in wanted.patterns[::-1] if name != missing[0])
        return f"Set the patterns apart: {missing[0]} on the left, {other} on the right."
    if missing:
        return f"Say {missing[0]} in other words too."
    if sees["palette"] != wanted.palette:
        return f"Begin with the colours: {wanted.palette}."
    if wanted.density and sees["density"] != wanted.density:
        return f"Say {wanted.full}."
    if strange := [name for name in seen if name not in wanted.patterns]:
        return f"Leave out {strange[0]}."
    return "Change nothing: paint it again from another seed."

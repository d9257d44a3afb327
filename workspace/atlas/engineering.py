"""Engineering materials that things are made of: density, stiffness and the like as ranges, by how people call them.

Ranges are rounded from handbooks (M. F. Ashby, Materials Selection in Mechanical Design; L. J. Gibson and M. F. Ashby,
Cellular Solids; ASM handbooks; producers' sheets) and wide where grades differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FILE = Path(__file__).with_name("engineering.json")
Span = tuple[float, float] | None


class EngineeringMaterial(BaseModel):
    """One material; a range is ``None`` where it means nothing, as the stiffness of a powder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    aliases: tuple[str, ...]
    group: str
    form: Literal["solid", "foam", "fibre", "film", "powder", "liquid", "granular"]
    density: Span = Field(description="kg/m3")
    stiffness: Span = Field(description="GPa, Young's modulus")
    strength: Span = Field(description="MPa")
    strength_kind: Literal["tensile", "compressive"] | None
    conductivity: Span = Field(description="W/mK")
    most: float | None = Field(description="highest service temperature, degC")
    transparent: bool
    made_by: tuple[str, ...]
    good_for: str | tuple[str, ...]
    bad_at: str | tuple[str, ...]


@cache
def engineering() -> Mapping[str, EngineeringMaterial]:
    """Every material by its name."""
    rows = json.loads(FILE.read_text(encoding="utf-8"))
    return {row["name"]: EngineeringMaterial.model_validate(row) for row in rows}


@cache
def _calls() -> tuple[tuple[re.Pattern[str], EngineeringMaterial], ...]:
    """Every name as whole words, the longest first."""
    named = [(call, one) for one in engineering().values() for call in (one.name, *one.aliases)]
    named.sort(key=lambda pair: (-len(pair[0]), pair[0]))
    return tuple((re.compile(rf"(?<!\w){re.escape(call)}(?:e?s)?(?!\w)", re.IGNORECASE), one) for call, one in named)


@lru_cache(maxsize=2048)
def made_of(text: str) -> EngineeringMaterial | None:
    """The material that a phrase names, as "open-cell polyurethane foam" does.

    Of several it is the one of the longest name; where another runs on from the end of it, as "glass fibre" does in
    "laminated glass fibre board", that one: what comes last in English is what the thing is.

    Returns:
        ``None`` where it names none.
    """
    found = [(match.span(), one) for pattern, one in _calls() if (match := pattern.search(text))]
    if not found:
        return None
    (_, end), made = found[0]
    for (start, later), one in sorted(found, key=lambda pair: pair[0]):
        if start < end < later:
            end, made = later, one
    return made

"""Figures as people read them: never in powers of ten, lengths in the unit that suits them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

LENGTHS = ((1e9, "km"), (1e6, "m"), (1e3, "mm"), (1.0, "um"), (1e-3, "nm"))
"""Units of length with the micrometres in each, the longest first."""


def numeral(value: float, digits: int = 6) -> str:
    """Write a number with at most so many significant digits: ``1,740``, ``12.5``, ``0.00002``."""
    return f"{Decimal(f'{value:.{digits}g}'):,f}"


def length(micrometres: float, spelled: Mapping[str, str] | None = None) -> str:
    """Write a length with three significant digits in the unit that suits it: ``1.74 mm``, ``850 nm``.

    Args:
        micrometres: The length.
        spelled: How units are spelled, where not as in the documents.
    """
    shown = float(f"{micrometres:.3g}")
    size, unit = next((pair for pair in LENGTHS if shown >= pair[0]), LENGTHS[-1])
    return f"{numeral(shown / size, 3)} {(spelled or {}).get(unit, unit)}"


def figures_line(measures: Mapping[str, Any] | None, spelled: Mapping[str, str] | None = None) -> str:
    """What was measured on a picture in one line; empty where nothing was.

    Args:
        measures: The critique's measures.
        spelled: How units are spelled, where not as in the documents.
    """
    if not measures:
        return ""
    parts = [f"{measures['solid_fraction']:.0%} solid"]
    for name in ("pitch", "thickness"):
        pixels, real = measures[name], measures[f"{name}_micrometres"]
        if pixels is not None:
            parts.append(
                f"{name} {numeral(pixels, 3)} px" + (f" ({length(real, spelled)})" if real is not None else "")
            )
    angle = measures["orientation_degrees"]
    along = "" if angle is None else f" along {angle:.0f} degrees"
    parts.append(f"anisotropy {measures['anisotropy']:.2f}{along}")
    parts.append(f"{measures['pores']} pores")
    parts.append("colours " + ", ".join(colour["name"] for colour in measures["palette"]))
    return ", ".join(parts)

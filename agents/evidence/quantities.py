"""Quantities in prose: numbers, ranges, powers of ten, uncertainties, with their units, compared by `pint`.

"0.9 to 1.4 GPa", "1.1 +/- 0.1 GPa", "1.5 x 10^3 MPa", "0,5 mm" and "30 per cent" are read; a number without a unit is
a quantity without one. Knows no claim.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

TOLERANCE = 0.05
"""By how much a value may lie outside a range that bears it out, as a share of the value."""

_RATIO = 3.0
"""The greatest plain number that may stand for a percentage."""

_SPELLED = {
    "per cent": "%", "percent": "%", "pct": "%", "degrees celsius": "degC", "°c": "degC", "℃": "degC", "degc": "degC",
    "degrees": "deg", "degree": "deg", "°": "deg", "deg": "deg",
    "micrometres": "um", "micrometre": "um", "micrometers": "um", "micrometer": "um", "microns": "um", "micron": "um",
    "nanometres": "nm", "nanometre": "nm", "nanometers": "nm", "nanometer": "nm", "millimetres": "mm",
    "millimetre": "mm", "millimeters": "mm", "millimeter": "mm", "centimetres": "cm", "centimetre": "cm",
    "centimeters": "cm", "metres": "m", "metre": "m", "meters": "m", "meter": "m", "kilometres": "km",
    "gigapascals": "GPa", "gigapascal": "GPa", "megapascals": "MPa", "megapascal": "MPa", "kilopascals": "kPa",
    "pascals": "Pa", "newtons": "N", "newton": "N", "milliseconds": "ms", "seconds": "s", "second": "s",
    "minutes": "min", "hours": "h", "days": "day", "kelvin": "K", "times": "1", "fold": "1",
    "atmospheres": "atm", "atmosphere": "atm", "hertz": "Hz", "grams": "g", "milligrams": "mg", "kilograms": "kg",
}  # fmt: skip
_PLAIN = (
    r"%|GPa|MPa|kPa|Pa|atm|bar|N/mm2|N/mm\^2|MJ/m3|MJ/m\^3|MJ m-3|kJ/m3|J/m3|J/cm3|kJ/m2|J/m2|J/m\^2|J m-2|"
    r"mJ/m2|kJ/kg|J/g|J/kg|kg/m3|kg/m\^3|kg m-3|g/cm3|g/cm\^3|g cm-3|g/m2|mg/cm2|MPa m\^0.5|MPa m\^1/2|"
    r"MPa m1/2|MPa\.m\^0\.5|MPa√m|MPa sqrt\(m\)|W/m/K|W/mK|W/\(m K\)|W/m K|W m-1 K-1|mW/mK|W/m2K|W/m2/K|m/s|"
    r"mm/s|um/s|cm/s|km|cm|mm|um|nm|mN/m|N/m|kN|mN|uN|nN|N|kHz|MHz|GHz|THz|Hz|ms|us|ns|min|day|h|s|degC|K|deg|"
    r"ppm|dB|mol/m3|L/m2h|L/m2/h|g/m2/h|m2/g|S/m|mAh/g|V|mV|kV|eV|kg|mg|g|mL|mm2|cm2|um2|m2|mm3|cm3|m3|m"
)
_UNITS = "|".join(
    [
        *(re.escape(name) for name in sorted(_SPELLED, key=len, reverse=True)),
        *sorted(_PLAIN.split("|"), key=len, reverse=True),
    ]
)
_WORDS = {
    "half": 0.5, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "twenty": 20, "thirty": 30, "fifty": 50, "hundred": 100,
}  # fmt: skip
_SAID = "|".join(_WORDS)
_DIGITS = r"[+-]?\d{1,3}(?:[,\u00a0\u2009\u202f]\d{3})+(?:\.\d+)?|[+-]?\d+(?:[.,]\d+)?"
_POWER = r"(?:\s*[x×*·]\s*10\s*\^?\s*([+-]?\d+)|[eE]([+-]?\d+))?"
_NUMBER = rf"(?:(10)\s*\^\s*([+-]?\d+)|({_DIGITS}){_POWER}|\b({_SAID})\b)"
_LINK = r"\s*(?:to|-|–|—|and|±|\+/-|\+-)\s*"
_QUANTITY = re.compile(rf"(?<![\w.,]){_NUMBER}(?:\s*(?:{_UNITS})?({_LINK}){_NUMBER})?[\s-]*({_UNITS})?(?![\w])")
_BY = re.compile(r"\s*(?:x|×|by|or|,)\s*")
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻µμ−", "0123456789-uu-")


@dataclass(frozen=True)
class Found:
    """A quantity and where it stands.

    Attributes:
        low: The least value meant, in ``unit``.
        high: The greatest.
        unit: As pint reads it; empty without one.
        start: Its first letter.
        end: The letter after its last.
    """

    low: float
    high: float
    unit: str
    start: int
    end: int


@cache
def _registry() -> Any:
    import pint

    registry: Any = pint.UnitRegistry(autoconvert_offset_to_baseunit=True)
    registry.define("decibel_level = [level] = dB_level")
    return registry


_PINT = {
    "%": "percent", "1": "dimensionless", "um": "micrometer", "deg": "degree", "degC": "degC", "W/mK": "W/m/K",
    "W/(m K)": "W/m/K", "W/m K": "W/m/K", "mW/mK": "mW/m/K", "W/m2K": "W/m**2/K", "W/m2/K": "W/m**2/K",
    "MPa m^0.5": "MPa*m**0.5", "MPa m^1/2": "MPa*m**0.5", "MPa m1/2": "MPa*m**0.5", "MPa.m^0.5": "MPa*m**0.5",
    "MPa√m": "MPa*m**0.5", "MPa sqrt(m)": "MPa*m**0.5", "dB": "decibel_level", "L/m2h": "L/m**2/h",
    "L/m2/h": "L/m**2/h", "g/m2/h": "g/m**2/h", "mAh/g": "mA*h/g", "m2/g": "m**2/g", "uN": "micronewton",
    "us": "microsecond", "um/s": "micrometer/s", "um2": "micrometer**2",
}  # fmt: skip


@lru_cache(maxsize=1024)
def in_base(unit: str) -> tuple[float, float, str] | None:
    """How a unit becomes its base unit: factor, offset and the base's name; ``None`` of one that does not convert."""
    import pint

    registry = _registry()
    named = _PINT.get(unit)
    if named is None:
        named = re.sub(r"(?<=[a-z])\^?([23])(?=$|[/ ])", r"**\1", unit)
        named = re.sub(r" ?([A-Za-z]+)-([123])", r"/\1**\2", named)
    try:
        zero = registry.Quantity(0.0, named or "dimensionless").to_base_units()
        one = registry.Quantity(1.0, named or "dimensionless").to_base_units()
    except (pint.PintError, AttributeError, TypeError, ValueError):
        return None
    return float(one.magnitude - zero.magnitude), float(zero.magnitude), str(one.units)


def found(text: str) -> list[Found]:
    """The quantities of a text, in its order."""
    plain = text.translate(_RAISED)
    held = [one for match in _QUANTITY.finditer(plain) if (one := _read(match)) is not None]
    for place in range(len(held) - 2, -1, -1):  # 2 x 5 x 7 nm
        one, after = held[place], held[place + 1]
        if not one.unit and after.unit and _BY.fullmatch(plain[one.end : after.start]):
            held[place] = replace(one, unit=after.unit)
    return held


def _read(match: re.Match[str]) -> Found | None:
    one, other = _value(match.groups()[0:6]), None
    link = (match.group(7) or "").strip()
    if match.group(7) is not None:
        other = _value(match.groups()[7:13])
    if one is None or (match.group(7) is not None and other is None):
        return None
    unit = _SPELLED.get((match.group(14) or "").casefold(), match.group(14) or "")
    low, high = one, one
    if other is not None:
        low, high = (one - abs(other), one + abs(other)) if link in ("±", "+/-", "+-") else (one, other)
    if low > high:
        if link in ("-", "–", "—"):  # a minus sign, not a range
            return Found(one, one, unit, match.start(), match.end())
        low, high = high, low
    return Found(low, high, unit, match.start(), match.end())


def _value(groups: tuple[str | None, ...]) -> float | None:
    ten, power, digits, raised, exponent, word = groups
    if ten is not None:
        return float(f"1e{power}")
    if word is not None:
        return float(_WORDS[word])
    if digits is None:
        return None
    if re.fullmatch(r"[+-]?\d{1,3}(?:[,\u00a0\u2009\u202f]\d{3})+(?:\.\d+)?", digits):
        plain = re.sub(r"[,\u00a0\u2009\u202f]", "", digits)
    else:
        plain = digits.replace(",", ".")
    return float(f"{plain}e{raised or exponent or 0}")


def base(one: Found) -> tuple[float, float, str] | None:
    """A quantity's range in the base unit, and that unit; ``None`` where its unit does not convert."""
    held = in_base(one.unit)
    if held is None:
        return None
    factor, offset, name = held
    return one.low * factor + offset, one.high * factor + offset, name


def same_kind(one: Found, other: Found) -> bool:
    """Whether two quantities can be compared: percent and a plain ratio can, a stress and an energy cannot."""
    left, right = base(one), base(other)
    if left is None or right is None or left[2] != right[2] or ("J" in one.unit) != ("J" in other.unit):
        return False
    if (one.unit == "%") == (other.unit == "%"):
        return True
    return other.high <= _RATIO if one.unit == "%" else one.high <= _RATIO


def within(claim: Found, known: Found, tolerance: float = TOLERANCE) -> bool:
    """Whether a claimed quantity lies within a known one, but for a tolerance; a claimed range has to touch it."""
    left, right = base(claim), base(known)
    if left is None or right is None or not same_kind(claim, known):
        return False
    slack = tolerance * max(abs(left[0]), abs(left[1]), abs(right[0]), abs(right[1]))
    return left[0] <= right[1] + slack and right[0] <= left[1] + slack


def nearest(value: float, unit: str, known: Found) -> float | None:
    """The value nearest to a claimed one that a known quantity bears out, in the claim's unit.

    Returns:
        ``None`` where the units do not convert into each other.
    """
    mine, theirs = in_base(unit), base(known)
    if mine is None or theirs is None or mine[2] != theirs[2] or mine[0] == 0:
        return None
    low, high = ((end - mine[1]) / mine[0] for end in theirs[:2])
    return float(f"{min(max(value, min(low, high)), max(low, high)):.6g}")

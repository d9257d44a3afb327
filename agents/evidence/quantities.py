"""Quantities in prose: numbers, ranges, powers of ten, uncertainties, with their units, compared by `pint`.

"0.9 to 1.4 GPa", "1.1 +/- 0.1 GPa", "1.5 x 10^3 MPa", "0,5 mm" and "30 per cent" are read; a number without a unit is
a quantity without one. Knows no claim.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from math import isclose, isfinite
from typing import Any

TOLERANCE = 0.05
"""By how much a value may lie outside a range that bears it out, as a share of the value."""

_RATIO = 3.0
"""The greatest plain number that may stand for a percentage."""

_SPELLED = {
    "per cent": "%", "percent": "%", "pct": "%", "mass percent": "%", "volume percent": "%", "weight percent": "%",
    "wt%": "%", "vol%": "%", "wt %": "%", "vol %": "%", "mass%": "%",
    "degrees celsius": "degC", "degrees c": "degC", "° c": "degC",
    "°c": "degC", "℃": "degC", "degc": "degC", "å": "angstrom", "ångström": "angstrom", "angstrom": "angstrom",
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
    r"ppm/K|ppm/degC|ppm|dB|mol/m3|L/m2h|L/m2/h|g/m2/h|m2/g|S/m|mAh/g|V|mV|kV|eV|kg|mg|g|mL|mm2|cm2|um2|m2|mm3|cm3|m3|m"
)
_INVERSE = r"(?:MJ|kJ|mJ|J|mW|W|kN|mN|N|kg|mg|g|S)(?:[ ·.](?:cm|mm|m|kg|g|s|K)\^?-[123])+"  # W m-1 K-1
_NAMES = "|".join(re.escape(name) for name in sorted(_SPELLED, key=len, reverse=True))
_UNITS = f"(?i:{_NAMES})|{_INVERSE}|" + "|".join(sorted(_PLAIN.split("|"), key=len, reverse=True))
_WORDS = {
    "half": 0.5, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "twenty": 20, "thirty": 30, "fifty": 50, "hundred": 100,
}  # fmt: skip
_SAID = "|".join(_WORDS)
_GROUPED = r"[+-]?[1-9]\d{0,2}(?:[, \u00a0\u2009\u202f]\d{3})+(?:\.\d+)?(?!\d)"  # 1,234.5
_SWAPPED = r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+,\d+"  # 1.234,5
_DIGITS = rf"{_GROUPED}|{_SWAPPED}|[+-]?\d+(?:[.,]\d+)?"
_RAISED_DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_EXPONENT = rf"(?:\s*\^\s*([+-]?\d+)|([⁻⁺]?[{_RAISED_DIGITS}]+))"
_POWER = rf"(?:(?:\s*[x×*·]|\s+times)\s*10(?:{_EXPONENT}|\s?([1-9]\d?|[+-]\d+)(?!\d))|[eE]([+-]?\d+))?"
_NUMBER = rf"(?:10{_EXPONENT}|({_DIGITS}){_POWER}|\b({_SAID})(?=\b|fold\b))"
_LINK = r"\s*(?:to|-|–|—|and|±|\+/-|\+-)\s*"
_ENDS = r"(?![\w^]|[.,]\d|-[1-4]\b|/[A-Za-z]|\s+per\s)"  # of a rate or another whole unit nothing is guessed
_QUANTITY = re.compile(rf"(?<![\w.,]){_NUMBER}(?:(?:\s*({_UNITS}))?({_LINK}){_NUMBER})?(?:[\s-]*({_UNITS}))?{_ENDS}")
_SHARE = re.compile(rf"(?<![\w.,-])(?:1|[Oo]ne) in ({_DIGITS}|{_SAID})\b(?![.,]?\d|[\s-]*(?:{_UNITS})\b)")
_BETWEEN = re.compile(r"\bbetween(?:\s+[a-z]+){0,2}\s*$", re.IGNORECASE)
_BY = re.compile(r"\s*(?:x|×|by|or|,)\s*")
_SIGNS = str.maketrans("µμ−", "uu-")
_LEVEL = str.maketrans(f"{_RAISED_DIGITS}⁻⁺", "0123456789-+")
_UNIT_POWER = re.compile(rf"(?<=[A-Za-z])[⁻⁺]?[{_RAISED_DIGITS}]+")


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
        named = re.sub(r"[ ·.]([A-Za-z]+)\^?-([123])", r"/\1**\2", named)
    try:
        zero = registry.Quantity(0.0, named or "dimensionless").to_base_units()
        one = registry.Quantity(1.0, named or "dimensionless").to_base_units()
    except (pint.PintError, AttributeError, TypeError, ValueError):
        return None
    return float(one.magnitude - zero.magnitude), float(zero.magnitude), str(one.units)


def found(text: str) -> list[Found]:
    """The quantities of a text, in its order."""
    plain = _UNIT_POWER.sub(lambda power: power[0].translate(_LEVEL), text.translate(_SIGNS))
    shares = [(match, one) for match in _SHARE.finditer(plain) if (one := _share(match)) is not None]
    for match, _ in shares:
        plain = plain[: match.start()] + " " * len(match[0]) + plain[match.end() :]
    held = [one for match in _QUANTITY.finditer(plain) for one in _read(match)]
    for place in range(len(held) - 2, -1, -1):  # 2 x 5 x 7 nm
        one, after = held[place], held[place + 1]
        if not one.unit and after.unit and _BY.fullmatch(plain[one.end : after.start]):
            held[place] = replace(one, unit=after.unit)
    return sorted([*held, *(one for _, one in shares)], key=lambda one: one.start)


def _share(match: re.Match[str]) -> Found | None:
    """One in so many; not one in a year."""
    whole = _WORDS[match[1]] if match[1] in _WORDS else _number(match[1])
    if whole < 2 or re.fullmatch(r"(?:19|20)\d\d", match[1]):
        return None
    return Found(1 / whole, 1 / whole, "", match.start(), match.end())


def _read(match: re.Match[str]) -> list[Found]:
    """What a number or two with a link between them mean: one quantity or two; none where a number is none."""
    groups = match.groups()
    one, first, link, other, last = _value(groups[:8]), _unit(groups[8]), groups[9], groups[10:18], _unit(groups[18])
    if one is None:
        return []
    if link is None:
        return [Found(one, one, last, match.start(), match.end())]
    if (raised := _lowered(groups)) is not None:
        return [Found(raised, raised, last, match.start(), match.end())]
    second, kind = _value(other), link.strip()
    if second is None:
        return []
    unsure = kind in ("±", "+/-", "+-")
    scale = _scale(other)
    if scale != 1 and _scale(groups[:8]) == 1 and not first and (unsure or one <= second / scale):
        one *= scale  # 3 to 5 x 10^4
    unit = last or (first if unsure else "")
    start = one if first in ("", unit) else _converted(one, first, unit)
    apart = kind == "and" and _BETWEEN.search(match.string[max(0, match.start() - 40) : match.start()]) is None
    if start is None or (apart and not unsure):
        left = Found(one, one, first or last, match.start(), match.start(10))
        return [left, Found(second, second, last, match.end(10), match.end())]
    if unsure:
        return [Found(start - abs(second), start + abs(second), unit, match.start(), match.end())]
    if start > second and kind in ("-", "–", "—") and not first:  # a minus sign, not a range
        return [Found(start, start, unit, match.start(), match.end())]
    return [Found(min(start, second), max(start, second), unit, match.start(), match.end())]


def _unit(text: str | None) -> str:
    return "" if text is None else _SPELLED.get(text.casefold(), text)


def _lowered(groups: tuple[str | None, ...]) -> float | None:
    """A power of ten whose exponent was lowered to the line, as in "10-6 m"; ``None`` of a range."""
    if groups[2] != "10" or groups[9] not in ("-", "–", "—") or any((*groups[3:7], groups[8])):
        return None
    exponent = groups[12] or ""
    return float(f"1e-{exponent}") if re.fullmatch(r"[1-9]", exponent) else None


def _converted(value: float, unit: str, other: str) -> float | None:
    """A value in another unit; ``None`` where the one does not become the other."""
    mine, theirs = in_base(unit), in_base(other)
    if mine is None or theirs is None or not other or mine[2] != theirs[2]:
        return None
    return float(f"{(value * mine[0] + mine[1] - theirs[1]) / theirs[0]:.12g}")


def _exponent(groups: tuple[str | None, ...]) -> str:
    return next((one.translate(_LEVEL) for one in groups[3:7] if one is not None), "0")


def _scale(groups: tuple[str | None, ...]) -> float:
    """The power of ten that a number is multiplied by."""
    return float(f"1e{_exponent(groups)}")


def _value(groups: tuple[str | None, ...]) -> float | None:
    """A number by its parts as `_NUMBER` has them; ``None`` of one that is too great for any quantity."""
    power, raised, digits, *_, word = groups
    if word is not None:
        return float(_WORDS[word])
    ten = power if power is not None else raised
    value = _number(digits, _exponent(groups)) if digits is not None else float(f"1e{(ten or '0').translate(_LEVEL)}")
    return value if isfinite(value) else None


def _number(digits: str, exponent: str = "0") -> float:
    if re.fullmatch(_GROUPED, digits):
        plain = re.sub(r"[, \u00a0\u2009\u202f]", "", digits)
    elif re.fullmatch(_SWAPPED, digits):
        plain = digits.replace(".", "").replace(",", ".")
    else:
        plain = digits.replace(",", ".")
    return float(f"{plain}e{exponent}")


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
    if left is None or right is None or left[2] != right[2] or _measured(one.unit) != _measured(other.unit):
        return False
    if (one.unit == "%") == (other.unit == "%"):
        return True
    return other.high <= _RATIO if one.unit == "%" else one.high <= _RATIO


def _measured(unit: str) -> tuple[bool, bool]:
    """What tells units of one base apart: whether one is of energy, whether of a flow through an area."""
    return "J" in unit, unit.startswith("L/")


def within(claim: Found, known: Found, tolerance: float = TOLERANCE) -> bool:
    """Whether a claimed quantity lies within a known one, but for a tolerance; a claimed range has to touch it."""
    left, right = base(claim), base(known)
    if left is None or right is None or not same_kind(claim, known):
        return False
    zero = max(held[1] for unit in (claim.unit, known.unit) if (held := in_base(unit)) is not None)  # of degrees C
    return all(
        low <= high or isclose(low - zero, high - zero, rel_tol=tolerance)
        for low, high in ((left[0], right[1]), (right[0], left[1]))
    )


def nearest(value: float, unit: str, known: Found) -> float | None:
    """The value nearest to a claimed one that a known quantity bears out, in the claim's unit.

    Returns:
        ``None`` where the two cannot be compared.
    """
    mine, theirs = in_base(unit), base(known)
    if mine is None or theirs is None or not same_kind(Found(value, value, unit, 0, 0), known):
        return None
    low, high = ((end - mine[1]) / mine[0] for end in theirs[:2])
    return float(f"{min(max(value, min(low, high)), max(low, high)):.6g}")

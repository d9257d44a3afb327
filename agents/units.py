"""Quantities as models and people write them: units by their many names and prefixes, numbers in any notation.

Knows no document. A number that means one thing here and another there, such as "2.000", is not guessed.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Literal, get_args

Unit = Literal[
    "%", "MPa", "GPa", "MJ/m3", "J/m2", "kg/m3", "g/m2", "um", "nm", "mm", "m", "W/mK", "W/m2K", "degC", "ppm/K", "dB",
    "deg", "N/m", "kN", "S/m", "m2/g", "L/m2h", "mAh/g", "Hz", "ms", "m/s", "1",
]  # fmt: skip
_NAMES = {unit.casefold(): unit for unit in get_args(Unit)} | {
    **dict.fromkeys(("percent", "pct", "prozent", "wt%", "vol%", "vol.%", "wt.%", "at%", "mass%", "٪", "процент"), "%"),
    **dict.fromkeys(("°c", "c", "celsius", "degcelsius", "degreescelsius", "degc"), "degC"),
    **dict.fromkeys(
        ("micrometre", "micrometer", "micron", "microns", "mikrometer", "micrometres", "micrometers"), "um"
    ),
    **dict.fromkeys(("мкм", "микрон", "微米", "マイクロメートル", "마이크로미터"), "um"),
    **dict.fromkeys(
        ("nanometre", "nanometer", "nanometres", "nanometers", "нм", "纳米", "ナノメートル", "나노미터"), "nm"
    ),
    **dict.fromkeys(
        ("millimetre", "millimeter", "millimetres", "millimeters", "мм", "毫米", "ミリメートル", "밀리미터"), "mm"
    ),
    **dict.fromkeys(("megapascal", "megapascals", "мпа", "兆帕", "n/mm2", "nmm-2"), "MPa"),
    **dict.fromkeys(("gigapascal", "gigapascals", "гпа", "吉帕", "kn/mm2"), "GPa"),
    **dict.fromkeys(("", "-", "–", "—", "none", "n/a", "ratio", "unitless", "dimensionless", "-/-"), "1"),
    **dict.fromkeys(("w/m/k", "wm-1k-1"), "W/mK"),
    **dict.fromkeys(("ppm/°c", "ppm/degc", "10-6/k", "x10-6/k", "1e-6/k", "10-6k-1", "um/mk", "µm/mk"), "ppm/K"),
    **dict.fromkeys(("metre", "meter", "metres", "meters", "м", "米"), "m"),
    **dict.fromkeys(("degree", "degrees", "°"), "deg"),
    **dict.fromkeys(("decibel", "decibels"), "dB"),
    **{"w/m2/k": "W/m2K", "wm-2k-1": "W/m2K", "gm-2": "g/m2", "gsm": "g/m2", "l/m2/h": "L/m2h", "lmh": "L/m2h"},
    **{"mahg-1": "mAh/g", "m2g-1": "m2/g", "sm-1": "S/m", "nm-1": "N/m", "ms-1": "m/s"},
    **{"mjm-3": "MJ/m3", "jm-2": "J/m2", "kgm-3": "kg/m3"},
}
_OTHERS: dict[str, tuple[str, float]] = {
    **dict.fromkeys(("kPa", "kPA", "kpa", "KPa", "KPA", "kN/m2", "kNm-2", "кПа"), ("MPa", 1e-3)),
    **dict.fromkeys(("Pa", "N/m2", "Nm-2", "Па"), ("MPa", 1e-6)),
    **dict.fromkeys(("TPa",), ("GPa", 1e3)),
    **dict.fromkeys(("kJ/m2", "kJm-2"), ("J/m2", 1e3)),
    **dict.fromkeys(("mJ/m2", "mJm-2"), ("J/m2", 1e-3)),
    **dict.fromkeys(("kJ/m3", "kJm-3"), ("MJ/m3", 1e-3)),
    **dict.fromkeys(("J/m3", "Jm-3"), ("MJ/m3", 1e-6)),
    **dict.fromkeys(("J/cm3", "Jcm-3"), ("MJ/m3", 1.0)),
    **dict.fromkeys(("g/cm3", "gcm-3", "g/cc", "g/mL", "g/ml", "t/m3", "kg/L", "kg/l"), ("kg/m3", 1e3)),
    **dict.fromkeys(("g/L", "g/l"), ("kg/m3", 1.0)),
    **dict.fromkeys(("Å", "angstrom", "ångström"), ("nm", 0.1)),
    **dict.fromkeys(("cm", "centimetre", "centimeter", "см", "厘米"), ("mm", 10.0)),
    **dict.fromkeys(("mW/mK", "mWm-1K-1"), ("W/mK", 1e-3)),
}
"""Units that the documents do not have, spelled with their capitals: the one that they do have, and how many of it."""

_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−µμ×", "0123456789--uux")
_KELVIN, _FAHRENHEIT = ("K", "kelvin", "Kelvin"), ("°F", "F", "degF", "fahrenheit", "Fahrenheit")
_GROUPS = re.compile(r"(?<=\d)[ \u00a0\u2009\u202f'’_](?=\d{3}(?!\d))")
_UNSURE = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3}|,\d{3})")
_ABOUT = r"(?:~|≈|≃|ca\.?|approx\.?|about)?"
_NUMBER = re.compile(rf"(?i){_ABOUT}\s*([+-]?[\d.,]*\d[.,]?)\s*(?:(?:[x*·⋅]\s*10\s*\^?|e)\s*([+-]?\d+))?\s*(.*)")
_POWER = re.compile(r"10\s*\^\s*([+-]?\d+)\s*(.*)")
_EXPONENT = re.compile("[⁰¹²³⁴-⁹⁻]+")


def _plain(text: str) -> str:
    return re.sub(r"[\s·⋅∙*^{}()$]", "", text.replace("℃", "°C").replace("℉", "°F").translate(_RAISED))


def unit_of(text: str) -> str:
    """A unit as the documents spell it, however a model writes it: ``MJ/m³``, ``µm``, ``°C``; else the text itself."""
    plain = _plain(text)
    return text if plain in ("mPa", *_OTHERS) else _NAMES.get(plain.casefold(), text)


def quantity(value: Any, unit: Any) -> tuple[Any, Any]:
    """A value and its unit in a unit that the documents have; as they are where neither is understood.

    Raises:
        ValueError: The number can be read in two ways, or stands beside another unit.
    """
    if isinstance(value, str):
        value, beside = number(value)
        if beside and isinstance(unit, str) and unit.strip() and unit_of(beside) != unit_of(unit):
            raise ValueError(f"the value is in {beside!r} and its unit is {unit!r}")
        unit = beside or unit
    if not isinstance(unit, str) or isinstance(value, bool) or not isinstance(value, int | float):
        return value, unit
    plain = _plain(unit)
    if plain in _OTHERS:
        unit, factor = _OTHERS[plain]
        return float(f"{value * factor:.12g}"), unit
    if plain in _KELVIN:
        return round(value - 273.15, 6), "degC"
    if plain in _FAHRENHEIT:
        return round((value - 32) / 1.8, 6), "degC"
    return value, unit_of(unit)


def number(text: str) -> tuple[float | str, str]:
    """The number in a text and what stands behind it; the text itself where it is none.

    Raises:
        ValueError: It can be read in two ways.
    """
    level = _EXPONENT.sub(lambda one: f"^{one[0]}", text).translate(_RAISED)
    digits = "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in level)
    plain = _GROUPS.sub("", digits.strip())
    if power := _POWER.fullmatch(plain):
        return float(f"1e{power[1]}"), power[2].strip()
    found = _NUMBER.fullmatch(plain)
    if found is None or re.match(r"[-–~…]?\s*\d", found[3]):
        return text, ""
    if _UNSURE.fullmatch(found[1]):
        raise ValueError(
            f"{found[1]!r} is a thousand in one country and a fraction in another; write it as a plain number"
        )
    try:
        return float(f"{_decimal(found[1])}e{found[2] or 0}"), found[3].strip()
    except ValueError:
        return text, ""


def _decimal(text: str) -> str:
    """A number with a point before its fraction and no marks between its thousands."""
    marks = [sign for sign in text if sign in ".,"]
    if len(set(marks)) == 2:
        first, last = marks[0], marks[-1]
        return text.replace(first, "").replace(last, ".") if marks.count(last) == 1 else text
    return text.replace(",", ".") if len(marks) == 1 else text.replace(marks[0], "") if marks else text

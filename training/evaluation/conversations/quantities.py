"""Finds quantities in a text: a number, and a unit behind it. Knows units by their signs; does not convert any."""

from __future__ import annotations

import re

_PREFIXED = {
    "Pa": "kMGT",
    "m": "pnuµμkmcd",
    "g": "knuµμm",
    "J": "nuµμmkMG",
    "N": "pnuµμmkM",
    "W": "nuµμmkMG",
    "V": "muµμk",
    "Hz": "kMGT",
    "s": "fpnuµμm",
    "L": "muµμ",
    "mol": "nuµμm",
    "eV": "mkM",
    "Da": "kM",
    "bar": "m",
}
"""Units that take prefixes, and the prefixes that texts about materials give them."""

_ALONE = (
    "K",
    "°C",
    "℃",
    "°F",
    "°",
    "Å",
    "min",
    "h",
    "Ω",
    "ppm",
    "ppb",
    "rpm",
    "cP",
    "phr",
    "wt%",
    "vol%",
    "at%",
    "mol%",
)
_SPELLED = (
    "percent", "per cent", "nanomet(?:er|re)s?", "micromet(?:er|re)s?", "microns?", "millimet(?:er|re)s?",
    "centimet(?:er|re)s?", "met(?:er|re)s?", "(?:kilo|mega|giga)?pascals?", "(?:kilo|mega)?joules?",
    "(?:milli|micro|kilo|nano)?newtons?", "(?:kilo|milli|micro)?grams?", "(?:milli|micro)?seconds?", "minutes?",
    "hours?", "degrees?(?: celsius| fahrenheit)?", "kelvins?", "watts?", "hertz", "lit(?:er|re)s?", "angstroms?",
    "kilodaltons?", "daltons?",
)  # fmt: skip

_DRESSED = re.compile(r"\\(?:text|mathrm|rm|mathsf|si|unit)\s*\{([^{}]*)\}")
_SPACE = re.compile(r"(?:\\[,;:! ]|[$ \t])+")
_UNIT_KEY = re.compile(r'(?i)(?<=\d)"?\s*,\s*"units?"\s*:\s*"')
_NUMBER = r"(?<![\w.])[~≈<>±]?\s?[-+−]?\d+(?:[.,]\d+)*(?:\s?(?:[×x*]\s?10\s?\^?[-−⁻]?[\d⁰¹²³⁴⁵⁶⁷⁸⁹]+|[eE][-+]?\d+))?"
_RANGE = rf"{_NUMBER}(?:\s?(?:-|–|—|to|and|±|×|x)\s?\d+(?:[.,]\d+)*)*"
_POWER = r"(?:\^?[-−⁻]?[1-4]|\^?\{?[-−]?[1-4]\}?|[⁻]?[¹²³⁴])?"


def _sign() -> str:
    prefixed = [rf"[{prefixes}]?{unit}" for unit, prefixes in _PREFIXED.items()]
    one = rf"(?:{'|'.join([*sorted(prefixed, key=len, reverse=True), *map(re.escape, _ALONE)])}){_POWER}"
    return rf"(?:{one}(?:\s?[/·⋅*]\s?\(?{one}\)?|\s{one}(?=[\s.,;)]|$))*|%)"


_QUANTITY = re.compile(rf"{_RANGE}[\s-]?(?:{_sign()}|(?i:{'|'.join(_SPELLED)}))(?![\w%])")


def quantities(text: str) -> list[str]:
    """Every quantity of a text as it stands there: "12 nm", "2.5-3 GPa", "30%", "150 MJ/m³".

    A number without a unit is none, nor is one that counts things ("3 layers"). A range is one. LaTeX's dress is taken
    off, and a JSON number whose unit follows under ``unit`` is read with it.
    """
    plain = _UNIT_KEY.sub(" ", _SPACE.sub(" ", _DRESSED.sub(r" \1 ", text)))
    return [found.group().strip() for found in _QUANTITY.finditer(plain)]

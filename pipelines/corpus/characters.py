"""Letters in their usual form, and no number another for it. Knows letters; not words.

``10⁸`` comes out as ``10^8``, ``H₂O`` as ``H_2O``, ``2½`` as ``2 1/2``.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ"
_LOWERED = "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ"
_SCRIPTS = (
    ("^", re.compile(rf"([{_RAISED}]+)(\d?)")),
    ("_", re.compile(rf"([{_LOWERED}]+)(\d?)")),
)
_FRACTION = re.compile(r"(\d?)([⁰¹²³⁴⁵⁶⁷⁸⁹]+)[\u2044/]([₀₁₂₃₄₅₆₇₈₉]+)(\d?)")
_TAG = re.compile(r"<(sup|sub)>\s*([^<>\n]{1,40}?)\s*</\1>", re.I)
# Letters whose usual form would be another: hyphens, degrees, tildes.
_SAME = str.maketrans(
    {
        "\u2010": "-",
        "\u2011": "-",
        "\ufe63": "-",
        "\uff0d": "-",
        "\u02da": "\u00b0",
        "\u02dc": "~",
        "\u00b4": "'",
        "\u2028": "\n",
        "\u2029": "\n",
        "\x0b": " ",
        "\x85": "\n",
    }
)


def plain(text: str) -> str:
    """Compatibility letters in their usual form, no soft hyphens or control characters, one kind of space."""
    text = re.sub(r"\r\n?", "\n", text).translate(_SAME)
    text = _without_soft_hyphens(text)
    text = re.sub(r"(?<=\d)(\s?)º", "\\1°", text)
    text = _TAG.sub(_tagged, text)
    text = "".join(_unfolded(one) for one in text)
    text = _FRACTION.sub(_divided, text)
    for sign, found in _SCRIPTS:
        text = found.sub(lambda match, sign=sign: _scripted(sign, match), text)  # type: ignore[misc]
    text = _apart(text).replace("\u2044", "/")
    text = re.sub(r"(?<=\d)[^\S\n]*[\x00-\x08\x0e-\x1f\x7f-\x9f]+(?=\d)", " ", text)
    text = "".join(one for one in text if one in "\n\t" or unicodedata.category(one) != "Cc")
    return re.sub(r"[^\S\n]+", " ", text)


def _without_soft_hyphens(text: str) -> str:
    """Soft hyphens join what they part; beside a figure they are printed hyphens, as some PDFs have them."""
    text = re.sub(r"(?<=\d)\u00ad(?=\w)|(?<=\w)\u00ad(?=\d)", "-", text)
    text = re.sub(r"(?<=\d)\u00ad[^\S\n]*\n", "-\n", text)
    text = re.sub(r"\u00ad[^\S\n]*\n[^\S\n]*(?=[^\W\d_])", "", text)
    return text.replace("\u00ad", "")


def _tagged(found: re.Match[str]) -> str:
    """Markdown's raised and lowered text, as converters write it."""
    sign, text = "^" if found[1].lower() == "sup" else "_", found[2].replace("\u2212", "-")
    after = found.string[found.end() : found.end() + 1]
    return f"{sign}{{{text}}}" if " " in text or (text[-1:].isdigit() and after.isdigit()) else sign + text


@cache
def _unfolded(letter: str) -> str:
    """A letter that stands for several, one of them raised (a square metre's), as these."""
    tag, *parts = unicodedata.decomposition(letter).split() or [""]
    if tag not in ("<square>", "<compat>"):
        return letter
    inner = "".join(chr(int(part, 16)) for part in parts)
    return inner if any(one in _RAISED + _LOWERED for one in inner) else letter


def _divided(found: re.Match[str]) -> str:
    before, over, under, after = found.groups()
    words = unicodedata.normalize("NFKC", f"{over}/{under}")
    return f"{before}{' ' if before else ''}{words}{' ' if after else ''}{after}"


def _scripted(sign: str, found: re.Match[str]) -> str:
    text = unicodedata.normalize("NFKC", found[1]).replace("\u2212", "-")
    return f"{sign}{{{text}}}{found[2]}" if found[2] else sign + text


def _apart(text: str) -> str:
    """Letters in their usual form; one that stands for a number (½, ①) is not joined to the figures beside it."""
    made: list[str] = []
    for place, one in enumerate(text):
        usual = unicodedata.normalize("NFKC", one) if unicodedata.category(one) != "Nd" else one
        if usual == one or not any(letter.isdigit() for letter in usual):
            made.append(one)
            continue
        before = made[-1][-1:] if made else ""
        left = " " if before.isdecimal() and usual[:1].isdigit() else ""
        right = " " if text[place + 1 : place + 2].isdecimal() and usual[-1:].isdigit() else ""
        made.append(left + usual + right)
    return unicodedata.normalize("NFKC", "".join(made))

"""LaTeX as BibTeX files hold it, as plain letters: accents, Greek, signs, escapes, braces. No digit is changed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

_ACCENTS: Mapping[str, str] = {
    **{'"': "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303", "=": "\u0304", ".": "\u0307"},
    **{"c": "\u0327", "v": "\u030c", "u": "\u0306", "H": "\u030b", "k": "\u0328", "r": "\u030a", "d": "\u0323"},
    "b": "\u0331",
}
_SIGN = re.compile(r"\\([\"'`^~=.])\s*(?:\{\s*\\?([A-Za-z])\s*\}|\\?([A-Za-z]))")
_LETTER = re.compile(r"\\([cvuHkrdb])(?:\s*\{\s*\\?([A-Za-z])\s*\}|\s+\\?([A-Za-z])(?![A-Za-z]))")
_SCRIPT = re.compile(r"\\text(super|sub)script\s*(?=\{)")
_MATHS = re.compile(r"\$([^$\s](?:[^$]*[^$\s])?)\$|\\[()]")
_COMMAND = re.compile(r"\\([A-Za-z]+)\*?\s*")
_SWITCH = re.compile(r"it|bf|em|rm|sc|tt|sl|sf|\w+shape|\w+series|normalfont|relax|left|right|text\w+|math\w+|protect")
_GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi omega"
_LETTERS = {name: name.replace("lambda", "lamda") for name in _GREEK.split()}
_SIGNS: Mapping[str, str] = {
    **{name: unicodedata.lookup(f"GREEK SMALL LETTER {one}") for name, one in _LETTERS.items()},
    **{name.capitalize(): unicodedata.lookup(f"GREEK CAPITAL LETTER {one}") for name, one in _LETTERS.items()},
    **{"ss": "ß", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "aa": "å", "AA": "Å", "ae": "æ", "AE": "Æ", "oe": "œ"},
    **{"OE": "Œ", "i": "i", "j": "j", "dh": "ð", "th": "þ", "dj": "đ", "textless": "<", "textgreater": ">"},
    **{"textquoteright": "’", "textquoteleft": "‘", "textquotedblleft": "“", "textquotedblright": "”"},
    **{"textendash": "–", "textemdash": "—", "textregistered": "®", "texttrademark": "™", "textdegree": "°"},
    **{"degree": "°", "circ": "°", "textmu": "μ", "micro": "μ", "upmu": "μ", "ldots": "…", "dots": "…", "times": "×"},
    **{"pm": "±", "cdot": "·", "sim": "~", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "rightarrow": "→", "to": "→"},
    **{"infty": "∞", "prime": "′", "approx": "≈", "backslash": "\\", "textbackslash": "\\", "textunderscore": "_"},
    **{"textasciitilde": "~", "textasciicircum": "^", "textbar": "|", "textbullet": "•", "lt": "<", "gt": ">"},
    **{"varepsilon": "ε", "varphi": "φ", "vartheta": "θ", "angstrom": "Å", "textperiodcentered": "·"},
}
_HELD = {char: chr(0xE000 + place) for place, char in enumerate("&%$#_{}~\\")}
"""Letters for signs that are meant, while those that are LaTeX's own are taken out."""


def unlatexed(text: str, prose: bool = True) -> str:
    """A text whose LaTeX is read.

    Args:
        text: As BibTeX has it.
        prose: Whether ties, dashes and quotes mean what they do in prose; they do not in addresses.
    """
    made = re.sub(r"\\([&%$#_{}])", lambda found: _HELD[found[1]], text)
    for pattern in (_SIGN, _LETTER):
        made = pattern.sub(_accented, made)
    made = _SCRIPT.sub(lambda found: "^" if found[1] == "super" else "_", made)
    made = _COMMAND.sub(_command, made)
    if prose:
        made = re.sub(r"\\[,;: \\]|~", " ", re.sub(r"\\[-/!]", "", made))
        made = made.replace("---", "—").replace("--", "–").replace("``", "“").replace("''", "”")
    made = _MATHS.sub(lambda found: found[1] or "", made)
    made = made.replace("{", "").replace("}", "")
    for char, held in _HELD.items():
        made = made.replace(held, char)
    return made


def _accented(found: re.Match[str]) -> str:
    return unicodedata.normalize("NFC", (found[2] or found[3]) + _ACCENTS[found[1]])


def _command(found: re.Match[str]) -> str:
    """What a command stands for: a sign, nothing where it says how the text after it is set, else its own name."""
    name = found[1]
    if name in _SIGNS:
        return _HELD.get(_SIGNS[name], _SIGNS[name])
    after = found.string[found.end() : found.end() + 2]
    return "" if _SWITCH.fullmatch(name) or (after.startswith("{") and after != "{}") else name

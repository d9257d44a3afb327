"""The letters of a PDF: open fonts that come with a library, and what becomes of letters that they lack."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

PLAIN, BOLD, MONO = "StudioSans", "StudioSans-Bold", "StudioMono"
_FILES = {PLAIN: "DejaVuSans.ttf", BOLD: "DejaVuSans-Bold.ttf", MONO: "DejaVuSansMono.ttf"}
LACKING = "\u25a1"
"""An empty box stands for a letter that the fonts lack."""


@cache
def letters() -> frozenset[int]:
    """Register the fonts with reportlab and return the letters that all of them have."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    found = importlib.util.find_spec("matplotlib")
    assert found is not None and found.origin is not None
    folder = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
    held: frozenset[int] | None = None
    for name, file in _FILES.items():
        font = TTFont(name, str(folder / file))
        pdfmetrics.registerFont(font)
        mine = frozenset(font.face.charToGlyph)
        held = mine if held is None else held & mine
    pdfmetrics.registerFontFamily(PLAIN, normal=PLAIN, bold=BOLD, italic=PLAIN, boldItalic=BOLD)
    return held or frozenset()


class Letters:
    """Texts in the letters that the fonts have; what they lack is shown as a box and remembered."""

    def __init__(self) -> None:
        self._held = letters()
        self._lacking: dict[str, None] = {}

    def shown(self, text: str) -> str:
        """A text for a paragraph of reportlab: its letters as far as there are any, escaped."""
        made = []
        for letter in text:
            if letter in "\n\t" or ord(letter) in self._held:
                made.append(letter)
            else:
                self._lacking[letter] = None
                made.append(LACKING)
        return "".join(made).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", "<br/>")

    def remark(self) -> str:
        """What was left out, in one sentence; empty where nothing was."""
        if not self._lacking:
            return ""
        codes = [f"U+{ord(one):04X}" for one in self._lacking]
        more = f" and {len(codes) - 12} more" if len(codes) > 12 else ""
        return (
            f"The fonts of this file lack {len(codes)} of its letters ({', '.join(codes[:12])}{more}); each is shown "
            f"as {LACKING}. The HTML report has them."
        )

"""Lay the sample corpus out as ten PDF papers, as publishers do, faults included: what the corpus stage is tested on.

    python -m training.sample.papers --out training/sample/papers

Each paper holds eight passages under headings, a running head, page numbers and a list of references. Needs reportlab.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).parent
_EACH = 8
_WIDTH, _HEIGHT, _MARGIN, _GUTTER = 595, 842, 54, 18  # points: A4
_GERMAN = (
    "Zusammenfassung. Spinnenseide verbindet hohe Festigkeit mit großer Dehnbarkeit, weil kleine Kristalle in einer "
    "weichen Matrix liegen. Die Arbeit beschreibt, wie die Faser gesponnen wird, welche Eiweiße daran beteiligt sind "
    "und warum ihre Eigenschaften von der Feuchte der Luft abhängen. Daraus folgen Regeln für künstliche Fasern, "
    "die ohne Lösungsmittel und bei Raumtemperatur hergestellt werden sollen, und die man wieder verwerten kann."
)
_ASTRAY = (
    "The away side took the lead after twenty minutes when their captain headed in from a corner, and a second goal "
    "before half time settled the match. The manager changed both full backs after the break, but the home crowd had "
    "little to cheer until the closing minutes, when a penalty was saved. The result leaves the club three points "
    "above the relegation places with four matches to play, two of them away, and the board promised no new signings."
)


@dataclass(frozen=True)
class Style:
    """How a paper is laid out, and what is wrong with it.

    Attributes:
        title: The paper's.
        columns: One or two.
        woven: Draw line by line across both columns, so that the file's order is not the reader's.
        table: Put a table and an equation between the sections.
        spoil: Changes a section's text, or gives another in its place.
        more: Further sections, as (heading, text).
    """

    title: str
    columns: int = 1
    woven: bool = False
    table: bool = False
    spoil: Callable[[str, random.Random], str] = lambda text, rng: text
    more: tuple[tuple[str, str], ...] = ()


def _broken(text: str, rng: random.Random) -> str:
    """Words torn apart by hyphens that were once at a line's end."""
    words = text.split()
    return " ".join(
        f"{word[: len(word) // 2]}- {word[len(word) // 2 :]}"
        if len(word) > 8 and word.isalpha() and rng.random() < 0.3
        else word
        for word in words
    )


def _unknown(text: str, rng: random.Random) -> str:
    """Letters that a font did not know."""
    return "".join("\ufffd" if letter.isalpha() and rng.random() < 0.12 else letter for letter in text)


def _stuttered(text: str, rng: random.Random) -> str:
    """A scanner's dirt: letters and words again and again."""
    words = text.split()
    for _ in range(12):
        place = rng.randrange(len(words))
        words[place] = rng.choice(("." * 40, "l" * 30, " ".join([words[place]] * 12)))
    return " ".join(words)


def _again(text: str, rng: random.Random) -> str:
    """The same text with a few words changed, as preprints and reprints have it."""
    return text.replace("which", "that").replace("about", "roughly").replace(" shows ", " demonstrates ")


STYLES: dict[str, Style] = {
    "one-column": Style("Silks and their proteins"),
    "two-columns": Style("Threads, glues and venoms", columns=2),
    "woven": Style("Fibres in order", columns=2, woven=True),
    "table": Style("Minerals made by animals", table=True),
    "two-columns-table": Style("Plates, prisms and rods", columns=2, table=True),
    "broken": Style("Wood, bark and stem", columns=2, spoil=_broken),
    "unknown": Style("Leaves and their veins", spoil=_unknown),
    "stuttered": Style("Insects and their coats", columns=2, spoil=_stuttered),
    "again": Style("Silks and their proteins, revised", columns=2, spoil=_again),
    "astray": Style("Principles of design", more=(("Zusammenfassung", _GERMAN), ("Saturday", _ASTRAY))),
}


def passages() -> list[dict[str, Any]]:
    """The sample's passages in order."""
    names = ("silk", "mineral", "plant", "principle")
    return [one for name in names for one in json.loads((SAMPLE / f"{name}.json").read_text(encoding="utf-8"))]


def contents(number: int) -> list[dict[str, Any]]:
    """The passages of the numbered paper; the one that comes again has the first one's."""
    every = passages()
    start = 0 if list(STYLES)[number] == "again" else _EACH * number
    return every[start : start + _EACH]


def lay_out(number: int, out: Path) -> Path:
    """Write one paper."""
    name = list(STYLES)[number]
    style, rng = STYLES[name], random.Random(number)
    rows = contents(number)
    sections = [(one["title"], style.spoil(one["text"], rng)) for one in rows] + list(style.more)
    sources = [source for one in rows for source in one["sources"]]
    path = out / f"{number + 1:02d}-{name}.pdf"
    (_weave if style.woven else _typeset)(path, style, sections, sources)
    return path


def _fonts() -> tuple[str, str]:
    """A font with every letter that is needed, from matplotlib's own."""
    import matplotlib
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name in ("DejaVuSerif", "DejaVuSerif-Bold"):
        pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
    return "DejaVuSerif", "DejaVuSerif-Bold"


def _typeset(path: Path, style: Style, sections: Sequence[tuple[str, str]], sources: Sequence[str]) -> None:
    from reportlab.lib.enums import TA_JUSTIFY
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Paragraph, Spacer, Table

    plain, bold = _fonts()
    size = 9.5 if style.columns == 1 else 8
    body = ParagraphStyle("body", fontName=plain, fontSize=size, leading=1.3 * size, alignment=TA_JUSTIFY)
    head = ParagraphStyle("head", fontName=bold, fontSize=size + 2.5, leading=1.4 * size, spaceBefore=9, spaceAfter=3)
    title = ParagraphStyle("title", fontName=bold, fontSize=16, leading=20, spaceAfter=12)
    width = (_WIDTH - 2 * _MARGIN - (style.columns - 1) * _GUTTER) / style.columns
    frames = [
        Frame(_MARGIN + column * (width + _GUTTER), _MARGIN, width, _HEIGHT - 2 * _MARGIN, 0, 0, 0, 0)
        for column in range(style.columns)
    ]
    flow: list[Flowable] = [Paragraph(style.title, title)]
    for place, (heading, text) in enumerate(sections):
        flow += [Paragraph(f"{place + 1}. {heading}", head), Paragraph(text, body)]
        if style.table and place % 3 == 1:
            cells = [["Sample", "E (GPa)", "Strength (MPa)"]]
            cells += [[f"S{row + 1}", f"{7.5 + 3.25 * row:.2f}", f"{110 + 17 * row}"] for row in range(4)]
            flow += [Spacer(1, 6), Table(cells), Paragraph("E = σ / ε = F L / (A ΔL)     (1)", body), Spacer(1, 6)]
    flow.append(Paragraph("References", head))
    flow += [Paragraph(f"[{place + 1}] {source}.", body) for place, source in enumerate(sources)]

    def furnish(canvas: Any, document: Any) -> None:
        _furnish(canvas, style.title, document.page)

    document = BaseDocTemplate(
        str(path), pagesize=(_WIDTH, _HEIGHT), title=style.title, author="Studio", invariant=1, pageCompression=1
    )
    document.addPageTemplates(PageTemplate(frames=frames, onPage=furnish))
    document.build(flow)


def _furnish(canvas: Any, title: str, page: int) -> None:
    """A running head and a page number."""
    plain, _ = _fonts()
    canvas.setFont(plain, 7)
    canvas.drawString(_MARGIN, _HEIGHT - 34, f"Journal of Sample Papers 12 (2024) - {title}")
    canvas.drawCentredString(_WIDTH / 2, 30, f"Page {page}")


def _weave(path: Path, style: Style, sections: Sequence[tuple[str, str]], sources: Sequence[str]) -> None:
    """Two columns whose lines are drawn in turn, left and right, and words torn at the lines' ends."""
    from reportlab.lib.utils import simpleSplit
    from reportlab.pdfgen.canvas import Canvas

    plain, bold = _fonts()
    size, leading = 8, 10.5
    width = (_WIDTH - 2 * _MARGIN - _GUTTER) / 2
    lines: list[tuple[str, str]] = []
    for place, (heading, text) in enumerate(sections):
        lines += [("", plain), (f"{place + 1}. {heading}", bold)]
        lines += [(line, plain) for line in _torn(simpleSplit(text, plain, size, width - 8))]
    lines += [("", plain), ("References", bold)]
    for place, source in enumerate(sources):
        lines += [(line, plain) for line in simpleSplit(f"[{place + 1}] {source}.", plain, size, width)]
    canvas = Canvas(str(path), pagesize=(_WIDTH, _HEIGHT), invariant=1)
    canvas.setTitle(style.title)
    a_column = int((_HEIGHT - 2 * _MARGIN) // leading)
    for page, start in enumerate(range(0, len(lines), 2 * a_column)):
        _furnish(canvas, style.title, page + 1)
        left, right = lines[start : start + a_column], lines[start + a_column : start + 2 * a_column]
        for row in range(a_column):
            for column, side in enumerate((left, right)):
                if row < len(side):
                    canvas.setFont(side[row][1], size)
                    top = _HEIGHT - _MARGIN - (row + 1) * leading
                    canvas.drawString(_MARGIN + column * (width + _GUTTER), top, side[row][0])
        canvas.showPage()
    canvas.save()


def _torn(lines: Sequence[str]) -> list[str]:
    """Move the first half of a line's first word to the end of the line before, with a hyphen, where it is long."""
    torn = list(lines)
    for place in range(1, len(torn)):
        word, _, rest = torn[place].partition(" ")
        if len(word) > 9 and word.isalpha() and place % 3 == 0:
            half = len(word) // 2
            torn[place - 1] += f" {word[:half]}-"
            torn[place] = f"{word[half:]} {rest}"
    return torn


def main(out: Path) -> list[Path]:
    """Write all ten papers."""
    out.mkdir(parents=True, exist_ok=True)
    return [lay_out(number, out) for number in range(len(STYLES))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=SAMPLE / "papers")
    for made in main(parser.parse_args().out):
        print(made)

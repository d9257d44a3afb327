"""Pages of every layout, laid out here and read back: columns in order, exponents, margins, scans behind a cover."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from pipelines.corpus.build import main
from pipelines.corpus.cleaning import sections
from pipelines.corpus.config import Converter, CorpusConfig
from pipelines.corpus.converters import convert, without_text
from workspace.events import Remark

CONVERTERS: tuple[Converter, ...] = ("pdfium", "pdftext")
WIDTH, HEIGHT = 612.0, 792.0
ROMAN, ITALIC = "Times-Roman", "Times-Italic"
SYLLABLES = ["ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "wo", "xu", "za"]


def words(seed: int = 0) -> Iterator[str]:
    """Words that each come once."""
    chance, seen = random.Random(seed), set[str]()
    for _ in count():
        word = "".join(chance.choice(SYLLABLES) for _ in range(chance.randint(2, 4)))
        if word not in seen:
            seen.add(word)
            yield word


class Setter:
    """Sets words into columns as TeX does: stretched lines, paragraphs, symbols in other fonts, exponents."""

    def __init__(self, path: Path, seed: int = 0, **options: Any) -> None:
        self.canvas = Canvas(str(path), pagesize=(WIDTH, HEIGHT), **options)
        self.words, self.chance = words(seed), random.Random(seed)
        self.written: list[str] = []
        self.left = 0  # words until a paragraph ends

    def column(self, left: float, top: float, width: float, lines: int, size: float = 10, lead: float = 12) -> float:
        """Lines of a column; where the next would stand."""
        for number in range(lines):
            self.line(left, top - lead * number, width, size)
        return top - lead * lines

    def line(self, left: float, base: float, width: float, size: float) -> None:
        indent, line = 0.0, list[str]()
        if self.left <= 0:
            self.left, indent = self.chance.randint(30, 70), size
        room = width - indent
        while stringWidth(" ".join(line), ROMAN, size) < room - 4.5 * size:
            line.append(next(self.words))
        self.left -= len(line)
        stops = self.left <= 0
        line[-1] += "." if stops else ""
        self.written += [word.rstrip(".") for word in line]
        spare = width - indent - sum(stringWidth(word, ROMAN, size) for word in line)
        space = 0.25 * size if stops else spare / max(1, len(line) - 1)
        place = left + indent
        for number, word in enumerate(line):
            symbol = self.chance.random() < 0.15 and number
            self.canvas.setFont(ITALIC if symbol else ROMAN, size)
            self.canvas.drawString(place, base, word)
            if symbol:
                self.canvas.setFont(ROMAN, 0.7 * size)
                rise = self.chance.choice((0.36, -0.16)) * size
                ends = place + stringWidth(word, ITALIC, size)
                if stringWidth("2", ROMAN, 0.7 * size) < space - 2:
                    self.canvas.drawString(ends, base + rise, "2")
            place += max(stringWidth(word, ROMAN, size), stringWidth(word, ITALIC if symbol else ROMAN, size)) + space

    def wide(self, top: float, lines: int, size: float = 10, side: float = 54) -> float:
        return self.column(side, top, WIDTH - 2 * side, lines, size, 1.2 * size)


def prose_of(path: Path, converter: Converter) -> str:
    """A paper's prose."""
    return " ".join(text for part in sections(convert(path, converter)) for _, text in part.paragraphs)


def read_words(path: Path, converter: Converter, written: list[str]) -> list[str]:
    """The words of a paper in the order that they are read in, those alone that were written."""
    known = set(written)
    told = "".join(one if one.isalpha() else " " for one in prose_of(path, converter)).split()
    return [word for word in told if word in known]


def two_columns(setter: Setter) -> None:
    """A title and a summary over two columns; a short last page."""
    top = setter.wide(700, 7, 9, 90) - 20
    for left in (54.0, 315.0):
        setter.column(left, top, 243, 40)
    setter.canvas.showPage()
    for left in (54.0, 315.0):
        setter.column(left, 730, 243, 8)
    setter.canvas.showPage()


def uneven(setter: Setter) -> None:
    """Columns of other lengths and other line heights, a narrow gutter."""
    setter.column(54, 730, 246, 52)
    setter.column(311, 724, 246, 31, 10, 12.7)
    setter.canvas.showPage()


def banded(setter: Setter) -> None:
    """A wide figure with its caption, and a wide paragraph, between bands of columns."""
    top = 730.0
    for _ in range(2):
        for left in (54.0, 315.0):
            end = setter.column(left, top, 243, 11)
        setter.canvas.rect(54, end - 50, 504, 40)
        setter.canvas.setFont(ROMAN, 8)
        for tick in range(6):
            setter.canvas.drawString(70 + 80 * tick, end - 44, str(tick * 10))
        setter.canvas.drawString(54, end - 64, "Fig. 1 Stress over strain for the sheets of both kinds, in turn")
        top = setter.wide(end - 90, 3) - 10
    for left in (54.0, 315.0):
        setter.column(left, top, 243, 7)
    setter.canvas.showPage()


def three_columns(setter: Setter) -> None:
    """Three narrow columns below a wide summary."""
    top = setter.wide(730, 4, 9) - 14
    for left in (48.0, 226.0, 404.0):
        setter.column(left, top, 160, 45, 9, 11)
    setter.canvas.showPage()


def numbered(setter: Setter) -> None:
    """Lines numbered in both margins, every one on the left and every fifth on the right."""
    setter.column(72, 730, 222, 50)
    setter.column(320, 730, 222, 50)
    setter.canvas.setFont("Helvetica", 7)
    for number in range(50):
        setter.canvas.drawRightString(60, 730 - 12 * number, str(101 + number))
        if number % 5 == 4:
            setter.canvas.drawString(556, 730 - 12 * number, str(number + 1))
    setter.canvas.showPage()


def noted(setter: Setter) -> None:
    """Notes below the first column and words that run a little into the gutter."""
    setter.column(54, 730, 243, 40)
    setter.canvas.setFont(ROMAN, 7)
    for number in range(3):
        setter.canvas.drawString(54, 230 - 8 * number, "Present address of the second author: Institute of Things.")
    setter.column(315, 730, 243, 45)
    setter.canvas.showPage()


@pytest.mark.parametrize("converter", CONVERTERS)
@pytest.mark.parametrize("layout", [two_columns, uneven, banded, three_columns, numbered, noted])
def test_columns_are_read_in_order(layout: Any, converter: Converter, tmp_path: Path) -> None:
    setter = Setter(tmp_path / "paper.pdf", seed=len(layout.__name__))
    layout(setter)
    setter.canvas.save()
    assert read_words(tmp_path / "paper.pdf", converter, setter.written) == setter.written


def beside_a_summary(setter: Setter) -> None:
    """An article's dates and keywords beside its summary, below a wide title and above two columns."""
    top = setter.wide(740, 2, 14) - 30
    for number, heading in ((54, "ARTICLE INFO"), (220, "SUMMARY")):
        setter.canvas.drawString(number, top + 14, heading)
    for number in range(9):
        setter.canvas.setFont(ITALIC if number in (0, 4) else ROMAN, 8)
        word = next(setter.words)
        setter.canvas.drawString(54, top - 10 * number, f"{word} {1990 + number}")
        setter.written.append(word)
    top = setter.column(220, top, 338, 14, 9, 10.5) - 24
    for left in (54.0, 315.0):
        setter.column(left, top, 243, 34)
    setter.canvas.showPage()


def beside_the_text(setter: Setter) -> None:
    """A column of an article's dates and addresses at the left of its text."""
    for number in range(12):
        setter.canvas.setFont(ROMAN, 7)
        pair = [next(setter.words), next(setter.words)]
        setter.canvas.drawString(40, 500 - 8 * number, " ".join(pair))
        setter.written += pair
    setter.column(170, 700, 390, 50)
    setter.canvas.showPage()


@pytest.mark.parametrize("converter", CONVERTERS)
@pytest.mark.parametrize("layout", [beside_a_summary, beside_the_text])
def test_a_narrow_column_beside_a_wide_one_is_read_by_itself(layout: Any, converter: Converter, tmp_path: Path) -> None:
    setter = Setter(tmp_path / "paper.pdf", seed=7)
    layout(setter)
    setter.canvas.save()
    text = " ".join(convert(tmp_path / "paper.pdf", converter))
    told = "".join(one if one.isalpha() else " " for one in text).split()
    known = set(setter.written)
    kept = [word for word in told if word in known]
    if layout is beside_the_text:  # what stands above the narrow column is read before it
        narrow = setter.written[:24]
        place = kept.index(narrow[0])
        assert kept[place : place + 24] == narrow
        kept = kept[:place] + kept[place + 24 :]
        assert kept == setter.written[24:]
    else:
        assert kept == setter.written


@pytest.mark.parametrize("converter", CONVERTERS)
def test_fractions_are_said_and_indices_under_exponents_are_none(converter: Converter, tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "paper.pdf"), pagesize=(WIDTH, HEIGHT))
    prose(canvas, 3, lines=12)
    cases = [("about ", "1", "4", " of it"), ("some 2", "3", "16", " turns"), ("at 12", "1", "2", "-inch steps")]
    cases += [("of x", "2", "1", " and of"), ("the ", "14", "6", "C nucleus"), ("an SO", "2-", "4", " ion in")]
    for number, (before, over, under, after) in enumerate(cases):
        base, place = 500 - 13 * number, 72 + stringWidth(before, ROMAN, 10)
        canvas.setFont(ROMAN, 10)
        canvas.drawString(72, base, before)
        canvas.setFont(ROMAN, 6)
        canvas.drawString(place + 0.5, base + 4, over)
        canvas.drawString(place + 0.5, base - 2.4, under)
        canvas.setFont(ROMAN, 10)
        ends = place + 0.7 + max(stringWidth(over, ROMAN, 6), stringWidth(under, ROMAN, 6))
        canvas.drawString(ends, base, after)
    canvas.save()
    told = " ".join(" ".join(convert(tmp_path / "paper.pdf", converter)).split())
    assert "about 1/4 of it some 2 3/16 turns at 12 1/2-inch steps" in told
    assert "x_1^2 and of" in told and "SO_4^2- ion" in told and "14/6" not in told


def raised(canvas: Canvas, left: float, base: float, text: str) -> None:
    """A line of text in which ^ raises and _ lowers what follows up to a space or the next sign."""
    size, rise, place = 10.0, 0.0, left
    for letter in text:
        if letter in "^_ ":
            size, rise = {"^": (6.5, 3.6), "_": (6.5, -1.8), " ": (10.0, 0.0)}[letter]
        if letter not in "^_":
            canvas.setFont(ROMAN, size)
            canvas.drawString(place, base + rise, letter)
            place += stringWidth(letter, ROMAN, size)


@pytest.mark.parametrize("converter", CONVERTERS)
def test_exponents_and_indices_keep_their_meaning(converter: Converter, tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "paper.pdf"), pagesize=(WIDTH, HEIGHT))
    lines = [
        "The toughness of the silk is 1.6 x 10^8 J m^-3 and its stiffness 10^10 Pa as was shown before.^12",
        "Cells are 10^-5 m wide and hold CO_2 and x_i and 21^st century words and an isotope ^13 C here,^3,4",
        "then the rate was 3.2^a of the old one and the 20^th sample weighed 5 kg in the end of the test.",
    ]
    for number, line in enumerate(lines):
        raised(canvas, 72, 700 - 13 * number, line)
    canvas.save()
    told = " ".join(" ".join(convert(tmp_path / "paper.pdf", converter)).split())
    assert "1.6 x 10^8 J m^-3 and its stiffness 10^10 Pa as was shown before. Cells are 10^-5 m wide" in told
    assert "hold CO_2 and x_i and 21st century" in told and "^13 C here, then" in told
    assert "3.2^a of the old one and the 20th sample" in told


def prose(canvas: Canvas, seed: int, left: float = 72, top: float = 700, lines: int = 30) -> list[str]:
    """Lines of made-up prose in one column."""
    source = words(seed)
    written = []
    canvas.setFont(ROMAN, 10)
    for number in range(lines):
        line = [next(source) for _ in range(11)]
        canvas.drawString(left, top - 13 * number, " ".join(line))
        written += line
    return written


@pytest.mark.parametrize("converter", CONVERTERS)
@pytest.mark.parametrize("origin", [(0, 0), (-300, 1200)])
def test_what_stands_in_the_margins_is_no_prose(converter: Converter, origin: tuple[int, int], tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "paper.pdf"), pagesize=(WIDTH, HEIGHT))
    written = []
    for page in range(4):
        canvas.setCropBox((origin[0] + 20, origin[1] + 20, origin[0] + 592, origin[1] + 772))
        canvas.translate(*origin)
        written += prose(canvas, 100 + page)
        canvas.setFont(ROMAN, 8)
        canvas.drawString(72, 745, f"Journal of Things {page + 12}" if page % 2 else "A. Author and others")
        canvas.drawString(300, 40, f"- {page + 7} -")
        canvas.drawString(200, 30, "Downloaded from a library on Monday, for personal use alone")
        canvas.drawString(5, 5, "outside of what is shown")
        canvas.saveState()
        canvas.rotate(90)
        canvas.setFont(ROMAN, 20)
        canvas.drawString(250, -36, "arXiv:2401.01234v2 [cond-mat.soft] 3 Jan 2024")
        canvas.restoreState()
        canvas.saveState()
        canvas.translate(150, 250)
        canvas.rotate(45)
        canvas.setFont(ROMAN, 60)
        canvas.drawString(0, 0, "CONFIDENTIAL DRAFT")
        canvas.restoreState()
        canvas.showPage()
    canvas.save()
    if origin != (0, 0):
        moved(tmp_path / "paper.pdf", origin)
    text = " ".join(
        text for part in sections(convert(tmp_path / "paper.pdf", converter)) for _, text in part.paragraphs
    )
    assert text.split() == written


def moved(path: Path, origin: tuple[int, int]) -> None:
    """Move a PDF's media box to where its pages were drawn."""
    import pypdfium2 as pdfium

    with pdfium.PdfDocument(path.read_bytes()) as document:
        for page in document:
            page.set_mediabox(origin[0], origin[1], origin[0] + WIDTH, origin[1] + HEIGHT)
        document.save(path)


@pytest.mark.parametrize("converter", CONVERTERS)
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_turned_page_is_read_along_its_lines(converter: Converter, turn: int, tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "paper.pdf"), pagesize=(800, 800))
    canvas.setPageRotation(turn)
    canvas.translate(400, 400)
    canvas.rotate(turn)
    canvas.translate(-300, -300)
    written = prose(canvas, turn, 60, 560)
    canvas.save()
    text = " ".join(
        text for part in sections(convert(tmp_path / "paper.pdf", converter)) for _, text in part.paragraphs
    )
    assert text.split() == written


def test_scanned_pages_behind_a_cover_are_named(tmp_path: Path) -> None:
    scan = tmp_path / "scan.png"
    Image.new("L", (300, 400), 200).save(scan)
    canvas = Canvas(str(tmp_path / "paper.pdf"), pagesize=(WIDTH, HEIGHT))
    prose(canvas, 1)
    canvas.showPage()
    for page in (2, 3, 4, 5, 6):
        if page == 4:
            prose(canvas, page)
        elif page != 6:
            canvas.drawImage(str(scan), 0, 0, WIDTH, HEIGHT)
        canvas.setFont(ROMAN, 8)
        canvas.drawString(72, 30, "This content was downloaded from an archive; all use is subject to its terms")
        canvas.showPage()
    canvas.save()
    said: list[str] = []
    report = main(
        CorpusConfig(inputs=(tmp_path / "paper.pdf",), languages=()),
        tmp_path / "out",
        tmp_path,
        lambda event: said.append(event.text) if isinstance(event, Remark) else None,
    )
    [told] = report.unread.values()
    assert told.startswith("3 of 6 pages hold no text (2-3, 5)")
    assert len(said) == 1 and said[0].endswith(told) and "marker" in told
    kept = json.loads((tmp_path / "out" / "report.json").read_text())
    assert kept["unread"] == report.unread
    assert without_text(["Silk."]) == ""

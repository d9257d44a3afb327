"""Markdown as converters leave it to clean prose, in passages. Knows text; not where it came from, nor if it is good.

What is mended here: words torn at a line's end or by a converter, lines into paragraphs, paragraphs over a page's end
and over the notes below it. What is cut: reference lists, tables, equations, captions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipelines.corpus.characters import plain

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_TORN = re.compile(r"(?<!\w)([^\W\d_]{2,})- ([a-zà-ÿ]+-?)")
_HEADING = re.compile(r"#{1,6}\s+(.*)")
_NUMBERED = re.compile(r"^(\d+(\.\d+)*[.)]?|[IVX]+[.)]|[A-H][.)])\s+")
_NOTE = re.compile(r"\[\^[^\]\s]*\]:\s*")
_LAST = re.compile(
    r"(references?( and notes)?|bibliography|literature( cited)?|works cited|acknowledge?ments?|author contributions?|"
    r"funding|competing interests?|conflicts? of interest|supplementary (information|materials?)|data availability)",
    re.I,
)
_NAMES = (
    r"((supp(lementary|lemental|l|\.)?|supporting|extended data|online|appendix|additional)\.?\s+(information\s+)?)?"
    r"((fig(ure)?|table|tab|scheme|box|plate|chart|graph|photo|video|movie|audio|algorithm|listing|exhibit)s?|"
    r"abb(ildung)?|tabelle|tableau|figura|tabla|schema|kasten)"
)
_NUMBER = r"(?-i:[A-Z]{0,2}[.-]?\d{1,3}([.-]\d{1,3})?[a-zA-Z]?|[IVXLC]{1,7}|[A-Z]\d?)"
_LABEL = re.compile(rf"[*_#>\s]*{_NAMES}\.?[*_]*\s*{_NUMBER}(\s*(,|&|and|\u2013|-)\s*{_NUMBER})*\b", re.I)
_BEGINS = re.compile(r"\s*[.:|\u2013\u2014\u00b7-]|\s*\(|\s+[*_\"'\u201c\u2018]?[A-Z\d\u0391-\u03c9]")
_TOLD = (
    "shows? showed depicts? presents? illustrates? gives? lists? summari[sz]es? displays? compares? plots? reports? "
    "demonstrates? indicates? reveals? provides? describes? represents? reproduces? suggests? confirms? contains? "
    "includes? explains? outlines? highlights? is are was were has have had can may also and or to in of for from that "
    "which where as by with"
)
_RUNNING = re.compile(
    rf"(\s*\(?[a-z]?([,\u2013-]\s?[a-z])*\)?)?,?\s+(further\s+|clearly\s+)?({_TOLD.replace(' ', '|')})\b"
)
_ENTRY = re.compile(r"^(\[\d+\]|\d{1,3}\.)\s+\S.*\b(19|20)\d\d\b")
_WIDE = r"[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uff60]"
_CLOSING = r"[\u201d\u2019\u300d\u300f)\uff09]"
_SENTENCE = re.compile(
    r"(?<=[.!?])(?:\^\d[\d,\u2013-]*)?[\"')\]]*\s+(?=[A-Z\u00c0-\u00d6\u00d8-\u00de\"'(\[])|"
    rf"(?:(?<=\u3002)|(?<=\u3002{_CLOSING})|(?<={_WIDE}[!?])|(?<={_WIDE}[!?]{_CLOSING}))(?!{_CLOSING})\s*"
)
_END = re.compile(rf"[.:\u3002]$|{_WIDE}[!?]$")
_SHORT_FORMS = (
    "e.g.",
    "i.e.",
    "et al.",
    "fig.",
    "figs.",
    "eq.",
    "ref.",
    "refs.",
    "vs.",
    "ca.",
    "approx.",
    "dr.",
    "no.",
)
_FIRST_HALVES = (
    "over",
    "under",
    "with",
    "some",
    "there",
    "where",
    "after",
    "inter",
    "super",
    "back",
    "down",
    "through",
)
_AND = ("and", "or", "to")
_WITHIN = (*_AND, "of", "in", "on", "by", "up", "the", "a")  # of compounds: end-to-end, state-of-the-art
_HYPHENED = ("self", "well", "quasi", "high", "low", "large", "small", "single", "double")
_ENDINGS = ("er", "est", "ly", "ing", "ish", "ness", "light", "land")
_FEWEST, _MOST = 60, 300
_LONGEST = 100  # letters of a word


@dataclass(frozen=True)
class Section:
    """Prose under a heading, as (page, paragraph) pairs; pages count from 1."""

    heading: str
    paragraphs: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Span:
    """A passage's text, the heading it stands under and the page it begins on."""

    text: str
    heading: str
    page: int


def vocabulary(texts: Iterable[str]) -> set[str]:
    """Every word that stands whole somewhere in a document, in small letters."""
    found: set[str] = set()
    for text in texts:
        torn = False
        for line in text.split("\n"):
            words = _WORD.findall(_TORN.sub(" ", line))
            torn, before = line.rstrip().endswith("-"), torn
            found.update(word.lower() for word in words[before : len(words) - torn])
    return found


def joined(lines: Sequence[str], known: set[str]) -> str:
    """Lines as one; a word torn at a line's end is put together, with its hyphen if the document knows it so."""
    parts: list[str] = []
    end = ""  # of the text so far: what a torn word's head lies in
    for line in (line.strip() for line in lines):
        if len(end) > 1 and end[-1] == "-" and end[-2].isalpha() and line[:1].islower():
            head = re.split(r"[\s(]", end)[-1][:-1]
            tail = re.match(r"[^\W\d_]+-?", line)
            parts[-1], end = parts[-1][:-1], end[:-1]
            line = _seam(head, tail.group() if tail else "", known) + line
        elif end and not _hyphened(end, line) and not re.match(rf"{_WIDE}\n{_WIDE}", f"{end[-1]}\n{line}"):
            line = " " + line
        parts.append(line)
        end = (end + line)[-_LONGEST:]
    return "".join(parts)


def _hyphened(end: str, line: str) -> bool:
    """Whether a number ends a line with a hyphen or a dash that goes on: "10-", "20" and "3-", "dimensional"."""
    goes_on = re.match(r"[^\W_]+", line)
    if not re.search(r"\d[-\u2013]$", end) or goes_on is None or goes_on.group() in _AND:
        return False
    return line[0].isdigit() or (end[-1] == "-" and line[0].islower())


def _seam(head: str, tail: str, known: set[str]) -> str:
    """What stands between the halves of a torn word: nothing, or the hyphen that it always had."""
    if tail.rstrip("-") in _WITHIN and tail.endswith("-"):
        return "-"
    tail = tail.rstrip("-")
    if tail in _AND:
        return "- "
    whole, parted = (head + tail).lower(), (head + "-" + tail).lower()
    if whole in known:
        return ""
    if parted in known or len(head) == 1 or (head.isupper() and len(head) > 1) or head[-1:].isdigit():
        return "-"
    if head.lower().split("-")[-1] in _HYPHENED and not tail.startswith(_ENDINGS):
        return "-"
    words = len(head) > 3 and len(tail) > 3 and head.lower() not in _FIRST_HALVES
    return "-" if words and head.lower() in known and tail.lower() in known else ""


def mended(text: str, known: set[str]) -> str:
    """Put words together that a converter tore apart ("crys- tals"), where the document or their shape tells so."""

    def whole(found: re.Match[str]) -> str:
        head, tail = found.groups()
        if tail in _AND:
            return found.group()
        return head + _seam(head, tail, known) + tail

    return _TORN.sub(whole, text)


def sections(pages: Sequence[str]) -> list[Section]:
    """A document's prose by heading, up to its references."""
    pages = [plain(page) for page in pages]
    known = vocabulary(pages)
    made: list[tuple[str, list[_Paragraph]]] = [("", [])]
    for number, page in enumerate(pages, 1):
        for block in re.split(r"\n\s*\n", page):
            heading = _HEADING.fullmatch(" ".join(block.split()))
            if heading:
                made.append((_NUMBERED.sub("", heading.group(1)).strip(), []))
            elif not _furnishing(block):
                text = mended(joined(_NOTE.sub("", block).split("\n"), known), known)
                _add(made[-1][1], _Paragraph(number, [text], note=bool(_NOTE.match(block))))
    kept = []
    for title, paragraphs in made:
        if _LAST.fullmatch(title.strip(" :.")):
            continue
        whole = ((one.page, joined(one.parts, known)) for one in paragraphs)
        prose = tuple((page, text) for page, text in whole if not _ENTRY.match(text))
        if prose:
            kept.append(Section(title, prose))
    return kept


@dataclass
class _Paragraph:
    """A paragraph in the parts that columns and pages cut it into."""

    page: int
    parts: list[str]
    note: bool = False


def _add(paragraphs: list[_Paragraph], one: _Paragraph) -> None:
    """Add a paragraph, or what goes on of one that a column or a page cut, whatever notes stand between."""
    [text] = one.parts
    if not text:
        return
    before = next((other for other in reversed(paragraphs) if not other.note), None)
    if before and not one.note and text[0].islower() and not before.parts[-1].endswith((".", "?", "!", ":")):
        before.parts.append(text)
    else:
        paragraphs.append(one)


def _caption(text: str) -> bool:
    """Whether a block is a caption rather than a sentence that begins with a figure's name."""
    label = _LABEL.match(text)
    if label is None or _RUNNING.match(text, label.end()):
        return False
    rest = text[label.end() :].lstrip("*_")
    return not rest.strip() or bool(
        re.match(r"\s*[.:|\u2013\u2014\u00b7-]|\s*\(|\s+[*_\"'\u201c\u2018]?[A-Z\d\u0391-\u03c9]", rest)
    )


def _furnishing(block: str) -> bool:
    """Whether a block is no prose: a table, an equation, a caption, a list of sources."""
    text = " ".join(block.split())
    if not text or text.startswith(("|", "![", "$$", "```", "<")) or _caption(text):
        return True
    letters = sum(one.isalpha() or one.isspace() for one in text)
    return letters < 0.7 * len(text) or (len(text.split()) < 5 and not _END.search(text))


def sentences(text: str) -> list[str]:
    """A paragraph's sentences; short forms such as "et al." end none."""
    made: list[list[str]] = []
    for part in _SENTENCE.split(text):
        before = made[-1][-1] if made else ""
        if before.lower().endswith(_SHORT_FORMS) or re.search(r"\b[A-Z]\.$", before):
            made[-1].append(part)
        else:
            made.append([part])
    return [one for parts in made if (one := " ".join(parts).strip())]


def spans(parts: Iterable[Section], most: int = _MOST) -> Iterator[Span]:
    """Passages of whole sentences, of at most so many words, none over a heading."""
    for section in parts:
        held: list[tuple[int, str]] = []
        rest = [(page, one) for page, paragraph in section.paragraphs for one in sentences(paragraph)]
        total = sum(len(one.split()) for _, one in rest)
        share = total / max(1, -(-total // most))  # passages of a section are of like length
        count = 0
        for page, sentence in rest:
            words = len(sentence.split())
            if held and (count + words > most or count + words / 2 > share):
                yield _span(held, section.heading)
                held, count = [], 0
            held.append((page, sentence))
            count += words
        if held:
            yield _span(held, section.heading)


def _span(held: Sequence[tuple[int, str]], heading: str) -> Span:
    return Span(" ".join(text for _, text in held), heading, held[0][0])

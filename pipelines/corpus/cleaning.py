"""Markdown as converters leave it to clean prose, in passages. Knows text; not where it came from, nor if it is good.

What is mended here: ligatures and compatibility letters, words torn at a line's end or by a converter, lines into
paragraphs, paragraphs over a page's end. What is cut: reference lists, tables, equations, captions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_TORN = re.compile(r"(?<!\w)([^\W\d_]{2,})- ([a-zà-ÿ]+)")
_HEADING = re.compile(r"#{1,6}\s+(.*)")
_NUMBERED = re.compile(r"^(\d+(\.\d+)*[.)]?|[IVX]+[.)]|[A-H][.)])\s+")
_LAST = re.compile(
    r"(references?( and notes)?|bibliography|literature( cited)?|works cited|acknowledge?ments?|author contributions?|"
    r"funding|competing interests?|conflicts? of interest|supplementary (information|materials?)|data availability)",
    re.I,
)
_CAPTION = re.compile(r"(fig(ure)?|table|scheme)\.?\s*\d+[.:|]", re.I)
_ENTRY = re.compile(r"^(\[\d+\]|\d{1,3}\.)\s+\S.*\b(19|20)\d\d\b")
_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[A-Z\"'(\[])")
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
_AND = ("and", "or", "to")
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


def plain(text: str) -> str:
    """Compatibility letters in their usual form, no soft hyphens or control characters, one kind of space."""
    usual = unicodedata.normalize("NFKC", text.replace("\u00ad", ""))
    usual = "".join(one for one in usual if one in "\n\t" or unicodedata.category(one) != "Cc")
    return re.sub(r"[^\S\n]+", " ", usual)


def vocabulary(texts: Iterable[str]) -> set[str]:
    """Every word that stands whole somewhere in a document, in small letters."""
    return {word.lower() for text in texts for line in text.split("\n") for word in _whole(line)}


def _whole(line: str) -> list[str]:
    words = _WORD.findall(line)
    return words[:-1] if line.rstrip().endswith("-") else words


def joined(lines: Sequence[str], known: set[str]) -> str:
    """Lines as one; a word torn at a line's end is put together, with its hyphen if the document knows it so."""
    parts: list[str] = []
    end = ""  # of the text so far: what a torn word's head lies in
    for line in (line.strip() for line in lines):
        if len(end) > 1 and end[-1] == "-" and end[-2].isalpha() and line[:1].islower():
            head = re.split(r"[\s(]", end)[-1][:-1]
            tail = re.match(r"[^\W\d_]+", line)
            parts[-1], end = parts[-1][:-1], end[:-1]
            line = _seam(head, tail.group() if tail else "", known) + line
        elif end:
            line = " " + line
        parts.append(line)
        end = (end + line)[-_LONGEST:]
    return "".join(parts)


def _seam(head: str, tail: str, known: set[str]) -> str:
    """What stands between the halves of a torn word: nothing, or the hyphen that it always had."""
    if tail in _AND:
        return "- "
    return "-" if (head + "-" + tail).lower() in known and (head + tail).lower() not in known else ""


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
    made: list[tuple[str, list[tuple[int, list[str]]]]] = [("", [])]
    for number, page in enumerate(pages, 1):
        for block in re.split(r"\n\s*\n", page):
            heading = _HEADING.fullmatch(" ".join(block.split()))
            if heading:
                made.append((_NUMBERED.sub("", heading.group(1)).strip(), []))
            elif not _furnishing(block):
                _add(made[-1][1], number, mended(joined(block.split("\n"), known), known))
    kept = []
    for title, paragraphs in made:
        if _LAST.fullmatch(title.strip(" :.")):
            continue
        whole = ((page, joined(parts, known)) for page, parts in paragraphs)
        prose = tuple((page, text) for page, text in whole if not _ENTRY.match(text))
        if prose:
            kept.append(Section(title, prose))
    return kept


def _add(paragraphs: list[tuple[int, list[str]]], page: int, text: str) -> None:
    """Add a paragraph, or what goes on of one that a column or a page cut."""
    if not text:
        return
    if paragraphs and text[0].islower() and not paragraphs[-1][1][-1].endswith((".", "?", "!", ":")):
        paragraphs[-1][1].append(text)
    else:
        paragraphs.append((page, [text]))


def _furnishing(block: str) -> bool:
    """Whether a block is no prose: a table, an equation, a caption, a list of sources."""
    text = " ".join(block.split())
    if not text or text.startswith(("|", "![", "$$", "```", "<")) or _CAPTION.match(text):
        return True
    letters = sum(one.isalpha() or one.isspace() for one in text)
    return letters < 0.7 * len(text) or (len(text.split()) < 5 and not text.endswith((".", ":")))


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

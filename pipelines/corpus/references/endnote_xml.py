"""EndNote's XML export, record by record."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from pipelines.corpus.references.entry import Bad, Entry

_MOST_DEPTH = 100


def from_xml(text: str, bad: Bad) -> Iterator[Entry]:
    """Every record; entities of a document's own are not read."""
    counted, line = 0, 1
    for start, stop in _records(text):
        line, counted = line + text.count("\n", counted, start), start
        try:
            record = ElementTree.fromstring(text[start:stop])
        except ElementTree.ParseError as fault:
            bad(line, "", f"it is no readable XML ({fault.msg})")
            continue
        if _depth(record) > _MOST_DEPTH:
            bad(line, "", f"it is nested deeper than {_MOST_DEPTH}")
            continue
        urls = [text for part in ("urls/related-urls/url", "urls/web-urls/url") for text in _texts(record, part)]
        yield Entry(
            line,
            next(iter(_texts(record, "rec-number")), ""),
            {
                "title": tuple(_texts(record, "titles/title")),
                "doi": (*_texts(record, "electronic-resource-num"), *urls),
                "year": tuple(_texts(record, "dates/year")),
                "file": tuple(_texts(record, "urls/pdf-urls/url")),
            },
        )


def _records(text: str) -> Iterator[tuple[int, int]]:
    """Where each record begins and ends."""
    start, end = text.find("<record>"), "</record>"
    while start >= 0 and (stop := text.find(end, start)) >= 0:
        yield start, stop + len(end)
        start = text.find("<record>", stop)


def _depth(one: ElementTree.Element) -> int:
    depth, level = 0, [one]
    while level:
        depth, level = depth + 1, [part for each in level for part in each]
    return depth


def _texts(record: ElementTree.Element, path: str) -> list[str]:
    return [_text(one) for one in record.iterfind(path)]


def _text(one: ElementTree.Element) -> str:
    """An element's text; what is raised or lowered keeps its mark."""
    face = one.get("face", "")
    mark = "^" if "superscript" in face else "_" if "subscript" in face else ""
    return mark + (one.text or "") + "".join(_text(part) + (part.tail or "") for part in one)

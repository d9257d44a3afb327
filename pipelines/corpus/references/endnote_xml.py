"""EndNote's XML export, record by record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from pipelines.corpus.references.entry import Bad, Entry

_RECORD = re.compile(r"<record>.*?</record>", re.S)


def from_xml(text: str, bad: Bad) -> Iterator[Entry]:
    """Every record; entities of a document's own are not read."""
    counted, line = 0, 1
    for found in _RECORD.finditer(text):
        line, counted = line + text.count("\n", counted, found.start()), found.start()
        try:
            record = ElementTree.fromstring(found[0])
        except ElementTree.ParseError as fault:
            bad(line, "", f"it is no readable XML ({fault.msg})")
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


def _texts(record: ElementTree.Element, path: str) -> list[str]:
    return [_text(one) for one in record.iterfind(path)]


def _text(one: ElementTree.Element) -> str:
    """An element's text; what is raised or lowered keeps its mark."""
    face = one.get("face", "")
    mark = "^" if "superscript" in face else "_" if "subscript" in face else ""
    return mark + (one.text or "") + "".join(_text(part) + (part.tail or "") for part in one)

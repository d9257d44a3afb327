"""Titles, DOIs, years and files of references as plain text: LaTeX, HTML and MathML read, no digit changed.

What stands raised or lowered is written `10^8` and `H_2O`, as in the corpus.
"""

from __future__ import annotations

import html
import re
import unicodedata
from urllib.parse import unquote

from pipelines.corpus.references.latex import unlatexed

_LONGEST = 10_000  # letters of a title, tags and all
_DOI = re.compile(r"10\.\d{4,9}(?:\.\d+){0,9}/\S{1,2000}", re.I)
_YEAR = re.compile(r"(?<!\d)(1[5-9]\d\d|20\d\d)")
_PDF = re.compile(r"((?:(?<![A-Za-z])[A-Za-z]:)?[^:;{}]+\.pdf)(?=$|[:;}])", re.I)
_PAGES = re.compile(r"/(?:full|abstract|pdf|epdf|fulltext|full/html|meta|summary|html)$|\.pdf$", re.I)

_HTML = r"[ib]|em|strong|su[bp]|inf|scp?|span|[up]|tt|br|font|small|big|italic|bold"
_XML = r"jats:\w+|mml:\w+|math|m(?:[ion]|row|text)"
_TAGS = re.compile(rf"</?(?:{_HTML}|{_XML})(?:\s[^<>]*)?/?>", re.I)
_RAISED = re.compile(r"<(sup|sub|inf)(?:\s[^<>]*)?>\s*(.*?)\s*</\1>", re.I | re.S)
_SCRIPTS = re.compile(
    r"<(?:mml:)?m(sup|sub)(?:\s[^<>]*)?>\s*(<((?:mml:)?\w+)[^<>]*>[^<>]*</\3>)\s*(.*?)\s*</(?:mml:)?m\1>", re.I | re.S
)


def title_of(text: str, latex: bool = False) -> str:
    """A title in plain letters; empty if it is far too long to be one.

    Args:
        text: As a list has it, perhaps with tags and entities.
        latex: Whether its commands are LaTeX's too.
    """
    if len(text) > _LONGEST:
        return ""
    made = unlatexed(text) if latex else text
    made = html.unescape(html.unescape(made))
    made = _SCRIPTS.sub(lambda found: f"{found[2]}{_mark(found[1])}{found[4]}", made)
    made = _RAISED.sub(lambda found: _mark(found[1]) + found[2], made)
    return unicodedata.normalize("NFC", " ".join(_TAGS.sub("", made).split()))


def _mark(name: str) -> str:
    return "^" if name.lower() == "sup" else "_"


def doi_of(*texts: str, latex: bool = False) -> str:
    """The first DOI that stands in one of the texts, in small letters; empty if none does."""
    for text in texts:
        made = html.unescape(html.unescape(unlatexed(text, prose=False) if latex else text))
        made = unquote(made) if re.search("10\\.\\d{4,9}%2f", made, re.I) else made
        if found := _DOI.search(made):
            return _without_end(found[0], "://" in made[: found.start()]).lower()
    return ""


def _without_end(doi: str, address: bool) -> str:
    """A DOI without what follows it: an address's query and page, points, brackets that it does not open."""
    if address:
        doi = _PAGES.sub("", re.split(r"[?#]", doi)[0])
    while doi and (doi[-1] in ".,;:'\"" or (doi[-1] in ")]}>" and doi.count(doi[-1]) > doi.count(_OPENS[doi[-1]]))):
        doi = doi[:-1]
    return doi


_OPENS = {")": "(", "]": "[", "}": "{", ">": "<"}


def year_of(*texts: str) -> str:
    """The first year that stands in one of the texts; empty if none does."""
    return next((found[1] for text in texts if (found := _YEAR.search(text))), "")


def file_of(text: str) -> str:
    """The first PDF among a reference's attachments, else what is named there."""
    made = re.sub(r"\$?\\backslash\$?", "/", text).replace("\\\\", "/").replace("\\:", ":").replace("\\_", "_")
    found = _PDF.search(made)
    name = found[1] if found else made
    return name.strip().removeprefix("internal-pdf://").removeprefix("file://")

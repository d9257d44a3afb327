"""Which paper of a list a file is: by the file that the list names, by its DOI, or by its title."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PureWindowsPath

from pipelines.corpus.references.lists import Reference

ALIKE = 0.9
"""From which likeness on titles are the same."""

_FIRST = 3  # blocks of a page that may be its title without being a heading
_START, _WORDS = 2000, 5  # letters of a page in which a title of so many words may stand whole


def bare(title: str) -> str:
    """A title's words alone, in small letters."""
    return " ".join(re.findall(r"[^\W_]+", title.lower().replace("^", "").replace("_", "")))


def _numbers(title: str) -> list[str]:
    """What tells the parts of a series apart."""
    return re.findall(r"\d+|\b[ivx]+\b", title)


def likeness(one: str, other: str) -> float:
    """How alike two bare titles are; titles with other numbers are not."""
    if not one or not other or _numbers(one) != _numbers(other):
        return 0.0
    if one == other:
        return 1.0
    pair = difflib.SequenceMatcher(None, one, other)
    quick = min(pair.real_quick_ratio(), pair.quick_ratio())
    return pair.ratio() if quick >= ALIKE else 0.0


def match(path: Path, page: str, references: Iterable[Reference]) -> Reference | None:
    """The reference that a file is: named by the list, named by its DOI, with its title, or with its DOI on page one.

    Args:
        path: The file.
        page: Its first page, as Markdown.
        references: The papers of the lists.
    """
    known = list(references)
    stem = re.sub(r"[^a-z0-9]+", "", path.stem.lower())
    for one in known:
        if one.file and PureWindowsPath(one.file).name == path.name:
            return one
    for one in known:
        if one.doi and stem == re.sub(r"[^a-z0-9]+", "", one.doi):
            return one
    return _titled(page, known) or _numbered(page, known)


def _titled(page: str, known: Sequence[Reference]) -> Reference | None:
    """The reference whose title is most like a heading, or stands whole at the beginning."""
    blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n", page) if block.strip()]
    headings = [block for block in blocks if block.startswith("#")]
    wanted = [bare(one) for one in (*headings, *blocks[:_FIRST])]
    best, found = 0.0, None
    for one in known:
        alike = max((likeness(title, bare(one.title)) for title in wanted), default=0.0)
        if alike >= ALIKE and alike > best:
            best, found = alike, one
    if found:
        return found
    start = f" {bare(page[:_START])} "
    within = [one for one in known if len(bare(one.title).split()) >= _WORDS and f" {bare(one.title)} " in start]
    return max(within, key=lambda one: len(one.title), default=None)


def _numbered(page: str, known: Sequence[Reference]) -> Reference | None:
    """The one reference whose DOI the first page bears."""
    text = page.lower()
    borne = [one for one in known if one.doi and re.search(re.escape(one.doi) + r"(?![\w/]|[.-]\w)", text)]
    return borne[0] if len(borne) == 1 else None


def distinct(references: Iterable[Reference]) -> list[Reference]:
    """The papers of several lists, each once: by its DOI, else by its title; what one list lacks another gives."""
    found: list[Reference] = []
    places: dict[str, int] = {}
    for one in references:
        names = [name for name in (one.doi, bare(one.title)) if name]
        place = next((places[name] for name in names if name in places), len(found))
        if place < len(found) and found[place].doi and one.doi and found[place].doi != one.doi:
            place = len(found)  # papers of one title
        if place == len(found):
            found.append(one)
        else:
            held = found[place]
            found[place] = Reference(**{name: getattr(held, name) or value for name, value in one})
        for name in names:
            places.setdefault(name, place)
    return found

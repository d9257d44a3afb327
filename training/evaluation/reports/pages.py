"""A report's sections as one HTML page that needs nothing else, and as Markdown. Knows sections, no statistics.

The page runs no scripts and loads nothing: figures are in it as data, and a policy in its head forbids all else. Every
value is escaped by the environment, in HTML as in Markdown.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from training.evaluation.reports.shapes import Picture

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"
_MARKS = re.compile(r"([\\`*_{}\[\]|#~])")


class Column(NamedTuple):
    """A column's head, and whether it holds numbers."""

    title: str
    number: bool = False


class Table(NamedTuple):
    """A table of words."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    note: str = ""


class Listing(NamedTuple):
    """A text that is shown as it is."""

    title: str
    text: str


class Section(NamedTuple):
    """A part of the page."""

    name: str
    title: str
    texts: Sequence[str] = ()
    points: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    listings: Sequence[Listing] = ()


class _Fenced(str):
    """Markdown that is not escaped again."""


def fenced(text: str) -> str:
    """A text as a block of code, with a fence longer than any in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return _Fenced(f"{fence}\n{text.rstrip()}\n{fence}")


def escaped(value: object) -> object:
    """A value as plain words of Markdown: nothing in it is a mark, a tag, a cell's end or a line's."""
    if isinstance(value, _Fenced):
        return value
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(r"\\\1", text)


@cache
def _environment(markdown: bool) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=not markdown,
        finalize=escaped if markdown else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["fenced"] = fenced
    return made


def html(title: str, sections: Sequence[Section], drawn: Mapping[str, bytes]) -> str:
    """The page.

    Args:
        title: Of the report.
        sections: In order.
        drawn: SVG of every picture in them, by name.
    """
    pictures = {name: base64.b64encode(svg).decode() for name, svg in drawn.items()}
    template = _environment(False).get_template("report.html.j2")
    return template.render(title=title, sections=sections, drawn=pictures)


def markdown(title: str, sections: Sequence[Section]) -> str:
    """The same in Markdown, with figures beside it."""
    return _environment(True).get_template("report.md.j2").render(title=title, sections=sections)

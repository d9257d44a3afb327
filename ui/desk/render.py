"""HTML from the templates beside this file. Knows Jinja and Markdown; nothing of runs.

The environment escapes every value. Only what `prose` made of a model's Markdown is marked as safe, and the parts that
``run.html`` puts together, which templates made. Markdown is read with raw HTML, links and images switched off. A value
that a template lacks is an error.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

TEMPLATES = Path(__file__).parent / "templates"
KEPT_TEXTS = 256


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    rules = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table")
    return rules.disable(["image", "link", "autolink", "reference", "html_block", "html_inline"])


@lru_cache(maxsize=KEPT_TEXTS)
def prose(text: str) -> str:
    """Render a model's text: its Markdown as HTML, everything else escaped."""
    return str(_markdown().render(text))


def segment(name: str) -> str:
    """Quote a name so that it is one part of a URL's path, or one value of its query."""
    return quote(name, safe="")


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {"prose": prose, "segment": segment}
    return made


def render(name: str, /, **values: Any) -> str:
    """Render the template ``templates/NAME.html`` with these values."""
    return _environment().get_template(f"{name}.html").render(values)

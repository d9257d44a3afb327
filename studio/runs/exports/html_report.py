"""A run as one page of HTML that loads nothing: pictures and styles inside, no script. Knows Jinja and Markdown.

The environment escapes every value; the conversation's Markdown is read with HTML, links and pictures switched off.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.runs.exports.sheet import Sheet

TEMPLATES = Path(__file__).parent / "templates"


def html_report(sheet: Sheet) -> bytes:
    """Write a report as a page of HTML.

    Args:
        sheet: What it says.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["base64"] = lambda content: base64.b64encode(content).decode("ascii")
    page = made.get_template("report.html").render(
        sheet=sheet, conversation=_prose(sheet.conversation), version=sheet.making.versions.get("bio-studio", "")
    )
    return page.encode("utf-8", "replace")


def _prose(text: str) -> str:
    """What was said as HTML, its headings below those of the report, without anything that could lead elsewhere."""
    from markdown_it import MarkdownIt

    rules = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table")
    rules.disable(["image", "link", "autolink", "reference", "html_block", "html_inline"])
    tokens = rules.parse(text.replace("# Conversation\n", "", 1))
    for one in tokens:
        if one.type in ("heading_open", "heading_close"):
            one.tag = f"h{min(6, int(one.tag[1]) + 1)}"
    return str(rules.renderer.render(tokens, rules.options, {}))

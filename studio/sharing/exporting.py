"""A run as a file to hand out: its bytes, its name and its kind. Writes nothing."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from studio.verb import Call, verb

Format = Literal["md", "html", "pdf", "json", "zip", "prov"]
MEDIA: dict[str, str] = {
    "md": "text/markdown; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "json": "application/json",
    "zip": "application/zip",
    "prov": "application/json",
}
"""What each format is, for a browser."""

_LONGEST = 60


class ExportedCall(Call):
    """As what a run is handed out."""

    format: Format = Field("md", description="md, html, pdf, json, zip or prov")


@dataclass(frozen=True)
class Exported:
    """A run as one file.

    Attributes:
        name: What the file is called: its title's words.
        media: What it is.
        content: What is in it.
    """

    name: str
    media: str
    content: bytes


@verb(ExportedCall)
def exported(run_id: str, options: ExportedCall) -> Exported:
    """Give a run as one file.

    Raises:
        UsageError: There is no such run, or it goes on.
        DataError: A file of it is damaged.
    """
    from studio.runs.record import open_run
    from studio.runs.report import exported as made

    content = made(run_id, options.format, options.home)
    design = open_run(run_id, options.home).design
    ending = "prov.json" if options.format == "prov" else options.format
    name = f"{slug('' if design is None else design.title, run_id)}.{ending}"
    return Exported(name, MEDIA[options.format], content)


def slug(title: str, fallback: str) -> str:
    """A title's words in plain letters, for a file's name.

    Args:
        title: The title.
        fallback: What it is called where the title has no such letters.
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = "-".join(re.findall(r"[a-z0-9]+", plain))
    short = words[:_LONGEST].rsplit("-", 1)[0] if len(words) > _LONGEST else words
    return short or fallback

"""Lists whose fields begin with a tag: RIS, PubMed's, Web of Science's and EndNote's own, by one reader.

An entry without its end ends where the next begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from pipelines.corpus.references.entry import Bad, Entry, Reader


@dataclass(frozen=True)
class _Form:
    """How a form writes a tag, which one begins and ends an entry, and where what we read stands."""

    tag: re.Pattern[str]
    begins: str
    ends: str
    key: str
    fields: Mapping[str, tuple[str, ...]]
    blank_ends: bool = False


_FORMS: Mapping[str, _Form] = {
    "RIS": _Form(
        re.compile(r"\s?([A-Z][A-Z0-9]) {1,2}- ?(.*)"),
        "TY",
        "ER",
        "ID",
        {
            "title": ("TI", "T1", "CT", "BT"),
            "doi": ("DO", "M3", "L3", "UR", "LK"),
            "year": ("PY", "Y1", "DA"),
            "file": ("L1",),
        },
    ),
    "PubMed": _Form(
        re.compile(r"([A-Z]{2,4}) *- (.*)"),
        "PMID",
        "",
        "PMID",
        {"title": ("TI", "BTI", "TT"), "doi": ("LID", "AID", "SO"), "year": ("DP",), "file": ()},
        blank_ends=True,
    ),
    "Web of Science": _Form(
        re.compile(r"([A-Z][A-Z0-9])(?: (.*)|$)"),
        "PT",
        "ER",
        "UT",
        {"title": ("TI",), "doi": ("DI",), "year": ("PY", "EA"), "file": ()},
    ),
    "EndNote": _Form(
        re.compile(r"%(\S) (.*)"),
        "0",
        "",
        "F",
        {"title": ("T",), "doi": ("R", "U"), "year": ("D",), "file": (">",)},
        blank_ends=True,
    ),
}


def _read(form: _Form, text: str, bad: Bad) -> Iterator[Entry]:
    held: dict[str, list[str]] = {}
    begun, last = 0, ""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        found = form.tag.fullmatch(line.rstrip())
        name = found[1] if found else ""
        if held and (name in (form.begins, form.ends) if name else form.blank_ends and not line.strip()):
            yield _entry(form, begun, held)
            held, last = {}, ""
        if found and name == form.begins:
            begun = number
        if found and (held or name == form.begins):
            last = name
            held.setdefault(name, []).append(found[2] or "")
        elif held and last and line.strip():
            held[last][-1] = f"{held[last][-1]} {line.strip()}".strip()
    if held:
        yield _entry(form, begun, held)


def _entry(form: _Form, line: int, held: Mapping[str, list[str]]) -> Entry:
    fields = {name: tuple(text for tag in tags for text in held.get(tag, ())) for name, tags in form.fields.items()}
    return Entry(line, " ".join(held.get(form.key, [""])[0].split()), fields)


READERS: Mapping[str, Reader] = {name: partial(_read, form) for name, form in _FORMS.items()}
"""The reader of each form."""

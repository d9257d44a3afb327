"""How the commands about a library of papers are carried out and shown. Their options are those of `studio.library`."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from ui.terminal.console import consoles, lines
from ui.terminal.follow import at_once, finished, follow, queued, shown, submitted
from ui.terminal.generate import Asked, Command

EPILOG = (
    "Examples:\n\n  studio library add papers/\n\n  studio library add papers/ zotero.bib\n\n"
    '  studio library search "what stops cracks in nacre"\n\n'
    "The atlas and the sample corpus are searched from the start; what you add lies in STUDIO_HOME/library."
)
COMMANDS = {
    "add": Command(
        "library_add",
        "Examples:\n\n  studio library add papers/\n\n  studio library add papers/ list.bib --library silk-library\n\n"
        "Inputs are PDF, Markdown and text files, folders of them (Zotero's storage too), and lists of references "
        "(CSV, BibTeX, RIS, Web of Science), which give papers their titles, years and DOIs. The same command goes on "
        "where it was stopped; a paper that is in is not read again.",
        "library:run",
        subject="INPUT...",
        about="Files, folders, lists of references.",
        many=True,
    ),
    "update": Command(
        "library_update",
        "Examples:\n\n  studio library update\n\n  studio library update --forget\n\n"
        "Papers whose file changed are read again; those whose file is gone are named, and stay.",
        "library:run",
    ),
    "list": Command(
        "library_list",
        "Examples:\n\n  studio library list\n\n  studio library list --library silk-library --json",
        "library:listed",
    ),
    "search": Command(
        "library_search",
        'Examples:\n\n  studio library search "what stops cracks in nacre"\n\n'
        '  studio library search "strength of silk" --organism spider --property "tensile strength" --since 2005\n\n'
        '  studio library search "hinges" --document smith2019 --count 20 --json',
        "library:found",
        subject="QUESTION",
        about="What is asked, in any words.",
    ),
    "remove": Command(
        "library_remove",
        "Examples:\n\n  studio library remove smith2019.pdf",
        "library:removed",
        subject="DOCUMENT...",
        about="Names or ids, as `studio library list` shows them.",
        many=True,
    ),
}


def run(asked: Asked) -> None:
    """Queue the work on a library, follow it, and show what became of every paper."""
    job_id = queued(asked, asked.subject or [])
    if asked.detach:
        submitted(job_id, asked.as_json)
        return
    follow(job_id, again="the same command goes on")
    shown(finished(job_id), asked.as_json, _report)


def _report(made: dict[str, Any]) -> None:
    new = len(made["added"])
    lines(
        [
            ("added", f"{new} documents" if new != 1 else made["added"][0]),
            *([("updated", ", ".join(made["updated"]))] if made["updated"] else []),
            *([("in already", made["unchanged"])] if made["unchanged"] else []),
            *(("moved", f"{name} to {place}") for name, place in made["moved"].items()),
            *(("not there", f"{name} (its passages stay; --forget takes them out)") for name in made["missing"]),
            *(("taken out", name) for name in made["removed"]),
            *(("skipped", f"{name}: {why}") for name, why in made["skipped"].items()),
            *(("without text", f"{name}: {pages}") for name, pages in made["unread"].items()),
            *((f"dropped: {why}", f"{count} passages") for why, count in made["dropped"].items()),
            ("library", f"{made['documents']} documents, {made['passages']:,} passages, {_size(made['bytes'])}"),
            *(
                [("by words", f"{made['passages'] - made['vectors']:,} passages are found by their words alone")]
                if made["vectors"] < made["passages"]
                else []
            ),
            ("in", made["folder"]),
        ]
    )


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.2f} GB"


def listed(asked: Asked) -> None:
    """Show what a library holds."""
    shown(at_once(asked), asked.as_json, _contents)


def _contents(made: Any) -> None:
    out, err = consoles()
    if made.documents:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name in ("document", "passages", "pages", "year", "title"):
            table.add_column(name, header_style="dim", no_wrap=name != "title", overflow="ellipsis")
        for one in made.documents:
            style = "" if one.here else "yellow"
            cells = (one.name, f"{one.passages}", f"{one.pages}", f"{one.year or ''}", one.title)
            table.add_row(*(Text(cell, style=style) for cell in cells))
        out.print(table)
        if any(not one.here for one in made.documents):
            err.print("the files of yellow ones are not where they were: studio library update")
    lines(
        [
            ("library", f"{len(made.documents)} documents, {made.passages:,} passages, {_size(made.bytes)}"),
            ("shipped", f"{made.shipped} passages: the atlas and the sample corpus"),
            ("in", made.folder),
        ]
    )


def found(asked: Asked) -> None:
    """Show the passages that were found."""
    shown(at_once(asked, asked.subject), asked.as_json, _found)


def _found(made: Any) -> None:
    out, err = consoles()
    if not made.passages:
        err.print("nothing was found")
        return
    for number, one in enumerate(made.passages, 1):
        where = [one.title or one.document, *([str(one.year)] if one.year else []), f"page {one.page}"]
        where += [f"doi {one.doi}"] if one.doi else []
        out.print(Text(f"[{number}] {', '.join(where)}  ({one.document}, fits {one.score:.2f})", style="bold"))
        out.print(Text(one.fitting), soft_wrap=False)
        for source in one.sources[:3]:
            out.print(Text(f"    {source}", style="dim"))
        out.print()


def removed(asked: Asked) -> None:
    """Say what was taken out."""
    shown(at_once(asked, asked.subject), asked.as_json, lambda made: lines([("taken out", ", ".join(made.removed))]))

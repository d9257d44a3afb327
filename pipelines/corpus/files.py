"""The files that a corpus is made of: papers in folders, papers that lists name, and how each is called.

Knows paths; not what is in a paper.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.corpus.converters import TEXT
from pipelines.corpus.references.lists import Reference, is_list, read_references
from pipelines.corpus.references.matching import distinct
from workspace.errors import DataError

READ = (".pdf", *TEXT)
DOCUMENTS = frozenset((".doc", ".docx", ".epub", ".htm", ".html", ".odt", ".ps", ".rtf", ".tex", ".xls", ".xlsx"))
"""Kinds of file that may hold papers or lists and are not read, which is said."""

MOST_FAULTS = 20
"""Entries of a list that are named one by one."""


@dataclass
class Found:
    """What inputs stand for: papers in order, the lists among them and the papers that these name, each once.

    And what cannot be read, a folder, a file or an entry of a list, and why.
    """

    files: list[Path] = field(default_factory=list)
    lists: list[Path] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    closed: dict[str, str] = field(default_factory=dict)


def found(inputs: Sequence[Path]) -> Found:
    """Every paper under the inputs, each folder's sorted, and the papers that lists of references name.

    Raises:
        DataError: An input is not there or holds no papers.
    """
    papers = Found()
    for one in inputs:
        path = Path(os.path.expanduser(one))
        if os.path.isdir(path):
            _look_into(path, papers)
        elif os.path.isfile(path) and is_list(path):
            _read_list(path, papers)
        elif os.path.isfile(path):
            papers.files.append(path)
        else:
            raise DataError(f"{shown(one)} {_amiss(path)}")
    papers.files = list(dict.fromkeys(papers.files))
    papers.references = distinct(papers.references)
    if not papers.files:
        closed = "".join(f"; {path} is passed over: {why}" for path, why in papers.closed.items())
        hint = f"files that are read end in {', '.join(READ)}"
        raise DataError(f"no papers in {', '.join(map(shown, inputs))}{closed}", hint=hint)
    return papers


def _look_into(folder: Path, papers: Found) -> None:
    """Add a folder's papers and lists, and say what else lies there.

    Links to files are followed, links to folders are not; one that leads nowhere is added.
    """

    def closed(fault: OSError) -> None:
        papers.closed[shown(Path(fault.filename))] = f"it cannot be read: {fault.strerror}"

    seen, lists, others = [], [], Counter[str]()
    for parent, _, names in os.walk(folder, onerror=closed):
        for path in (Path(parent, name) for name in names):
            if os.path.isfile(path) and is_list(path):
                lists.append(path)
            elif path.suffix.lower() in READ and (os.path.isfile(path) or not os.path.exists(path)):
                seen.append(path)
            elif path.suffix.lower() in DOCUMENTS:
                others[path.suffix.lower()] += 1
    papers.files += sorted(seen)
    if others:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
        papers.closed[shown(folder)] = f"of other kinds of file it holds {counts}, which are not read; save them as PDF"
    for path in sorted(lists):
        try:
            _read_list(path, papers)
        except DataError as fault:
            why = fault.message.removeprefix(str(path)).strip(" ,:")
            papers.closed[shown(path)] = f"it is no list of papers: {why}"


def _read_list(path: Path, papers: Found) -> None:
    """Add a list's papers, the files that it names and are there, and what of it cannot be read."""
    listed = read_references(path)
    papers.lists.append(path)
    papers.references += listed.papers
    named = [path.parent / one.file for one in listed.papers if one.file]
    papers.files += [file for file in named if file.suffix.lower() in READ and os.path.isfile(file)]
    for line, why in listed.faults[:MOST_FAULTS]:
        papers.closed[f"{shown(path)}, line {line}"] = why
    if (more := len(listed.faults) - MOST_FAULTS) > 0:
        papers.closed[shown(path)] = f"{more} more entries cannot be read"


def _amiss(path: Path) -> str:
    try:
        path.stat()
    except FileNotFoundError:
        return "is not there"
    except OSError as fault:
        return f"cannot be read: {fault.strerror}"
    return "is neither a file nor a folder"


def shown(path: Path) -> str:
    """A path as it can be printed and written: bytes that are no UTF-8, line ends and controls as escapes."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(path))


def names(files: Sequence[Path]) -> dict[Path, str]:
    """What each file is called: its name, with as many folders before it as tell it from the others."""
    called: dict[Path, str] = {}
    left, depth = list(files), 1
    while left:
        ends = {path: shown(Path(*path.parts[-depth:])) for path in left}
        often = Counter(ends.values())
        called |= {path: end for path, end in ends.items() if often[end] == 1}
        left, depth = [path for path in left if path not in called and depth <= len(path.parts)], depth + 1
    return {path: called.get(path) or shown(path) for path in files}

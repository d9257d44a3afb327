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
from pipelines.corpus.references import SUFFIXES, Reference, read_references
from workspace.errors import DataError

READ = (".pdf", *TEXT)


@dataclass
class Found:
    """What inputs stand for: papers in order, papers that lists name, and what cannot be looked into, and why."""

    files: list[Path] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    closed: dict[Path, str] = field(default_factory=dict)


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
        elif os.path.isfile(path) and path.suffix.lower() in SUFFIXES:
            papers.references += (rows := read_references(path))
            papers.files += [file for row in rows if row.file and os.path.isfile(file := path.parent / row.file)]
        elif os.path.isfile(path):
            papers.files.append(path)
        else:
            raise DataError(f"{shown(one)} {_amiss(path)}")
    papers.files = list(dict.fromkeys(papers.files))
    if not papers.files:
        closed = "".join(f"; {shown(path)} is passed over: {why}" for path, why in papers.closed.items())
        hint = f"files that are read end in {', '.join(READ)}"
        raise DataError(f"no papers in {', '.join(map(shown, inputs))}{closed}", hint=hint)
    return papers


def _look_into(folder: Path, papers: Found) -> None:
    """Add a folder's papers. Links to files are followed, links to folders are not; one that leads nowhere is added."""

    def closed(fault: OSError) -> None:
        papers.closed[Path(fault.filename)] = f"it cannot be read: {fault.strerror}"

    seen = []
    for parent, _, names in os.walk(folder, onerror=closed):
        paths = [Path(parent, name) for name in names if Path(name).suffix.lower() in READ]
        seen += [path for path in paths if os.path.isfile(path) or not os.path.exists(path)]
    papers.files += sorted(seen)


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

"""The libraries that a design reads: what ships, a person's own, and those that the settings name. Writes none.

What ships are the atlas of biological materials and the sample corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workspace.errors import DataError

if TYPE_CHECKING:
    from pipelines.corpus.index.retrieve import Library, Shelf
    from pipelines.corpus.index.store import Passage

OWN = "library"
"""A person's own library, a folder of STUDIO_HOME."""

_VECTORS = "library-vectors"
_TOGETHER = (("name", "summary", "level", "property"), ("mechanism", "function", "lesson"))


def own(home: Path) -> Path:
    """Where a person's own library lies."""
    return home / OWN


@cache
def shipped() -> tuple[Passage, ...]:
    """The passages of the atlas and of the sample corpus."""
    return (*_atlas(), *_sample())


def _atlas() -> Iterator[Passage]:
    from pipelines.corpus.index.store import Document, Passage, Sentence
    from workspace.atlas.statements import HEADINGS, statements
    from workspace.atlas.table import atlas

    for material in atlas().values():
        document = Document(f"atlas/{material.id}", f"atlas/{material.id}", "", "", material.name)
        behind = "; ".join(source.cite for source in material.sources)
        said = statements(material)
        for kinds in _TOGETHER:
            held = tuple(Sentence(one.text, 1, one.cite or behind, one.kind) for one in said if one.kind in kinds)
            yield Passage(f"{document.id}/{kinds[-1]}", document, HEADINGS[kinds[-1]], held)


def _sample() -> Iterator[Passage]:
    from pipelines.corpus.cleaning import sentences
    from pipelines.corpus.index.adding import together
    from pipelines.corpus.index.store import Document, Passage, Sentence
    from training.sample.papers import passages

    for one in passages():
        document = Document(f"sample/{one['id']}", f"sample/{one['id']}", "", "", one["title"])
        cite = "; ".join(one["sources"])
        said = [Sentence(text, 1, cite) for text in sentences(one["text"])]
        for number, held in enumerate(together(said), 1):
            yield Passage(f"{document.id}/{number}", document, one["title"], tuple(held))


def shelf(
    home: Path,
    folders: Sequence[Path] = (),
    embed: Callable[[list[str]], Any] | None = None,
    *,
    ships: bool = True,
    mine: bool = True,
) -> Shelf:
    """Open the libraries of a design.

    Args:
        home: STUDIO_HOME.
        folders: Other libraries; each is opened once.
        embed: Embeds texts; without it passages are found by their words alone.
        ships: Whether what ships is among them.
        mine: Whether a person's own is among them, if there is one.

    Raises:
        DataError: A folder is no library.
    """
    from pipelines.corpus.index.retrieve import Shelf, opened
    from pipelines.corpus.index.store import FILE

    wanted = [own(home)] if mine and (own(home) / FILE).is_file() else []
    wanted += [folder.expanduser() for folder in folders]
    libraries: list[Library] = [_shipped(home, embed)] if ships else []
    try:
        for folder in dict.fromkeys(map(Path.absolute, wanted)):
            libraries.append(opened(folder))
    except BaseException:
        for one in libraries:
            one.held.close()
        raise
    if not libraries:
        raise DataError("there is no library", hint="studio library add papers/")
    return Shelf(libraries, None if embed is None else lambda text: embed([text])[0])


_opened: dict[tuple[Path, bool], Library] = {}


def _shipped(home: Path, embed: Callable[[list[str]], Any] | None) -> Library:
    """What ships, made once in a process."""
    from pipelines.corpus.index.memory import in_memory

    key = (home, embed is not None)
    if key not in _opened:
        _opened[key] = in_memory(shipped(), home / _VECTORS, embed)
    return _opened[key]

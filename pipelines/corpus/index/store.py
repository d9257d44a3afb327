"""A library as it lies on disk: documents, their passages and the passages' vectors, in one SQLite file of a folder.

The folder can be copied. Every document enters and leaves in one transaction, so a reader sees it whole or not at all.
Knows no paper's format and no ranking.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workspace.database import connect, connect_reading, faults, transaction
from workspace.errors import DataError

FILE = "library.db"
_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, path TEXT NOT NULL, sha256 TEXT NOT NULL, title TEXT NOT NULL,
    year INTEGER, doi TEXT NOT NULL, pages INTEGER NOT NULL, dropped TEXT NOT NULL, added REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS passages (
    key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL REFERENCES documents(id) ON DELETE CASCADE, number INTEGER NOT NULL,
    heading TEXT NOT NULL, text TEXT NOT NULL, marks TEXT NOT NULL, vector BLOB
);
CREATE INDEX IF NOT EXISTS passages_of ON passages (document);
CREATE INDEX IF NOT EXISTS without_vector ON passages (key) WHERE vector IS NULL;
CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL);
INSERT OR IGNORE INTO state VALUES (1, 0)
"""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a passage.

    Attributes:
        text: Its letters.
        page: The page it begins on.
        cite: The source it is taken from, where that is another's.
        kind: What it says, where that is known: of the atlas a key of its `HEADINGS`.
    """

    text: str
    page: int
    cite: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Document:
    """Where passages come from.

    Attributes:
        id: Of its content: the same file anywhere is the same document.
        name: What it is called in this library.
        path: Where it lay when it was last seen; empty for what ships.
        sha256: Of the file.
        title: Its title, if known.
        year: When it appeared, if known.
        doi: Its DOI, if known.
        pages: How many it has.
        dropped: How many of its passages were not kept, by the reason.
    """

    id: str
    name: str
    path: str
    sha256: str
    title: str = ""
    year: int | None = None
    doi: str = ""
    pages: int = 1
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Passage:
    """Sentences that stand together."""

    id: str
    document: Document
    heading: str
    sentences: tuple[Sentence, ...]
    key: int = 0

    @property
    def text(self) -> str:
        """The passage as one text; a quotation is looked for in it."""
        return " ".join(one.text for one in self.sentences)

    @property
    def page(self) -> int:
        """The page it begins on."""
        return self.sentences[0].page


def passage_of(document: Document, number: int, heading: str, sentences: Sequence[Sentence]) -> Passage:
    """A passage with the name that its document, place and words give it."""
    text = " ".join(one.text for one in sentences)
    digest = hashlib.sha256(f"{document.id}\0{number}\0{text}".encode()).hexdigest()[:16]
    return Passage(digest, document, heading, tuple(sentences))


class Store:
    """A library's folder, open for writing or for reading alone.

    Args:
        folder: The library.
        writing: Whether it is made if it is not there.

    Raises:
        DataError: It is no library, or is damaged.
    """

    def __init__(self, folder: Path, *, writing: bool = False) -> None:
        self.folder, self.path = folder, folder / FILE
        if writing:
            self._connection = connect(self.path, schema=_SCHEMA, version=_VERSION)
            return
        if not self.path.is_file():
            raise DataError(f"{folder} is no library: it has no {FILE}", hint="`studio library add` makes one")
        found = connect_reading(self.path, version=_VERSION)
        if found is None:
            raise DataError(f"{self.path} cannot be read, or a newer Studio made it")
        self._connection = found

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _changing(self) -> Iterator[Any]:
        with faults(self.path), transaction(self._connection):
            yield self._connection
            self._connection.execute("UPDATE state SET revision = revision + 1")

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with faults(self.path):
            return list(self._connection.execute(query, values))

    @property
    def revision(self) -> int:
        """Counts the changes that were made."""
        return int(self._rows("SELECT revision FROM state")[0][0])

    def documents(self) -> list[Document]:
        """All documents, by name."""
        columns = "id, name, path, sha256, title, year, doi, pages, dropped"
        rows = self._rows(f"SELECT {columns} FROM documents ORDER BY name")
        return [_document(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many passages each document has, by its id."""
        return dict(self._rows("SELECT document, count(*) FROM passages GROUP BY document"))

    def size(self) -> tuple[int, int]:
        """How many passages there are, and how many have a vector."""
        [(passages, vectors)] = self._rows("SELECT count(*), count(vector) FROM passages")
        return int(passages), int(vectors)

    def put(self, document: Document, passages: Iterable[Passage], added: float, replaces: str = "") -> str:
        """Add a document with its passages, in place of another.

        Returns:
            What it is called: its name, with a number where another has that name. Empty where it is there already;
            nothing is changed then.
        """
        with self._changing() as connection:
            if connection.execute("SELECT 1 FROM documents WHERE id = ?", (document.id,)).fetchone():
                return ""
            if replaces:
                connection.execute("DELETE FROM documents WHERE id = ?", (replaces,))
            one, dropped, called = document, json.dumps(document.dropped), _free(connection, document.name)
            connection.execute(
                "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (one.id, called, one.path, one.sha256, one.title, one.year, one.doi, one.pages, dropped, added),
            )
            connection.executemany(
                "INSERT INTO passages (id, document, number, heading, text, marks) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (held.id, document.id, number, held.heading, held.text, _marks(held.sentences))
                    for number, held in enumerate(passages)
                ),
            )
        return called

    def known_as(self, document: str, *, path: str, title: str, year: int | None, doi: str) -> None:
        """Note where a document lies now and what is known of it."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE documents SET path = ?, title = ?, year = ?, doi = ? WHERE id = ?",
                (path, title, year, doi, document),
            )

    def remove(self, documents: Sequence[str]) -> int:
        """Take documents out; returns how many were there."""
        with self._changing() as connection:
            return sum(connection.execute("DELETE FROM documents WHERE id = ?", (one,)).rowcount for one in documents)

    def without_vectors(self, most: int) -> list[Passage]:
        """Some passages that have no vectors yet."""
        return self._passages("vector IS NULL", (), f"LIMIT {int(most)}")

    def put_vectors(self, vectors: Mapping[int, bytes]) -> None:
        """Keep the vectors of passages, one behind the other, by the passage's key."""
        with self._changing() as connection:
            connection.executemany(
                "UPDATE passages SET vector = ? WHERE key = ?", [(blob, key) for key, blob in vectors.items()]
            )

    def texts(self) -> Iterator[tuple[int, str, str]]:
        """Every passage's key, its document and what it is found by, in the order of keys."""
        with faults(self.path):
            query = """SELECT key, document, heading || '. ' || passages.text || ' ' || documents.title FROM passages
                JOIN documents ON documents.id = document ORDER BY key"""
            yield from ((int(key), name, text) for key, name, text in self._connection.execute(query))

    def vectors(self) -> Iterator[tuple[int, bytes | None]]:
        """Every passage's key and vector, in the order of keys."""
        with faults(self.path):
            yield from self._connection.execute("SELECT key, vector FROM passages ORDER BY key")

    def passages(self, keys: Sequence[int]) -> dict[int, Passage]:
        """Passages by key; those that are there no longer are left out."""
        found: dict[int, Passage] = {}
        for start in range(0, len(keys), 500):
            chosen = [int(key) for key in keys[start : start + 500]]
            where = f"key IN ({', '.join('?' * len(chosen))})"
            found |= {one.key: one for one in self._passages(where, chosen)}
        return found

    def passage(self, name: str) -> Passage | None:
        """The passage of an id."""
        return next(iter(self._passages("passages.id = ?", [name])), None)

    def of_document(self, document: str) -> list[Passage]:
        """A document's passages in order."""
        return self._passages("document = ?", [document])

    def keys_where(self, documents: Sequence[str]) -> set[int]:
        """The keys of some documents' passages."""
        return {
            int(row[0])
            for start in range(0, len(documents), 500)
            for row in self._rows(
                f"SELECT key FROM passages WHERE document IN ({', '.join('?' * len(documents[start : start + 500]))})",
                documents[start : start + 500],
            )
        }

    def _passages(self, where: str, values: Sequence[Any], end: str = "") -> list[Passage]:
        known = {}
        made = []
        query = f"SELECT key, id, document, heading, text, marks FROM passages WHERE {where} ORDER BY key {end}"
        rows = self._rows(query, values)
        wanted = sorted({row[2] for row in rows})
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
            columns = "id, name, path, sha256, title, year, doi, pages, dropped"
            marks = ", ".join("?" * len(part))
            for row in self._rows(f"SELECT {columns} FROM documents WHERE id IN ({marks})", part):
                known[row[0]] = _document(row)
        for key, name, document, heading, text, marks in rows:
            sentences = tuple(Sentence(text[start:end], *rest) for start, end, *rest in json.loads(marks))
            made.append(Passage(name, known[document], heading, sentences, int(key)))
        return made


def _free(connection: Any, name: str) -> str:
    """A name that no document has."""
    free, number = name, 2
    while connection.execute("SELECT 1 FROM documents WHERE name = ?", (free,)).fetchone():
        free, number = f"{name} ({number})", number + 1
    return free


def _document(row: Sequence[Any]) -> Document:
    name, called, path, sha256, title, year, doi, pages, dropped = row
    return Document(name, called, path, sha256, title, year, doi, pages, json.loads(dropped))


def _marks(sentences: Sequence[Sentence]) -> str:
    """Where each sentence stands in the passage's text, its page and its source."""
    marks, start = [], 0
    for one in sentences:
        marks.append([start, start + len(one.text), one.page, one.cite, one.kind])
        start += len(one.text) + 1
    return json.dumps(marks, ensure_ascii=False)

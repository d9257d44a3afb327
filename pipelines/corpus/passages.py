"""A corpus as it lies on disk: its passages, each with its source, read back and checked. Makes none."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workspace.errors import DataError, one_line, pydantic_fault


class Source(BaseModel):
    """Where a passage comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    document: str
    title: str = ""
    heading: str = ""
    doi: str = ""
    page: int = Field(ge=1)


class Passage(BaseModel):
    """A row of the corpus, in the schema that continued pretraining reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    text: str
    source: Source


PASSAGES = "passages.jsonl"


def read_passages(corpus: Path, limit: int | None) -> tuple[Path, list[Passage]]:
    """The passages of a corpus, each text once.

    Raises:
        DataError: There is none, or a line is no passage: file, line and field are named.
    """
    path = corpus.expanduser()
    file = path / PASSAGES if path.is_dir() else path
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"{file} is not there", hint="`studio train corpus` makes it") from None
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"cannot read {file}: {one_line(fault)}") from None
    texts: dict[str, Passage] = {}
    names: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one = Passage.model_validate_json(line)
        except ValidationError as fault:
            raise DataError(f"{file}, line {number}: {pydantic_fault(fault, Passage)}") from None
        if not one.text.strip() or one.id in names:
            why = "text: it is empty" if not one.text.strip() else f"id: {one.id!r} stands twice"
            raise DataError(f"{file}, line {number}: {why}")
        names.add(one.id)
        texts.setdefault(digest(one.text), one)
    if not texts:
        raise DataError(f"{file} holds no passages", hint="`studio train corpus` makes it")
    return file, list(texts.values())[:limit]


def digest(text: str) -> str:
    """The sha256 of a passage's text."""
    return hashlib.sha256(text.encode()).hexdigest()

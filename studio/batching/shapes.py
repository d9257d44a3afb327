"""A batch's shapes: an item, a line that is none, an item as it stands in the store, counts, a batch's record.

Knows fields, and how items are told apart and named; not where they come from, nor what is done with them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from studio.runs.request import SEED_LIMIT, DesignOptions
from workspace.errors import one_line
from workspace.letters import folded, harmless

WHOLE = ("profile", "ask", "choose")
"""Options of a design that are not an item's own: they are the whole batch's."""

OPTIONS = tuple(name for name in DesignOptions.model_fields if name not in WHOLE)
COLUMNS = ("id", "brief", *OPTIONS)
"""What a line, a column or a grid may say."""

DATABASE, LEDGER, DESIGNS, LOCK = "batch.db", "ledger.db", "designs", "batch.lock"
MANIFEST, RESULTS, TABLE, FAILURES, SHEET = (
    "batch.json",
    "results.jsonl",
    "results.parquet",
    "failures.jsonl",
    "index.html",
)
WRITTEN = (LEDGER, DESIGNS, MANIFEST, RESULTS, TABLE, FAILURES, SHEET)
"""What lies in a batch's folder, and what of it a folder that is none may not hold."""

LONGEST_ID = 1000

State = Literal["waiting", "running", "done", "failed"]
STATES: tuple[State, ...] = get_args(State)

_SAFE = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,78}[a-z0-9])?")
_TAKEN = re.compile(r"(?:.*-)?[0-9a-f]{20}|(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Item(_Kept):
    """One brief with its options."""

    id: str = Field(min_length=1, max_length=LONGEST_ID, description="As it was given, or drawn from the content")
    brief: str = Field(description="The wish in plain words, as `agents.documents.Brief` takes it")
    options: DesignOptions = Field(DesignOptions(), description="Its own, over the batch's defaults")
    source: str = Field("", description="The file that it stands in")
    line: int = Field(0, ge=0, description="Where in the file it begins, or its number in a grid")

    @field_validator("options")
    @classmethod
    def _its_own(cls, options: DesignOptions) -> DesignOptions:
        theirs = sorted(options.model_fields_set & set(WHOLE))
        if theirs:
            raise ValueError(f"{theirs[0]} is the whole batch's, not an item's")
        if isinstance(options.inspirations, tuple):
            return options
        return options.model_copy(update={"inspirations": tuple(options.inspirations)})

    @property
    def content(self) -> dict[str, Any]:
        """What its design depends on: the brief and the options that are given."""
        return {"brief": self.brief} | self.options.model_dump(mode="json", exclude_defaults=True)

    @property
    def hash(self) -> str:
        """Of its content, 32 hexadecimal digits."""
        return digest(self.content)[:32]

    @property
    def folder(self) -> str:
        """The name of its folder, its own among all ids."""
        return folder_name(self.id)


class Fault(_Kept):
    """A line that gave no item, and why."""

    source: str = Field("", description="The file that it stands in")
    line: int = Field(ge=0, description="Where in the file it begins")
    reason: str = Field(description="Why, in one line")
    id: str = Field("", description="The id that it gives, where it could be read")

    @field_validator("reason")
    @classmethod
    def _line(cls, reason: str) -> str:
        return harmless(one_line(reason, 300))


class Repeat(_Kept):
    """A line that says what another says; both are one item."""

    source: str = Field("", description="The file that it stands in")
    line: int = Field(ge=0, description="Where in the file it begins")
    id: str = Field(description="The item's")


@dataclass(frozen=True)
class Outcome:
    """What came of an item that was worked on.

    Attributes:
        reason: Why it failed, in one line; empty for one that is done.
        retryable: Whether it may well succeed another time.
        run_id: The design's run in the batch's ledger.
        seconds: How long it took.
        tokens_in: Tokens that models read.
        tokens_out: Tokens that models wrote.
        pictures: How many were painted.
    """

    reason: str = ""
    retryable: bool = False
    run_id: str = ""
    seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    pictures: int = 0


@dataclass(frozen=True)
class ItemRow:
    """An item as it stands in the store.

    Attributes:
        seq: Its place in the order in which items came.
        item: The item, its seed settled.
        hash: Of its content.
        state: How it stands.
        attempts: How often it was begun.
        outcome: What came of it; while it waits or runs, of the attempt before.
        updated: When the row last changed, Unix seconds.
    """

    seq: int
    item: Item
    hash: str
    state: State
    attempts: int
    outcome: Outcome
    updated: float


class Counts(_Kept):
    """How a batch stands. Sums are over what is done or has failed."""

    waiting: int = Field(0, description="Items to be made")
    running: int = Field(0, description="Items being made")
    done: int = 0
    failed: int = 0
    absent: int = Field(0, description="Items of an earlier input that are not in this one; they are left as they are")
    faults: int = Field(0, description="Lines that gave no item")
    repeats: int = Field(0, description="Lines that say what another says")
    seconds: float = Field(0, description="Of all items, one after another")
    tokens_in: int = Field(
        0, description="Tokens that models read, as servers told; those of models here are not counted"
    )
    tokens_out: int = Field(0, description="Tokens that models wrote, likewise")
    pictures: int = 0

    @property
    def items(self) -> int:
        """All items of the input."""
        return self.waiting + self.running + self.done + self.failed


class BatchManifest(_Kept):
    """A batch's record, ``batch.json``."""

    version: str = Field(description="Studio's")
    sources: tuple[str, ...] = Field(description="Where the briefs came from")
    seed: int = Field(ge=0, le=SEED_LIMIT - 1, description="Seeds of items that give none are drawn from it")
    defaults: dict[str, Any] = Field(description="Options of items that do not give them")
    settings: dict[str, Any] = Field(description="What everything else is done by, as in a run's record")
    engine: str = Field(description="Who answers, such as a server's address, and where designs are made")
    in_flight: int = Field(ge=1, description="Designs at a time")
    began: float = Field(description="Unix seconds")
    updated: float = Field(description="Unix seconds")
    seconds: float = Field(ge=0, description="How long it was worked on, all times together")
    whole: bool = Field(description="Whether the input was read to its end")
    counts: Counts


def digest(content: Mapping[str, Any]) -> str:
    """The sha256 of plain data, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def content_id(label: str, content: Mapping[str, Any]) -> str:
    """An id for an item that gives none: a label of small letters, digits and hyphens, and its content's hash."""
    return f"{label or 'item'}-{digest(content)[:16]}"


def slug(text: str, most: int) -> str:
    """A text's first words in small letters and digits, with hyphens between; empty for other scripts."""
    start = text[: 2 * most]
    words = "-".join(re.findall(r"[a-z0-9]+", (start if start.isascii() else folded(start)).lower()))
    return words if len(words) <= most else words[: most + 1].rpartition("-")[0] or words[:most]


def folder_name(name: str) -> str:
    """The folder of an item: its id where that is a plain name, else its first words and the id's hash.

    No two ids have one folder, also where a disk knows no case. (A plain id that looks as if it ended in such a hash
    gets one too.)
    """
    if _SAFE.fullmatch(name) and not _TAKEN.fullmatch(name):
        return name
    hashed = hashlib.sha256(name.encode()).hexdigest()[:20]
    return "-".join(filter(None, (slug(name, 40), hashed)))


def drawn_seed(batch_seed: int, name: str) -> int:
    """The seed of an item that gives none: the same for the same batch seed and id."""
    hashed = hashlib.sha256(f"{batch_seed}:{name}".encode()).digest()
    return int.from_bytes(hashed[:8], "big") % SEED_LIMIT

"""What the driver and the processes of a cluster say to each other, as plain shapes. Knows no cluster.

A design's worker and the driver take turns, so that one message is under way at a time:

    Wanted ->            may this effect be made?
        <- Given         it was made before, here it is
        <- Make          nobody has
    Made ->              here it is, with its files
        <- Given         it is kept
    Paint ->             who paints?
        <- Easel         this one
    Ended or Failed ->   the design's last word
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from studio.batching.one import Unexpected
from workspace import errors
from workspace.errors import ServiceError, StorageError, StudioError, one_line
from workspace.events import Event


@dataclass(kw_only=True)
class Message:
    """What every message of a worker brings along.

    Attributes:
        events: What the design has said since the last one.
        tokens_in: Tokens that models have read for it since then.
        tokens_out: Tokens that they have written.
    """

    events: list[Event] = field(default_factory=list)
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(kw_only=True)
class Wanted(Message):
    """An effect is to be made, unless it was."""

    key: str
    kind: str


@dataclass(frozen=True)
class Artifact:
    """A file that an effect made, as `workspace.ledger.Ledger.artifact` takes it, and its bytes."""

    path: str
    sha256: str
    kind: str
    meta: dict[str, Any]
    content: bytes


@dataclass(kw_only=True)
class Made(Message):
    """An effect was made."""

    value: Any
    artifacts: list[Artifact]


@dataclass(kw_only=True)
class Paint(Message):
    """Pictures are to be painted.

    Attributes:
        lost: Why whoever was to paint them has not; empty where nobody was.
    """

    lost: str = ""


@dataclass(kw_only=True)
class Ended(Message):
    """The graph has ended; its last state."""

    state: dict[str, Any]


@dataclass(kw_only=True)
class Failed(Message):
    """It ended otherwise.

    Attributes:
        kind: The class of the fault.
        words: What it says.
        hint: What to do about it.
        trace: Where it happened, of a fault that nobody foresaw.
    """

    kind: str
    words: str
    hint: str | None = None
    trace: str = ""


@dataclass(frozen=True)
class Given:
    """An effect's value as it is kept, and whether it was there before."""

    value: Any
    before: bool


@dataclass(frozen=True)
class Make:
    """The effect is to be made."""


@dataclass(frozen=True)
class Easel:
    """Who paints."""

    painter: Any


Answer = Given | Make | Easel


@dataclass(frozen=True)
class Painted:
    """Pictures as width, height and RGB bytes, and what the painter remarked."""

    pictures: list[tuple[int, int, bytes]]
    notices: list[str]


def failed(fault: BaseException, node: str, trace: str) -> Failed:
    """A fault as a message.

    Args:
        fault: The fault.
        node: The machine on which it happened.
        trace: Its traceback.
    """
    if isinstance(fault, StorageError):  # another node may have room
        return Failed(kind=ServiceError.__name__, words=f"on node {node}: {fault.message}", hint=fault.hint)
    if isinstance(fault, StudioError):
        kind = next(one for one in type(fault).__mro__ if one.__module__ == errors.__name__)
        return Failed(kind=kind.__name__, words=fault.message, hint=fault.hint)
    return Failed(kind="", words=f"{type(fault).__name__}: {one_line(fault)}", trace=f"on node {node}: {trace}")


def raised(said: Failed) -> Exception:
    """The fault of a message, to be raised here."""
    if not said.kind:
        return Unexpected(said.words, said.trace)
    kind: type[StudioError] = getattr(errors, said.kind)
    return kind(said.words, hint=said.hint)

"""The kit: all that the roles are handed. Knows the shapes of models, painter and ledger; never which ones answer.

Whoever runs the graph builds one `Kit` a run. Every effect (a completion, a document, a picture) goes through
`Kit.step` and so through ``once``: a node that is replayed finds what was made before and makes nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from time import perf_counter
from typing import Any, Protocol, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from PIL.Image import Image
from pydantic import BaseModel

from agents.documents import Brief
from agents.evidence.gathering import Amount, Searching
from agents.programs import Program
from agents.state import DesignState
from models.filling.shots import Shots
from workspace.events import Event, Notice, StepFinished, StepStarted, Token

T = TypeVar("T")
D = TypeVar("D", bound=BaseModel)
D_co = TypeVar("D_co", bound=BaseModel, covariant=True)

Hints = Mapping[str, Sequence[str]]
"""Values a document must carry, by dotted field: the items of a list in order, one for a plain field.

An example: ``{"inspirations.name": ["collagen", "leaves"], "palette": ["gold on black"]}``.
"""


class Filled(Protocol[D_co]):
    """A validated document and how often it had to be mended."""

    @property
    def value(self) -> D_co:
        """The document."""

    @property
    def repairs(self) -> int:
        """How many of its fields were written again."""


class Structure(Protocol):
    """Has a chat model write a document."""

    def __call__(
        self,
        model: BaseChatModel,
        schema: type[D],
        messages: list[BaseMessage],
        *,
        seed: int,
        hints: Hints | None = None,
        on_text: Callable[[str], None] | None = None,
        shots: Shots | None = None,
    ) -> Filled[D]:
        """Have ``model`` fill ``schema`` from the messages; ``shots`` are examples for a model that needs them."""


class Once(Protocol):
    """Runs ``compute`` unless ``key`` has a stored value; says whether the value was stored before."""

    def __call__(self, key: str, compute: Callable[[], T], *, kind: str) -> tuple[T, bool]:
        """The value and whether it was stored before."""


class PainterLike(Protocol):
    """What paints. A picture depends on nothing but its own spec."""

    @property
    def trigger(self) -> str | None:
        """The word that wakes the adapter, if there is one."""

    def looks(self, words: str) -> Sequence[str] | None:
        """The families that words mean to the painter; none that it does not know, ``None`` if it has no families."""

    def vocabulary(self) -> Mapping[str, Any]:
        """The phrases it knows, as `agents.vocabulary.Vocabulary.of` reads them; empty if it knows all."""

    def spec(self, prompt: str, *, long_prompt: str, seed: int, size: int | None = None) -> Any:
        """All that determines one picture."""

    def paint(
        self,
        specs: list[Any],
        on_step: Callable[[int, int], None] | None = None,
        *,
        on_preview: Callable[[int, Image], None] | None = None,
    ) -> list[Image]:
        """The pictures, in order.

        ``on_step`` takes the steps done and to do, over this call's pictures; ``on_preview`` a picture's number in the
        call and how it looks by now.
        """


@dataclass(frozen=True, kw_only=True)
class Kit:
    """Everything a run needs.

    Args:
        program: The conversation.
        seed: The run's seed; every step derives its own from it.
        chat: Role name and seed to chat model. Role ``critic`` is the vision model.
        structured: Has a chat model write a document.
        painter: Paints.
        once: The ledger's effect guard, bound to this run.
        emit: Takes events.
        publish_picture: Image, spec and index in the run to ``{path, seed, sha256, pixels_sha256, ...}`` as plain JSON.
        preview: Keeps how a picture looks while it is painted, by its index in the run; returns its path. None: not.
        skipping: Says, once for each wish, that a person wants no more pictures of this round; None: nobody asks.
        read_picture: The published picture's PNG bytes, for the critic.
        measure: Figures from a picture's PNG bytes and its width in micrometres, where that is known; None for none.
        rank: How near each choice is to a text in meaning, or None to compare words only.
        library: Where what is known is looked up; None: nowhere.
        amount: How much of it the team gets.
        images: Pictures a round.
        rounds: Picture rounds at most.
        review: Whether the Reviewer reads the draft.
        reviews: How often a draft is sent back at most.
        critic_enabled: Whether pictures are looked at.
        ask: Whether a person is asked before painting and after the critique.
        choose: Whether a person is asked which sources a brief that names none shall draw on.
        batch: Pictures painted together.
        size: Side of the pictures in pixels, or None for the painter's own.
        redirects: What a person wishes to be otherwise in a step that is made anew, by its key.
    """

    program: Program
    seed: int
    chat: Callable[[str, int], BaseChatModel]
    structured: Structure
    painter: PainterLike
    once: Once
    emit: Callable[[Event], None]
    publish_picture: Callable[[Image, Any, int], dict[str, Any]]
    read_picture: Callable[[dict[str, Any]], bytes]
    preview: Callable[[Image, int], str] | None = None
    skipping: Callable[[], bool] | None = None
    measure: Callable[[bytes, float | None], dict[str, Any] | None] | None = None
    rank: Callable[[str, Sequence[str]], Sequence[float]] | None = None
    library: Searching | None = None
    amount: Amount = field(default_factory=Amount)
    images: int = 2
    rounds: int = 1
    review: bool = False
    reviews: int = 1
    critic_enabled: bool = False
    ask: bool = False
    choose: bool = False
    batch: int = 1
    size: int | None = None
    redirects: Mapping[str, str] = field(default_factory=dict)

    def seed_of(self, key: str) -> int:
        """The seed of one step."""
        return derive(self.seed, key)

    def step(
        self,
        role: str,
        key: str,
        label: str,
        compute: Callable[[], T],
        *,
        kind: str,
        summary: Callable[[T], str],
    ) -> T:
        """Do one effect once, and say so before and after; ``summary`` words the result for people."""
        self.emit(StepStarted(role=role, key=key, label=label))
        begun = perf_counter()
        value, replayed = self.once(key, compute, kind=kind)
        seconds = 0.0 if replayed else perf_counter() - begun
        self.emit(StepFinished(role=role, key=key, text=summary(value), seconds=round(seconds, 3), replayed=replayed))
        return value

    def remark(self, key: str, lines: Sequence[str]) -> None:
        """Tell a person something, once a run, whichever nodes are visited again."""

        def tell() -> bool:
            for line in lines:
                self.emit(Notice(text=line))
            return True

        if lines:
            self.once(f"{key}/remarks", tell, kind="notice")

    def document(
        self,
        role: str,
        key: str,
        schema: type[D],
        messages: list[BaseMessage],
        hints: Hints | None = None,
        shots: Shots | None = None,
    ) -> Filled[D]:
        """Have a role's model write a document, outside the ledger; call it within `step`."""
        seed = self.seed_of(key)

        def on_text(text: str) -> None:
            self.emit(Token(role=role, key=key, text=text))

        model = self.chat(role, seed)
        return self.structured(model, schema, messages, seed=seed, hints=hints, on_text=on_text, shots=shots)


def derive(seed: int, key: str) -> int:
    """A stable seed below 2**31 for one step of a run."""
    digest = hashlib.sha256(f"{seed}/{key}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def wish(kit: Kit, state: DesignState) -> Brief:
    """The brief with its target settled: the person's own, or else the program's."""
    brief = state["brief"]
    return _settled(brief["text"], tuple(brief["inspirations"]), brief["target"], kit.program.target)


@lru_cache(maxsize=32)
def _settled(text: str, inspirations: tuple[str, ...], target: str, usual: str) -> Brief:
    unsaid = target == Brief.model_fields["target"].default
    return Brief(text=text, inspirations=list(inspirations), target=usual if unsaid else target)

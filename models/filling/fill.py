"""Fills any pydantic class with a local model, leaf by leaf: Studio writes the syntax, the model only the leaves.

Leaves are written in waves (names, choices, numbers, then sentences), each wave as one batch of several drafts a leaf.
Drafts stand inside a grammar, are ranked by how much likelier the conversation makes them, and the first that the
field's own pydantic checks accept stays. A leaf none of whose drafts is accepted is written again, with other seeds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ValidationError

from models.decoder.engine import Tape
from models.decoder.recall import pieces_of, read_pieces, recall_of
from models.filling import pen as continuing
from models.filling.drafts import Ask, Draft, likelihoods, write
from models.filling.order import item_by_item, steps, waves
from models.filling.phrase_memory import PhraseMemory, plain_words
from models.filling.questions import Question, question
from models.filling.shots import Shots
from models.filling.slots import Layout, Path, Slot, figures, firm, lay_out, put, round_figures, settle, spoken
from workspace.errors import DataError, pydantic_fault

if TYPE_CHECKING:
    from models.decoder.engine import Engine
    from workspace.settings import SamplingSettings

T = TypeVar("T", bound=BaseModel)
_ATTEMPTS = 4
_DRAFTS = {"name": 5, "sentence": 4, "question": 4, "prompt": 3, "pattern": 3, "number": 4}
_MARK = "\u241e"
_CONTEXT = 640
_TEMPERATURES = (0.55, 0.7, 0.85, 0.0)


class Writer(Protocol):
    """What `fill` needs of a chat model: its weights, how it samples, and a conversation as it reads it."""

    sampling: SamplingSettings

    @property
    def engine(self) -> Engine:
        """The weights."""

    def begun(self, messages: Sequence[BaseMessage]) -> Tape:
        """The cache of what a conversation begins with."""

    def turns(self, messages: Sequence[BaseMessage], limit: int) -> list[dict[str, str]]:
        """The conversation as turns, the oldest cut where it has more than ``limit`` tokens."""


@dataclass(frozen=True)
class Filled(Generic[T]):
    """A filled document, how many leaves had to be written again, and its JSON text."""

    value: T
    repairs: int
    raw: str


def fill(
    llm: Writer,
    messages: Sequence[BaseMessage],
    schema: type[T],
    seed: int,
    on_text: Callable[[str], None] | None = None,
    hints: Mapping[str, Sequence[str]] | None = None,
    shots: Shots | None = None,
) -> Filled[T]:
    """Have a local model fill a pydantic class from a conversation.

    Args:
        llm: The model.
        messages: The conversation; what it says last is what the document is about.
        schema: The class to fill. Its class method ``follows(path, values)``, if it has one, says which choices may
            stand at a path once other fields stand, None for all; ``derived(path, values)`` a text that follows then.
        seed: The same seed, conversation and hints give the same document.
        on_text: Takes a line of text whenever a leaf is done.
        hints: Values a document must carry, by dotted field: a list's items in order, one for a plain field; several
            for a plain field are choices the model picks from; for a number a range such as ``0.5..40``. An empty text
            leaves a list's item to the model; a path behind a question mark is for models that are not tuned on the
            kind of document alone.
        shots: Documents of the same kind; fields that they show are written by continuing them.

    Raises:
        DataError: A leaf could not be written validly; the message names its path.
    """
    if shots is not None and shots.kind in llm.engine.taught:
        shots = replace(shots, taught=True)
    given = firm(hints or {}, taught=shots is not None and shots.taught)
    fault: ValidationError | None = None
    for attempt in range(2):
        work = _Work(llm, messages, lay_out(schema, given), seed + attempt * 7919, on_text, shots)
        work.follows = getattr(schema, "follows", work.follows)
        work.derived = getattr(schema, "derived", work.derived)
        data = work.run(given)
        try:
            value = schema.model_validate(data)
        except ValidationError as error:
            fault = error
            continue
        return Filled(value, work.repairs + attempt, value.model_dump_json(indent=2))
    assert fault is not None  # the loop ends without a value only through a ValidationError
    raise DataError(f"the model could not fill {schema.__name__}: {pydantic_fault(fault, schema)}") from fault


class _Work:
    """One document on its way."""

    def __init__(
        self,
        llm: Writer,
        messages: Sequence[BaseMessage],
        layout: Layout,
        seed: int,
        on_text: Callable[[str], None] | None,
        shots: Shots | None,
    ) -> None:
        self.engine, self.layout, self.seed, self.shots = llm.engine, layout, seed, shots
        self.avoid = llm.engine.single(llm.sampling.avoid)
        self.begun = partial(llm.begun, messages)
        self.pen = None
        if self.shots is not None:
            self.pen = continuing.Pen(llm.engine, self.shots, self.avoid, self.begun)
        self.on_text = on_text or (lambda text: None)
        self.values: dict[Path, Any] = {}
        self.dropped: set[Path] = set()
        self.phrases, self.listed = PhraseMemory(), set[str]()
        self.repairs = 0
        self.poor: dict[Path, list[tuple[float, str]]] = {}
        self.turns = llm.turns(messages, _CONTEXT)
        self.follows: Callable[[Path, Mapping[Path, Any]], Any] = lambda path, values: None
        self.derived: Callable[[Path, Mapping[Path, Any]], str | None] = lambda path, values: None

    @cached_property
    def asking(self) -> tuple[Tape, str]:
        """The conversation up to where a question goes, and what follows a question."""
        return self._tape(self.turns)

    @cached_property
    def blank(self) -> Tape:
        """The conversation without any answer."""
        return self._tape([turn for turn in self.turns if turn["role"] == "system"])[0]

    def _tape(self, turns: list[dict[str, str]]) -> tuple[Tape, str]:
        text = self.engine.prompt([*turns, {"role": "user", "content": _MARK}])
        before, after = text.split(_MARK)
        tape, ids = self.begun(), self.engine.encode(before)
        if tape.ids:
            tape.read(ids)
            return tape, after
        pieces = pieces_of(self.engine, turns, ids)
        tape = recall_of(self.engine).begun(self.engine, ids, pieces)
        read_pieces(tape, ids, pieces)
        return tape, after

    def run(self, given: Mapping[str, list[str]]) -> dict[str, Any]:
        """Write every leaf and return the document as plain data."""
        about = self.shots.about.lower() if self.shots is not None else ""
        named = {slot.family for slot in self.layout.slots if slot.kind == "name" and slot.item is not None} & set(
            given
        )
        owed = [name for family in named for name in given[family] if name.lower() in about]
        self.phrases = PhraseMemory(name for name in owed if name.isascii())  # other letters stand in no grammar
        self.listed = {family.partition(".")[0] for family in named}
        open_slots = [slot for slot in self.layout.slots if not self._given(slot, given)]
        families: dict[str, list[Slot]] = {}
        for slot in open_slots:
            if continuing.shown(self.shots, slot):
                families.setdefault(slot.family, []).append(slot)
        for step in steps(families, self.layout.slots):
            self._continue(step)
        for wave in waves([slot for slot in open_slots if slot.family not in families], self.layout.slots):
            self._write_wave([slot for slot in wave if slot.item not in self.dropped])
        data: dict[str, Any] = {}
        for path in self.layout.lists:
            if not any(path[:end] in self.dropped for end in range(len(path))):
                put(data, path, {})
        for slot in self.layout.slots:
            if slot.item not in self.dropped and slot.path in self.values:
                put(data, slot.path, self.values[slot.path])
        plain: dict[str, Any] = settle(data, (), self.layout.lists)
        return plain

    def _continue(self, slots: list[Slot]) -> None:
        """Write the slots of one step by continuing the examples."""
        assert self.pen is not None and self.shots is not None  # there are examples
        left = [slot for slot in slots if slot.item not in self.dropped]
        for slot in [slot for slot in left if slot.kind == "choice"]:
            seed = _seed(self.seed, slot.where, 0, 0)
            self._settle(slot, self.pen.choose(slot, spoken(slot), self.values, seed))
        left = [slot for slot in left if slot.kind != "choice" and not self._derive(slot)]
        for group in item_by_item(left) if self.shots.taught else [left]:  # a tuned model counts on earlier items
            self._draft([slot for slot in group if slot.item not in self.dropped])

    def _derive(self, slot: Slot) -> bool:
        """Keep the text that follows from the fields that stand, if one does."""
        text = self.derived(slot.path, self.values)
        if text is None:
            return False
        self._keep(slot, slot.check(text))
        return True

    def _draft(self, left: list[Slot]) -> None:
        assert self.pen is not None and self.shots is not None  # there are examples
        refused: dict[Path, list[str]] = {}
        for attempt in range(_ATTEMPTS):
            if not left:
                return
            pools = self.pen.draft(left, self.values, attempt, partial(_seed, self.seed), refused)
            vain = [(slot, drafts) for slot, drafts in pools if not self._accept(slot, self._ranked(slot, drafts))]
            left = [slot for slot, _ in vain]
            self.repairs += len(left)
            if self.shots.taught:
                for slot, drafts in vain:
                    if continuing.stands_alone(slot):
                        refused.setdefault(slot.path, []).extend(continuing.finished(slot, drafts)[:2])
        for slot in left:
            self._give_up(slot)

    def _ranked(self, slot: Slot, drafts: list[Draft]) -> list[str]:
        assert self.shots is not None  # only a family they show comes here
        texts = continuing.ranked(self.shots, slot, drafts, self.phrases.worth)
        for draft in drafts:
            self._set_aside(slot, draft, continuing.mended(self.shots, slot, draft))
        return [text for text in texts if not self._stale(slot, text)]

    def _given(self, slot: Slot, given: Mapping[str, list[str]]) -> bool:
        values = given.get(slot.where) or given.get(slot.family)
        if not values:
            return False
        index = next((part for part in reversed(slot.path) if isinstance(part, int)), None)
        wanted = values[min(index or 0, len(values) - 1)]
        if slot.kind == "number" and (span := re.fullmatch(r"([\d.]+)\.\.([\d.]+)", wanted)):
            slot.kind, slot.choices = "choice", round_figures(float(span[1]), float(span[2]))
            return False
        if index is None and len(values) > 1:
            slot.kind, slot.choices = "choice", tuple(values)
            return False
        if index is not None and (index >= len(values) or not values[index]):
            return False
        try:
            self.values[slot.path] = slot.check(values[index or 0])
        except ValidationError as error:
            raise DataError(f"the value given for {slot.where} is wrong: {pydantic_fault(error)}") from error
        self.phrases.add(str(self.values[slot.path]), own=True)
        return True

    def _write_wave(self, slots: list[Slot]) -> None:
        for slot in [slot for slot in slots if slot.kind == "choice"]:
            self._choose(slot)
        left = [slot for slot in slots if slot.kind != "choice"]
        for attempt in range(_ATTEMPTS):
            questions = {slot.path: question(slot, self.values, last=attempt == _ATTEMPTS - 1) for slot in left}
            pools = self._drafts(left, questions, attempt)
            left = [slot for slot in left if not self._take(slot, questions[slot.path], pools[slot.path])]
            self.repairs += len(left)
            if not left:
                return
        for slot in left:
            self._give_up(slot)

    def _drafts(self, slots: list[Slot], questions: dict[Path, Question], attempt: int) -> dict[Path, list[Draft]]:
        asks, owners = [], []
        tape, after = self.asking
        for slot in slots:
            one = questions[slot.path]
            count = 1 if _TEMPERATURES[attempt] == 0 else _DRAFTS[slot.kind]
            for number in range(count):
                seed = _seed(self.seed, slot.where, attempt, number)
                suffix = one.ask + after + one.lead
                asks.append(Ask(suffix, one.grammar, one.tokens, seed, _TEMPERATURES[attempt], 1.1))
                owners.append(slot.path)
        drafts = write([tape], asks, self.avoid)
        texts = [(ask.suffix, draft.ids) for ask, draft in zip(asks, drafts, strict=True)]
        plain = likelihoods(self.blank, texts)
        pools: dict[Path, list[Draft]] = {}
        for path, draft, score in zip(owners, drafts, plain, strict=True):
            draft.score -= 0.5 * score
            pools.setdefault(path, []).append(draft)
        return pools

    def _take(self, slot: Slot, asked: Question, drafts: list[Draft]) -> bool:
        rated = []
        for draft in drafts:
            text = asked.finish(draft)
            self._set_aside(slot, draft, text)
            if text is not None and not self._stale(slot, text):
                rated.append((draft.score + self.phrases.worth(text), text))
        return self._accept(slot, [text for _, text in sorted(rated, reverse=True)])

    def _set_aside(self, slot: Slot, draft: Draft, text: str | None) -> None:
        """Remember a text that taste may refuse: a document with a dull field is better than none."""
        if text is not None:
            self.poor.setdefault(slot.path, []).append((draft.score + self.phrases.worth(text), text))

    def _accept(self, slot: Slot, texts: list[str], *, any_way: bool = False) -> bool:
        """Keep the first text that the field's own check and its bounds accept, and that is to the point."""
        for text in texts:
            try:
                value = slot.check(_number(text, slot) if slot.kind == "number" else text)
            except (ValidationError, ValueError):
                continue
            if any_way or self.shots is None or self.shots.fits(slot.path, value):
                self._keep(slot, value)
                return True
        return False

    def _keep(self, slot: Slot, value: Any) -> None:
        self.values[slot.path] = value
        if isinstance(value, str):
            self.phrases.add(value, own=slot.path[0] in self.listed)
        self.on_text(f"{slot.where}: {value}\n")

    def _stale(self, slot: Slot, text: str) -> bool:
        """Say whether a text says what a sibling item says already, wears a phrase out, or names no source it owes."""
        if self.phrases.worn(text) or (slot.sources and self.phrases.owes(text)):
            return True
        mine = plain_words(text)
        for path, value in self.values.items():
            if not isinstance(value, str) or path == slot.path:
                continue
            theirs = plain_words(value)
            same = len(mine & theirs) / max(1, len(mine | theirs))
            if same == 1 or (same > 0.6 and len(mine) > 6):
                return True
            if _family(path) == slot.family and (same > 0.5 or value.lower() == text.lower()):
                return True
        return False

    def _choose(self, slot: Slot) -> None:
        asked = question(slot, self.values)
        words = spoken(slot)
        tape, after = self.asking
        texts = [(asked.ask + after + asked.lead, self.engine.encode(" " + word)) for word in words]
        plain = question(slot, {})
        bare = [(plain.ask + after + plain.lead, ids) for _, ids in texts]
        scores = [a - b for a, b in zip(likelihoods(tape, texts), likelihoods(self.blank, bare), strict=True)]
        self._settle(slot, sorted(range(len(words)), key=lambda i: -scores[i]))

    def _settle(self, slot: Slot, order: list[int]) -> None:
        """Keep the first of a slot's choices that its check accepts and that may stand beside the fields that stand."""
        may = self.follows(slot.path, self.values) or slot.choices
        for i in [i for i in order if slot.choices[i] in may] or order:
            try:
                self._keep(slot, slot.check(slot.choices[i]))
                return
            except ValidationError:
                continue
        self._give_up(slot)

    def _give_up(self, slot: Slot) -> None:
        item = slot.item
        if slot.kind == "number":
            slot.kind, slot.choices = "choice", figures(slot.bounds)
            self._choose(slot)
        elif slot.optional:
            self.values[slot.path] = None
        elif item is not None and self._items(item[:-1]) > self.layout.lists[item[:-1]]:
            self.dropped.add(item)
        elif not self._accept(slot, self._poor_ones(slot), any_way=True):
            raise DataError(
                f"the model could not write {slot.where} validly in {_ATTEMPTS} attempts",
                hint="try another seed or a larger model",
            )

    def _poor_ones(self, slot: Slot) -> list[str]:
        """What was set aside for a slot, best first, but for what another item of its list says word for word."""
        taken = {str(value).lower() for path, value in self.values.items() if _family(path) == slot.family}
        return [text for _, text in sorted(self.poor.get(slot.path, ()), reverse=True) if text.lower() not in taken]

    def _items(self, path: Path) -> int:
        depth = len(path)
        items = {slot.path[: depth + 1] for slot in self.layout.slots if slot.path[:depth] == path}
        return len(items - self.dropped)


def _family(path: Path) -> str:
    return ".".join(str(part) for part in path if isinstance(part, str))


def _seed(seed: int, where: str, attempt: int, number: int) -> int:
    digest = hashlib.sha256(f"{seed}/{where}/{attempt}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _number(text: str, slot: Slot) -> float | int:
    return int(text) if slot.bounds.get("type") == "integer" else float(text)

"""What a model has read of conversations, kept so that a later turn reads only what is new.

A conversation is read turn by turn: up to where its first answer begins, from there to where the second begins, and so
on, whether or not some of that was read before. So a text does not depend on what is kept: a turn that is read again
is read as it was the first time, in the same piece, behind the same. What was written token by token is read again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from models.decoder.engine import Engine, Tape

_MOST_BYTES = 256_000_000


@dataclass(frozen=True)
class _Read:
    """A conversation that was read, and where its answers begin; nobody reads on with its tape."""

    tape: Tape
    bounds: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of its cache."""
        return sum(part.nbytes for layer in self.tape.cache.layers for part in (layer.keys, layer.values))

    def shared(self, ids: Sequence[int], bounds: Sequence[int]) -> int:
        """How many tokens of a conversation it holds, as they would be read, up to where an answer begins."""
        same, mine = 0, self.tape.ids
        for ours, theirs in zip(self.bounds, bounds, strict=False):
            if ours != theirs or mine[same:ours] != ids[same:ours]:
                break
            same = ours
        return same

    def holds(self, other: _Read) -> bool:
        """Whether it holds all of another."""
        return self.shared(other.tape.ids, other.bounds) == len(other.tape.ids)


class Recall:
    """The latest conversations that a model has read. Several threads may use it.

    Args:
        most: Bytes that are kept.
    """

    def __init__(self, most: int = _MOST_BYTES) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held: list[_Read] = []  # the latest last

    def begun(self, engine: Engine, ids: list[int], bounds: Sequence[int]) -> Tape:
        """A tape of one's own on which stands as much of a conversation as was read before.

        Args:
            engine: The model.
            ids: The conversation's tokens.
            bounds: Where its answers begin.
        """
        from models.decoder.engine import Tape

        with self._lock:
            held = list(self._held)
        count, best = max(((one.shared(ids, bounds), number) for number, one in enumerate(held)), default=(0, 0))
        if not count:
            return Tape(engine)
        tape = held[best].tape.copy()
        tape.rewind(count)
        return tape

    def keep(self, tape: Tape, length: int, bounds: Sequence[int]) -> None:
        """Keep the first ``length`` tokens of a tape, which nobody may read on with then; an answer begins there."""
        if tape.state is not None:
            return
        tape.rewind(length)
        new = _Read(tape, (*bounds, length))
        with self._lock:
            for number, one in enumerate(self._held):
                if one.holds(new):
                    self._held.append(self._held.pop(number))
                    return
            self._held = [*(one for one in self._held if not new.holds(one)), new]
            while len(self._held) > 1 and sum(one.size for one in self._held) > self._most:
                del self._held[0]


def answers_begin(llm: Engine, turns: Sequence[dict[str, str]], ids: Sequence[int]) -> list[int]:
    """Where in a conversation's tokens its answers begin, by its first tokens being those of its first turns."""
    found = []
    for number, turn in enumerate(turns):
        if turn["role"] == "assistant" and number and turns[number - 1]["role"] == "user":
            before = llm.encode(llm.prompt(turns[:number]))
            if len(before) < len(ids) and list(ids[: len(before)]) == before:
                found.append(len(before))
    return found


def read_by_turns(tape: Tape, ids: Sequence[int], bounds: Sequence[int]) -> torch.Tensor:
    """Read a conversation to its end behind what of it stands on the tape; returns the logits after it, (words,)."""
    for bound in bounds:
        if len(tape.ids) < bound:
            tape.read(ids[len(tape.ids) : bound])
    return tape.read(ids[len(tape.ids) :])

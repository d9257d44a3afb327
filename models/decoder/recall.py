"""What a model has read of conversations, kept so that a later turn reads only what is new.

A conversation is read piece by piece: up to where its first answer begins, that answer, from there to where the second
begins, and so on, whether or not some of it was read before. So a text does not depend on what is kept: a piece that is
read again is read as it was the first time, behind the same. An answer is read token by token, as it was written, where
a stepper does that for many tokens at a time; elsewhere it is read in one piece with what follows it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.decoder.engine import Engine, Tape

if TYPE_CHECKING:
    import torch

_MOST_BYTES = 256_000_000
_making = threading.Lock()


@dataclass(frozen=True)
class Piece:
    """A part of a conversation's tokens.

    Attributes:
        end: Where it ends.
        written: Whether its tokens are an answer's, each of which is read by itself.
    """

    end: int
    written: bool = False


@dataclass(frozen=True)
class _Read:
    """A conversation that was read, and in which pieces; nobody reads on with its tape."""

    tape: Tape
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes of its cache."""
        return sum(part.nbytes for layer in self.tape.cache.layers for part in (layer.keys, layer.values))

    def shared(self, ids: Sequence[int], pieces: Sequence[Piece]) -> int:
        """How many first tokens of a conversation it holds, read as they would be."""
        same, mine = 0, self.tape.ids
        for ours, theirs in zip(self.pieces, pieces, strict=False):
            if ours.written and theirs.written:
                end = min(ours.end, theirs.end)
                while same < end and mine[same] == ids[same]:
                    same += 1
                if same < max(ours.end, theirs.end):
                    break
            elif ours == theirs and mine[same : ours.end] == ids[same : ours.end]:
                same = ours.end
            else:
                break
        return same

    def holds(self, other: _Read) -> bool:
        """Whether it holds all of another."""
        return self.shared(other.tape.ids, other.pieces) == len(other.tape.ids)


class Recall:
    """The latest conversations that a model has read. Several threads may use it.

    Args:
        most: Bytes that are kept.
    """

    def __init__(self, most: int = _MOST_BYTES) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held: list[_Read] = []  # the latest last

    def begun(self, engine: Engine, ids: list[int], pieces: Sequence[Piece], *, take: bool = False) -> Tape:
        """A tape of one's own on which stands as much of a conversation as was read before, but its last piece.

        Args:
            engine: The model.
            ids: The conversation's tokens.
            pieces: In which pieces they are read.
            take: Whether what is kept of just this conversation is taken away, as more of it will be kept soon.
        """
        with self._lock:
            held = list(self._held)
            count, best = max(((one.shared(ids, pieces), number) for number, one in enumerate(held)), default=(0, 0))
            count = min(count, max((one.end for one in pieces[:-1]), default=0))  # the last is read for its logits
            if take and count and count == len(held[best].tape.ids):
                return self._held.pop(best).tape
        if not count:
            return Tape(engine)
        tape = held[best].tape.copy()
        tape.rewind(count)
        return tape

    def keep(self, tape: Tape, pieces: Sequence[Piece]) -> None:
        """Keep a tape, with which nobody may read on then; what stands on it behind the pieces is an answer."""
        if tape.state is not None:
            return
        end = pieces[-1].end
        if tape.engine.stepper is None:
            tape.rewind(end)
        answer = [Piece(len(tape.ids), written=True)] if len(tape.ids) > end else []
        new = _Read(tape, (*pieces, *answer))
        with self._lock:
            for number, one in enumerate(self._held):
                if one.holds(new):
                    self._held.append(self._held.pop(number))
                    return
            self._held = [*(one for one in self._held if not new.holds(one)), new]
            while len(self._held) > 1 and sum(one.size for one in self._held) > self._most:
                del self._held[0]


def recall_of(llm: Engine) -> Recall:
    """The conversations that a model has read, which are kept as long as the model."""
    with _making:
        if llm.recalled is None:
            llm.recalled = Recall()
        recalled: Recall = llm.recalled
        return recalled


def pieces_of(llm: Engine, turns: Sequence[dict[str, str]], ids: Sequence[int]) -> list[Piece]:
    """In which pieces a conversation is read, whose first tokens, or all, are ``ids``."""
    text = llm.prompt(turns)
    spans = llm.spans(text)[: len(ids)]
    found: list[Piece] = []
    for number, turn in enumerate(turns):
        if turn["role"] != "assistant" or not number or turns[number - 1]["role"] != "user":
            continue
        before = llm.prompt(turns[:number])
        begin = _between(spans, len(before)) if text.startswith(before) else None
        if begin is None or begin >= len(ids):
            continue
        found.append(Piece(begin))
        if llm.stepper is not None and text.startswith(turn["content"], len(before)):
            last = len(before) + len(turn["content"])
            end = sum(stop <= last for _, stop in spans)
            found += [Piece(min(end, len(ids) - 1), written=True)] * (min(end, len(ids) - 1) > begin)
    return [*found, Piece(len(ids))]


def _between(spans: Sequence[tuple[int, int]], place: int) -> int | None:
    """How many tokens stand before a place of a text, if none stands across it."""
    count = sum(stop <= place for _, stop in spans)
    return None if count < len(spans) and spans[count][0] < place else count


def read_pieces(tape: Tape, ids: Sequence[int], pieces: Sequence[Piece]) -> torch.Tensor:
    """Read a conversation to its end behind what of it stands on the tape; returns the logits after it, (words,)."""
    for piece in pieces:
        if len(tape.ids) < piece.end:
            left = ids[len(tape.ids) : piece.end]
            logits = tape.follow(left) if piece.written else tape.read(left)
    return logits

"""Writes many short texts at once, each inside its own grammar. Knows no schema; ``fill`` says what is asked.

No text copies a long run of what stands before it.
All texts of a call are read as one batch, whatever tapes they continue: eight rows cost little more than one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from models.decoder.engine import Engine, Tape
from models.decoder.forks import Fork, fork_of
from models.decoder.rows import Rows
from models.decoder.token_runs import Runs
from workspace.errors import DataError

if TYPE_CHECKING:
    import torch

_ROWS = 64
_GRAM = 3
_COPIED = 7
_TOP_K, _TOP_P = 64, 0.92


@dataclass(frozen=True)
class Ask:
    """One text that is wanted.

    Args:
        suffix: What the model reads after the shared prefix, up to where the text begins.
        grammar: Regular expression the text stands in, its end mark included.
        tokens: Most tokens it may take.
        seed: Seed of this text's own randomness.
        temperature: 0 writes the likeliest text.
        penalty: Repetition penalty within the text and over ``known``.
        known: Token ids of texts already written.
        tape: Which of the tapes it continues.
        copies: Whether it may say runs of tokens that stand in its tape.
    """

    suffix: str
    grammar: str
    tokens: int
    seed: int
    temperature: float = 0.7
    penalty: float = 1.0
    known: tuple[int, ...] = ()
    tape: int = 0
    copies: bool = False


@dataclass
class Draft:
    """A text the model wrote: whether it reached its end mark, and its mean log-likelihood a token."""

    text: str = ""
    ended: bool = False
    score: float = 0.0
    ids: list[int] = field(default_factory=list)


class _Row:
    """One text on its way."""

    def __init__(self, ask: Ask, llm: Engine, read: Runs) -> None:
        import torch
        from llguidance import LLMatcher

        self.ask, self.llm, self.draft, self.total = ask, llm, Draft(), 0.0
        self.read = read
        self.matcher = LLMatcher(llm.grammar_tokenizer, _regex(ask.grammar))
        if self.matcher.is_error():
            raise DataError(f"no text can follow the pattern {ask.grammar!r}: {self.matcher.get_error()}")
        self.generator = torch.Generator().manual_seed(ask.seed)
        self.known = frozenset(ask.known)

    def refused(self) -> list[int]:
        """Tokens that would go round in a circle or copy a long run."""
        return [*self._looping(), *self.read.after(self.draft.ids)]

    def take(self, token: int | None, score: float) -> bool:
        """Go on with a token, or without one where none is left; False when the text is over."""
        if token is None:
            return self._close(ended=False)
        if token in self.llm.stops:
            return self._close(ended=True)
        self.draft.ids.append(token)
        self.total += score
        self.matcher.consume_token(token)
        if self.matcher.is_stopped():
            return self._close(ended=True)
        return len(self.draft.ids) < self.ask.tokens or self._close(ended=False)

    def _looping(self) -> list[int]:
        ids = self.draft.ids
        if len(ids) < _GRAM:
            return []
        tail = ids[-(_GRAM - 1) :]
        return [ids[i + _GRAM - 1] for i in range(len(ids) - _GRAM + 1) if ids[i : i + _GRAM - 1] == tail]

    def _close(self, *, ended: bool) -> bool:
        self.draft.ended = ended
        self.draft.text = self.llm.decode(self.draft.ids)
        self.draft.score = self.total / max(1, len(self.draft.ids))
        return False


def write(tapes: Sequence[Tape], asks: Sequence[Ask], avoid: Sequence[int] = ()) -> list[Draft]:
    """Write every text asked for, each continuing its tape; the tapes stay as they are.

    Args:
        tapes: What was read so far.
        asks: What is wanted.
        avoid: Tokens that are not used.
    """
    drafts: list[Draft] = []
    for start in range(0, len(asks), _ROWS):
        drafts += _write(tapes, asks[start : start + _ROWS], avoid)
    return drafts


def _fork(tapes: Sequence[Tape], leads: Sequence[tuple[int, str]]) -> Fork | Rows:
    """Read each different beginning (tape, suffix) once, then give every text its own row."""
    llm, different = tapes[0].engine, list(dict.fromkeys(leads))
    used = sorted({tape for tape, _ in different})
    rows = [llm.encode(suffix) for _, suffix in different]
    texts = fork_of(llm, rows, [tapes[tape] for tape in used], [used.index(tape) for tape, _ in different])
    texts.keep([different.index(lead) for lead in leads])
    return texts


def _write(tapes: Sequence[Tape], asks: Sequence[Ask], avoid: Sequence[int]) -> list[Draft]:
    import torch

    llm = tapes[0].engine
    read = {tape: Runs([tapes[tape].ids], _COPIED) for tape in {ask.tape for ask in asks}}
    rows = [_Row(ask, llm, Runs((), 0) if ask.copies else read[ask.tape]) for ask in asks]
    fork = _fork(tapes, [(ask.tape, ask.suffix) for ask in asks])
    logits = fork.logits
    never = torch.zeros(logits.shape[-1], dtype=torch.bool)
    never[[*llm.blanks, *avoid]] = True
    active = rows
    while active:
        masks = _masks([row.matcher for row in active], logits.shape[-1]) & ~never
        chosen = _pick_each(active, logits, masks)
        kept = [n for n, (row, (token, score)) in enumerate(zip(active, chosen, strict=True)) if row.take(token, score)]
        if len(kept) < len(active):
            active = [active[n] for n in kept]
            if active:
                fork.keep(kept)
        if active:
            logits = fork.read([[row.draft.ids[-1]] for row in active])
    return [row.draft for row in rows]


def _pick_each(rows: Sequence[_Row], logits: torch.Tensor, masks: torch.Tensor) -> list[tuple[int | None, float]]:
    """Choose each row's next token among those its mask leaves, as the engine does, with its likelihood."""
    import torch

    for mask, row in zip(masks, rows, strict=True):
        mask[row.refused()] = False
    scores = logits.masked_fill(~masks, float("-inf"))
    for line, row in zip(scores, rows, strict=True):
        written = sorted({*row.draft.ids, *row.known})
        if row.ask.penalty != 1.0 and written:
            before = line[written]
            line[written] = torch.where(before > 0, before / row.ask.penalty, before * row.ask.penalty)
    values, places = scores.topk(min(_TOP_K, scores.shape[-1]))
    warmth = torch.tensor([[row.ask.temperature if row.ask.temperature > 0 else 1.0] for row in rows])
    weights = (values / warmth).softmax(-1)
    weights = weights.masked_fill(weights.cumsum(-1) - weights >= _TOP_P, 0.0)
    likely = logits.log_softmax(-1)
    chosen: list[tuple[int | None, float]] = []
    for n, row in enumerate(rows):
        if values[n, 0] == float("-inf"):
            chosen.append((None, 0.0))
            continue
        warm = row.ask.temperature > 0
        place = int(torch.multinomial(weights[n], 1, generator=row.generator)) if warm else 0
        token = int(places[n, place])
        chosen.append((token, float(likely[n, token])))
    return chosen


def likelihoods(tape: Tape, texts: Sequence[tuple[str, Sequence[int]]]) -> list[float]:
    """Return the mean log-likelihood a token of each (suffix, token ids of the text after it)."""
    scores: list[float] = []
    for start in range(0, len(texts), _ROWS):
        scores += _likelihoods(tape, texts[start : start + _ROWS])
    return scores


def _likelihoods(tape: Tape, texts: Sequence[tuple[str, Sequence[int]]]) -> list[float]:
    pad = min(tape.engine.stops)
    width = max(1, *(len(ids) for _, ids in texts))
    fork = _fork([tape], [(0, suffix) for suffix, _ in texts])
    first = fork.logits
    rest = fork.read([[*ids, *[pad] * (width - len(ids))] for _, ids in texts], last=False) if width > 1 else None
    scores = []
    for row, (_, ids) in enumerate(texts):
        if not ids:
            scores.append(0.0)
            continue
        total = float(first[row].log_softmax(-1)[ids[0]])
        for place in range(1, len(ids)):
            assert rest is not None  # some text has a second token
            total += float(rest[row, place - 1].log_softmax(-1)[ids[place]])
        scores.append(total / len(ids))
    return scores


@lru_cache(maxsize=256)
def _regex(pattern: str) -> str:
    from llguidance import LLMatcher

    grammar: str = LLMatcher.grammar_from_regex(pattern)
    return grammar


@lru_cache(maxsize=1)
def _executor() -> Any:
    from llguidance import LLExecutor

    return LLExecutor(os.cpu_count())


def _masks(matchers: Sequence[Any], words: int) -> torch.Tensor:
    """(rows, words) of what each grammar allows next."""
    import numpy as np
    import torch
    from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask_par

    bits = allocate_token_bitmask(len(matchers), words)
    fill_next_token_bitmask_par(_executor(), [(matcher, row) for row, matcher in enumerate(matchers)], bits)
    allowed = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little", count=words)
    return torch.from_numpy(allowed).view(torch.bool)

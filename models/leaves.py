"""Writes many short texts at once, each inside its own grammar. Knows no schema; ``fill`` says what is asked.

All texts of a call share the tape's prefix and are read as one batch: eight rows cost little more than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from models.engine import Engine, Fork, Tape, pick
from workspace.errors import DataError

if TYPE_CHECKING:
    import torch

_ROWS = 16
_GRAM = 3


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
    """

    suffix: str
    grammar: str
    tokens: int
    seed: int
    temperature: float = 0.7
    penalty: float = 1.0
    known: tuple[int, ...] = ()


@dataclass
class Draft:
    """A text the model wrote: whether it reached its end mark, and its mean log-likelihood a token."""

    text: str = ""
    ended: bool = False
    score: float = 0.0
    ids: list[int] = field(default_factory=list)


class _Row:
    """One text on its way."""

    def __init__(self, ask: Ask, llm: Engine) -> None:
        import torch
        from llguidance import LLMatcher

        self.ask, self.llm, self.draft, self.total = ask, llm, Draft(), 0.0
        self.matcher = LLMatcher(llm.grammar_tokenizer, _regex(ask.grammar))
        if self.matcher.is_error():
            raise DataError(f"no text can follow the pattern {ask.grammar!r}: {self.matcher.get_error()}")
        self.generator = torch.Generator().manual_seed(ask.seed)
        self.known = frozenset(ask.known)

    def step(self, logits: torch.Tensor, mask: torch.Tensor) -> int | None:
        """Choose the next token; None when the text is over."""
        chances = logits.log_softmax(-1)
        logits = logits.masked_fill(~mask, float("-inf"))
        for token in self._looping():
            logits[token] = float("-inf")
        if bool(logits.isneginf().all()):
            return self._close(ended=False)
        token = pick(
            logits,
            temperature=self.ask.temperature,
            top_p=0.92,
            top_k=64,
            penalty=self.ask.penalty,
            written=[*self.draft.ids, *self.known],
            generator=self.generator,
        )
        if token in self.llm.stops:
            return self._close(ended=True)
        self.draft.ids.append(token)
        self.total += float(chances[token])
        self.matcher.consume_token(token)
        if self.matcher.is_stopped():
            return self._close(ended=True)
        if len(self.draft.ids) >= self.ask.tokens:
            return self._close(ended=self.matcher.is_accepting())
        return token

    def _looping(self) -> list[int]:
        ids = self.draft.ids
        if len(ids) < _GRAM:
            return []
        tail = ids[-(_GRAM - 1) :]
        return [ids[i + _GRAM - 1] for i in range(len(ids) - _GRAM + 1) if ids[i : i + _GRAM - 1] == tail]

    def _close(self, *, ended: bool) -> None:
        self.draft.ended = ended
        self.draft.text = self.llm.decode(self.draft.ids)
        self.draft.score = self.total / max(1, len(self.draft.ids))


def write(tape: Tape, asks: Sequence[Ask]) -> list[Draft]:
    """Write every text asked for, continuing the tape; the tape stays as it is."""
    drafts: list[Draft] = []
    for start in range(0, len(asks), _ROWS):
        drafts += _write(tape, asks[start : start + _ROWS])
    return drafts


def _write(tape: Tape, asks: Sequence[Ask]) -> list[Draft]:
    llm = tape.engine
    rows = [_Row(ask, llm) for ask in asks]
    fork, logits = Fork.after(tape, [llm.encode(ask.suffix) for ask in asks], min(llm.stops))
    active = list(range(len(rows)))
    while active:
        masks = _masks([rows[i].matcher for i in active], logits.shape[-1])
        chosen = [rows[i].step(logits[n], masks[n]) for n, i in enumerate(active)]
        kept = [n for n, token in enumerate(chosen) if token is not None]
        if len(kept) < len(active):
            active = [active[n] for n in kept]
            if active:
                fork.keep(kept)
        if active:
            logits = fork.read([[token] for token in chosen if token is not None], last=True)[:, -1]
    return [row.draft for row in rows]


def likelihoods(tape: Tape, suffix: str, choices: Sequence[str]) -> list[float]:
    """Return the mean log-likelihood a token of each choice as what follows the suffix."""
    llm = tape.engine
    start = llm.encode(suffix)
    bodies = [llm.encode(choice) for choice in choices]
    width = max(map(len, bodies))
    pad = min(llm.stops)
    fork, first = Fork.after(tape, [start] * len(choices), pad)
    rest = fork.read([body + [pad] * (width - len(body)) for body in bodies])
    scores = []
    for n, body in enumerate(bodies):
        total = float(first[n].log_softmax(-1)[body[0]])
        for place in range(1, len(body)):
            total += float(rest[n, place - 1].log_softmax(-1)[body[place]])
        scores.append(total / len(body))
    return scores


@lru_cache(maxsize=256)
def _regex(pattern: str) -> str:
    from llguidance import LLMatcher

    grammar: str = LLMatcher.grammar_from_regex(pattern)
    return grammar


def _masks(matchers: Sequence[Any], words: int) -> torch.Tensor:
    import torch
    from llguidance.torch import fill_next_token_bitmask

    bits = torch.zeros((len(matchers), (words + 31) // 32), dtype=torch.int32)
    for number, matcher in enumerate(matchers):
        fill_next_token_bitmask(matcher, bits, number)
    spread = (bits.unsqueeze(-1) >> torch.arange(32, dtype=torch.int32)) & 1
    return spread.reshape(len(matchers), -1)[:, :words].bool()

"""Writes many short texts at once, each inside its own grammar. Knows no schema; ``fill`` says what is asked.

No text copies a long run of what stands before it.
All texts of a call are read as one batch, whatever tapes they continue: eight rows cost little more than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from models.engine import Engine, Tape, pick
from models.forks import Fork
from models.repeats import Runs
from workspace.errors import DataError

if TYPE_CHECKING:
    import torch

_ROWS = 64
_GRAM = 3
_COPIED = 7


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
    """

    suffix: str
    grammar: str
    tokens: int
    seed: int
    temperature: float = 0.7
    penalty: float = 1.0
    known: tuple[int, ...] = ()
    tape: int = 0


@dataclass
class Draft:
    """A text the model wrote: whether it reached its end mark, and its mean log-likelihood a token."""

    text: str = ""
    ended: bool = False
    score: float = 0.0
    ids: list[int] = field(default_factory=list)


class _Row:
    """One text on its way."""

    def __init__(self, ask: Ask, llm: Engine, read: Runs, avoid: Sequence[int]) -> None:
        import torch
        from llguidance import LLMatcher

        self.ask, self.llm, self.draft, self.total = ask, llm, Draft(), 0.0
        self.read, self.avoid = read, list(avoid)
        self.matcher = LLMatcher(llm.grammar_tokenizer, _regex(ask.grammar))
        if self.matcher.is_error():
            raise DataError(f"no text can follow the pattern {ask.grammar!r}: {self.matcher.get_error()}")
        self.generator = torch.Generator().manual_seed(ask.seed)
        self.known = frozenset(ask.known)

    def step(self, logits: torch.Tensor, mask: torch.Tensor) -> int | None:
        """Choose the next token; None when the text is over."""
        chances = logits.log_softmax(-1)
        logits = logits.masked_fill(~mask, float("-inf"))
        logits[_blanks(self.llm)] = float("-inf")
        logits[[*self.avoid, *self._looping(), *self.read.after(self.draft.ids)]] = float("-inf")
        if bool(logits.isneginf().all()):
            self._close(ended=False)
            return None
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
            self._close(ended=True)
            return None
        self.draft.ids.append(token)
        self.total += float(chances[token])
        self.matcher.consume_token(token)
        if self.matcher.is_stopped():
            self._close(ended=True)
            return None
        if len(self.draft.ids) >= self.ask.tokens:
            self._close(ended=False)
            return None
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


def _fork(tapes: Sequence[Tape], leads: Sequence[tuple[int, str]]) -> Fork:
    """Read each different beginning (tape, suffix) once, then give every text its own row."""
    llm, different = tapes[0].engine, list(dict.fromkeys(leads))
    used = sorted({tape for tape, _ in different})
    rows = [llm.encode(suffix) for _, suffix in different]
    fork = Fork(llm, rows, [tapes[tape] for tape in used], [used.index(tape) for tape, _ in different])
    fork.keep([different.index(lead) for lead in leads])
    return fork


def _write(tapes: Sequence[Tape], asks: Sequence[Ask], avoid: Sequence[int]) -> list[Draft]:
    llm = tapes[0].engine
    read = {tape: Runs([tapes[tape].ids], _COPIED) for tape in {ask.tape for ask in asks}}
    rows = [_Row(ask, llm, read[ask.tape], avoid) for ask in asks]
    fork = _fork(tapes, [(ask.tape, ask.suffix) for ask in asks])
    logits = fork.logits
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
            logits = fork.read([[token] for token in chosen if token is not None])
    return [row.draft for row in rows]


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


@lru_cache(maxsize=8)
def _blanks(llm: Engine) -> list[int]:
    """Tokens that are only spaces: a space belongs to the word after it, or the model writes broken words."""
    pieces = enumerate(llm.tokenizer.batch_decode([[i] for i in range(llm.vocabulary)]))
    return [i for i, piece in pieces if piece and not piece.strip(" ")]


@lru_cache(maxsize=256)
def _regex(pattern: str) -> str:
    from llguidance import LLMatcher

    grammar: str = LLMatcher.grammar_from_regex(pattern)
    return grammar


def _masks(matchers: Sequence[Any], words: int) -> torch.Tensor:
    import torch

    bits = torch.zeros((len(matchers), (words + 31) // 32), dtype=torch.int32)
    for row, matcher in zip(bits, matchers, strict=True):
        matcher.unsafe_compute_mask_ptr(row.data_ptr(), row.numel() * row.element_size())
    spread = (bits.unsqueeze(-1) >> torch.arange(32, dtype=torch.int32)) & 1
    return spread.reshape(len(matchers), -1)[:, :words].bool()

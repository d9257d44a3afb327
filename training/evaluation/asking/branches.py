"""A prompt and many answers to it read as one row: every answer sees the prompt and itself, and no other answer.

An answer's tokens stand where they would stand right behind the prompt. Models that take such masks are found by
trying; of others each answer is a row of its own. Knows tokens; not what they mean, nor how a model computes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from workspace.errors import one_line

if TYPE_CHECKING:
    import torch

_LOG = logging.getLogger("studio.training")
_EXACT = 1e-4
"""How much a score may change with the answer beside it, in the same shapes: rounding alone."""
_NEAR = 0.25
"""The same against the answer in a row of its own, which is computed in other shapes and in half precision, a token."""


@dataclass(frozen=True)
class Row:
    """A prompt behind what is read already, with answers.

    Attributes:
        stem: The prompt's tokens, at least one.
        answers: Each answer's tokens, at least one of each.
    """

    stem: Sequence[int]
    answers: Sequence[Sequence[int]]

    @property
    def size(self) -> int:
        """Tokens that are read: the last one of an answer only has to be told."""
        return len(self.stem) + sum(len(answer) - 1 for answer in self.answers)


@dataclass(frozen=True)
class Sheet:
    """Rows as a model reads them.

    Attributes:
        ids: Tokens, (rows, longest).
        positions: Where each stands behind its prompt's first token, (rows, longest).
        seen: Whether a token (second axis) sees another (third), (rows, longest, shared + longest).
        rows: Of every token that is told, in the answers' order: its row.
        columns: The place in the row from which it is told.
        words: The token.
        answers: How many tokens each answer has.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    seen: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    words: torch.Tensor
    answers: tuple[int, ...]

    def totals(self, chances: torch.Tensor) -> list[float]:
        """The log-likelihood of every answer, of the told tokens' log-chances."""
        ends = list(accumulate(self.answers))
        return [float(chances[end - size : end].sum()) for end, size in zip(ends, self.answers, strict=True)]


def sheet(rows: Sequence[Row], shared: int) -> Sheet:
    """Lay rows out.

    Args:
        rows: Prompts and answers.
        shared: How many tokens before every prompt are read already.
    """
    import torch

    longest = max(row.size for row in rows)
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    positions = torch.zeros_like(ids)
    branch = torch.full_like(ids, -1)  # 0 is the prompt, 1 its first answer; padding is none
    told: list[tuple[int, int, int]] = []
    for number, row in enumerate(rows):
        size = len(row.stem)
        ids[number, :size] = torch.tensor(list(row.stem))
        positions[number, :size] = torch.arange(size)
        branch[number, :size] = 0
        at = size
        for place, answer in enumerate(row.answers):
            more = len(answer) - 1
            ids[number, at : at + more] = torch.tensor(list(answer[:-1]), dtype=torch.long)
            positions[number, at : at + more] = torch.arange(size, size + more)
            branch[number, at : at + more] = place + 1
            told.append((number, size - 1, answer[0]))
            told += [(number, at + step, word) for step, word in enumerate(answer[1:])]
            at += more
    own = (branch[:, None, :] == branch[:, :, None]) | (branch[:, None, :] == 0)
    own &= torch.ones((longest, longest), dtype=torch.bool).tril()
    own |= torch.eye(longest, dtype=torch.bool)  # padding sees itself: nothing at all is no number
    before = torch.ones((len(rows), longest, shared), dtype=torch.bool)
    numbers, columns, words = torch.tensor(told).T
    sizes = tuple(len(answer) for row in rows for answer in row.answers)
    return Sheet(ids, positions + shared, torch.cat([before, own], dim=2), numbers, columns, words, sizes)


def mask(seen: torch.Tensor, like: Any) -> torch.Tensor:
    """What is added to attention's scores, (rows, 1, longest, shared + longest): nothing where a token sees another.

    Args:
        seen: As in `Sheet`.
        like: A tensor of the number format and the device in which the model computes.
    """
    import torch

    least = torch.finfo(like.dtype).min
    added = torch.zeros(seen.shape, dtype=like.dtype).masked_fill_(~seen, least)
    return added[:, None].to(like.device)


def keeps_apart(told: Callable[[Row], list[float]], words: int) -> bool:
    """Whether answers that share a row are told as they are each by themselves.

    Args:
        told: The scores of a row's answers.
        words: How many tokens there are.
    """
    stem, first, other, second = ([(7 * step + start) % words for step in range(4)] for start in (1, 3, 5, 11))
    try:
        found, again = (told(Row(stem, (one, second)))[1] for one in (first, other))
        alone = told(Row(stem, (second,)))[0]
    except Exception as fault:  # whatever its code trips over, it does not take such rows
        _LOG.warning("answers are read one by one, which takes longer: %s", one_line(fault))
        return False
    apart = abs(found - again) <= _EXACT * max(1.0, abs(found)) and abs(found - alone) <= _NEAR * len(second)
    if not apart:
        _LOG.warning("answers are read one by one, which takes longer: the model does not keep them apart in one row")
    return apart

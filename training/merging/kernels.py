"""Merging on plain tensors: inner products in one pass, each parent's share from them, and the sum in a second pass.

Every method here is a sum of the parents with one share each; only the shares differ. Inner products and sums are
computed in single precision over pieces that stay in a core's cache, inner products added up in double precision.
Knows no files and no models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LINEAR = 0.9995
"""Where |cos| is above it, mergekit's SLERP is linear interpolation (``dot_threshold`` of version 0.1.5)."""
_PIECE, _COLUMN = 1 << 18, 1 << 10
_SMALL = 1e-8  # norms up to here count as 1 in mergekit
_OPPOSITE = -1 + 1e-6


@dataclass(frozen=True)
class Sums:
    """Inner products of two vectors: of the first with itself, of both, of the second with itself."""

    first: float
    both: float
    second: float

    @property
    def cosine(self) -> float | None:
        """Cosine of the angle between them; none where one of them is zero."""
        if not self.first or not self.second:
            return None
        return max(-1.0, min(1.0, self.both / math.sqrt(self.first) / math.sqrt(self.second)))

    def add(self, other: Sums) -> Sums:
        """The sums over two stretches of the vectors."""
        return Sums(self.first + other.first, self.both + other.both, self.second + other.second)


class Bench:
    """Room for one piece of several vectors in single precision, used over and over.

    Args:
        vectors: How many vectors lie on it at most.
    """

    def __init__(self, vectors: int) -> None:
        import torch

        self._rows = torch.zeros(vectors, _PIECE)

    def sums(self, first: Tensor, second: Tensor, base: Tensor | None = None) -> tuple[Sums, Sums | None]:
        """Inner products of two flat vectors and, with a base, of their differences to it.

        Args:
            first: Shape (n,), any floating type.
            second: As the first.
            base: As the first.
        """
        vectors = [first, second] if base is None else [first, second, base]
        many = 2 if base is None else 4
        rows = self._rows[:many]
        total = _zeros(many)
        for start in range(0, first.numel(), _PIECE):
            length = min(_PIECE, first.numel() - start)
            whole = -(-length // _COLUMN) * _COLUMN
            for row, vector in zip(rows, vectors, strict=False):
                row[:length].copy_(vector[start : start + length])
            if base is not None:
                rows[3, :length] = rows[1, :length] - rows[2, :length]
                rows[2, :length] = rows[0, :length] - rows[2, :length]
            rows[:, length:whole] = 0
            columns = rows[:, :whole].view(many, -1, _COLUMN).transpose(0, 1)
            total += (columns @ columns.transpose(1, 2)).sum(0, dtype=total.dtype)
        held = total.tolist()
        pair = Sums(held[0][0], held[0][1], held[1][1])
        return pair, None if base is None else Sums(held[2][2], held[2][3], held[3][3])

    def combine(self, vectors: Sequence[Tensor], shares: Sequence[float], out: Tensor) -> None:
        """Write the sum of flat vectors, each times its share.

        Args:
            vectors: Each of shape (n,), any floating type.
            shares: One a vector.
            out: Shape (n,); takes the sum in its own type.
        """
        for start in range(0, out.numel(), _PIECE):
            length = min(_PIECE, out.numel() - start)
            total = self._rows[0, :length]
            total.copy_(vectors[0][start : start + length]).mul_(shares[0])
            for vector, share in zip(vectors[1:], shares[1:], strict=True):
                total.add_(self._rows[1, :length].copy_(vector[start : start + length]).mul_(share))
            out[start : start + length].copy_(total)


def _zeros(many: int) -> Tensor:
    import torch

    return torch.zeros(many, many, dtype=torch.float64)


def slerp_shares(sums: Sums, t: float) -> tuple[float, float]:
    """The shares of mergekit 0.1.5's SLERP: of the vectors as they are, at the angle between them.

    It is linear where |cos| is above 0.9995; a vector of (almost) no length counts as one at a right angle.
    """
    first, second = (math.sqrt(one) if one > _SMALL**2 else 1.0 for one in (sums.first, sums.second))
    cosine = max(-1.0, min(1.0, sums.both / first / second))
    if abs(cosine) > LINEAR:
        return 1 - t, t
    return _on_arc(math.acos(cosine), t)


def norm_slerp_shares(sums: Sums, t: float) -> tuple[float, float]:
    """The shares of the norm-geometric SLERP of arXiv 2409.03444.

    The directions are interpolated along the sphere, and the result has the length |a|^(1-t) |b|^t. Linear only where
    the angle is 0. Where the two are opposite no arc is the shortest: the direction is that of the nearer parent, at
    t = 1/2 of the first. A vector of zeros makes a result of zeros, except at the other parent's end.
    """
    if t in (0.0, 1.0):
        return 1 - t, t
    first, second = math.sqrt(sums.first), math.sqrt(sums.second)
    cosine = sums.cosine
    if cosine is None:
        return 0.0, 0.0
    length = first ** (1 - t) * second**t
    angle = math.acos(cosine)
    if cosine < _OPPOSITE:
        mine, other = (1.0, 0.0) if t <= 0.5 else (0.0, 1.0)
    elif math.sin(angle) == 0:
        mine, other = 1 - t, t
    else:
        mine, other = _on_arc(angle, t)
    return mine * length / first, other * length / second


def task_slerp_shares(sums: Sums, t: float) -> tuple[float, float]:
    """The shares of mergekit's ``nuslerp``, of the two task vectors: linear only where they are parallel."""
    cosine = sums.cosine or 0.0
    if 1 - cosine * cosine <= _SMALL**2:
        return 1 - t, t
    return _on_arc(math.acos(cosine), t)


def _on_arc(angle: float, t: float) -> tuple[float, float]:
    return math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)

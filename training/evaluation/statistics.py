"""How sure a share of right answers is, and a difference of two shares. Knows answers as right or wrong, no models."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_DRAWS = 10_000


_Z = 1.959964  # of a 95% interval


def interval(right: Sequence[bool]) -> tuple[float, float, float]:
    """Accuracy and its 95% interval. Source: Wilson (1927), "Probable inference"."""
    count, share = len(right), sum(right) / len(right)
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return share, max(0.0, middle - half), min(1.0, middle + half)


def gain(one: Sequence[bool], other: Sequence[bool], seed: int = 0) -> tuple[float, float, float]:
    """How much more ``one`` gets right than ``other`` on the same questions, with a 95% interval (paired bootstrap)."""
    change = np.array(one, dtype=float) - np.array(other, dtype=float)
    rng = np.random.default_rng(seed)
    means = change[rng.integers(len(change), size=(_DRAWS, len(change)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(change.mean()), float(low), float(high)

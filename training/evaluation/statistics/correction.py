"""What several comparisons may claim together: Holm's correction, and intervals that agree with it.

Holm ("A simple sequentially rejective multiple test procedure", 1979) holds the chance of any false claim in a family
of m comparisons to 5%, whatever depends on whatever: the smallest p is multiplied by m, the next by m - 1, and so on.

**The corrected interval** of a comparison is Bonferroni's, of level 5% / m. Holm claims a little more than Bonferroni:
where it does, the end nearest zero is that of the interval at the level that Holm asked of this comparison. So a
corrected interval excludes zero *exactly* where the corrected p is below 5%. The intervals hold all true differences
at once with at least 95% where Holm and Bonferroni claim the same, or where there is no difference at all; else the
ends next to zero are sure as claims (Holm's guarantee), while the bound for all ends at once is weaker, 90% at worst.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from training.evaluation.statistics.clusters import numbers
from training.evaluation.statistics.intervals import ALPHA
from training.evaluation.statistics.paired import Comparison, Contrast


class Adjusted(NamedTuple):
    """A p among several, and the level that Holm asked of it."""

    p: float
    level: float


class Corrected(BaseModel):
    """One comparison of a family, with what it may claim."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    alone: Comparison = Field(description="As if nothing else were compared")
    p: float = Field(ge=0, le=1, description="By Holm among the family")
    low: float = Field(ge=-1, le=1, description="Lower end of the corrected interval of the difference")
    high: float = Field(ge=-1, le=1, description="Upper end")
    family: int = Field(ge=1, description="Comparisons that were corrected for together")

    @property
    def better(self) -> bool:
        """Whether the one may be called better: the corrected interval lies above zero."""
        return self.low > 0

    @property
    def worse(self) -> bool:
        """Whether the one may be called worse: the corrected interval lies below zero."""
        return self.high < 0


def holm(chances: Sequence[float]) -> list[Adjusted]:
    """Adjust p values for being several, in the order that they came.

    The same as R's ``p.adjust(p, "holm")``. Each p is below its level exactly where the adjusted p is below 5%.

    Args:
        chances: Of every comparison, p.

    Raises:
        DataError: One is no number from 0 to 1.
    """
    if not chances:
        return []
    values = numbers(list(chances), "p values")
    count = len(values)
    order = np.argsort(values, kind="stable")
    factors = count - np.arange(count)
    adjusted = np.minimum(1.0, np.maximum.accumulate(factors * values[order]))
    claimed = int((adjusted < ALPHA).sum())
    levels = ALPHA / np.where(np.arange(count) < claimed, factors, factors[min(claimed, count - 1)])
    found = [Adjusted(0.0, 0.0)] * count
    for place, p, level in zip(order, adjusted, levels, strict=True):
        found[int(place)] = Adjusted(float(p), float(level))
    return found


def corrected(family: Sequence[Contrast]) -> list[Corrected]:
    """What every comparison of a family may claim, in the order that they came."""
    found = []
    for contrast, adjusted in zip(family, holm([one.p for one in family]), strict=True):
        strict, claimed = ALPHA / len(family), adjusted.p < ALPHA
        low, high = contrast.interval(strict, claimed and contrast.p < strict)
        if claimed and low <= 0 <= high:
            near_low, near_high = contrast.interval(adjusted.level, True)
            low, high = (near_low, high) if contrast.difference > 0 else (low, near_high)
        found.append(Corrected(alone=contrast.comparison(), p=adjusted.p, low=low, high=high, family=len(family)))
    return found

"""Schedules of the learning rate: the share of its peak at a step. They depend on nothing but the step."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[int], float]
"""The share of the peak rate at a step, counted from zero."""


def cosine(angle: float, floor: float) -> float:
    """One at angle zero, down a cosine to ``floor`` at pi."""
    return floor + (1 - floor) * 0.5 * (1 + math.cos(angle))


def one_cycle(steps: int) -> Schedule:
    """Up over the first twentieth, then down a cosine to a hundredth.

    Source: Smith and Topin, "Super-convergence" (2018), with a short rise.
    """
    rise = max(1, steps // 20)

    def share(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return cosine(math.pi * (step - rise) / max(1, steps - rise), 0.01)

    return share


def rise_then_fall(steps: int, rise: int, floor: float) -> Schedule:
    """Up over ``rise`` steps, then down a cosine to ``floor``."""

    def share(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        along = (step - rise) / max(1, steps - rise)
        return cosine(math.pi * along, floor)

    return share


def falling(steps: int, rise: int, floor: float = 0.0) -> Schedule:
    """Down a cosine from the first step to ``floor``, held back over the first ``rise`` steps."""
    return lambda step: min(1.0, (step + 1) / rise) * cosine(math.pi * step / steps, floor)

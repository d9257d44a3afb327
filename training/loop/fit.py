"""A short fit of a small module, a minute or two: nothing is kept of it between, and a killed one begins anew."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from workspace.errors import DataError


def fit(module: torch.nn.Module, steps: int, loss_at: Callable[[int], torch.Tensor], rate: float = 2e-3) -> list[float]:
    """Train a module in place by AdamW under a one-cycle rate.

    Args:
        module: In float32.
        steps: How many.
        loss_at: The loss of a step by its number.
        rate: Peak learning rate.

    Returns:
        The loss at every step.

    Raises:
        DataError: The loss stops being a number.
    """
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=max(2, steps))
    losses: list[float] = []
    for step in range(steps):
        loss = loss_at(step)
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise DataError(f"the loss of a short fit is {losses[-1]} at step {step + 1} of {steps}")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return losses

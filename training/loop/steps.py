"""The one loop by which our own models learn: loss, check, update, log, checkpoint. Knows no model and no data."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch

from training.loop.metrics import Metrics
from training.loop.schedule import Schedule
from training.loop.trainee import Trainee
from workspace.errors import DataError
from workspace.progress import StageFinished, StageStarted, Tell, TrainingStep, silent

METRICS = "metrics.jsonl"

Loss = torch.Tensor | Iterable[torch.Tensor]
"""The loss of a step: one tensor, or the parts of a sum, of which each is led back before the next is made."""


@dataclass(frozen=True)
class TrainingPlan:
    """How a stage of a training goes on.

    Attributes:
        stage: Its name, in the log and in messages; empty for a training of one stage.
        steps: In all; a training that resumes does what is left.
        schedule: The share of the peak learning rates at a step.
        log_every: Steps from one row of metrics.jsonl to the next; a step with a checkpoint is logged too.
        save_every: Steps from one checkpoint to the next; the last step always has one.
        pictures: Pictures a step, where a rate of them is to be told.
    """

    stage: str
    steps: int
    schedule: Schedule
    log_every: int
    save_every: int
    pictures: int | None = None


def train(
    trainee: Trainee,
    plan: TrainingPlan,
    loss_at: Callable[[int], Loss],
    out: Path,
    tell: Tell = silent,
    *,
    held_out: Callable[[], float] | None = None,
    after_step: Callable[[int], None] | None = None,
) -> None:
    """Step until done; killed or interrupted at any moment, the same call goes on from the last checkpoint.

    Args:
        trainee: What learns; it goes on from its own step.
        plan: How.
        loss_at: The loss of a step by its number, counted from zero. For a resumed training to end where an
            uninterrupted one does, it must depend on the number and the model alone.
        out: Folder for metrics.jsonl.
        tell: Takes the events of progress.
        held_out: The loss on what is not trained on, measured at every checkpoint.
        after_step: Called with the count of steps done, after the checkpoint if there is one.

    Raises:
        DataError: The loss stops being a number; the last checkpoint stays.
        StorageError: The disk refuses a row or a checkpoint.
    """
    if trainee.step >= plan.steps:
        tell(StageFinished(stage=plan.stage, made=False))
        return
    metrics = Metrics(out / METRICS, plan.stage, trainee.step)
    tell(StageStarted(stage=plan.stage, doing="training"))
    began, start, losses = time.monotonic(), trainee.step, list[float]()
    while trainee.step < plan.steps:
        value = _led_back(loss_at(trainee.step))
        _check(value, trainee, plan)
        share = plan.schedule(trainee.step)
        trainee.update(share)
        losses.append(value)
        saving = trainee.step % plan.save_every == 0 or trainee.step == plan.steps
        if saving or trainee.step % plan.log_every == 0:
            pace = (time.monotonic() - began) / (trainee.step - start)
            event = TrainingStep(
                stage=plan.stage,
                step=trainee.step,
                of=plan.steps,
                loss=round(fmean(losses), 5),
                learning_rate=trainee.rate * share,
                held_out=round(held_out(), 5) if saving and held_out else None,
                pictures_s=round(plan.pictures / pace, 2) if plan.pictures else None,
                seconds_a_step=round(pace, 4),
                left_s=round(pace * (plan.steps - trainee.step)),
            )
            metrics.add(event)
            tell(event)
            losses.clear()
        if saving:
            trainee.save()
        if after_step:
            after_step(trainee.step)
    tell(StageFinished(stage=plan.stage))


def _led_back(loss: Loss) -> float:
    """Lead every part of a loss back to the weights' gradients; the sum of the parts."""
    value = 0.0
    for part in (loss,) if isinstance(loss, torch.Tensor) else loss:
        part.backward()
        value += float(part.detach())
    return value


def _check(value: float, trainee: Trainee, plan: TrainingPlan) -> None:
    """Refuse to go on by a loss that is no number."""
    if math.isfinite(value):
        return
    kept = f"the checkpoint of step {trainee.saved} is kept in {trainee.path}"
    raise DataError(
        f"{plan.stage or 'the'} loss is {value} at step {trainee.step + 1} of {plan.steps}; "
        f"{'no checkpoint was written yet' if trainee.saved is None else kept}",
        hint="lower the rate",
    )

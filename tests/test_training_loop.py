"""The one training loop: it logs, saves, resumes to the same digits, stops at a loss that is no number."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from training.loop.fit import fit
from training.loop.metrics import Metrics, read_rows
from training.loop.schedule import falling, one_cycle, rise_then_fall
from training.loop.steps import TrainingPlan, train
from training.loop.terminal import show
from training.loop.trainee import Trainee
from workspace.errors import DataError
from workspace.progress import Progress, Remark, StageFinished, StageStarted, TrainingStep


def plan(steps: int = 6, stage: str = "line", log_every: int = 1, save_every: int = 2) -> TrainingPlan:
    return TrainingPlan(stage, steps, falling(steps, 2, 0.1), log_every, save_every, pictures=8)


def learner(out: Path) -> tuple[Trainee, Callable[[int], torch.Tensor]]:
    """A line that learns another, from eight points a step."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)

    def loss_at(step: int) -> torch.Tensor:
        points = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        return (model(points)[:, 0] - points.sum(1)).square().mean()

    return Trainee(model, 0.1, 0.9, out / "line.safetensors"), loss_at


def weights(trainee: Trainee) -> list[list[float]]:
    parts = (trainee.weights, trainee.average)
    return [weight.detach().flatten().tolist() for part in parts for weight in part.values()]


def test_every_step_is_logged_and_told(tmp_path: Path) -> None:
    trainee, loss_at = learner(tmp_path)
    events: list[Progress] = []
    train(trainee, plan(), loss_at, tmp_path, events.append, held_out=lambda: 0.5)
    assert events[0] == StageStarted(stage="line", doing="training") and events[-1] == StageFinished(stage="line")
    steps = [event for event in events if isinstance(event, TrainingStep)]
    assert [event.step for event in steps] == [1, 2, 3, 4, 5, 6]
    assert [event.held_out for event in steps] == [None, 0.5, None, 0.5, None, 0.5]
    assert all(event.of == 6 and event.stage == "line" and event.pictures_s for event in steps)
    assert [event.learning_rate for event in steps] == [0.1 * plan().schedule(step) for step in range(6)]
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert [(row["step"], row["loss"]) for row in rows] == [(event.step, event.loss) for event in steps]
    assert "type" not in rows[0] and "held_out" not in rows[0]


def test_a_row_is_the_mean_of_the_losses_since_the_last(tmp_path: Path) -> None:
    trainee, loss_at = learner(tmp_path)
    losses: list[float] = []

    def seen(step: int) -> torch.Tensor:
        loss = loss_at(step)
        losses.append(float(loss.detach()))
        return loss

    train(trainee, plan(steps=5, log_every=3, save_every=100), seen, tmp_path)
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows] == [3, 5]
    assert [row["loss"] for row in rows] == pytest.approx([sum(losses[:3]) / 3, sum(losses[3:]) / 2], abs=1e-5)


@pytest.mark.parametrize("killed_at", [1, 4, 5])
def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(tmp_path: Path, killed_at: int) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole, loss_at = learner(tmp_path / "whole")
    train(whole, plan(), loss_at, tmp_path / "whole")

    cut, cut_loss = learner(tmp_path / "parts")

    def interrupted(step: int) -> torch.Tensor:
        if step == killed_at:
            raise KeyboardInterrupt
        return cut_loss(step)

    with pytest.raises(KeyboardInterrupt):
        train(cut, plan(), interrupted, tmp_path / "parts")
    assert cut.saved == (killed_at // 2 * 2 or None)
    resumed, loss_at = learner(tmp_path / "parts")
    assert resumed.step == (cut.saved or 0)
    train(resumed, plan(), loss_at, tmp_path / "parts")
    assert weights(resumed) == weights(whole)
    one, other = (read_rows(tmp_path / name / "metrics.jsonl") for name in ("whole", "parts"))
    assert [(row["step"], row["loss"]) for row in one] == [(row["step"], row["loss"]) for row in other]


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    trainee, loss_at = learner(tmp_path)
    train(trainee, plan(), loss_at, tmp_path)
    before, events = (tmp_path / "metrics.jsonl").read_bytes(), list[Progress]()
    again, loss_at = learner(tmp_path)
    train(again, plan(), loss_at, tmp_path, events.append)
    assert events == [StageFinished(stage="line", made=False)]
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(("poisoned", "kept"), [(0, "no checkpoint was written yet"), (4, "the checkpoint of step 4")])
def test_a_loss_that_is_no_number_stops_it(tmp_path: Path, poisoned: int, kept: str) -> None:
    trainee, loss_at = learner(tmp_path)

    def poison(step: int) -> torch.Tensor:
        return loss_at(step) * (math.nan if step == poisoned else 1)

    with pytest.raises(DataError, match=rf"line loss is nan at step {poisoned + 1} of 6; {kept}.*lower the rate"):
        train(trainee, plan(), poison, tmp_path)
    resumed, _ = learner(tmp_path)
    assert resumed.step == poisoned and all(math.isfinite(value) for part in weights(resumed) for value in part)


def test_the_parts_of_a_sum_are_led_back_one_by_one(tmp_path: Path) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole, loss_at = learner(tmp_path / "whole")
    train(whole, plan(), loss_at, tmp_path / "whole")
    split, one_loss = learner(tmp_path / "parts")

    def halves(step: int) -> Iterator[torch.Tensor]:
        for _ in range(2):
            assert all(weight.grad is None for weight in split.weights.values()) or _ == 1
            yield one_loss(step) / 2

    train(split, plan(), halves, tmp_path / "parts")
    for one, other in zip(weights(split), weights(whole), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_rows_of_other_stages_stay_and_a_half_written_line_goes(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = '{"stage": "other", "step": 9, "loss": 1.0}\n{"stage": "line", "step": 2, "loss": 1.0}\n'
    path.write_text(rows + '{"stage": "li')
    Metrics(path, "line", 1).add(TrainingStep(stage="line", step=2, of=3, loss=0.5))
    assert [(row["stage"], row["step"], row["loss"]) for row in map(json.loads, path.read_text().splitlines())] == [
        ("other", 9, 1.0),
        ("line", 2, 0.5),
    ]


def test_a_hook_is_called_after_the_checkpoint(tmp_path: Path) -> None:
    trainee, loss_at = learner(tmp_path)
    seen: list[tuple[int, int | None]] = []
    train(trainee, plan(steps=3), loss_at, tmp_path, after_step=lambda step: seen.append((step, trainee.saved)))
    assert seen == [(1, None), (2, 2), (3, 3)]


@pytest.mark.parametrize("schedule", [one_cycle(100), rise_then_fall(100, 5, 0.01), falling(100, 5, 0.01)])
def test_schedules_rise_then_fall(schedule: Callable[[int], float]) -> None:
    shares = [schedule(step) for step in range(100)]
    assert shares[0] == pytest.approx(0.2, abs=0.001) and max(shares) <= 1
    assert shares[:5] == sorted(shares[:5]) and shares[5:] == sorted(shares[5:], reverse=True)
    assert 0.01 <= shares[-1] < 0.012


def test_a_short_fit_learns_and_stops_at_a_loss_that_is_no_number() -> None:
    torch.manual_seed(0)
    model, points = torch.nn.Linear(3, 1), torch.randn(32, 3)

    def loss_at(step: int) -> torch.Tensor:
        return (model(points)[:, 0] - points.sum(1)).square().mean()

    losses = fit(model, 200, loss_at, rate=0.05)
    assert len(losses) == 200 and losses[-1] < 0.05 * losses[0]
    with pytest.raises(DataError, match="the loss of a short fit is inf at step 1 of 2"):
        fit(model, 2, lambda step: loss_at(step) * math.inf)


def test_events_are_shown_as_lines(capsys: pytest.CaptureFixture[str]) -> None:
    for event in (
        StageStarted(stage="flow", doing="training"),
        TrainingStep(stage="flow", step=2, of=9, loss=0.25, held_out=0.5, seconds_a_step=1.5, left_s=10),
        Remark(text="a remark"),
        StageFinished(stage="flow", made=False),
    ):
        show(event)
    assert capsys.readouterr().out.splitlines() == [
        "flow: training",
        "flow: step 2 of 9, loss 0.25, held out 0.5, 1.5 s a step, 10 s left",
        "a remark",
        "flow: done before",
    ]

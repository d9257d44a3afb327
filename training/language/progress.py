"""A stage while it trains: steps guarded, checkpoints marked when whole, metrics written and reported.

Knows the trainers' callbacks; not what is trained. Of several processes the first one writes.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback

from training.language import ranks
from workspace.errors import DataError, StorageError
from workspace.files import disk
from workspace.progress import Remark, Tell, TrainingStep

WHOLE = "whole"  # a checkpoint with this file was written to its end
_RUNAWAY, _PATIENCE = 3.0, 20  # times the best loss, for so many logged steps in a row

_FULL = (
    "No space left on device",
    "Disk quota exceeded",
    "PytorchStreamWriter",
    "inline_container",
)  # of torch: the last

_OF_THE_LOG = {"type", "run_id", "seq", "at", "stage"}  # what metrics.jsonl has no need of


@dataclass(frozen=True)
class Effort:
    """What training by a token costs: operations, and how many a second the processes' GPUs could do, if known."""

    operations: float
    peak: float | None


def guarded(kind: type, keeper: Keeper, plain: bool = False) -> type:
    """A trainer that stops at a loss that is no number, before it spoils the weights, and counts its tokens.

    ``plain`` takes the loss from all logits at once, as transformers does: on a CPU a fifth quicker than TRL's chunks
    of them, which save a GPU's memory, and the same number.
    """

    class Guarded(kind):  # type: ignore[misc]
        if plain:
            compute_loss = Trainer.compute_loss

        def log(self, logs: dict[str, float], *given: Any, **named: Any) -> None:
            super().log({**logs, **keeper.rates()} if "loss" in logs else logs, *given, **named)

        def training_step(self, model: Any, inputs: Any, *given: Any, **named: Any) -> Any:
            keeper.tokens = keeper.tokens + tokens_of(inputs)
            loss = super().training_step(model, inputs, *given, **named)
            if not torch.isfinite(loss):
                raise DataError(
                    f"the loss is {float(loss)} at step {self.state.global_step + 1}; "
                    f"the last good checkpoint is kept in {self.args.output_dir}",
                    hint="lower learning_rate",
                )
            return loss

        def _save_checkpoint(self, *given: Any, **named: Any) -> None:
            with written(Path(self.args.output_dir)):
                super()._save_checkpoint(*given, **named)

    return Guarded


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Within it, what the disk or a library that writes weights says of a full disk becomes a StorageError."""
    from safetensors import SafetensorError

    try:
        with disk(folder):
            yield
    except (SafetensorError, RuntimeError) as fault:
        if not any(sign in str(fault) for sign in _FULL):
            raise
        raise StorageError(
            f"cannot write {folder}: no space is left on the disk",
            hint="what was made is kept; the same command goes on",
        ) from fault


def tokens_of(inputs: Mapping[str, Any]) -> Any:
    """Tokens of a batch, without padding: of a preference batch both answers, each with its prompt."""
    found: Any = 0
    for name in ("input_ids", "chosen_input_ids", "rejected_input_ids"):
        if name in inputs:
            mask = inputs.get(name.replace("input_ids", "attention_mask"))
            found = found + (inputs[name].numel() if mask is None else mask.sum())
    return found


class Keeper(TrainerCallback):  # type: ignore[misc]
    """Marks whole checkpoints, writes the metrics, keeps every epoch's model, and stops a loss that runs away.

    Args:
        out: Folder for metrics.jsonl.
        tell: Called with `TrainingStep` for every row of it.
        effort: From which the share of the GPUs' peak is reckoned.
    """

    keep: Callable[[float], None] | None = None
    """Called, in every process, after each epoch with how many have been trained: 0.5 where half of one is all."""

    def __init__(self, out: Path, tell: Tell, effort: Effort | None = None) -> None:
        self.out, self.tell, self.effort = out, tell, effort
        self.best, self.bad = math.inf, 0
        self.tokens: Any = 0  # of this process, since it began; perhaps still on the GPU
        self.began: tuple[float, int] | None = None
        self.last: TrainingStep | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write, show and measure as often as is asked for now: a checkpoint brings what was asked for then."""
        state.compute_steps(args, state.max_steps)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the time of the first step."""
        self.began = self.began or (time.monotonic(), state.global_step)

    def rates(self) -> dict[str, float]:
        """Tokens a second of all processes since they began, and the share of the GPUs' peak that this takes."""
        assert self.began is not None
        rate = ranks.total(float(self.tokens)) / max(1e-9, time.monotonic() - self.began[0])
        rates = {"tokens_s": round(rate, 1)}
        if self.effort and self.effort.peak:
            rates["mfu"] = round(rate * self.effort.operations / self.effort.peak, 4)
        return rates

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark a checkpoint when every process has written its part."""
        ranks.wait()
        if ranks.first():
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / WHOLE).touch()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Write a row, and stop a loss that runs away."""
        if logs and "eval_loss" in logs:
            self._held_out(state, float(logs["eval_loss"]))
        if not logs or "loss" not in logs:
            return
        loss = float(logs["loss"])
        assert self.began is not None
        began, first = self.began
        taken = (time.monotonic() - began) / max(1, state.global_step - first)
        if ranks.first():
            self._report(
                TrainingStep(
                    step=state.global_step,
                    of=state.max_steps,
                    epoch=round(state.epoch or 0, 3),
                    loss=loss,
                    learning_rate=logs.get("learning_rate"),
                    seconds_a_step=round(taken, 3),
                    tokens_s=logs.get("tokens_s"),
                    mfu=logs.get("mfu"),
                    left_s=round(taken * (state.max_steps - state.global_step)),
                )
            )
        self.best = min(self.best, loss)
        self.bad = self.bad + 1 if loss > _RUNAWAY * self.best + 1 else 0
        if self.bad >= _PATIENCE:
            raise DataError(
                f"the loss runs away: {loss:.3g} at step {state.global_step}, {self.best:.3g} was the best",
                hint=f"lower learning_rate; checkpoints are in {args.output_dir}",
            )

    def _held_out(self, state: Any, loss: float) -> None:
        """Write the loss on rows that are not trained on: a row of its own, and told with the last step's."""
        if not ranks.first():
            return
        found = {"step": state.global_step, "epoch": round(state.epoch or 0, 3), "held_out": round(loss, 5)}
        self._write(found)
        if self.last is None:
            self.tell(Remark(text=f"held-out loss at step {state.global_step}: {found['held_out']:g}"))
        else:
            self.tell(self.last.model_copy(update=found))

    def _report(self, step: TrainingStep) -> None:
        self.last = step
        self._write(step.model_dump(mode="json", exclude=_OF_THE_LOG, exclude_none=True))
        self.tell(step)

    def _write(self, row: Mapping[str, Any]) -> None:
        with disk(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep an epoch's model where that is wanted."""
        if self.keep:
            self.keep(round(state.epoch, 2))


def last_whole(folder: Path) -> str | None:
    """The newest whole checkpoint of a folder; what a kill left half-written is removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    if ranks.first():
        for path in found:
            if not (path / WHOLE).is_file():
                shutil.rmtree(path)
    whole = [path for path in found if (path / WHOLE).is_file()]
    return ranks.agreed(str(whole[-1]) if whole else None)

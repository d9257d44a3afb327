"""One training stage of a language model, by TRL: a model folder and rows in, a variant's folder out.

Read top to bottom: check the tokenizer, turn rows into tokens, build the trainer of the stage's kind, train with a
checkpoint every so often, publish. Killed at any moment, the same call goes on from the last whole checkpoint. A loss
that is no number, or runs away, stops it; the last good checkpoint stays. Knows no recipe and no graph.
"""

from __future__ import annotations

import json
import math
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback

from training.recipes import Adapter
from training.rows import Row
from training.tokens import Lengths, check_tokenizer, lengths, of_messages, of_text, rendered, set_pad
from training.variants import write_variant
from workspace.errors import DataError

WHOLE = "whole"  # a checkpoint with this file was written to its end
_PACKING = {"cpt": "bfd_split", "sft": "bfd"}
_RUNAWAY, _PATIENCE = 3.0, 20  # times the best loss, for so many logged steps in a row

Told = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Task:
    """What a stage is to do.

    Attributes:
        kind: cpt, sft, dpo or orpo.
        args: Every argument, from `training.recipes.resolved`.
        base: Folder of the model that it starts from.
        template: Folder of the model whose chat template is used; the base's own if not given.
        adapter: A low-rank adapter in place of full training.
        keep_epochs: Publish the model after every epoch too.
        card: What the variant's card says beside what is measured here.
    """

    kind: str
    args: Mapping[str, Any]
    base: Path
    template: Path | None = None
    adapter: Adapter | None = None
    keep_epochs: bool = False
    card: Mapping[str, Any] | None = None


def main(task: Task, rows: Sequence[Row], out: Path, folder: Path, told: Told | None = None) -> Path:
    """Train one stage.

    Args:
        task: What is trained and how.
        rows: Checked rows of the stage's schema.
        out: Folder for checkpoints and metrics.jsonl.
        folder: Where the variant is published.
        told: Called with rows of progress.

    Returns:
        The variant's folder.

    Raises:
        DataError: The tokenizer does not fit, no row is left, or the loss is no number or runs away.
    """
    _quiet()
    tokenizer = load_tokenizer(task)
    data, sizes = dataset(task, tokenizer, rows)
    if told:
        told({"rows": sizes.rows, "tokens": sizes.tokens, "truncated": round(sizes.truncated, 4)})
    trainer = _trainer(task, tokenizer, data, out, told)
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=_last(out / "checkpoints"))
    model = trainer.accelerator.unwrap_model(trainer.model)
    figures = {"tokens": sizes.tokens, "truncated": round(sizes.truncated, 4), "steps": trainer.state.global_step}
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    if losses:
        figures["loss_first"], figures["loss_last"] = losses[0], losses[-1]
    return write_variant(model, tokenizer, folder, {**(task.card or {}), "figures": figures})


def _quiet() -> None:
    """Leave the terminal to the stage's own progress."""
    import datasets
    from transformers.utils import logging

    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    warnings.filterwarnings("ignore", message="`(is_)?gradient_checkpointing` is deprecated", category=FutureWarning)


def load_tokenizer(task: Task) -> Any:
    """The tokenizer with which a stage trains and its variant will speak."""
    tokenizer = AutoTokenizer.from_pretrained(task.base, local_files_only=True)
    if task.template is not None:
        tokenizer.chat_template = AutoTokenizer.from_pretrained(task.template, local_files_only=True).chat_template
    check_tokenizer(tokenizer, str(task.base), chat=task.kind != "cpt")
    set_pad(tokenizer)
    return tokenizer


def dataset(task: Task, tokenizer: Any, rows: Sequence[Row]) -> tuple[Any, Lengths]:
    """Rows as the stage's trainer takes them, and what they come to in tokens."""
    from datasets import Dataset

    most = int(task.args["max_length"])
    if task.kind in ("dpo", "orpo"):
        whole = [
            of_messages(tokenizer, {"messages": [*row["prompt"], *row[side]]}, f"row {number}, {side}")
            for number, row in enumerate(rows, 1)
            for side in ("chosen", "rejected")
        ]
        return Dataset.from_list([_preference(tokenizer, row, task) for row in rows]), lengths(whole, most)
    encode = of_text if task.kind == "cpt" else of_messages
    encoded = [encode(tokenizer, row) for row in rows]
    made = [{"input_ids": one.input_ids, "labels": one.labels} for one in encoded]
    if not task.args["assistant_only_loss"]:
        made = [{**one, "labels": one["input_ids"]} for one in made]
    return Dataset.from_list(made), lengths(encoded, most)


def _preference(tokenizer: Any, row: Row, task: Task) -> dict[str, str]:
    """A preference row as texts: the prompt as inference renders it, each answer up to its end of turn."""
    asked = rendered(tokenizer, row["prompt"], ask=True)
    most = task.args["max_prompt_length"]
    told = {"prompt": tokenizer.decode(asked[-most:] if most else asked)}
    for side in ("chosen", "rejected"):
        one = of_messages(tokenizer, {"messages": [*row["prompt"], *row[side]]})
        stop = max(place for place, label in enumerate(one.labels) if label >= 0) + 1
        told[side] = tokenizer.decode(one.input_ids[len(asked) : stop])
    return told


def _trainer(task: Task, tokenizer: Any, data: Any, out: Path, told: Told | None) -> Any:
    """The TRL trainer of the stage's kind, guarded and told of."""
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    model: Any = AutoModelForCausalLM.from_pretrained(task.base, dtype=torch.float32, local_files_only=True)
    common = _arguments(task, out)
    callbacks = [_Keeper(out, told, task)]
    shared: dict[str, Any] = {
        "model": model,
        "train_dataset": data,
        "processing_class": tokenizer,
        "callbacks": callbacks,
        "peft_config": _peft(task.adapter),
    }
    if task.kind in ("cpt", "sft"):
        args = SFTConfig(**common, packing=task.args["packing"], packing_strategy=_PACKING[task.kind])
        return _guarded(SFTTrainer)(args=args, **shared)
    if task.kind == "dpo":
        return _guarded(DPOTrainer)(args=DPOConfig(**common, beta=task.args["beta"]), **shared)
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    return _guarded(ORPOTrainer)(args=ORPOConfig(**common, beta=task.args["beta"]), **shared)


def _arguments(task: Task, out: Path) -> dict[str, Any]:
    """The arguments that all four trainers share, in Hugging Face's names."""
    same = (
        "learning_rate", "lr_scheduler_type", "num_train_epochs", "max_steps", "max_length", "weight_decay",
        "per_device_train_batch_size", "gradient_accumulation_steps", "max_grad_norm", "optim",
        "bf16", "seed", "logging_steps", "save_steps",
    )  # fmt: skip
    args = task.args
    return {
        **{name: args[name] for name in same},
        "activation_checkpointing": args["gradient_checkpointing"],
        "warmup_steps": args["warmup_steps"] or args["warmup_ratio"],
        "output_dir": str(out / "checkpoints"),
        "use_cpu": not torch.cuda.is_available(),
        "save_total_limit": 2,
        "logging_nan_inf_filter": False,
        "report_to": [],
        "disable_tqdm": True,
        "log_level": "error",
        "remove_unused_columns": task.kind != "orpo",
    }


def _peft(adapter: Adapter | None) -> Any:
    if adapter is None:
        return None
    from peft import LoraConfig

    targets = adapter.target_modules if isinstance(adapter.target_modules, str) else list(adapter.target_modules)
    return LoraConfig(
        r=adapter.r,
        lora_alpha=adapter.lora_alpha,
        lora_dropout=adapter.lora_dropout,
        target_modules=targets,
        use_dora=adapter.type == "dora",
        task_type="CAUSAL_LM",
    )


def _guarded(kind: type) -> type:
    """A trainer that stops at a loss that is no number, before it spoils the weights."""

    class Guarded(kind):  # type: ignore[misc]
        def training_step(self, *given: Any, **named: Any) -> Any:
            loss = super().training_step(*given, **named)
            if not torch.isfinite(loss):
                raise DataError(
                    f"the loss is {float(loss)} at step {self.state.global_step + 1}; "
                    f"the last good checkpoint is kept in {self.args.output_dir}",
                    hint="lower learning_rate",
                )
            return loss

    return Guarded


class _Keeper(TrainerCallback):  # type: ignore[misc]
    """Marks whole checkpoints, writes the metrics, keeps every epoch's model, and stops a loss that runs away."""

    def __init__(self, out: Path, told: Told | None, task: Task) -> None:
        self.out, self.told, self.task = out, told, task
        self.best, self.bad = math.inf, 0
        self.began: tuple[float, int] | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.began = self.began or (time.monotonic(), state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / WHOLE).touch()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        loss = float(logs["loss"])
        row = {"step": state.global_step, "of": state.max_steps, "epoch": round(state.epoch or 0, 3), "loss": loss}
        row["learning_rate"] = logs.get("learning_rate")
        assert self.began is not None
        began, first = self.began
        taken = (time.monotonic() - began) / max(1, state.global_step - first)
        row["seconds_a_step"] = round(taken, 3)
        row["left_s"] = round(taken * (state.max_steps - state.global_step))
        self.out.mkdir(parents=True, exist_ok=True)
        with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if self.told:
            self.told(row)
        self.best = min(self.best, loss)
        self.bad = self.bad + 1 if loss > _RUNAWAY * self.best + 1 else 0
        if self.bad >= _PATIENCE:
            raise DataError(
                f"the loss runs away: {loss:.3g} at step {state.global_step}, {self.best:.3g} was the best",
                hint=f"lower learning_rate; checkpoints are in {args.output_dir}",
            )

    def on_epoch_end(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        if self.task.keep_epochs and state.is_world_process_zero:
            folder = self.out / "epochs" / f"{round(state.epoch)}"
            if not folder.is_dir():
                card = {**(self.task.card or {}), "epoch": round(state.epoch)}
                write_variant(named["model"], named["processing_class"], folder, card)


def _last(folder: Path) -> str | None:
    """The newest whole checkpoint; what a kill left half-written is removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    for path in found:
        if not (path / WHOLE).is_file():
            shutil.rmtree(path)
    whole = [path for path in found if path.is_dir()]
    return str(whole[-1]) if whole else None

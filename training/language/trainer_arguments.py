"""A stage's arguments as the trainers of TRL take them, in Hugging Face's names. Trains nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from training.language import ranks
from training.language.arguments import Adapter, Arguments


def shared(args: Arguments, kind: str, out: Path, run_name: str) -> dict[str, Any]:
    """The arguments that all four trainers share.

    Args:
        args: The stage's, resolved.
        kind: cpt, sft, dpo or orpo.
        out: The stage's folder.
        run_name: What a reporter calls it.
    """
    same = {
        "learning_rate", "lr_scheduler_type", "num_train_epochs", "max_steps", "max_length", "weight_decay",
        "per_device_train_batch_size", "gradient_accumulation_steps", "max_grad_norm", "optim",
        "bf16", "fp16", "seed", "logging_steps", "save_steps", "save_total_limit", "adam_beta1", "adam_beta2",
        "adam_epsilon", "dataloader_num_workers",
    }  # fmt: skip
    _report_into(out / "logs", args.report_to, run_name)
    return {
        **args.model_dump(include=same),
        **_measuring(args),
        "activation_checkpointing": args.gradient_checkpointing,
        "warmup_steps": args.warmup_steps or args.warmup_ratio,
        "output_dir": str(out / "checkpoints"),
        "use_cpu": not torch.cuda.is_available(),
        "logging_nan_inf_filter": False,
        "report_to": list(args.report_to),
        "run_name": run_name,
        "disable_tqdm": True,
        "ddp_find_unused_parameters": False,
        "log_level": "error",
        "remove_unused_columns": kind in ("cpt", "sft"),
    }


def preferring(args: Arguments) -> dict[str, Any]:
    """Which loss DPO has."""
    return {"loss_type": [args.loss_type], "label_smoothing": args.label_smoothing}


def _measuring(args: Arguments) -> dict[str, Any]:
    """When the held-out loss is measured, in Hugging Face's names."""
    if not args.held_out:
        return {"eval_strategy": "no"}
    return {
        "eval_strategy": args.eval_strategy or ("steps" if args.eval_steps else "epoch"),
        "eval_steps": args.eval_steps,
        "per_device_eval_batch_size": args.per_device_eval_batch_size or args.per_device_train_batch_size,
        "prediction_loss_only": True,
    }


def _report_into(folder: Path, names: Sequence[str], run_name: str) -> None:
    """Say where a stage's metrics go, before their reporters ask."""
    if not names or not ranks.first():
        return
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder)
    if "wandb" in names:
        import wandb

        wandb.init(dir=str(folder), name=run_name, project=os.environ.get("WANDB_PROJECT", "studio"))


def low_rank(adapter: Adapter | None) -> Any:
    """An adapter as peft takes it; none if there is none."""
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
        use_rslora=adapter.use_rslora,
        modules_to_save=list(adapter.modules_to_save) or None,
        task_type="CAUSAL_LM",
    )


def widen(model: Any) -> None:
    """Hold what is trained in single precision, as half precision's scaled gradients need."""
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()

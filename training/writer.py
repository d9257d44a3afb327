"""Tune the embedded writer: a LoRA adapter of SmolLM2-135M-Instruct by SFT on `training.writer_rows`.

Read top to bottom: make the rows, train on their completions alone with TRL, save the adapter. Killed at any moment,
the same command goes on from its last checkpoint.

    python -m training.writer --base ~/.studio/models/smollm2-135m-instruct --out DIR --designs 1500
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from workspace.errors import DataError
from workspace.files import publish


def rows_of(tokenizer: Any, seed: int, designs: int, fields: int) -> list[dict[str, str]]:
    """Every training row of so many designs."""
    from training.writer_rows import rows

    return [one for number in range(designs) for one in rows(seed, number, tokenizer, fields)]


def main(base: Path, out: Path, designs: int, fields: int, rank: int, rate: float, batch: int, seed: int) -> Path:
    """Train the adapter.

    Args:
        base: Folder of SmolLM2-135M-Instruct.
        out: Folder for checkpoints and the adapter; the same folder resumes.
        designs: How many designs rows are made of.
        fields: Rows of fields a design, beside one turn of its conversation.
        rank: Of the adapter; alpha is twice that.
        rate: Peak learning rate.
        batch: Rows a step.
        seed: Of rows and training.

    Returns:
        The adapter's folder, ``out/adapter``.

    Raises:
        DataError: The loss stops being a number.
    """
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.trainer_utils import get_last_checkpoint
    from trl import SFTConfig, SFTTrainer

    out.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, local_files_only=True)
    shape = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    plan = SFTConfig(
        output_dir=str(out / "checkpoints"),
        per_device_train_batch_size=batch,
        num_train_epochs=1,
        learning_rate=rate,
        lr_scheduler_type="cosine",
        warmup_steps=30,
        weight_decay=0.01,
        max_length=1024,
        completion_only_loss=True,
        train_sampling_strategy="group_by_length",
        logging_steps=10,
        save_steps=100,
        save_total_limit=2,
        seed=seed,
        report_to="none",
        bf16=torch.cuda.is_available(),
        gradient_checkpointing=False,
    )
    trainer = SFTTrainer(
        model=model,
        args=plan,
        train_dataset=Dataset.from_list(rows_of(tokenizer, seed, designs, fields)),
        processing_class=tokenizer,
        peft_config=shape,
    )
    folder = Path(plan.output_dir)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(folder)) if folder.is_dir() else None)
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    if not losses or losses[-1] != losses[-1]:
        raise DataError(f"the loss is {losses[-1] if losses else 'missing'} at the end", hint="lower --rate")
    trainer.model.save_pretrained(out / "adapter")
    publish(out / "losses.json", json.dumps(trainer.state.log_history))
    return out / "adapter"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--designs", type=int, default=1500)
    parser.add_argument("--fields", type=int, default=5, help="rows of fields a design")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=42)
    told = parser.parse_args()
    print(main(told.base, told.out, told.designs, told.fields, told.rank, told.rate, told.batch, told.seed))

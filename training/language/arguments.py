"""What a stage of a recipe can be told, with Hugging Face's names, bounds and defaults. Knows shapes, no training."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A part of a recipe: no other keys than its own, no figure that is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Arguments(Part):
    """What a stage is trained with, in Hugging Face's names. What is not given stands as here."""

    learning_rate: float = Field(2e-5, gt=0)
    lr_scheduler_type: Literal["cosine", "constant", "constant_with_warmup", "linear"] = "cosine"
    warmup_ratio: float = Field(0.1, ge=0, lt=1, description="of all steps")
    warmup_steps: int = Field(0, ge=0, description="instead of the ratio, if not 0")
    num_train_epochs: float = Field(1.0, gt=0)
    max_steps: int = Field(-1, ge=-1, description="instead of the epochs, if not -1")
    max_length: int = Field(2048, ge=16, description="tokens of a row")
    max_prompt_length: int | None = Field(None, ge=8, description="tokens of a preference row's prompt")
    per_device_train_batch_size: int = Field(1, ge=1)
    gradient_accumulation_steps: int = Field(1, ge=1)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    optim: Literal[
        "adamw_torch", "adamw_torch_fused", "adafactor", "sgd", "adamw_8bit", "paged_adamw_8bit", "lion_8bit"
    ] = "adamw_torch"
    beta: float | None = Field(None, gt=0, description="of DPO and ORPO")
    packing: bool | None = Field(None, description="CPT and SFT: true if not given")
    assistant_only_loss: bool | None = Field(None, description="SFT: true if not given")
    gradient_checkpointing: bool = False
    bf16: bool = True
    seed: int = 42
    logging_steps: int = Field(10, ge=1)
    save_steps: int = Field(100, ge=1, description="a checkpoint to resume from")
    report_to: tuple[Literal["tensorboard", "wandb"], ...] = Field((), description="beside metrics.jsonl")


class Adapter(Part):
    """A low-rank adapter in place of full training."""

    type: Literal["lora", "dora", "qlora"] = "lora"
    r: int = Field(16, ge=1, le=512)
    lora_alpha: int = Field(32, ge=1)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: str | tuple[str, ...] = "all-linear"

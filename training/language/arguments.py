"""What a stage of a recipe is trained with: Hugging Face's names, bounds and defaults. Knows shapes, no training."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A part of a recipe: no other keys than its own, no figure that is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Arguments(Part):
    """What a stage is trained with, in Hugging Face's names. What is not given stands as here."""

    learning_rate: float = Field(2e-5, gt=0, description="Step size at its highest")
    lr_scheduler_type: Literal["cosine", "constant", "constant_with_warmup", "linear"] = Field(
        "cosine", description="How the learning rate changes over the steps"
    )
    warmup_ratio: float = Field(0.1, ge=0, lt=1, description="Share of all steps over which the learning rate rises")
    warmup_steps: int = Field(0, ge=0, description="Steps over which it rises, instead of the ratio, if not 0")
    num_train_epochs: float = Field(1.0, gt=0, description="How often every row is seen")
    max_steps: int = Field(-1, ge=-1, description="Optimizer steps, instead of the epochs, if not -1")
    max_length: int = Field(2048, ge=16, description="Tokens of a row; what is beyond is cut")
    max_prompt_length: int | None = Field(
        None, ge=8, description="Tokens of a preference row's prompt; its beginning is cut"
    )
    per_device_train_batch_size: int = Field(1, ge=1, description="Rows that a process takes at once")
    gradient_accumulation_steps: int = Field(1, ge=1, description="Batches that are summed to an optimizer step")
    weight_decay: float = Field(0.0, ge=0, description="How strongly weights are drawn to zero")
    max_grad_norm: float = Field(1.0, gt=0, description="Length to which longer gradients are cut")
    optim: Literal[
        "adamw_torch", "adamw_torch_fused", "adafactor", "sgd", "adamw_8bit", "paged_adamw_8bit", "lion_8bit"
    ] = Field("adamw_torch", description="Optimizer; those of 8 bits need bitsandbytes")
    beta: float | None = Field(None, gt=0, description="DPO and ORPO: weight of the preference; 0.1 if not given")
    packing: bool | None = Field(None, description="CPT and SFT: several rows in one of max_length; true if not given")
    assistant_only_loss: bool | None = Field(
        None, description="SFT: only the assistant's turns are learned; true if not given"
    )
    gradient_checkpointing: bool = Field(False, description="Compute activations twice to save memory")
    bf16: bool = Field(True, description="Compute in bfloat16 beside weights in single precision")
    seed: int = Field(42, ge=0, lt=2**32, description="Of the rows' order and of dropout")
    logging_steps: int = Field(10, ge=1, description="Steps from one line of metrics to the next")
    save_steps: int = Field(100, ge=1, description="Steps from one checkpoint, to resume from, to the next")
    report_to: tuple[Literal["tensorboard", "wandb"], ...] = Field(
        (), description="Where metrics go beside metrics.jsonl"
    )


class Adapter(Part):
    """A low-rank adapter in place of full training."""

    type: Literal["lora", "dora", "qlora"] = Field("lora", description="qlora holds the base in four bits")
    r: int = Field(16, ge=1, le=512, description="Rank")
    lora_alpha: int = Field(32, ge=1, description="Scale, by the rank")
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="Share of its inputs that is dropped")
    target_modules: str | tuple[str, ...] = Field("all-linear", description="Names of the layers that it adapts")

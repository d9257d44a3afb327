"""What a stage of a recipe is trained with: Hugging Face's names, bounds and defaults. Knows shapes, no training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class Part(BaseModel):
    """A part of a recipe: no other keys than its own, no figure that is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _reporters(value: Any) -> Any:
    """``none``, or one name, as Hugging Face's own arguments take them."""
    return () if value in (None, "none", ["none"]) else (value,) if isinstance(value, str) else value


def _strategy(value: Any) -> Any:
    """YAML reads ``no`` as false."""
    return "no" if value is False else value


Preference = Literal["sigmoid", "hinge", "ipo", "robust", "exo_pair", "apo_zero", "apo_down", "sigmoid_norm"]
Reporters = Annotated[tuple[Literal["tensorboard", "wandb"], ...], BeforeValidator(_reporters)]
BOOKKEEPING = frozenset(
    {
        "attn_implementation", "dataloader_num_workers", "eval_steps", "eval_strategy", "gradient_checkpointing",
        "logging_steps", "per_device_eval_batch_size", "report_to", "save_steps", "save_total_limit",
    }
)  # fmt: skip
"""Arguments that leave the trained weights as they are: with others, work that was begun or done is still the same."""


ELSEWHERE = {
    "val_set_size": "held_out", "val_size": "held_out", "test_size": "held_out", "evaluation_strategy": "eval_strategy",
    "micro_batch_size": "per_device_train_batch_size", "num_epochs": "num_train_epochs", "lr": "learning_rate",
    "cutoff_len": "max_length", "max_seq_length": "max_length", "sequence_len": "max_length",
    "lr_scheduler": "lr_scheduler_type", "optimizer": "optim", "pref_loss": "loss_type", "dpo_beta": "beta",
    "flash_attn": "attn_implementation", "train_on_inputs": "assistant_only_loss",
}  # fmt: skip
"""What other tools call these arguments."""


class Arguments(Part):
    """What a stage is trained with, in Hugging Face's names. What is not given stands as here."""

    learning_rate: float = Field(2e-5, gt=0, le=0.1, description="Step size at its highest")
    lr_scheduler_type: Literal["cosine", "constant", "constant_with_warmup", "linear"] = Field(
        "cosine", description="How the learning rate changes over the steps"
    )
    warmup_ratio: float = Field(0.1, ge=0, lt=1, description="Share of all steps over which the learning rate rises")
    warmup_steps: int = Field(0, ge=0, description="Steps over which it rises, instead of the ratio, if not 0")
    num_train_epochs: float = Field(1.0, gt=0, le=10_000, description="How often every row is seen")
    max_steps: int = Field(-1, ge=-1, description="Optimizer steps, instead of the epochs, if not -1")
    max_length: int = Field(2048, ge=16, description="Tokens of a row; what is beyond is cut")
    max_prompt_length: int | None = Field(
        None, ge=8, description="Tokens of a preference row's prompt; its beginning is cut"
    )
    per_device_train_batch_size: int = Field(1, ge=1, description="Rows that a process takes at once")
    gradient_accumulation_steps: int = Field(1, ge=1, description="Batches that are summed to an optimizer step")
    weight_decay: float = Field(0.0, ge=0, le=1, description="How strongly weights are drawn to zero")
    max_grad_norm: float = Field(1.0, gt=0, description="Length to which longer gradients are cut")
    optim: Literal[
        "adamw_torch", "adamw_torch_fused", "adafactor", "sgd", "adamw_8bit", "paged_adamw_8bit", "lion_8bit"
    ] = Field("adamw_torch", description="Optimizer; those of 8 bits need bitsandbytes")
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="AdamW: how long the gradients' mean remembers")
    adam_beta2: float = Field(0.999, ge=0, lt=1, description="AdamW: how long their squares' mean remembers")
    adam_epsilon: float = Field(1e-8, gt=0, le=1e-2, description="AdamW: what is added to the divisor")
    beta: float | None = Field(None, gt=0, description="DPO and ORPO: weight of the preference; 0.1 if not given")
    loss_type: (
        Literal["sigmoid", "hinge", "ipo", "robust", "exo_pair", "apo_zero", "apo_down", "sigmoid_norm"] | None
    ) = Field(None, description="DPO: which loss; sigmoid if not given, or robust where label_smoothing is")
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        description="DPO, robust and exo_pair: the share of pairs thought to be the wrong way",
    )
    packing: bool | None = Field(None, description="CPT and SFT: several rows in one of max_length; true if not given")
    assistant_only_loss: bool | None = Field(
        None, description="SFT: only the assistant's turns are learned; true if not given"
    )
    held_out: float = Field(
        0.0, ge=0, le=0.5, description="Share of the rows that is not trained on and whose loss is told"
    )
    eval_strategy: Annotated[Literal["no", "steps", "epoch"] | None, BeforeValidator(_strategy)] = Field(
        None, description="When the held-out loss is told; after each epoch and at the end if not given"
    )
    eval_steps: int | None = Field(None, ge=1, description="Steps from one held-out loss to the next")
    per_device_eval_batch_size: int | None = Field(
        None, ge=1, description="Held-out rows that a process takes at once; as in training if not given"
    )
    gradient_checkpointing: bool = Field(False, description="Compute activations twice to save memory")
    bf16: bool | None = Field(
        None,
        description="Compute in bfloat16 beside weights in single precision; true if not given, unless fp16 is. A CPU "
        "without instructions for it computes in single precision, and says so",
    )
    fp16: bool = Field(False, description="Compute in half precision: for GPUs without bfloat16, such as T4 and V100")
    attn_implementation: Literal["eager", "sdpa", "flash_attention_2"] | None = Field(
        None, description="How attention is computed; as transformers chooses if not given"
    )
    dataloader_num_workers: int = Field(0, ge=0, le=64, description="Processes that put batches together")
    seed: int = Field(42, ge=0, lt=2**32, description="Of the rows' order and of dropout")
    logging_steps: int = Field(10, ge=1, description="Steps from one line of metrics to the next")
    save_steps: int = Field(100, ge=1, description="Steps from one checkpoint, to resume from, to the next")
    save_total_limit: int = Field(2, ge=1, description="How many checkpoints are kept while it trains")
    report_to: Reporters = Field((), description="Where metrics go beside metrics.jsonl; none for nowhere")

    @model_validator(mode="before")
    @classmethod
    def _known_elsewhere(cls, held: Any) -> Any:
        for name in held if isinstance(held, dict) else ():
            if name in ELSEWHERE:
                raise ValueError(f"unknown key {name!r}; here it is {ELSEWHERE[name]}")
        return held

    @model_validator(mode="after")
    def _whole(self) -> Arguments:
        if self.bf16 and self.fp16:
            raise ValueError("bf16 and fp16 are both asked for; one of them is computed in")
        if self.eval_strategy == "no" and (self.eval_steps or self.held_out):
            name = "held_out" if self.held_out else "eval_steps"
            raise ValueError(f"{name} is given, and eval_strategy is no")
        if self.eval_strategy == "steps" and not self.eval_steps:
            raise ValueError("eval_strategy is steps: eval_steps is needed")
        if self.eval_strategy == "epoch" and self.eval_steps:
            raise ValueError("eval_steps is given, and eval_strategy is epoch")
        if (self.eval_strategy in ("steps", "epoch") or self.eval_steps) and not self.held_out:
            name = "eval_strategy" if self.eval_strategy else "eval_steps"
            raise ValueError(f"{name} needs rows that are not trained on: held_out, such as 0.02")
        if self.label_smoothing and self.loss_type not in (None, "robust", "exo_pair"):
            raise ValueError(f"label_smoothing is for loss_type robust or exo_pair, not {self.loss_type}")
        return self


class Adapter(Part):
    """A low-rank adapter in place of full training."""

    type: Literal["lora", "dora", "qlora"] = Field("lora", description="qlora holds the base in four bits")
    r: int = Field(16, ge=1, le=512, description="Rank")
    lora_alpha: int = Field(32, ge=1, le=8192, description="Scale, by the rank")
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="Share of its inputs that is dropped")
    target_modules: str | tuple[str, ...] = Field("all-linear", description="Names of the layers that it adapts")
    modules_to_save: tuple[str, ...] = Field(
        (), description="Names of layers that are trained whole beside it, such as embed_tokens and lm_head"
    )
    use_rslora: bool = Field(False, description="Scale by the rank's square root, for high ranks")

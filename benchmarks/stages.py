"""Whether Studio's stages train as fast as a bare TRL script with the same arguments. Prints JSON.

Each stage is trained from random weights by `training.language.stage` and by TRL's own trainer on the same rows, in
turn (A B A B ...), on the sample corpus. Printed are the medians.

- ``studio_tokens_s``, ``trl_tokens_s``: tokens without padding over the time from the first step's begin to the last
  step's end; ``ratio``: the first over the second (bar 0.97);
- ``packing_gain``: SFT's tokens a second with packing over those with padding, both by Studio.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import home  # noqa: F401 - makes the project importable

if TYPE_CHECKING:
    from training.language.arguments import Arguments
    from workspace.progress import Progress

STAGES = ("cpt", "sft", "dpo", "orpo")
SHAPES: dict[str, dict[str, int]] = {
    "small": {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 6, "num_attention_heads": 3,
              "num_key_value_heads": 3, "vocab_size": 4096},
    "135m": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
             "num_key_value_heads": 3, "vocab_size": 49_152},
}  # fmt: skip
"""Random models: a small one, and one with the shapes of SmolLM2-135M."""
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def base(shape: str, folder: Path) -> Path:
    """A random model of a shape with a tokenizer made from the sample corpus; or the folder that is named."""
    if shape not in SHAPES:
        return Path(shape).expanduser()
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from training.sample.rows import passages

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=4096, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator((one["text"] for one in passages()), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|endoftext|>",
        chat_template=CHATML,
    )  # fmt: skip
    LlamaForCausalLM(LlamaConfig(**SHAPES[shape], tie_word_embeddings=True)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def by_studio(kind: str, model: Path, args: Arguments, folder: Path) -> float:
    """Tokens a second of a stage as Studio trains it."""
    from training.language.stage import Task, main
    from training.sample.rows import sample_rows

    events: list[Progress] = []
    main(Task(kind, args, model), sample_rows(kind), folder / "out", folder / "variant", events.append)
    return [event.tokens_s or 0.0 for event in events if event.type == "training_step"][-1]


def by_trl(kind: str, model: Path, args: Arguments, folder: Path) -> float:
    """Tokens a second of the same training as a script would have it."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    from training.language import progress
    from training.sample.rows import sample_rows

    trainers = {"cpt": (SFTTrainer, SFTConfig), "dpo": (DPOTrainer, DPOConfig), "orpo": (ORPOTrainer, ORPOConfig)}
    trainer_kind, config_kind = trainers.get(kind, trainers["cpt"])
    same = {
        "learning_rate", "lr_scheduler_type", "max_steps", "max_length", "per_device_train_batch_size", "max_grad_norm",
        "gradient_accumulation_steps", "weight_decay", "optim", "bf16", "logging_steps", "save_steps", "seed",
    }  # fmt: skip
    given = args.model_dump(include=same)
    given |= {"activation_checkpointing": args.gradient_checkpointing, "warmup_steps": args.warmup_ratio}
    if kind in ("cpt", "sft"):
        given |= {"packing": args.packing, "packing_strategy": "bfd_split" if kind == "cpt" else "bfd"}
    config = config_kind(
        output_dir=str(folder), report_to=[], disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(), **given,
    )  # fmt: skip
    seen: dict[str, Any] = {"tokens": 0}

    class Counting(trainer_kind):  # type: ignore[misc, valid-type]
        def training_step(self, model: Any, inputs: Any, *more: Any, **named: Any) -> Any:
            seen["tokens"] = seen["tokens"] + progress.tokens_of(inputs)
            return super().training_step(model, inputs, *more, **named)

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *given: Any, **named: Any) -> None:
            seen.setdefault("begun", progress.time.monotonic())  # type: ignore[attr-defined]

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **named: Any) -> None:
            if "loss" in logs:
                seen["rate"] = float(seen["tokens"]) / (progress.time.monotonic() - seen["begun"])  # type: ignore[attr-defined]

    trainer = Counting(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        args=config,
        train_dataset=Dataset.from_list([dict(row) for row in sample_rows(kind)]),
        processing_class=AutoTokenizer.from_pretrained(model),
        callbacks=[Clock()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return float(seen["rate"])


def in_turn(rounds: int, *ways: Any) -> list[float]:
    """The medians of several ways to train, each tried once a round."""
    found: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for way, rates in zip(ways, found, strict=True):
            with tempfile.TemporaryDirectory(prefix="studio-benchmark-") as name:
                rates.append(way(Path(name)))
    return [round(statistics.median(rates), 1) for rates in found]


def main() -> None:
    import torch

    from training.language import progress
    from training.language.recipe import Stage, resolved

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small", help="small, 135m (random weights), or a model's folder")
    parser.add_argument("--stages", default=",".join(STAGES), help="which, with commas")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--length", type=int, default=256, help="tokens of a row")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: beside other work, without GPU")
    options = parser.parse_args()
    if options.clock == "cpu":
        progress.time = SimpleNamespace(monotonic=time.process_time)  # type: ignore[assignment,attr-defined]

    def arguments(kind: str, **more: Any) -> Arguments:
        given = {"max_steps": options.steps, "logging_steps": options.steps, "save_steps": 10 * options.steps}
        given |= {"max_length": options.length, "per_device_train_batch_size": options.batch}
        given |= {"bf16": torch.cuda.is_available(), **more}
        return resolved(Stage(name="a", stage=kind, data=[{"path": "sample"}], args=given))  # type: ignore[arg-type]

    figures: dict[str, Any] = {
        "benchmark": "stages",
        "model": options.model,
        "steps": options.steps,
        "clock": options.clock,
    }
    with tempfile.TemporaryDirectory(prefix="studio-benchmark-") as name:
        model = base(options.model, Path(name))
        for kind in options.stages.split(","):
            args = arguments(kind)
            ours, bare = in_turn(
                options.rounds,
                lambda out, kind=kind, args=args: by_studio(kind, model, args, out),
                lambda out, kind=kind, args=args: by_trl(kind, model, args, out),
            )
            figures[kind] = {"studio_tokens_s": ours, "trl_tokens_s": bare, "ratio": round(ours / bare, 3)}
        if "sft" in options.stages:
            packed, padded = in_turn(
                options.rounds,
                lambda out: by_studio("sft", model, arguments("sft"), out),
                lambda out: by_studio("sft", model, arguments("sft", packing=False), out),
            )
            figures |= {"padded_tokens_s": padded, "packing_gain": round(packed / padded, 2)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

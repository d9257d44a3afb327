"""One training stage of a language model, by TRL: a model folder and rows in, a variant's folder out.

Read top to bottom: check the tokenizer, turn rows into tokens, build the trainer of the stage's kind, train with a
checkpoint every so often, publish. Killed at any moment, the same call goes on from the last whole checkpoint. A loss
that is no number, or runs away, stops it; the last good checkpoint stays. Every process of several runs the same; the
first one writes. Knows no recipe and no graph.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PrinterCallback

from models.decoder.quick_linear import multiplies_bfloat16
from training.folding import plan_folding
from training.gpus import peak
from training.language import ranks
from training.language.arguments import Adapter, Arguments
from training.language.estimate import operations, size_of
from training.language.progress import Effort, Keeper, guarded, last_whole, written
from training.language.rows import Row, parted
from training.language.targets import check_targets
from training.language.tokens.agreement import check_agreement, check_given
from training.language.tokens.cache import kept, key_of
from training.language.tokens.columns import dataset
from training.language.tokens.encoded import Lengths
from training.language.tokens.packing import APART, why_not_packed
from training.language.tokens.pairs import PairCollator, of_tokens
from training.language.tokens.positions import check_positions
from training.language.tokens.tokenizer import check_config, pad_remark, prepare
from training.language.trainer_arguments import low_rank, preferring, shared, widen
from training.loop.heap import keep_freed
from training.loop.on_cpu import hasten
from training.variants import write_variant
from workspace.errors import DataError, check_loaded, one_line
from workspace.progress import Remark, RowsPrepared, Tell, silent, waiting, weighed

_BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ArithmeticError, AssertionError)
_PACKING = {"cpt": "bfd_split", "sft": "bfd"}


@dataclass(frozen=True)
class Task:
    """What a stage is to do.

    Attributes:
        kind: cpt, sft, dpo or orpo.
        args: Every argument, from `training.language.recipe.resolved`.
        base: Folder of the model that it starts from.
        template: Folder of the model whose chat template is used; the base's own if not given.
        adapter: A low-rank adapter in place of full training.
        keep_epochs: Publish the model after every epoch too.
        card: What the variant's card says beside what is measured here.
        cache: Folder where tokenised rows are kept, to be used again; nowhere if not given.
        must_pack: Whether rows that may not be packed are refused, not trained one by one.
    """

    kind: str
    args: Arguments
    base: Path
    template: Path | None = None
    adapter: Adapter | None = None
    keep_epochs: bool = False
    card: Mapping[str, Any] | None = None
    cache: Path | None = None
    must_pack: bool = False


def main(task: Task, rows: Sequence[Row], out: Path, folder: Path, tell: Tell = silent) -> Path:
    """Train one stage.

    Args:
        task: What is trained and how.
        rows: Checked rows of the stage's schema.
        out: Folder for checkpoints and metrics.jsonl.
        folder: Where the variant is published.
        tell: Called with `RowsPrepared` and with `TrainingStep` for every row of metrics.

    Returns:
        The variant's folder.

    Raises:
        DataError: The tokenizer does not fit, no row is left, or the loss is no number or runs away.
    """
    _quiet()
    if not torch.cuda.is_available():
        keep_freed()
    tell = tell if ranks.first() else silent
    task = _on_this_cpu(task, tell)
    tokenizer = load_tokenizer(task)
    for text in (check_base(task, tokenizer), pad_remark(tokenizer)):
        if text:
            tell(Remark(text=text))
    rows, held = parted(rows, task.args.held_out, task.args.seed)
    with waiting(f"turning {len(rows):,} rows into tokens"):
        data, sizes = _prepared(task, tokenizer, rows)
    held_out = _prepared(task, tokenizer, held)[0] if held else None
    check_agreement(task.kind, task.args, tokenizer, rows, data)
    truncated = round(sizes.truncated, 4)
    tell(RowsPrepared(rows=sizes.rows, tokens=sizes.tokens, truncated=truncated, left_out=sizes.left_out))
    if sizes.split:
        tell(Remark(text=sizes.split))
    start = last_whole(out / "checkpoints")
    trainer = _trainer(task, tokenizer, data, out, tell, held_out)
    check_given(trainer.train_dataset, data)
    trainer.args.eval_on_start = held_out is not None and start is None
    trainer.train(resume_from_checkpoint=start)
    if "wandb" in task.args.report_to and ranks.first():
        import wandb

        wandb.finish()  # the next stage is a run of its own
    figures = {"tokens": sizes.tokens, "truncated": truncated, "steps": trainer.state.global_step}
    for name, key in (("loss", "loss"), ("held_out", "eval_loss")):
        if losses := [row[key] for row in trainer.state.log_history if key in row]:
            figures[f"{name}_first"], figures[f"{name}_last"] = losses[0], losses[-1]
    figures |= {"held_out_rows": len(held)} if held else {}
    _publish(trainer, folder, {**(task.card or {}), "figures": figures})
    trainer.accelerator.free_memory()
    del trainer
    gc.collect()  # the next stage needs the room
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return folder


def _on_this_cpu(task: Task, tell: Tell) -> Task:
    """The task in single precision where a CPU has no instructions for bfloat16: quicker there, and exacter."""
    if torch.cuda.is_available() or not task.args.bf16 or task.adapter is not None or multiplies_bfloat16():
        return task
    tell(Remark(text="this CPU has no instructions for bfloat16: computed in single precision, which is quicker here"))
    card = {**(task.card or {}), "precision": "single: the CPU has no instructions for bfloat16"}
    return replace(task, args=task.args.model_copy(update={"bf16": False}), card=card)


def _quiet() -> None:
    """Leave the terminal to the stage's own progress."""
    import datasets
    from transformers.utils import logging

    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    warnings.filterwarnings("ignore", message="`(is_)?gradient_checkpointing` is deprecated", category=FutureWarning)


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Within it, what loaders say of a folder that is no language model becomes one line."""
    try:
        yield
    except (*_BROKEN, StrictDataclassError) as fault:
        why = f"{type(fault).__name__}: {one_line(fault)}"
        hint = "its configuration, tokenizer and weights must belong together"
        raise DataError(f"cannot read a language model in {folder}: {why}", hint=hint) from fault


def load_model(task: Task) -> Any:
    """A stage's weights to begin with: whole in single precision; under an adapter in half, for QLoRA in four bits.

    Four bits: NormalFloat with quantised constants, after Dettmers et al., "QLoRA" (2023).

    Raises:
        DataError: The base holds no language model, or lacks weights that its configuration asks for.
    """
    half = torch.float16 if task.args.fp16 else torch.bfloat16
    given: dict[str, Any] = {"dtype": torch.float32, "attn_implementation": task.args.attn_implementation}
    if task.adapter is not None and (task.args.bf16 or task.args.fp16 or task.adapter.type == "qlora"):
        given["dtype"] = half
    if task.adapter is not None and task.adapter.type == "qlora":
        given["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=half,
            bnb_4bit_quant_storage=half,  # so that FSDP can spread them
        )
    with _reading(task.base), waiting(f"reading {weighed(task.base)}"):
        model, found = AutoModelForCausalLM.from_pretrained(
            task.base, local_files_only=True, output_loading_info=True, **given, trust_remote_code=False
        )
    if not ranks.together():  # a process among several may hold but a share
        check_loaded(found, Path(task.base))
    return model


def load_tokenizer(task: Task) -> Any:
    """The tokenizer with which a stage trains and its variant will speak."""
    lender = None
    with _reading(task.base):
        tokenizer = AutoTokenizer.from_pretrained(task.base, local_files_only=True, trust_remote_code=False)
    if task.template is not None:
        with _reading(task.template):
            lender = AutoTokenizer.from_pretrained(task.template, local_files_only=True, trust_remote_code=False)
    prepare(tokenizer, str(task.base), task.kind != "cpt", lender)
    return tokenizer


def check_base(task: Task, tokenizer: Any) -> str:
    """Compare the base's configuration with its tokenizer, with max_length and with what an adapter is for.

    Returns:
        What should be said, if anything.

    Raises:
        DataError: There are tokens beyond its embeddings, max_length is beyond its positions, it has no such layer, or
            rows that the recipe packs by name would see each other.
    """
    with _reading(task.base):
        config = AutoConfig.from_pretrained(task.base, local_files_only=True, trust_remote_code=False)
        check_config(tokenizer, config, str(task.base))
        if task.adapter is not None:
            check_targets(config, task.adapter, task.kind)
    if task.args.attn_implementation:
        _check_attention(config, task.args.attn_implementation)
    known = config.get_text_config().model_type in APART
    if task.must_pack and not known and (why := why_not_packed(load_model(task))):
        raise DataError(f"packing: {why}", hint="packing: false, or leave it out")
    return check_positions(config, task.args.max_length, str(task.base))


def _check_attention(config: Any, wanted: str) -> None:
    """Refuse a way of computing attention that the model has not."""
    try:
        with torch.device("meta"):
            AutoModelForCausalLM.from_config(config, attn_implementation=wanted, trust_remote_code=False)
    except (ValueError, ImportError) as fault:
        why = f"attn_implementation: {config.get_text_config().model_type} does not take {wanted} ({one_line(fault)})"
        raise DataError(why, hint="leave it out, or eager") from None


def _prepared(task: Task, tokenizer: Any, rows: Sequence[Row]) -> tuple[Any, Lengths]:
    """The rows' tokens, made before or now."""
    if task.cache is None:
        return dataset(task.kind, task.args, tokenizer, rows)
    key = key_of(task.base, tokenizer.chat_template, rows, task.kind, task.args)
    return kept(task.cache / key, lambda: dataset(task.kind, task.args, tokenizer, rows))


def _packs(task: Task, model: Any, tell: Tell) -> bool:
    """Whether rows share sequences: where that is wanted, and this model keeps them apart.

    Raises:
        DataError: The recipe asks for it by name, and they would see each other.
    """
    if not task.args.packing:
        return False
    why = ranks.agreed(why_not_packed(model) if ranks.first() else "")
    if why and task.must_pack:
        raise DataError(f"packing: {why}", hint="packing: false, or leave it out")
    if why:
        tell(Remark(text=f"rows are not packed: {why}"))
    return not why


def _trainer(task: Task, tokenizer: Any, data: Any, out: Path, tell: Tell, held_out: Any = None) -> Any:
    """The TRL trainer of the stage's kind, guarded and reporting."""
    from peft.utils.error import NoMatchingPeftModuleError
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    kind: type
    common = shared(task.args, task.kind, out, (task.card or {}).get("name", task.kind))
    given: dict[str, Any] = {}
    if task.kind in ("cpt", "sft"):
        kind, args = SFTTrainer, SFTConfig(**common, packing_strategy=_PACKING[task.kind])
    elif task.kind == "dpo":
        kind, args = of_tokens(DPOTrainer), DPOConfig(**common, beta=task.args.beta, **preferring(task.args))
        given = {"data_collator": PairCollator(tokenizer.pad_token_id)}
    else:
        from trl.experimental.orpo import ORPOConfig, ORPOTrainer

        kind, args = of_tokens(ORPOTrainer), ORPOConfig(**common, beta=task.args.beta)
    # After the arguments: they say how weights are spread over the processes.
    model = load_model(task)
    plain = task.kind in ("cpt", "sft") and not torch.cuda.is_available()
    if plain:
        hasten(model)
    if task.kind in ("cpt", "sft"):
        args.packing = _packs(task, model, tell)
    keeper = Keeper(out, tell, _effort(task))
    try:
        with _unkept(task.kind == "orpo"):
            trainer = guarded(kind, keeper, plain)(
                model=model,
                args=args,
                train_dataset=data,
                eval_dataset=held_out,
                processing_class=tokenizer,
                callbacks=[keeper],
                peft_config=low_rank(task.adapter),
                **given,
            )
    except NoMatchingPeftModuleError as fault:
        raise DataError(f"adapter, target_modules: {one_line(fault)}") from None
    if task.adapter is not None:
        plan_folding(trainer.model)  # what could not be published is not trained
        if task.args.fp16:
            widen(trainer.model)
    trainer.remove_callback(PrinterCallback)
    if task.keep_epochs:
        keeper.keep = lambda epoch: _keep(trainer, task, out / "epochs" / f"{epoch:g}", epoch)
    return trainer


def _effort(task: Task) -> Effort | None:
    size, most = size_of(task.base.name, task.base), peak()
    if size is None:
        return None
    return Effort(operations(size, task.kind, task.adapter is not None), most and most * ranks.count())


@contextmanager
def _unkept(wanted: bool) -> Iterator[None]:
    """Within it, what a trainer makes of rows is not kept beside them: preferences' have no name to be found by."""
    import datasets

    if wanted:
        datasets.disable_caching()
    try:
        yield
    finally:
        datasets.enable_caching()


def _keep(trainer: Any, task: Task, folder: Path, epoch: float) -> None:
    """Publish an epoch's model, once."""
    if not ranks.agreed(folder.is_dir()):
        _publish(trainer, folder, {**(task.card or {}), "epoch": epoch})


def _publish(trainer: Any, folder: Path, card: Mapping[str, Any]) -> None:
    """Gather the weights, to which every process must come, and have the first one write them."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    weights = None
    if ranks.together():
        held = trainer.model_wrapped if trainer.is_deepspeed_enabled else trainer.model
        weights = trainer.accelerator.get_state_dict(held)
    if ranks.first():
        with ranks.alone(), written(folder), waiting(f"writing {folder.name}, and checking that it loads"):
            write_variant(model, trainer.processing_class, folder, card, weights)
    ranks.wait()

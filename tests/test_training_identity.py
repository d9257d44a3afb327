"""What is bookkeeping and what is not: progress survives other numbers of steps, and nothing is removed in silence."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.catalogue.fetch import variants
from tests.fixtures_local import sentences
from training.language import run as runner
from training.language import stage as stages
from training.language.arguments import BOOKKEEPING, Arguments
from training.language.rows import digest
from training.language.run import main, open_run
from workspace.progress import Progress

pytest_plugins = ["tests.fixtures_local"]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
ARGS: dict[str, Any] = {"max_steps": 6, "max_length": 64, "learning_rate": 1e-3, "bf16": False, "packing": False}
ARGS |= {"logging_steps": 1, "save_steps": 2}
OTHER = {
    "attn_implementation": "eager", "dataloader_num_workers": 1, "eval_steps": 3, "eval_strategy": "steps",
    "gradient_checkpointing": True, "logging_steps": 3, "per_device_eval_batch_size": 2, "report_to": "none",
    "save_steps": 3, "save_total_limit": 1,
}  # fmt: skip


def recipe(folder: Path, base: Path, **args: Any) -> Path:
    asked = {"role": "user", "content": "What does it do?"}
    rows = [{"messages": [asked, {"role": "assistant", "content": line}]} for line in sentences()[:6]]
    (folder / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stage = {"name": "sft", "stage": "sft", "data": [{"path": "chat.jsonl"}], "args": ARGS | args}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "base": str(base), "stages": [stage]}))
    return path


def stopped_at(step: int, path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(Exception):
        pass

    honest = stages.Keeper.on_log

    def stopping(self: Any, args: Any, state: Any, control: Any, **named: Any) -> None:
        honest(self, args, state, control, **named)
        if state.global_step == step:
            raise Stopped

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(stages.Keeper, "on_log", stopping)
        main(open_run(path, home))


def told(path: Path, home: Path) -> tuple[list[int], str]:
    """The steps that a run tells, and its remarks."""
    events: list[Progress] = []
    main(open_run(path, home), events.append)
    remarks = " ".join(event.text for event in events if event.type == "remark" and not event.text.startswith("tried"))
    return [event.step for event in events if event.type == "training_step"], remarks


def test_a_stopped_stage_goes_on_with_other_bookkeeping(
    word_llama: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_at(5, recipe(tmp_path, word_llama), home, monkeypatch)
    steps, remarks = told(recipe(tmp_path, word_llama, save_steps=3, logging_steps=2, save_total_limit=1), home)
    assert steps == [6] and remarks == ""  # from the checkpoint at step 4, by the new rhythm
    metrics = (home / "training" / "mine-sft" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in metrics] == [1, 2, 3, 4, 5, 6]


def test_a_finished_stage_is_not_trained_again_for_bookkeeping(word_llama: Path, home: Path, tmp_path: Path) -> None:
    assert set(OTHER) == BOOKKEEPING
    main(open_run(recipe(tmp_path, word_llama, held_out=0.2), home))
    made = main(open_run(recipe(tmp_path, word_llama, held_out=0.2, **OTHER), home)).variants
    assert [one.made for one in made] == [False]


@pytest.mark.parametrize("name", sorted(set(Arguments.model_fields) - BOOKKEEPING))
def test_every_other_argument_counts(name: str, word_llama: Path, home: Path, tmp_path: Path) -> None:
    other: dict[str, Any] = {
        "lr_scheduler_type": "linear", "optim": "sgd", "max_prompt_length": 32, "packing": True, "bf16": True,
        "assistant_only_loss": False, "beta": 0.3, "warmup_steps": 2, "max_steps": 7, "max_length": 32, "fp16": True,
    }  # fmt: skip
    if name in ("loss_type", "label_smoothing"):
        pytest.skip("of a dpo stage")
    field = Arguments.model_fields[name]
    value = other.get(name, 0.25 if isinstance(field.default, float) else 2)
    value = {"learning_rate": 1e-4, "adam_epsilon": 1e-6}.get(name, value)
    more = {"bf16": None} if name == "fp16" else {}
    keys = []
    for args in ({}, {name: value, **more}):
        run = open_run(recipe(tmp_path, word_llama, **args), home)
        stage = run.recipe.stages[0]
        keys.append(runner._work(run, stage, run.rows(stage)).key)
    assert keys[0] != keys[1]


def test_what_changes_the_weights_begins_anew_is_said_and_the_old_is_kept(
    word_llama: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_at(5, recipe(tmp_path, word_llama), home, monkeypatch)
    steps, remarks = told(recipe(tmp_path, word_llama, learning_rate=2e-3), home)
    kept = home / "training" / "mine-sft.before-1"
    assert steps == [1, 2, 3, 4, 5, 6]
    assert "begins anew: learning_rate was 0.001, is 0.002; what was trained before is kept in" in remarks
    assert str(kept) in remarks and (kept / "checkpoints" / "checkpoint-4" / "whole").is_file()
    old = (home / "variants" / "mine-sft" / "model.safetensors").read_bytes()
    (tmp_path / "one").mkdir()
    steps, remarks = told(recipe(tmp_path, word_llama, learning_rate=3e-3), home)
    assert steps and "the variant made before is kept as mine-sft.before-1" in remarks
    assert (home / "variants" / "mine-sft.before-1" / "model.safetensors").read_bytes() == old
    assert variants(home) == ["mine-sft", "mine-sft.before-1"]
    assert (home / "training" / "mine-sft.before-2" / "metrics.jsonl").is_file()


def test_what_an_earlier_version_made_is_still_done(word_llama: Path, home: Path, tmp_path: Path) -> None:
    main(open_run(recipe(tmp_path, word_llama), home))
    run = open_run(recipe(tmp_path, word_llama, save_steps=4), home)
    stage = run.recipe.stages[0]
    work = runner._work(run, stage, run.rows(stage))
    held = {"gradient_checkpointing": False, "logging_steps": 1, "save_steps": 2}
    former = {**work.made_of, "args": work.made_of["args"] | held}
    key = hashlib.sha256(json.dumps(former, sort_keys=True).encode()).hexdigest()
    assert former["rows"] == digest(run.rows(stage)) and key != work.key
    card = home / "variants" / "mine-sft" / "variant.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"key": key}))
    assert [one.made for one in main(run).variants] == [False]

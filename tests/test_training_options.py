"""Options of a stage: rows held out and their loss, DPO's losses, adapters with whole layers, trainers' arguments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from tests.test_training_stage import rows, task
from training.language import stage as stages
from training.language.arguments import Adapter
from training.language.rows import digest, parted
from training.language.stage import main
from training.language.trainer_arguments import shared
from training.loop.plots import plot_loss
from workspace.errors import DataError
from workspace.progress import Progress

pytest_plugins = ["tests.fixtures_local"]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")


@pytest.mark.parametrize("kind", ["cpt", "sft", "dpo", "orpo"])
def test_the_held_out_loss_is_told_in_every_stage(kind: str, word_llama: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    one = task(kind, word_llama, held_out=0.2, packing=False, num_train_epochs=2)
    folder = main(one, rows(kind), tmp_path / "out", tmp_path / "variant", told.append)
    figures = json.loads((folder / "variant.json").read_text())["figures"]
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["held_out"] for line in lines if "held_out" in line]
    assert len(losses) == 3 and all(loss == loss for loss in losses)  # before, and after each of two epochs
    assert (figures["held_out_first"], figures["held_out_last"]) == pytest.approx((losses[0], losses[-1]), abs=1e-4)
    assert figures["held_out_rows"] == 2
    assert figures["held_out_last"] < figures["held_out_first"]
    [remark] = [event.text for event in told if event.type == "remark"]
    assert remark == f"held-out loss at step 0: {losses[0]:g}"
    steps = [event.held_out for event in told if event.type == "training_step" and event.held_out is not None]
    assert steps == losses[1:]
    plot_loss(lines, tmp_path / "loss.png", "tiny")


def test_the_held_out_loss_is_told_as_often_as_asked(word_llama: Path, tmp_path: Path) -> None:
    one = task("sft", word_llama, held_out=0.2, packing=False, max_steps=5, eval_steps=2)
    main(one, rows("sft"), tmp_path / "out", tmp_path / "variant")
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "held_out" in line] == [0, 2, 4, 5]


class TestParted:
    @given(st.lists(st.integers(0, 20), min_size=2, max_size=60), st.floats(0.01, 0.5), st.integers(0, 99))
    def test_no_row_is_on_both_sides_and_none_is_lost(self, names: list[int], share: float, seed: int) -> None:
        told = [{"text": f"row {name}"} for name in names]
        if len(set(names)) < 2:
            with pytest.raises(DataError, match="held_out: of one row nothing can be held out"):
                parted(told, share, seed)
            return
        kept, out = parted(told, share, seed)
        inside, outside = {digest([row]) for row in kept}, {digest([row]) for row in out}
        assert kept and out and not inside & outside and len(out) == len(outside)
        assert inside | outside == {digest([row]) for row in told}
        assert parted(list(reversed(told)), share, seed)[0] == list(reversed(kept))

    def test_without_a_share_all_rows_are_trained_on(self) -> None:
        told = rows("sft")
        assert parted(told, 0.0, 1) == (told, [])

    def test_answers_to_one_prompt_stay_together(self) -> None:
        told = [{"prompt": f"p{number // 2}", "chosen": f"c{number}", "rejected": "r"} for number in range(8)]
        kept, out = parted(told, 0.25, 3)
        assert not {row["prompt"] for row in kept} & {row["prompt"] for row in out} and len(out) == 2


@pytest.mark.parametrize(
    "args",
    [{"label_smoothing": 0.1}, {"loss_type": "ipo"}, {"loss_type": "exo_pair", "label_smoothing": 1e-3}],
)
def test_dpo_learns_by_the_loss_that_is_asked_for(
    args: dict[str, Any], word_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    honest = stages._publish
    monkeypatch.setattr(stages, "_publish", lambda trainer, *more: (seen.append(trainer.args), honest(trainer, *more)))
    one = task("dpo", word_llama, max_steps=2, **args)
    main(one, rows("dpo"), tmp_path / "out", tmp_path / "variant")
    wanted = args.get("loss_type", "robust")
    assert (seen[0].loss_type, seen[0].label_smoothing) == ([wanted], args.get("label_smoothing", 0.0))


def test_arguments_reach_the_trainers(word_llama: Path, tmp_path: Path) -> None:
    given = {"adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-6, "save_total_limit": 1, "fp16": True}
    given |= {"dataloader_num_workers": 2, "bf16": None, "report_to": "none"}
    held = shared(task("sft", word_llama, **given).args, "sft", tmp_path, "mine")
    assert {name: held[name] for name in given} == given | {"bf16": False, "report_to": []}


def test_checkpoints_are_kept_as_many_as_asked(
    word_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = task("sft", word_llama, max_steps=6, save_total_limit=1, attn_implementation="eager")
    main(one, rows("sft"), tmp_path / "out", tmp_path / "variant")
    assert [path.name for path in (tmp_path / "out" / "checkpoints").glob("checkpoint-*")] == ["checkpoint-6"]


@pytest.mark.parametrize("again", [False, True], ids=["plain", "checkpointing"])
def test_an_adapter_with_whole_layers_is_published(again: bool, word_llama: Path, tmp_path: Path) -> None:
    adapter = Adapter(r=4, modules_to_save=("embed_tokens", "lm_head"), use_rslora=True)
    one = task("sft", word_llama, adapter, max_steps=3, learning_rate=0.03, gradient_checkpointing=again)
    folder = main(one, rows("sft"), tmp_path / "out", tmp_path / "variant")
    made, former = (AutoModelForCausalLM.from_pretrained(one, dtype=torch.float32) for one in (folder, word_llama))
    for name in ("model.embed_tokens.weight", "lm_head.weight", "model.layers.0.self_attn.q_proj.weight"):
        assert not torch.allclose(made.state_dict()[name], former.state_dict()[name], atol=1e-2), name
    assert not made.config.tie_word_embeddings

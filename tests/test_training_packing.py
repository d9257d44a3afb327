"""Rows share a sequence only where the model keeps them apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.fixtures_templates import save_model, speaking
from training.language.arguments import Adapter, Arguments
from training.language.recipe import Stage, resolved
from training.language.stage import Task, main
from training.language.targets import check_targets
from training.language.tokens.packing import APART, why_not_packed
from workspace.errors import DataError
from workspace.progress import Progress

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")

SIZES: dict[str, Any] = {
    "vocab_size": 128, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "head_dim": 8, "pad_token_id": 0,
}  # fmt: skip
SEEN: dict[str, dict[str, Any]] = {
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "bloom": {"n_layer": 2, "n_head": 4},
    "mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 64},
    "mamba": {"state_size": 4},
    "mamba2": {"num_heads": 8, "state_size": 4, "n_groups": 1},
    "rwkv": {"attention_hidden_size": 32},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2},
}
REFUSED: dict[str, dict[str, Any]] = {
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "falcon_h1": {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 4},
    "qwen3_next": {
        "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
        "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16, "layer_types": ["linear_attention", "full_attention"],
    },
}  # fmt: skip
MORE = {
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "num_layers": 2, "num_heads": 4},
    "mixtral": {"num_local_experts": 4},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
}


def built(kind: str, **sizes: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **(SIZES | sizes)))


@pytest.mark.parametrize("kind", sorted(APART))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["single", "half"])
def test_rows_of_models_that_attend_by_position_are_packed(kind: str, dtype: torch.dtype) -> None:
    model = built(kind, **MORE.get(kind, {})).to(dtype).train()
    assert why_not_packed(model) == "" and model.training
    with torch.device("meta"):
        spread = AutoModelForCausalLM.from_config(model.config)
    assert why_not_packed(spread) == ""


@pytest.mark.parametrize("kind", sorted(SEEN))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["single", "half"])
def test_rows_that_would_see_each_other_are_not(kind: str, dtype: torch.dtype) -> None:
    assert why_not_packed(built(kind, **SEEN[kind]).to(dtype)) == f"packed rows of {kind} see each other"


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_models_that_take_no_packed_rows_are_told(kind: str) -> None:
    assert why_not_packed(built(kind, **REFUSED[kind])).startswith(f"{kind} does not take packed rows (")


def test_a_model_that_no_process_holds_whole_is_packed_only_if_its_kind_is_known() -> None:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model("opt", **(SIZES | SEEN["opt"])))
    assert why_not_packed(model) == "whether opt keeps packed rows apart is not known"


def task(kind: str, base: Path, adapter: Adapter | None = None, keep_epochs: bool = False, **args: Any) -> Task:
    given = {"max_length": 64, "bf16": False, "logging_steps": 1} | args
    one = Stage(name="a", stage=kind, data=[{"path": "x"}], args=Arguments(**given))  # type: ignore[arg-type]
    must_pack = bool(args.get("packing"))
    return Task(kind, resolved(one), base, None, adapter, keep_epochs, {"name": "tiny"}, must_pack=must_pack)


def rows(count: int) -> list[dict[str, Any]]:
    told = [f"Its {number} bricks slide." for number in range(count)]
    return [
        {"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": text}]} for text in told
    ]


def test_a_hybrid_model_is_trained_row_by_row_and_said_so(tmp_path: Path) -> None:
    base = save_model(tmp_path / "lfm2", speaking("chatml"), "lfm2", **REFUSED["lfm2"])
    told: list[Progress] = []
    main(task("sft", base, max_steps=2), rows(4), tmp_path / "out", tmp_path / "variant", told.append)
    remarks = [one.text for one in told if one.type == "remark"]
    assert any(text.startswith("rows are not packed: lfm2 does not take packed rows") for text in remarks)
    with pytest.raises(DataError, match="packing: lfm2 does not take packed rows") as caught:
        main(task("sft", base, max_steps=2, packing=True), rows(4), tmp_path / "out2", tmp_path / "variant2")
    assert "packing: false" in str(caught.value) and not (tmp_path / "variant2").exists()


@pytest.mark.parametrize(("epochs", "kept"), [(0.5, ["0.5"]), (2.5, ["1", "2", "2.5"])])
def test_parts_of_epochs_are_kept_by_their_number(epochs: float, kept: list[str], tmp_path: Path) -> None:
    base = save_model(tmp_path / "base", speaking("chatml"))
    one = task("sft", base, keep_epochs=True, num_train_epochs=epochs, packing=False)
    main(one, rows(4), tmp_path / "out", tmp_path / "variant")
    assert sorted(path.name for path in (tmp_path / "out" / "epochs").iterdir()) == kept
    last = json.loads((tmp_path / "out" / "epochs" / kept[-1] / "variant.json").read_text())
    assert last["epoch"] == epochs


class TestTargets:
    config = AutoConfig.for_model("llama", **SIZES)

    def test_a_name_that_no_layer_has_is_told_beside_one_that_has(self) -> None:
        with pytest.raises(DataError, match="target_modules: unknown layer 'v_prj'; did you mean 'v_proj'") as caught:
            check_targets(self.config, Adapter(target_modules=("q_proj", "v_prj")), "sft")
        assert "lm_head" in str(caught.value)
        for fit in (("q_proj", "embed_tokens"), "all-linear", r".*\.q_proj"):
            check_targets(self.config, Adapter(target_modules=fit), "sft")

    @pytest.mark.parametrize("targets", [("q_proj", "lm_head"), r".*_proj|lm_head"])
    @pytest.mark.parametrize("kind", ["cpt", "sft", "dpo"])
    def test_the_head_is_refused_where_the_trainer_leaves_it_out(self, kind: str, targets: Any) -> None:
        with pytest.raises(DataError, match=f"target_modules: {kind} takes no adapter on the head, lm_head"):
            check_targets(self.config, Adapter(target_modules=targets), kind)

    @pytest.mark.parametrize("tied", [False, True])
    def test_the_head_is_adapted_where_it_is_not(self, tied: bool, tmp_path: Path) -> None:
        base = save_model(tmp_path / "base", speaking("chatml"), tie_word_embeddings=tied)
        adapter = Adapter(r=4, target_modules=("q_proj", "lm_head"))
        one, other = (row["messages"] for row in rows(2))
        pair = {"prompt": one[:1], "chosen": one[1:], "rejected": other[1:]}
        variant = main(
            task("orpo", base, adapter, max_steps=2, learning_rate=0.03), [pair], tmp_path / "out", tmp_path / "variant"
        )
        made, former = (AutoModelForCausalLM.from_pretrained(folder).lm_head.weight for folder in (variant, base))
        assert not torch.allclose(made, former.to(made.dtype), atol=1e-2)

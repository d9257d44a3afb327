"""An adapter folded into its base from the base's files: the same logits, no second model, nothing left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from training import folding
from training.variants import write_variant
from workspace.errors import DataError
from workspace.files import verify

pytest_plugins = ["tests.fixtures_local"]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
KINDS: dict[str, dict[str, Any]] = {
    "lora": {"target_modules": "all-linear"},
    "rank-stabilised": {"target_modules": "all-linear", "use_rslora": True},
    "dora": {"target_modules": "all-linear", "use_dora": True},
    "a norm in whole": {"target_modules": ["q_proj"], "modules_to_save": ["norm"]},
    "embeddings in whole": {"target_modules": "all-linear", "modules_to_save": ["embed_tokens"]},
    "both ends in whole": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
    "the output": {"target_modules": ["q_proj", "lm_head"]},
    "the embeddings": {"target_modules": ["q_proj", "embed_tokens"]},
}


def adapted(base: Path, **given: Any) -> Any:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    made = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM", **given))
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.requires_grad:
                weight.add_(0.05 * torch.randn(weight.shape, generator=noise))
    return made.eval()


@pytest.fixture
def base(word_llama: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The tiny model, its output tied to its embeddings or not, in one file or several."""
    tied, files = request.param
    folder = tmp_path / "base"
    model = AutoModelForCausalLM.from_pretrained(word_llama, dtype=torch.float32)
    if not tied:
        model.config.tie_word_embeddings = False
        model.lm_head.weight = torch.nn.Parameter(model.model.embed_tokens.weight.detach() * 1.5)
    model.save_pretrained(folder, **({} if files == 1 else {"max_shard_size": "100KB"}))
    AutoTokenizer.from_pretrained(word_llama).save_pretrained(folder)
    assert (len(list(folder.glob("*.safetensors"))) > 1) == (files > 1)
    return folder


@pytest.mark.parametrize("base", [(True, 1), (False, 3)], ids=["tied", "untied"], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_a_variant_computes_what_was_trained(
    kind: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "_MOST", 60_000)
    model = adapted(base, **KINDS[kind])
    ids = torch.arange(3, 43).unsqueeze(0)
    with torch.no_grad():
        wanted = model(ids).logits
    former = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)

    honest = AutoModelForCausalLM.from_pretrained

    def refused(*given: Any, **named: Any) -> Any:
        assert named.get("device_map") == "meta", "a second model is read"  # without its weights it is only looked over
        return honest(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(AutoModelForCausalLM, "from_pretrained", refused)
        folder = write_variant(model, AutoTokenizer.from_pretrained(base), tmp_path / "made", {"name": kind})
    assert verify(folder) == [] and len(list(folder.glob("*.safetensors"))) > 1
    made, found = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not found["missing_keys"] and not found["unexpected_keys"]
    with torch.no_grad():
        apart = [float((one(ids).logits - wanted).abs().mean()) for one in (made, former)]
    assert apart[0] < 0.03 and apart[1] > 3 * apart[0]  # bfloat16 apart
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"


@pytest.mark.parametrize("base", [(True, 1)], ids=["tied"], indirect=True)
def test_a_tied_output_is_written_once(base: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    folder = write_variant(model, AutoTokenizer.from_pretrained(base), tmp_path / "made", {"name": "tied"})
    files = list(folder.glob("*.safetensors"))
    names = [name for file in files for name in safe_open(file, "pt").keys()]  # noqa: SIM118
    assert "model.embed_tokens.weight" in names and "lm_head.weight" not in names
    assert len(names) == len(set(names)) == len(list(model.parameters()))
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in files)  # for others to read, as all else in it
    made = AutoModelForCausalLM.from_pretrained(folder)
    assert made.lm_head.weight.data_ptr() == made.model.embed_tokens.weight.data_ptr()


@pytest.mark.parametrize("base", [(True, 1)], ids=["tied"], indirect=True)
def test_what_cannot_be_folded_is_refused(base: Path, tmp_path: Path) -> None:
    model = adapted(base, target_modules=["q_proj"])
    model.get_base_model().model.embed_tokens.weight.requires_grad_(True)
    with pytest.raises(DataError, match=r"adapter: .*embed_tokens.weight was trained and cannot be folded"):
        folding.plan_folding(model)
    other = adapted(base, target_modules=["q_proj"])
    other.get_base_model().config._name_or_path = str(tmp_path / "empty")
    with pytest.raises(DataError, match=r"holds no weights named model.layers.0.self_attn.q_proj.weight"):
        folding.plan_folding(other)

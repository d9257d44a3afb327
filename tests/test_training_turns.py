"""A published variant ends its turns in every engine, and one that would not load is not published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from tests.fixtures_templates import SPECIAL, TEMPLATES, make_tokenizer, save_model, speaking
from training.language.arguments import Arguments
from training.language.recipe import Stage, resolved
from training.language.stage import Task, main
from training.loadable import check_loads
from training.turns import end_with_turns, tell_turn_end, turn_end
from training.variants import write_variant
from workspace.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
MESSAGES = [
    {"role": "user", "content": "What makes nacre tough?"},
    {"role": "assistant", "content": "Its bricks slide."},
]


def trained(base: Path, lender: Path | None, tmp_path: Path, kind: str = "sft", **args: Any) -> Path:
    given: dict[str, Any] = {
        "max_steps": 60, "learning_rate": 1e-2, "warmup_ratio": 0, "max_length": 64, "bf16": False, "packing": False,
    }  # fmt: skip
    stage = Stage(name="s", stage=kind, data=[{"path": "x"}], args=Arguments(**(given | args)))  # type: ignore[arg-type]
    one = Task(kind, resolved(stage), base, template=lender, card={"name": "tiny"})
    row = {"messages": MESSAGES} if kind == "sft" else {"text": "Its bricks slide."}
    return main(one, [row], tmp_path / "out", tmp_path / "variant")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base without a template whose text ends with another token than a turn would."""
    tokenizer = make_tokenizer(None, "<|begin_of_text|>", "<|end_of_text|>")
    return save_model(tmp_path / "base", tokenizer)


def test_a_base_with_a_lent_template_stops_in_every_engine(
    base: Path, tmp_path: Path, speaking_model: Callable[..., Path]
) -> None:
    import gguf  # as llama.cpp's converter reads a folder

    variant = trained(base, speaking_model("llama3"), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(variant)
    turn, text = (tokenizer.convert_tokens_to_ids(token) for token in ("<|eot_id|>", "<|end_of_text|>"))
    for name in ("generation_config.json", "config.json"):
        assert json.loads((variant / name).read_text())["eos_token_id"] == [turn, text]
    assert tokenizer.eos_token == "<|eot_id|>" and tokenizer.chat_template
    assert gguf.SpecialVocab(variant, load_merges=False).special_token_ids["eos"] == turn
    model = AutoModelForCausalLM.from_pretrained(variant)
    asked = tokenizer.apply_chat_template(
        MESSAGES[:1], add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    made = model.generate(**asked, max_new_tokens=40, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert tokenizer.decode(made) == "Its bricks slide.<|eot_id|>"


def test_continued_pretraining_keeps_the_end_of_a_text(
    base: Path, tmp_path: Path, speaking_model: Callable[..., Path]
) -> None:
    variant = trained(base, speaking_model("llama3"), tmp_path, "cpt", max_steps=1)
    assert AutoTokenizer.from_pretrained(variant).eos_token == "<|end_of_text|>"
    ends = GenerationConfig.from_pretrained(variant).eos_token_id
    assert AutoTokenizer.from_pretrained(variant).convert_ids_to_tokens(ends) == ["<|eot_id|>", "<|end_of_text|>"]


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_the_token_that_ends_a_turn_is_found_in_the_template(name: str) -> None:
    ends = {"gemma": "<end_of_turn>", "llama3": "<|eot_id|>", "chatml": "<|im_end|>", "qwen3": "<|im_end|>"}
    tokenizer = speaking(name)
    assert tokenizer.convert_ids_to_tokens(turn_end(tokenizer)) == ends.get(name, "</s>")
    end_with_turns(tokenizer)
    assert tokenizer.eos_token == ends.get(name, "</s>")


def test_a_template_that_would_render_otherwise_keeps_its_end_of_text() -> None:
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>{{ eos_token }}{% endfor %}"
    tokenizer = make_tokenizer(template, None, "</s>", special=SPECIAL)
    end_with_turns(tokenizer)
    assert tokenizer.eos_token == "</s>" and tokenizer.convert_ids_to_tokens(turn_end(tokenizer)) == "<|im_end|>"


def test_a_template_without_an_end_has_none() -> None:
    assert turn_end(make_tokenizer("{% for m in messages %}{{ m.content }}\n{% endfor %}", None, "</s>")) is None
    assert turn_end(make_tokenizer("{{ raise_exception('no') }}", None, "</s>")) is None
    assert turn_end(make_tokenizer(None, None, "</s>")) is None


def test_a_folder_without_generation_settings_has_some_written(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", speaking("gemma"))
    (folder / "generation_config.json").unlink()
    tell_turn_end(folder)
    wanted = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(["<end_of_turn>", "<eos>"])
    assert GenerationConfig.from_pretrained(folder).eos_token_id == wanted
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    tell_turn_end(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


class TestLoadable:
    def test_what_would_not_load_is_not_published(self, tmp_path: Path) -> None:
        tokenizer = speaking("chatml")
        folder = save_model(tmp_path / "model", tokenizer)
        model = AutoModelForCausalLM.from_pretrained(folder)
        model.config.pad_token_id = 4000
        with pytest.raises(DataError, match=r"variant.* would not load: AssertionError"):
            write_variant(model, tokenizer, tmp_path / "variant", {"name": "tiny"})
        assert not (tmp_path / "variant").exists()

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"num_hidden_layers": 3}, r"model are not those of its architecture: they lack .* and 6 more"),
            ({"hidden_size": 16}, "would not load"),
            ({"model_type": "nope"}, "would not load"),
        ],
    )
    def test_a_configuration_of_other_weights(self, change: dict[str, Any], why: str, tmp_path: Path) -> None:
        folder = save_model(tmp_path / "model", speaking("chatml"))
        check_loads(folder)
        held = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(held | change))
        with pytest.raises(DataError, match=why):
            check_loads(folder)

    def test_no_weight_is_held(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = save_model(tmp_path / "model", speaking("chatml"))
        seen: list[torch.device] = []
        honest = AutoModelForCausalLM.from_pretrained

        def watched(*given: Any, **named: Any) -> Any:
            made = honest(*given, **named)
            seen.extend(weight.device for weight in made[0].parameters())
            return made

        monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", watched)
        check_loads(folder)
        assert {device.type for device in seen} == {"meta"}

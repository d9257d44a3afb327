"""Merges and bases are looked at before any stage trains: shapes, rotations, tokens, templates, quantised weights."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from models.catalogue.fetch import variants
from tests.fixtures_local import sentences
from training.language.run import main, open_run
from training.merging.parents import check_parents
from training.merging.slerp import Slerp, merge
from workspace.errors import DataError
from workspace.files import verify
from workspace.progress import Progress

pytest_plugins = ["tests.fixtures_local"]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
Change = Callable[[Path], None]


def config(**changes: Any) -> Change:
    def change(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def tokens(change: Callable[[dict[str, Any]], None]) -> Change:
    def changed(folder: Path) -> None:
        file = folder / "tokenizer.json"
        held = json.loads(file.read_text())
        change(held)
        file.write_text(json.dumps(held))

    return changed


def swapped(held: dict[str, Any]) -> None:
    """Two ordinary tokens change places: a tokenizer of the same size."""
    vocab = held["model"]["vocab"]
    first, second = [token for token, number in vocab.items() if number in (100, 101)]
    vocab[first], vocab[second] = vocab[second], vocab[first]


def renamed(held: dict[str, Any]) -> None:
    one = held["added_tokens"][0]
    held["model"]["vocab"]["<|other|>"] = held["model"]["vocab"].pop(one["content"])
    one["content"] = "<|other|>"


def bare(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def other(base: Path, folder: Path, change: Change) -> Path:
    shutil.copytree(base, folder)
    (folder / "manifest.json").unlink(missing_ok=True)
    change(folder)
    return folder


def recipe(folder: Path, base: Path, into: Path | None, **stage: Any) -> Path:
    folder.mkdir(exist_ok=True)
    asked = {"role": "user", "content": "What does it do?"}
    rows = [{"messages": [asked, {"role": "assistant", "content": line}]} for line in sentences()[:6]]
    (folder / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    args = {"max_steps": 1, "max_length": 64, "bf16": False}
    stages: list[dict[str, Any]] = [{"name": "s", "stage": "sft", "data": [{"path": "chat.jsonl"}], "args": args}]
    stages[0] |= stage
    stages += [{"name": "m", "stage": "slerp", "from": "s", "into": str(into)}] if into else []
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "base": str(base), "stages": stages}))
    return path


THETA = {"rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (config(num_key_value_heads=4), "num_key_value_heads is 2 and 4"),
        (config(head_dim=32), "head_dim is 16 and 32"),
        (config(attention_bias=True), "attention_bias is False and True"),
        (config(hidden_act="gelu"), "hidden_act is silu and gelu"),
        (config(model_type="mistral"), "model_type is llama and mistral"),
        (config(vocab_size=1000), "vocab_size is [0-9]+ and 1000"),
        (config(**THETA), "rope_theta is 10000.0 and 500000.0"),
        (config(rope_parameters=None, rope_theta=1e6), "rope_theta is 10000.0 and 1000000.0"),
        (tokens(swapped), "token 100 is '.*' and '.*'"),
        (config(quantization_config={"quant_method": "gptq"}), "other holds weights quantised by gptq"),
    ],
)
def test_parents_that_do_not_fit_are_refused_before_the_first_step(
    change: Change, why: str, word_llama: Path, home: Path, tmp_path: Path
) -> None:
    into = other(word_llama, tmp_path / "other", change)
    with pytest.raises(DataError, match=why) as caught:
        main(open_run(recipe(tmp_path / "r", word_llama, into), home))
    assert not variants(home) and not (home / "training").exists() and "\n" not in str(caught.value)
    with pytest.raises(DataError, match=why):
        merge(word_llama, into, Slerp(), tmp_path / "merged", {})


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        (config(sliding_window=8), "attend to all and 8 tokens; the merge does as"),
        (tokens(renamed), "1 special tokens of .* differ, such as 0: '.*' and '<|other|>'"),
        (config(rope_parameters={"rope_theta": 10000.0, "rope_type": "linear", "factor": 2.0}), "scale positions"),
        (bare, "other has no chat template; the merge has the tokenizer and template of word-llama[0-9]*"),
    ],
)
def test_what_should_be_known_of_a_merge_is_said(change: Change, remark: str, word_llama: Path, tmp_path: Path) -> None:
    [told] = check_parents(word_llama, other(word_llama, tmp_path / "other", change))
    assert re.search(remark.replace("|", r"\|"), told)
    assert check_parents(word_llama, word_llama) == []


def test_a_merge_into_a_model_without_a_template_can_chat(word_llama: Path, home: Path, tmp_path: Path) -> None:
    into = other(word_llama, tmp_path / "other", bare)
    told: list[Progress] = []
    made = main(open_run(recipe(tmp_path / "r", word_llama, into), home), told.append).variants[-1]
    wanted = AutoTokenizer.from_pretrained(word_llama).chat_template
    assert AutoTokenizer.from_pretrained(made.folder).chat_template == wanted and verify(made.folder) == []
    assert AutoModelForCausalLM.from_pretrained(made.folder).config.eos_token_id is not None
    assert any("has no chat template" in event.text for event in told if event.type == "remark")


@pytest.mark.parametrize("adapter", [None, {"type": "qlora", "r": 4}, {"r": 4}])
def test_a_quantised_base_is_refused_at_once(
    adapter: dict[str, Any] | None, word_llama: Path, home: Path, tmp_path: Path
) -> None:
    base = other(word_llama, tmp_path / "bnb4", config(quantization_config={"quant_method": "bitsandbytes"}))
    with pytest.raises(DataError, match=r"bnb4 holds weights quantised by bitsandbytes, .* \(name the model that it"):
        main(open_run(recipe(tmp_path / "r", base, None, **({"adapter": adapter} if adapter else {})), home))
    assert not (home / "training").exists()

"""Tokenizers in GGUF files: the same tokens for every text, or a line that says why there are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.serving.gguf_writing import write_model
from tests.fixtures_local import word_tokenizer
from tests.fixtures_written_gguf import (
    LLAMA3,
    ODD,
    QWEN2,
    Make,
    nothing_in,
    piece_tokenizer,
    rewrite,
    split_tokenizer,
    usual_tokenizer,
    value_of,
)
from workspace.errors import DataError
from workspace.progress import Progress


def test_the_file_says_what_the_tokenizer_does(tiny_folder: Make, home: Path) -> None:
    tokenizer = usual_tokenizer()
    folder = tiny_folder(vocab_size=len(tokenizer) + 3)
    rewrite(folder, "generation_config.json", eos_token_id=[2, 0, 5, 9])
    told: list[Progress] = []
    file = write_model(folder, home, "f32", told.append)
    said = {key: field.contents() for key, field in gguf.GGUFReader(file).fields.items() if "tokenizer" in key}
    assert said["tokenizer.ggml.pre"] == "gpt-2"
    assert [said[f"tokenizer.ggml.{key}_token_id"] for key in ("bos", "eos", "eot", "eom")] == [1, 2, 0, 5]
    assert said["tokenizer.ggml.add_bos_token"] is False and said["tokenizer.ggml.add_eos_token"] is False
    assert said["tokenizer.chat_template"] == tokenizer.chat_template
    assert said["tokenizer.ggml.tokens"][-3:] == [f"[PAD{len(tokenizer) + i}]" for i in range(3)]
    assert said["tokenizer.ggml.token_type"] == [3] * 3 + [1] * (len(tokenizer) - 3) + [5] * 3
    assert any("[9] are further ones" in getattr(one, "text", "") for one in told)


def test_a_token_put_in_front_of_every_text_is_told(tiny_folder: Make, home: Path) -> None:
    file = write_model(tiny_folder(words=piece_tokenizer()), home, "f32")
    assert value_of(file, "tokenizer.ggml.add_bos_token") is True
    assert value_of(file, "tokenizer.ggml.add_space_prefix") is False


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """By llama.cpp's name, a tokenizer and what transformers' reader makes of the file."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    made = {
        "gpt-2": usual_tokenizer(),
        "dbrx": split_tokenizer(LLAMA3),
        "qwen2": split_tokenizer(QWEN2),
        "default": piece_tokenizer(),
    }
    found = {}
    for pre, used in made.items():
        folder = tmp_path_factory.mktemp("words") / pre
        config = LlamaConfig(
            vocab_size=len(used),
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            bos_token_id=None,
            eos_token_id=None,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
        used.save_pretrained(folder)
        file = write_model(folder, folder.parent, "f32")
        assert value_of(file, "tokenizer.ggml.pre") == pre
        found[pre] = (used, AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name))
    return found


BITS = st.one_of(st.text(max_size=6), st.sampled_from(ODD))


@pytest.mark.parametrize("pre", ["gpt-2", "dbrx", "qwen2", "default"])
def test_odd_texts_have_the_same_tokens(tokenizers: dict[str, tuple[Any, Any]], pre: str) -> None:
    mine, read = tokenizers[pre]

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.one_of(BITS, st.sampled_from(mine.all_special_tokens)), max_size=10).map("".join))
    def check(text: str) -> None:
        assert read.encode(text, add_special_tokens=False) == mine.encode(text, add_special_tokens=False)

    check()


def test_how_a_text_is_split_has_a_name(tiny_folder: Make, home: Path) -> None:
    from tokenizers import normalizers, pre_tokenizers

    digits = word_tokenizer()
    steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    digits.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    told: list[Progress] = []
    composed = split_tokenizer(QWEN2, normalizer=normalizers.NFC())
    for name, words, pre in (
        ("smollm", digits, "smollm"),
        ("llama", split_tokenizer(LLAMA3, ignore_merges=True), "llama-bpe"),
        ("qwen", composed, "qwen2"),
    ):
        file = write_model(tiny_folder(name=name, words=words), home, "f32", told.append)
        assert value_of(file, "tokenizer.ggml.pre") == pre
    assert any("NFC" in getattr(one, "text", "") for one in told)


BEHIND = {
    "type": "TemplateProcessing",
    "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [1], "tokens": ["<|im_start|>"]}},
}


def change_tokenizer(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    data = json.loads((folder / "tokenizer.json").read_text())
    change(data)
    (folder / "tokenizer.json").write_text(json.dumps(data))
    return folder


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data["pre_tokenizer"].update(add_prefix_space=True), "in a way that llama.cpp has no name for"),
        (lambda data: data.update(normalizer={"type": "Lowercase"}), "in a way that llama.cpp has no name for"),
        (lambda data: data["model"].update(end_of_word_suffix="</w>"), "no name for|cannot read"),
        (lambda data: data["added_tokens"][0].update(lstrip=True), "the spaces or the words around '<|endoftext|>'"),
        (
            lambda data: data.update(model={"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}),
            "of type WordLevel",
        ),
        (lambda data: data["model"]["vocab"].update({"\u0120\u0120\u0120": 900}), "has the id 900; the model has"),
        (
            lambda data: data.update(post_processor=BEHIND),
            r"puts \[1\] around every text; only its eos can be written",
        ),
        (lambda data: data["model"]["vocab"].update({"a word": data["model"]["vocab"].pop("z")}), "spelt in bytes"),
    ],
)
def test_odd_tokenizers_are_refused(
    tiny_folder: Make, home: Path, change: Callable[[dict[str, Any]], object], why: str
) -> None:
    folder = change_tokenizer(tiny_folder(), change)
    with pytest.raises(DataError, match=why) as told:
        write_model(folder, home, "f32")
    assert "\n" not in str(told.value) and nothing_in(home)


def put_apart(merges: list[list[str]]) -> None:
    """Let another word be merged between two ways to merge the same one."""
    words = ["".join(pair) for pair in merges]
    merges.insert(0, merges.pop(next(at for at in range(2, len(words)) if words[at] == words[at - 1])))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data["model"]["merges"].pop(40), "in another order than SentencePiece would"),
        (lambda data: put_apart(data["model"]["merges"]), "in another order than SentencePiece would"),
        (lambda data: data["pre_tokenizer"].update(split=True), "in a way that llama.cpp does not"),
    ],
)
def test_pieces_that_are_merged_otherwise_are_refused(
    tiny_folder: Make, home: Path, change: Callable[[dict[str, Any]], object], why: str
) -> None:
    folder = change_tokenizer(tiny_folder(words=piece_tokenizer()), change)
    with pytest.raises(DataError, match=why):
        write_model(folder, home, "f32")
    assert nothing_in(home)

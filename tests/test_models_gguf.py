"""GGUF files become safetensors folders with the same weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from models.catalogue.fetch import locate
from models.catalogue.folders import inspect
from models.catalogue.gguf import convert
from workspace.errors import DataError

WIDTH, LAYERS, HEADS, FEED = 64, 2, 4, 128
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(chr(code) for code in range(33, 127)), "Ġ", "Ċ", "ab"]
# sha256 of the weights and the tokenizer that the embedded model's pinned GGUF converts to.
EMBEDDED = {
    "model.safetensors": "7ef915c9bf9d94d8d70211970476878352a5b95855c589ae987916d7a455242b",
    "tokenizer.json": "bf346d64f6f0fbcefb4c1b6928a98241467dff36c6fbae5fe1785c4ff90667f4",
}


def _tensors() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    shapes = {"token_embd": (len(TOKENS), WIDTH), "output_norm": (WIDTH,)}
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        shapes |= {block + "attn_norm": (WIDTH,), block + "ffn_norm": (WIDTH,), block + "ffn_down": (WIDTH, FEED)}
        shapes |= {block + name: (FEED, WIDTH) for name in ("ffn_gate", "ffn_up")}
        shapes |= {block + name: (WIDTH, WIDTH) for name in ("attn_q", "attn_k", "attn_v", "attn_output")}
    return {f"{name}.weight": draw.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def tiny_gguf(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 3] + [1] * (len(TOKENS) - 3))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}")
    for name, data in _tensors().items():
        kind = gguf.GGMLQuantizationType.Q4_1 if data.ndim == 2 else None
        writer.add_tensor(name, gguf.quants.quantize(data, kind) if kind else data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_becomes_a_folder_with_the_same_weights(tiny_gguf: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    target = tmp_path / "converted"
    convert(tiny_gguf, target)
    inspect(target, "chat")
    found = load_file(target / "model.safetensors")
    assert {tensor.dtype for tensor in found.values()} == {torch.bfloat16}
    written = _tensors()["blk.1.ffn_down.weight"]
    kind = gguf.GGMLQuantizationType.Q4_1
    widened = gguf.quants.dequantize(gguf.quants.quantize(written, kind), kind)
    expected = torch.from_numpy(widened).to(torch.bfloat16)
    assert torch.equal(found["model.layers.1.mlp.down_proj.weight"], expected)
    assert (target / "chat_template.jinja").is_file() and (target / "tokenizer.json").is_file()


def test_the_folder_loads_and_speaks(tiny_gguf: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    convert(tiny_gguf, tmp_path / "converted")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "converted")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "converted")
    ids = tokenizer("ab", return_tensors="pt")["input_ids"]
    assert tokenizer.decode(ids[0]) == "ab"
    with torch.inference_mode():
        assert bool(model(ids).logits.isfinite().all())


def test_what_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(DataError, match=r"a\.gguf is not a GGUF file"):
        convert(tmp_path / "a.gguf", tmp_path / "out")


@pytest.mark.parametrize("keep", [4, 100, 5000])
def test_a_gguf_cut_short_is_a_data_error(tiny_gguf: Path, tmp_path: Path, keep: int) -> None:
    tiny_gguf.write_bytes(tiny_gguf.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"tiny\.gguf cannot be converted"):
        convert(tiny_gguf, tmp_path / "out")


@pytest.mark.embedded
def test_the_embedded_model_is_converted_to_the_byte(embedded_home: Path) -> None:
    folder = locate("smollm2-135m-instruct", embedded_home)
    for name, digest in EMBEDDED.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest

"""Model folders become GGUF files: the same logits, whole, once, or a line that says why not."""

from __future__ import annotations

import errno
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from models.serving import gguf_tensors, gguf_writing
from models.serving.gguf_architecture import architecture_of, rotary_factors
from models.serving.gguf_writing import write_adapter, write_model
from tests.fixtures_merging import changed, load
from tests.fixtures_written_gguf import SCALED, Make, logits_of, nothing_in, read_back, rewrite, tensors_in, value_of
from workspace.errors import DataError, StorageError, Unfinished, UsageError
from workspace.files import claim
from workspace.progress import Progress

IDS = [1, 40, 300, 7, 7, 99, 250, 12, 311, 5, 64, 180]


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("llama", {"tie_word_embeddings": True}),
        ("llama", {"tie_word_embeddings": False, "head_dim": 32, "rms_norm_eps": 1e-3}),
        ("llama", {"num_key_value_heads": 4, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}),
        ("mistral", {"head_dim": 8}),
        ("qwen2", {}),
        ("qwen3", {"head_dim": 128, "tie_word_embeddings": True}),
    ],
    ids=["tied", "wide heads", "rope base", "mistral", "qwen2", "qwen3"],
)
def test_the_logits_are_those_of_the_folder(tiny_folder: Make, home: Path, kind: str, sizes: dict[str, Any]) -> None:
    from transformers import AutoModelForCausalLM

    folder = tiny_folder(kind, **sizes)
    found = logits_of(read_back(write_model(folder, home, "f32")), IDS)
    wanted = logits_of(AutoModelForCausalLM.from_pretrained(folder).eval(), IDS)
    assert wanted.std() > 0.1
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_rows_of_queries_and_keys_are_interleaved_with_their_biases(tiny_folder: Make, home: Path) -> None:
    folder = tiny_folder(attention_bias=True, mlp_bias=True)
    found = tensors_in(write_model(folder, home, "f32"))
    held = load(folder)
    for name, heads in (("q", 4), ("k", 2)):
        for part in ("weight", "bias"):
            wanted = held[f"model.layers.1.self_attn.{name}_proj.{part}"].numpy()
            pairs = wanted.reshape(heads, 2, 8, *wanted.shape[1:]).swapaxes(1, 2).reshape(wanted.shape)
            assert np.array_equal(found[f"blk.1.attn_{name}.{part}"], pairs)
    assert np.array_equal(found["blk.0.ffn_down.bias"], held["model.layers.0.mlp.down_proj.bias"].numpy())
    assert len(found) == 2 + 1 + 2 * (9 + 7)


def test_a_head_that_differs_from_what_it_is_said_to_be_tied_to_is_kept(tiny_folder: Make, home: Path) -> None:
    folder = tiny_folder(tie_word_embeddings=False)
    rewrite(folder, "config.json", tie_word_embeddings=True)
    assert "output.weight" in tensors_in(write_model(folder, home, "f32"))
    copy = changed(
        folder,
        folder.parent / "copy",
        lambda held: held | {"lm_head.weight": held["model.embed_tokens.weight"].clone()},
    )
    assert "output.weight" not in tensors_in(write_model(copy, home, "f32"))


def test_bfloat16_is_kept_to_the_bit_and_widened_without_loss(tiny_folder: Make, home: Path) -> None:
    folder = tiny_folder(dtype="bfloat16")
    held = load(folder)["model.layers.0.mlp.up_proj.weight"].float().numpy()
    for precision in ("bf16", "f32"):
        assert np.array_equal(tensors_in(write_model(folder, home, precision))["blk.0.ffn_up.weight"], held)  # type: ignore[arg-type]


@pytest.mark.parametrize(("precision", "share"), [("f16", 2**-11), ("bf16", 2**-8)])
def test_numbers_are_rounded_to_the_nearest(tiny_folder: Make, home: Path, precision: Any, share: float) -> None:
    folder = tiny_folder()
    file = write_model(folder, home, precision)
    held = load(folder)["model.embed_tokens.weight"].numpy()
    assert np.all(np.abs(tensors_in(file)["token_embd.weight"] - held) <= np.abs(held) * share + 1e-7)
    assert {one.tensor_type.name for one in gguf.GGUFReader(file).tensors if len(one.shape) == 1} == {"F32"}


def test_eight_bits_are_off_by_half_a_step_at_most(tiny_folder: Make, home: Path) -> None:
    folder = tiny_folder()
    held = load(folder)["model.layers.1.mlp.down_proj.weight"].numpy().reshape(-1, 32)
    found = tensors_in(write_model(folder, home, "q8_0"))["blk.1.ffn_down.weight"].reshape(-1, 32)
    step = np.abs(held).max(axis=1, keepdims=True) / 127
    assert np.all(np.abs(found - held) <= step * 0.51 + np.abs(held) * 2**-10)
    assert value_of(write_model(folder, home, "q8_0"), "general.file_type") == gguf.LlamaFileType.MOSTLY_Q8_0


def test_rows_that_eight_bits_do_not_divide_are_told_and_kept_in_sixteen(tiny_folder: Make, home: Path) -> None:
    told: list[Progress] = []
    file = write_model(tiny_folder(hidden_size=80, head_dim=16), home, "q8_0", told.append)
    kinds = {one.name: one.tensor_type.name for one in gguf.GGUFReader(file).tensors}
    assert kinds["blk.0.ffn_up.weight"] == "F16" and kinds["blk.0.ffn_down.weight"] == "Q8_0"
    assert any("matrices have rows that Q8_0 does not divide" in getattr(one, "text", "") for one in told)


def test_several_files_make_the_same_as_one(tiny_folder: Make, home: Path) -> None:
    folder = tiny_folder()
    parts = changed(folder, folder.parent / "parts", files=3)
    one, other = tensors_in(write_model(folder, home, "f32")), tensors_in(write_model(parts, home, "f32"))
    assert list(one) == list(other) and all(np.array_equal(one[name], other[name]) for name in one)


def test_it_is_the_same_file_however_much_is_read_at_a_time(
    tiny_folder: Make, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_folder(attention_bias=True)
    whole = write_model(folder, home, "q8_0").read_bytes()
    monkeypatch.setattr(gguf_tensors, "BLOCK", 500)
    assert write_model(folder, home.parent / "other", "q8_0").read_bytes() == whole


def test_no_tensor_is_held_whole(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"wide": np.ones((8192, 2048), np.float16)}, tmp_path / "model.safetensors")
    laid = gguf_tensors.Laid("wide", gguf_tensors.held_in(tmp_path)["wide"], "Q8_0", head=64)
    with (tmp_path / "out").open("wb") as file:
        tracemalloc.start()
        try:
            gguf_tensors.append(file, [laid])
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (tmp_path / "out").stat().st_size == 8192 * 2048 // 32 * 34
    assert most < 8192 * 2048


# Rotary embeddings and other metadata.


def test_the_factors_of_llama_3_are_those_of_transformers(tiny_folder: Make, home: Path) -> None:
    from transformers import AutoConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    folder = tiny_folder(rope_parameters=SCALED, head_dim=64)
    config = AutoConfig.from_pretrained(folder)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = 10_000.0 ** -(torch.arange(0, 64, 2) / 64)
    factors = tensors_in(write_model(folder, home, "bf16"))["rope_freqs.weight"]
    assert len(set(factors.round(3).tolist())) > 4 and factors.min() == 1.0 and factors.max() == 8.0
    torch.testing.assert_close(torch.tensor(factors), plain / scaled, rtol=1e-5, atol=0.0)
    assert np.array_equal(factors, rotary_factors(architecture_of(folder)))


def test_a_linear_scale_is_written(tiny_folder: Make, home: Path) -> None:
    rope = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}
    file = write_model(tiny_folder(rope_parameters=rope), home, "f32")
    assert value_of(file, "llama.rope.scaling.type") == "linear"
    assert value_of(file, "llama.rope.scaling.factor") == 4.0


def test_a_window_bounds_what_is_read_at_once(tiny_folder: Make, home: Path) -> None:
    told: list[Progress] = []
    file = write_model(tiny_folder("mistral", sliding_window=96), home, "f32", told.append)
    assert value_of(file, "llama.context_length") == 96
    assert any("attends to 96 tokens at a time" in getattr(one, "text", "") for one in told)


# Whole, once.


def test_nothing_is_written_twice(tiny_folder: Make, lora_folder: Make, home: Path) -> None:
    folder = tiny_folder()
    adapter = lora_folder(folder)
    first = write_model(folder, home, "f16"), write_adapter(adapter, folder, home)
    before = [path.stat() for path in first]
    assert (write_model(folder, home, "f16"), write_adapter(adapter, folder, home)) == first
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in first] == [
        (s.st_ino, s.st_mtime_ns) for s in before
    ]
    again = changed(folder, folder.parent / "moved" / folder.name)
    assert write_model(again, home, "f16") == first[0]
    other = changed(
        folder, folder.parent / "other", lambda held: held | {"model.norm.weight": held["model.norm.weight"] * 2}
    )
    files = {
        *first,
        write_model(folder, home, "bf16"),
        write_model(other, home, "f16"),
        write_adapter(adapter, other, home),
    }
    assert len(files) == 5 and {path for path in home.rglob("*") if path.is_file()} == files


def test_a_full_disk_leaves_nothing(tiny_folder: Make, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_folder()

    def full(file: Any, tensors: Any) -> None:
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(gguf_writing, "append", full)
        with pytest.raises(StorageError, match="no space is left"):
            write_model(folder, home, "f32")
    assert nothing_in(home)
    used = shutil.disk_usage(home)._replace(free=1_000_000)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda path: used)
        with pytest.raises(StorageError, match=r"needs 6\d MB in .*, 1 MB are free"):
            write_model(folder, home, "f32")
    assert write_model(folder, home, "f32").is_file()


def test_two_processes_do_not_write_the_same_file(tiny_folder: Make, home: Path) -> None:
    folder = tiny_folder()
    file = write_model(folder, home, "f32")
    file.unlink()
    with claim(file.parent / ".writing" / file.stem / "lock"), pytest.raises(Unfinished, match="is held by process"):
        write_model(folder, home, "f32")
    assert nothing_in(home)


# Bad input.


def _without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda held: {key: value for key, value in held.items() if key != name}


def _with(name: str, value: float | None = None, factor: float = 1.0) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(held: dict[str, Any]) -> dict[str, Any]:
        made = held["model.norm.weight"].clone() * factor
        if value is not None:
            made.view(-1)[3] = value
        return held | {name: made}

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_without("model.layers.1.mlp.up_proj.weight"), r"tiny lacks model\.layers\.1\.mlp\.up_proj\.weight"),
        (_with("model.layers.2.odd.weight"), r"architecture of tiny has no place for model\.layers\.2\.odd\.weight"),
        (_with("model.layers.0.mlp.up_proj.weight"), r"holds model\.layers\.0\.mlp\.up_proj\.weight as \(64,\)"),
        (_with("model.norm.weight", float("nan")), r"output_norm\.weight of tiny holds a number that is none"),
        (_with("model.norm.weight", float("inf")), r"output_norm\.weight of tiny holds a number that is none"),
        (
            lambda held: {key: value.to(torch.int8) for key, value in held.items()},
            "as I8; weights of 16, 32 or 64 bits",
        ),
    ],
)
def test_weights_that_are_no_model_are_refused(
    tiny_folder: Make, home: Path, tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]], why: str
) -> None:
    folder = changed(tiny_folder(name="sound"), tmp_path / "tiny", change)
    with pytest.raises(DataError, match=why):
        write_model(folder, home, "f16")
    assert nothing_in(home)


def test_numbers_that_sixteen_bits_do_not_hold_are_refused(tiny_folder: Make, home: Path, tmp_path: Path) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    folder = changed(tiny_folder(name="sound"), tmp_path / "large", lambda held: held | {name: held[name] * 1e6})
    with pytest.raises(DataError, match=r"blk\.0\.ffn_up\.weight of large holds .*, which F16 cannot"):
        write_model(folder, home, "f16")
    assert write_model(folder, home, "bf16").is_file()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"model_type": "gpt2"}, "is a model of type gpt2; as GGUF are written: llama, mistral, qwen2, qwen3"),
        ({"model_type": None}, "names no model_type"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "is quantised already"),
        ({"hidden_act": "gelu"}, "has the activation 'gelu'"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0}}, "embeddings by 'yarn'; as GGUF"),
        ({"rope_parameters": {**SCALED, "factor": -1.0}}, "has factor -1.0|factor"),
        ({"rope_parameters": {**SCALED, "high_freq_factor": 0.5}}, "high_freq_factor"),
        ({"rope_parameters": {**SCALED, "partial_rotary_factor": 0.5}}, "turns only a part of each head"),
        ({"model_type": "qwen3", "attention_bias": True}, "has biases, which llama.cpp has not"),
        ({"num_key_value_heads": 3}, "sizes that make no model|num_key_value_heads"),
        ({"num_hidden_layers": "many"}, "num_hidden_layers|configuration"),
        ({"vocab_size": 600}, r"holds model\.embed_tokens\.weight as"),
    ],
)
def test_configurations_that_llama_cpp_computes_otherwise_are_refused(
    tiny_folder: Make, home: Path, values: dict[str, Any], why: str
) -> None:
    folder = tiny_folder()
    rewrite(folder, "config.json", **values)
    with pytest.raises(DataError, match=why) as told:
        write_model(folder, home, "f32")
    assert "\n" not in str(told.value) and nothing_in(home)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
def test_missing_files_are_told(tiny_folder: Make, home: Path, missing: str) -> None:
    folder = tiny_folder()
    (folder / missing).unlink()
    with pytest.raises(DataError) as told:
        write_model(folder, home, "f32")
    assert str(folder) in str(told.value) and "\n" not in str(told.value) and nothing_in(home)


def test_a_file_that_is_cut_short_is_refused(tiny_folder: Make, home: Path) -> None:
    weights = tiny_folder() / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40])
    with pytest.raises(DataError, match="cut short"):
        write_model(weights.parent, home, "f32")


def test_an_unknown_precision_is_a_usage_error(tiny_folder: Make, home: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown precision 'q8'; did you mean 'q8_0'\?"):
        write_model(tiny_folder(), home, "q8")  # type: ignore[arg-type]

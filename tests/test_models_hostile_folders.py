"""Model folders made to harm: each is one line, soon, and takes no memory."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.catalogue.fetch import locate
from models.decoder.engine import Engine
from tests.fixtures_shelf import safetensors_bytes
from workspace.errors import DataError, StudioError


def _edit(name: str, **values: Any) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        data = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps({**data, **values}), encoding="utf-8")

    return harm


def _write(name: str, data: bytes | str) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        path = folder / name
        path.unlink(missing_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())

    return harm


def _weights(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Change the safetensors header, its body left as it is."""

    def harm(folder: Path) -> None:
        file = folder / "model.safetensors"
        raw = file.read_bytes()
        (length,) = struct.unpack("<Q", raw[:8])
        header = json.loads(raw[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        file.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])

    return harm


def _tensors(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        file = folder / "model.safetensors"
        save_file(change(load_file(file)), file, metadata={"format": "pt"})

    return harm


def _tokenizer(**values: Any) -> Callable[[Path], None]:
    return _edit("tokenizer.json", **values)


def _link(name: str, target: str) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return harm


def _fifo(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")


def _folder_named(name: str) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return harm


def _listed_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    _edit("tokenizer_config.json", chat_template=[1, 2])(folder)


def _name_that_is_no_text(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.exe")).write_bytes(b"")


def _first(header: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = next(value for name, value in header.items() if name != "__metadata__")
    return entry


def _regex(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _growing(steps: int) -> dict[str, Any]:
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    return {"type": "Sequence", "normalizers": [step] * steps}


_GLITCH = {"model.layers.0.self_attn.q_proj.weight"}
HARM: dict[str, Callable[[Path], None]] = {
    "configuration: empty": _write("config.json", b""),
    "configuration: no JSON": _write("config.json", '{"model_type": '),
    "configuration: a list": _write("config.json", "[]"),
    "configuration: a number": _write("config.json", "5"),
    "configuration: deep": _write("config.json", "[" * 100_000 + "]" * 100_000),
    "configuration: deep object": _write("config.json", '{"a":' * 50_000 + "1" + "}" * 50_000),
    "configuration: huge": _write("config.json", '{"a": "' + "x" * 20_000_000 + '"}'),
    "configuration: not UTF-8": _write("config.json", b'{"model_type": "\xff\xfe"}'),
    "configuration: UTF-16": _write("config.json", '{"model_type": "llama"}'.encode("utf-16")),
    "configuration: a number of many digits": _write("config.json", '{"vocab_size": ' + "9" * 10_000 + "}"),
    "configuration: no kind": _edit("config.json", model_type=None),
    "configuration: unknown kind": _edit("config.json", model_type="no-such-kind", architectures=["NoSuch"]),
    "configuration: kind is a list": _edit("config.json", model_type=["llama"]),
    "configuration: wants code": _edit("config.json", auto_map={"AutoModelForCausalLM": "evil--evil.Model"}),
    "configuration: words": _edit("config.json", vocab_size=10**12),
    "configuration: layers": _edit("config.json", num_hidden_layers=10**9),
    "configuration: width": _edit("config.json", hidden_size=10**9),
    "configuration: width that is just believed": _edit("config.json", hidden_size=90_000, intermediate_size=90_000),
    "configuration: heads": _edit("config.json", num_attention_heads=10**9),
    "configuration: places": _edit("config.json", max_position_embeddings=10**12),
    "configuration: no heads": _edit("config.json", num_attention_heads=0),
    "configuration: layers below nothing": _edit("config.json", num_hidden_layers=-3),
    "configuration: width as text": _edit("config.json", hidden_size="thirty-two"),
    "configuration: width as a list": _edit("config.json", hidden_size=[32]),
    "configuration: no number": _write("config.json", '{"model_type": "llama", "hidden_size": NaN}'),
    "configuration: activation": _edit("config.json", hidden_act="os.system"),
    "configuration: positions": _edit("config.json", rope_scaling={"rope_type": "evil", "factor": "x"}),
    "configuration: another architecture": _edit("config.json", model_type="gpt2", architectures=["GPT2LMHeadModel"]),
    "an adapter of itself": lambda folder: _write(
        "adapter_config.json", json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(folder)})
    )(folder),
    "weights: empty": _write("model.safetensors", b""),
    "weights: header longer than the file": _write("model.safetensors", struct.pack("<Q", 2**63) + b"{}"),
    "weights: deep header": _write("model.safetensors", struct.pack("<Q", 200_000) + b"[" * 200_000),
    "weights: a list": _write("model.safetensors", struct.pack("<Q", 2) + b"[]"),
    "weights: nothing in them": _write("model.safetensors", struct.pack("<Q", 2) + b"{}"),
    "weights: another's": _write("model.safetensors", safetensors_bytes(64)),
    "weights: overlap": _weights(lambda header: _first(header).update(data_offsets=[0, 8])),
    "weights: all at one place": _weights(
        lambda header: [one.update(_first(header)) for name, one in header.items() if name != "__metadata__"] and None
    ),
    "weights: shape of text": _weights(lambda header: _first(header).update(shape=["8", "8"])),
    "weights: shape below nothing": _weights(lambda header: _first(header).update(shape=[-1, -64])),
    "weights: places of text": _weights(lambda header: _first(header).update(data_offsets=["0", "8"])),
    "weights: enormous shape": _weights(lambda header: _first(header).update(shape=[10**30, 10**30])),
    "weights: no numbers' kind": _weights(lambda header: _first(header).update(dtype="EVIL")),
    "weights: cut": lambda folder: os.truncate(folder / "model.safetensors", 999),
    "weights: one is missing": _tensors(lambda held: {k: v for k, v in held.items() if k not in _GLITCH}),
    "weights: one more": _tensors(lambda held: {**held, "model.more.weight": next(iter(held.values())).clone()}),
    "weights: other names": _tensors(lambda held: {f"x.{name}": value for name, value in held.items()}),
    "weights: other shapes": _tensors(lambda held: {k: v.repeat(2, *[1] * (v.ndim - 1)) for k, v in held.items()}),
    "weights: no numbers": _tensors(lambda held: {name: value * float("nan") for name, value in held.items()}),
    "index: outside": _write("model.safetensors.index.json", '{"weight_map": {"a": "../../etc/passwd.safetensors"}}'),
    "index: no map": _write("model.safetensors.index.json", '{"weight_map": [1]}'),
    "index: numbers": _write("model.safetensors.index.json", '{"weight_map": {"a": 5}}'),
    "tokenizer: no JSON": _write("tokenizer.json", b"\x00\x01"),
    "tokenizer: empty object": _write("tokenizer.json", "{}"),
    "tokenizer: a list": _write("tokenizer.json", "[]"),
    "tokenizer: deep": _write("tokenizer.json", "[" * 100_000),
    "tokenizer: pattern for ever": _tokenizer(pre_tokenizer=_regex("(a+)+$")),
    "tokenizer: pattern for ever, hidden": _tokenizer(pre_tokenizer=_regex(r"(?:x|(?:\w{1,})*)+!")),
    "tokenizer: long pattern": _tokenizer(pre_tokenizer=_regex("a" * 1_000_000)),
    "tokenizer: broken pattern": _tokenizer(pre_tokenizer=_regex("(")),
    "tokenizer: text that grows": _tokenizer(normalizer=_growing(40)),
    "tokenizer: words are numbers": _tokenizer(model={"type": "BPE", "vocab": {"a": "x"}, "merges": 5}),
    "tokenizer: pieces of no length": _tokenizer(pre_tokenizer={"type": "FixedLength", "length": 0}),
    "tokenizer: nothing replaced": _tokenizer(
        normalizer={"type": "Replace", "pattern": {"String": ""}, "content": "zz"}
    ),
    "tokenizer: pattern given up": _tokenizer(pre_tokenizer=_regex("([a-z ]{1,99}){1,99}!")),
    "tokenizer: broken table": _tokenizer(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
    "tokenizer: a second text": _tokenizer(
        post_processor={
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "B", "type_id": 0}}],
            "pair": [],
            "special_tokens": {},
        }
    ),
    "tokenizer: no word for the unknown": _tokenizer(
        model={"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "NOPE"}
    ),
    "tokenizer: length as text": _edit("tokenizer_config.json", model_max_length="x"),
    "tokenizer: a kind of its own": _edit("tokenizer_config.json", tokenizer_class="RagTokenizer"),
    "configuration: labels": _edit("config.json", num_labels=10**9),
    "template: loops": _write("chat_template.jinja", "{% for a in range(99999) %}{% for b in range(99999) %}" * 2),
    "template: missing": lambda folder: (folder / "chat_template.jinja").unlink(),
    "template: a list": _listed_template,
    "file: code": _write("modeling_evil.py", "import os"),
    "file: pickle": _write("pytorch_model.bin", b"\x80\x04"),
    "file: name that is no text": _name_that_is_no_text,
    "file: a pipe": _fifo,
    "file: a device": _link("tokenizer.json", "/dev/zero"),
    "file: itself": _link("tokenizer.json", "tokenizer.json"),
    "file: link to nothing": _link("tokenizer.json", "/no/such/file"),
    "file: link to a password file": _link("tokenizer_config.json", "/etc/passwd"),
    "folder named config.json": _folder_named("config.json"),
    "folder named model.safetensors": _folder_named("model.safetensors"),
    "folder named tokenizer.json": _folder_named("tokenizer.json"),
}


@pytest.mark.parametrize("kind", HARM)
def test_a_hostile_folder_is_one_line(kind: str, tiny_llama: Path, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    HARM[kind](folder)
    with pytest.raises(StudioError) as caught:
        Engine.load(locate(str(folder), home, kind="chat"), dtype="float32", device="cpu")
    said = str(caught.value)
    assert "\n" not in said and len(said) < 600
    said.encode()  # can be printed


@pytest.mark.parametrize("ids", [[10**15, -4, 2], ["x", 2], "x", {"a": 1}])
@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_ends_that_are_no_tokens_are_none(name: str, ids: Any, tiny_llama: Path, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    _edit(name, eos_token_id=ids)(folder)
    try:
        llm = Engine.load(locate(str(folder), home, kind="chat"), dtype="float32", device="cpu")
    except DataError:
        return
    assert llm.stops and all(0 <= token < llm.vocabulary for token in llm.stops)
    assert llm.grammar_tokenizer


def test_a_tokenizer_that_no_grammar_reads_is_one_line(tiny_llama: Path, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    _tokenizer(decoder={"type": "CTC", "pad_token": "", "word_delimiter_token": "", "cleanup": True})(folder)
    llm = Engine.load(locate(str(folder), home, kind="chat"), dtype="float32", device="cpu")
    with pytest.raises(DataError, match="cannot read the tokenizer of model: "):
        assert llm.grammar_tokenizer


def test_weights_of_another_architecture_name_a_few(tiny_llama: Path, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    HARM["weights: other names"](folder)
    with pytest.raises(DataError, match=r"they lack 'lm_head\.weight', .* more; they add 'x\.lm_head"):
        Engine.load(locate(str(folder), home, kind="chat"), dtype="float32", device="cpu")


@pytest.mark.parametrize("length", [640, 896, 1152, 1408, 640 + 65_536])
def test_a_header_of_any_length_is_no_pickle(length: int, tmp_path: Path) -> None:
    from models.catalogue.folders import check_safetensors

    file = tmp_path / "adapter.safetensors"
    entry = {"weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    header = json.dumps(entry).encode().ljust(length)
    file.write_bytes(struct.pack("<Q", length) + header + bytes(4))
    assert check_safetensors(file) == entry

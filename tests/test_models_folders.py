"""Local model folders: what is refused, and in which words."""

from __future__ import annotations

import ast
import io
import json
import pickle
import struct
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.catalogue import folders
from models.catalogue.fetch import locate, verify
from models.catalogue.folders import check_safetensors, inspect
from tests.fixtures_shelf import CONFIG, safetensors_bytes
from workspace.errors import DataError, UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_bytes(CONFIG)
    (path / "model.safetensors").write_bytes(safetensors_bytes())
    return path


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("data.pkl", pickle.dumps([1]))
    return out.getvalue()


def _index(shard: str) -> bytes:
    return json.dumps({"weight_map": {"weight": shard}}).encode()


def test_a_whole_folder_is_located_and_verified(folder: Path, home: Path) -> None:
    assert locate(str(folder), home, kind="chat") == folder
    assert verify(str(folder), home) == []
    (folder / "model.safetensors.index.json").write_bytes(_index("model.safetensors"))
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x.lock").write_text("")
    (folder / "LICENSE").write_text("free")
    inspect(folder)


def test_an_adapter_may_be_one_file(folder: Path, home: Path) -> None:
    file = folder / "model.safetensors"
    assert locate(str(file), home, kind="adapter") == file
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match="cut short"):
        locate(str(file), home)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("modeling_x.py", b"import os", "modeling_x.py holds code"),
        ("sub/deep/evil.py", b"", "sub/deep/evil.py holds code"),
        ("training_args.bin", b"", "training_args.bin may run code"),
        ("model.PT", b"", "model.PT may run code"),
        ("weights.pth", b"", "weights.pth may run code"),
        ("weights.pkl", b"", "weights.pkl may run code"),
        ("weights.ckpt", b"", "weights.ckpt may run code"),
        ("grid.jpg", b"", "grid.jpg is neither"),
        ("model.safetensors", safetensors_bytes()[:-1], "is cut short"),
        ("model.safetensors", safetensors_bytes()[:20], "no whole safetensors header in 20 bytes"),
        ("model.safetensors", b"", "no whole safetensors header in 0 bytes"),
        ("model.safetensors", safetensors_bytes() + b"x", "is longer than its header says"),
        ("model.safetensors", pickle.dumps({"weight": [1.0] * 99}), "is a pickle, not safetensors"),
        ("model.safetensors", _zip(), "is a pickle, not safetensors"),
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "no whole"),
        ("model.safetensors", struct.pack("<Q", 4) + b"{]}}", "header does not parse"),
        ("model.safetensors", struct.pack("<Q", 2) + b"[]", "header is not a table"),
        ("model.safetensors", struct.pack("<Q", 8) + b'{"a": 1}', "'a' makes no sense"),
        ("config.json", b'{"model_type": ', "config.json is not valid JSON"),
        ("model.safetensors.index.json", _index("lost.safetensors"), "names lost.safetensors, which is missing"),
    ],
)
def test_what_is_refused(folder: Path, home: Path, name: str, data: bytes, said: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        locate(str(folder), home)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert said.split()[0] in str(verify(str(folder), home))


@pytest.mark.parametrize(
    ("gone", "kind", "said"),
    [
        ("config.json", "chat", "has no config.json"),
        ("config.json", None, "has no config.json or model_index.json"),
        ("", "painter", "has no model_index.json"),
        ("model.safetensors", "chat", "no .safetensors weights"),
    ],
)
def test_what_is_missing(folder: Path, gone: str, kind: str | None, said: str) -> None:
    if gone:
        (folder / gone).unlink()
    with pytest.raises(DataError, match=said.replace(".", r"\.")):
        inspect(folder, kind)


@pytest.mark.parametrize("kind", ["chat", "painter", "embedding"])
def test_a_whole_model_holds_no_adapter_that_a_library_would_put_on(folder: Path, kind: str) -> None:
    (folder / "model_index.json").write_text("{}")
    part = folder / "text_encoder"
    part.mkdir()
    (part / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "/elsewhere"}')
    with pytest.raises(DataError, match=r"text_encoder holds an adapter_config\.json"):
        inspect(folder, kind)


def test_an_empty_folder_and_a_broken_link(folder: Path, tmp_path: Path, home: Path) -> None:
    (folder / "tokenizer.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"tokenizer\.json is missing"):
        inspect(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is empty"):
        locate(str(tmp_path / "empty"), home)
    with pytest.raises(UsageError, match="no model folder"):
        locate(str(tmp_path / "nowhere"), home)


@given(cut=st.integers(min_value=0, max_value=400), flips=st.lists(st.integers(0, 399), max_size=4))
def test_any_damage_to_the_header_or_length_is_a_data_error_or_none(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flips: list[int]
) -> None:
    data = bytearray(safetensors_bytes(80))
    for place in flips:
        data[place % len(data)] ^= 0x55
    file = tmp_path_factory.mktemp("any") / "x.safetensors"
    file.write_bytes(bytes(data[: len(data) - cut]))
    if cut:
        with pytest.raises(DataError):
            check_safetensors(file)
    elif not flips:
        assert check_safetensors(file)["weight"]["shape"] == [80]
    else:
        try:
            check_safetensors(file)
        except DataError as error:
            assert str(file) in str(error)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_model_that_wants_code_of_its_own_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(safetensors_bytes())
    (folder / "config.json").write_text("{}")
    inspect(folder)
    (folder / name).write_text(json.dumps({"auto_map": {"AutoModelForCausalLM": "evil--evil.Model"}}))
    with pytest.raises(DataError, match=rf"{name} wants code of its own to be run \(auto_map\)"):
        inspect(folder)


def test_no_code_of_a_model_is_ever_asked_for() -> None:
    root = Path(__file__).resolve().parent.parent
    for package in ("models", "pipelines", "training", "agents", "studio"):
        for path in (root / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                owner = node.func.value
                if node.func.attr == "from_pretrained" and isinstance(owner, ast.Name) and owner.id.startswith("Auto"):
                    if owner.id.startswith("Autoencoder"):
                        continue  # diffusers' own, which knows no code of a model's
                    given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                    assert given.get("trust_remote_code") == "False", f"{path}:{node.lineno}"


def test_a_folder_that_was_in_order_is_looked_at_again_when_a_file_has_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(folders.time, "time", lambda: now + 3600)  # nothing in the folder is new
    read = []
    monkeypatch.setattr(folders, "check_safetensors", lambda file: read.append(file) or check_safetensors(file))
    inspect(folder, "chat")
    inspect(folder, "chat")
    assert len(read) == 1
    inspect(folder)
    assert len(read) == 2  # of any kind is another question
    (folder / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="holds no JSON object"):
        inspect(folder, "chat")


def test_what_is_new_is_looked_at_every_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr(folders, "check_safetensors", lambda file: read.append(file) or check_safetensors(file))
    inspect(folder, "chat")
    inspect(folder, "chat")
    assert len(read) == 2

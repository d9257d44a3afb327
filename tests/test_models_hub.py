"""Fetching a model from the hub, spoken by a local server: pinned at the first fetch, proved, resumed, or refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.catalogue import lock
from models.catalogue.fetch import fetch, verify
from models.catalogue.hub import wanted
from models.catalogue.table import MODELS, Model
from tests.fixtures_shelf import CONFIG, Shelf, safetensors_bytes
from workspace.errors import DataError, ServiceError, StorageError
from workspace.progress import Progress, progress_to

REPOSITORY = "someone/tiny"
FIRST, SECOND = "a" * 40, "b" * 40


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _put(shelf: Shelf, revision: str, held: dict[str, bytes], *, main: bool = True, gated: bool = False) -> None:
    siblings = []
    for name, data in held.items():
        shelf.files[f"/{REPOSITORY}/resolve/{revision}/{name}"] = data
        row: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": _blob(data)}
        if name.endswith(".safetensors"):
            digest = hashlib.sha256(data).hexdigest()
            row["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 130}
        siblings.append(row)
    info = json.dumps({"id": REPOSITORY, "sha": revision, "gated": "auto" if gated else False, "siblings": siblings})
    shelf.files[f"/api/models/{REPOSITORY}/revision/{revision}"] = info.encode()
    shelf.files[f"/api/models/{REPOSITORY}/auth-check"] = b"{}"
    if main:
        shelf.files[f"/api/models/{REPOSITORY}"] = info.encode()


@pytest.fixture
def held() -> dict[str, bytes]:
    return {
        "model.safetensors": safetensors_bytes(),
        "config.json": CONFIG,
        "README.md": b"read me",
        "pytorch_model.bin": b"\x80\x04.",
        "modeling_tiny.py": b"raise SystemExit('never run')",
        "original/params.json": b"{}",
    }


@pytest.fixture
def hub(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, held: dict[str, bytes]) -> Shelf:
    monkeypatch.setenv("HF_ENDPOINT", shelf.url)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    row = Model(id="tiny", kind="chat", parameters=4096, size_bytes=17_000, licence="Apache-2.0", hub=REPOSITORY)
    monkeypatch.setitem(MODELS, "tiny", row)
    _put(shelf, FIRST, held)
    return shelf


def _gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "tiny", dataclasses.replace(MODELS["tiny"], gated=True, licence="Theirs"))


def test_only_the_wanted_files_come_and_are_pinned(home: Path, hub: Shelf, held: dict[str, bytes]) -> None:
    shown: list[Progress] = []
    folder = fetch("tiny", home, shown.append)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "manifest.json", "model.safetensors"]
    assert verify("tiny", home) == []
    (entry,) = lock.pins(home / "models", "tiny")
    assert (entry.source, entry.origin, entry.revision) == ("hub", REPOSITORY, FIRST)
    assert entry.files["config.json"] == hashlib.sha256(CONFIG).hexdigest()
    last = shown[-1]
    assert last.type == "downloaded" and last.bytes == last.of == len(held["model.safetensors"]) + len(CONFIG)
    assert last.file == "model.safetensors"
    asked = [headers for path, headers in hub.asked if "/resolve/" in path]
    assert {headers["authorization"] for headers in asked} == {"Bearer hf_test"}


def _remarks(shown: list[Progress]) -> list[str]:
    """What was said before the first byte came."""
    first = next((number for number, event in enumerate(shown) if event.type == "downloaded"), len(shown))
    return [event.text for event in shown[:first] if event.type == "remark"]


def test_how_much_comes_is_said_before_it_does(home: Path, hub: Shelf, held: dict[str, bytes]) -> None:
    shown: list[Progress] = []
    with progress_to(shown.append):
        fetch("tiny", home, shown.append)
    size = -(-(len(held["model.safetensors"]) + len(CONFIG)) // 1000)
    (told,) = _remarks(shown)
    assert told.startswith(f"tiny: {size} kB in 2 files from the hub; ") and told.endswith(f"free in {home / 'models'}")
    assert any(event.type == "waiting" and REPOSITORY in event.doing for event in shown)


@pytest.mark.parametrize(("known", "said"), [(17_000, "tiny: about 17 kB in 2 files"), (0, "tiny: size unknown, in 2")])
def test_a_size_that_the_hub_does_not_say_is_the_catalogues_or_unknown(
    home: Path, hub: Shelf, monkeypatch: pytest.MonkeyPatch, known: int, said: str
) -> None:
    monkeypatch.setitem(MODELS, "tiny", dataclasses.replace(MODELS["tiny"], size_bytes=known))
    info = json.loads(hub.files[f"/api/models/{REPOSITORY}"])
    for row in info["siblings"]:
        row.pop("size")
    hub.files[f"/api/models/{REPOSITORY}"] = json.dumps(info).encode()
    shown: list[Progress] = []
    fetch("tiny", home, shown.append)
    assert _remarks(shown)[0].startswith(said)
    assert {event.of for event in shown if event.type == "downloaded"} == {0}


def test_what_the_disk_cannot_hold_is_refused_before_it_comes(
    home: Path, hub: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2000))
    shown: list[Progress] = []
    with pytest.raises(StorageError, match=r"tiny needs \d+ kB in .*, 2 kB are free: \d+ kB in 2 files from the hub"):
        fetch("tiny", home, shown.append)
    assert not any(event.type == "downloaded" for event in shown)


def test_the_first_revision_is_binding(home: Path, hub: Shelf, held: dict[str, bytes]) -> None:
    folder = fetch("tiny", home)
    _put(hub, SECOND, {**held, "config.json": b'{"model_type": "newer"}'})
    (folder / "config.json").write_bytes(b"damaged")
    assert verify("tiny", home)
    fetch("tiny", home)
    assert (folder / "config.json").read_bytes() == CONFIG
    assert lock.pins(home / "models", "tiny")[0].revision == FIRST


def test_other_bytes_under_the_pinned_revision_are_refused(home: Path, hub: Shelf, held: dict[str, bytes]) -> None:
    folder = fetch("tiny", home)
    (folder / "config.json").write_bytes(b"damaged")
    _put(hub, FIRST, {**held, "config.json": b'{"model_type": "swapped"}'})
    with pytest.raises(DataError, match=r"config\.json arrived with sha256"):
        fetch("tiny", home)


def test_a_file_that_vanished_from_the_pinned_revision_is_named(home: Path, hub: Shelf, held: dict[str, bytes]) -> None:
    folder = fetch("tiny", home)
    (folder / "config.json").write_bytes(b"damaged")
    _put(hub, FIRST, {name: data for name, data in held.items() if name != "config.json"})
    with pytest.raises(DataError, match=r"no longer holds config\.json"):
        fetch("tiny", home)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_bytes_that_are_not_what_the_hub_lists_are_refused(home: Path, hub: Shelf, name: str) -> None:
    path = f"/{REPOSITORY}/resolve/{FIRST}/{name}"
    hub.files[path] = hub.files[path][:-1] + b"~"
    with pytest.raises(DataError, match="thrown away"):
        fetch("tiny", home)
    assert not (home / "models" / "tiny").exists()
    assert lock.pins(home / "models", "tiny") == []


def test_an_interrupted_shard_goes_on(home: Path, hub: Shelf) -> None:
    path = f"/{REPOSITORY}/resolve/{FIRST}/model.safetensors"
    hub.break_after[path] = 6000
    fetch("tiny", home)
    assert hub.ranges(path) == ["", "bytes=6000-"]
    assert verify("tiny", home) == []


def test_a_gated_model_says_what_to_accept(home: Path, hub: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    _gate(monkeypatch)
    hub.refuse = lambda path, headers: 403 if path.endswith("auth-check") else 0
    with pytest.raises(ServiceError, match="tiny is gated: its licence") as caught:
        fetch("tiny", home)
    assert f"{hub.url}/{REPOSITORY}" in str(caught.value) and "HF_TOKEN" in str(caught.value)


def test_a_gated_model_comes_once_accepted(home: Path, hub: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    _gate(monkeypatch)
    fetch("tiny", home)
    assert any(path.endswith("auth-check") for path, _ in hub.asked)


def test_a_hub_that_is_switched_off(home: Path, hub: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ServiceError, match="switched off"):
        fetch("tiny", home)


def test_a_hub_that_cannot_be_reached(home: Path, hub: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match="does not answer for someone/tiny") as caught:
        fetch("tiny", home)
    assert "\n" not in str(caught.value)


def test_a_repository_that_is_not_there(home: Path, hub: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "tiny", dataclasses.replace(MODELS["tiny"], hub="someone/else"))
    with pytest.raises(ServiceError):
        fetch("tiny", home)


def test_a_repository_of_pickles_is_refused(home: Path, hub: Shelf) -> None:
    _put(hub, FIRST, {"config.json": CONFIG, "pytorch_model.bin": b"\x80\x04."})
    with pytest.raises(DataError, match="no safetensors"):
        fetch("tiny", home)


@pytest.mark.parametrize(
    ("model", "name", "taken"),
    [
        ("mistral-7b-v0.3", "model-00001-of-00003.safetensors", True),
        ("mistral-7b-v0.3", "consolidated.safetensors", False),
        ("llama-3.1-8b", "original/params.json", False),
        ("llama-3.1-8b", "original/consolidated.00.pth", False),
        ("flux.1-dev", "transformer/diffusion_pytorch_model-00001-of-00003.safetensors", True),
        ("flux.1-dev", "flux1-dev.safetensors", False),
        ("flux.1-dev", "dev_grid.jpg", False),
        ("flux.1-dev", "../transformer/x.json", False),
        ("leaf-flux-lora", "pytorch_lora_weights.safetensors", True),
        ("leaf-flux-lora", "train.py", False),
        ("all-minilm-l6-v2", "openvino/openvino_model.bin", False),
    ],
)
def test_which_files_belong_to_a_model(model: str, name: str, taken: bool) -> None:
    assert wanted(MODELS[model], name) is taken

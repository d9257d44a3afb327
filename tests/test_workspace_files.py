import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from workspace import files
from workspace.errors import DataError, StorageError, Unfinished

ROOT = Path(__file__).parent.parent


def _visible(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_with_its_hash_and_replaces_the_old_one(tmp_path):
    target = tmp_path / "a" / "b" / "text.txt"
    for content in (b"one", "zwei ü", lambda path: path.write_text("three") and None):
        made = files.publish(target, content)
        assert made.path == target
        assert made.sha256 == files.sha256(target)
        assert made.size == target.stat().st_size
        assert _visible(target.parent) == ["text.txt"]
    assert target.read_text() == "three"


def _folder(*names):
    def write(path):
        for name in names:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(name)

    return write


def test_a_folder_appears_with_a_manifest_and_replaces_the_old_one(tmp_path):
    target = tmp_path / "model"
    for names in (["a.txt", "sub/b.txt"], ["c.txt"]):
        made = files.publish(target, _folder(*names))
        manifest = json.loads((target / "manifest.json").read_text())
        assert set(manifest["files"]) == set(names)
        assert made.sha256 == files.sha256(target / "manifest.json")
        assert files.verify(target) == []
    assert _visible(tmp_path) == ["model"]
    assert _visible(target) == ["c.txt", "manifest.json"]


def test_a_folder_keeps_its_own_manifest(tmp_path):
    def write(path):
        _folder("a.txt")(path)
        (path / "manifest.json").write_text(json.dumps({"seed": 3, "files": files.hashes(path)}))

    files.publish(tmp_path / "run", write)
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["seed"] == 3
    assert files.verify(tmp_path / "run") == []


def test_several_at_once(tmp_path):
    folder = tmp_path / "run"
    made = files.publish_all(folder, {"a.json": "{}", "images/00.png": b"png", "model": _folder("x")})
    assert [each.path for each in made] == [folder / "a.json", folder / "images/00.png", folder / "model"]
    assert _visible(folder) == ["a.json", "images", "model"]
    assert files.hashes(folder)["images/00.png"] == made[1].sha256
    with pytest.raises(StorageError, match=r"nothing was written for .*b\.json"):
        files.publish_all(folder, {"a.json": "new", "b.json": lambda path: None})
    assert (folder / "a.json").read_text() == "{}"
    assert _visible(folder) == ["a.json", "images", "model"]


def test_verify_says_what_is_wrong(tmp_path):
    folder = tmp_path / "model"
    files.publish(folder, _folder("a", "b", "c"))
    (folder / "a").unlink()
    (folder / "b").write_text("changed")
    (folder / "extra").write_text("")
    problems = files.verify(folder)
    assert [problem.split(" ")[1:3] for problem in problems] == [["is", "missing"], ["has", "changed:"], ["is", "not"]]
    assert len(files.verify(folder, unlisted_ok=True)) == 2
    for broken in ("[]", '{"files": 3}', "{", "\udcff"):
        (folder / "manifest.json").write_text(broken, errors="surrogateescape")
        assert files.verify(folder) == [f"{folder / 'manifest.json'} is no manifest"]
    (folder / "manifest.json").unlink()
    assert files.verify(folder) == [f"{folder / 'manifest.json'} cannot be read"]


def test_a_failing_writer_leaves_the_old_content(tmp_path):
    target = tmp_path / "text.txt"
    files.publish(target, "old")

    def write(path):
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.publish(target, write)
    with pytest.raises(StorageError, match="nothing was written"):
        files.publish(target, lambda path: None)
    assert target.read_text() == "old"
    assert _visible(tmp_path) == ["text.txt"]


def test_a_link_in_a_folder_is_refused(tmp_path):
    def write(path):
        path.mkdir()
        (path / "passwords").symlink_to("/etc/passwd")

    with pytest.raises(DataError, match=r"passwords in .*model is a link"):
        files.publish(tmp_path / "model", write)
    assert _visible(tmp_path) == []


def test_a_full_disk_is_one_line(tmp_path):
    with pytest.raises(StorageError, match=r"cannot write .*text.txt: no space is left on the disk"):
        files.publish(tmp_path / "text.txt", lambda path: Path("/dev/full").write_bytes(b"x") and None)
    assert _visible(tmp_path) == []


def test_a_file_in_the_way_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="part of the path is a file"):
        files.publish(tmp_path / "file" / "below", "x")
    with pytest.raises(StorageError, match="a folder of that name"):
        files.publish(tmp_path / "folder", "x")
    with pytest.raises(StorageError, match="part of the path is a file"):
        files.probe(tmp_path / "file" / "below")


def test_a_read_only_disk_is_one_line(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(StorageError, match=r"cannot write .*: the file system is read-only"):
            files.probe(tmp_path)
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match=r"cannot write .*: the file system is read-only"):
        files.publish_all(tmp_path, {"one.txt": "1"})


def test_a_writer_s_other_errors_pass_unchanged(tmp_path):
    def write(path):
        raise ConnectionResetError("the line is dead")

    with pytest.raises(ConnectionResetError):
        files.publish(tmp_path / "text.txt", write)


_KILLED = """
import sys, time
from pathlib import Path
from workspace import files

target, stage = Path(sys.argv[1]), sys.argv[2]

def stop():
    print("here", flush=True)
    sys.stdin.read()

def write(path):
    path.mkdir()
    (path / "first.txt").write_text("x" * 100_000)
    if stage == "writing":
        stop()
    (path / "second.txt").write_text("y")

real = files._replace
def replace(staged, target):
    if stage == "before the rename":
        stop()
    real(staged, target)
    if stage == "after the rename":
        stop()

files._replace = replace
files.publish(target, write)
"""


@pytest.mark.parametrize("stage", ["writing", "before the rename", "after the rename"])
@pytest.mark.parametrize("existed", [False, True])
def test_kill_in_the_middle_leaves_nothing_half_done(tmp_path, stage, existed):
    target = tmp_path / "run"
    if existed:
        files.publish(target, _folder("old.txt"))
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(target), stage],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout.readline() == b"here\n"
        assert files.sweep(tmp_path) == []  # its maker lives
        process.send_signal(signal.SIGKILL)
        process.wait()
    new = stage == "after the rename"
    assert target.exists() == (new or existed)
    if target.exists():
        assert files.verify(target) == []
        assert (target / "second.txt").exists() == new
    assert len(files.sweep(tmp_path)) == 1
    assert _visible(tmp_path) == (["run"] if target.exists() else [])
    assert files.sweep(tmp_path) == []


def test_many_makers_and_a_sweeper_do_not_disturb_each_other(tmp_path):
    faults = []

    def make(number):
        try:
            for turn in range(20):
                files.publish(tmp_path / "same.txt", f"{number} {turn}")
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        files.sweep(tmp_path)
    assert faults == []
    assert _visible(tmp_path) == ["same.txt"]


def test_sweep_looks_everywhere_below(tmp_path):
    for place in ("", "runs/one", "runs/one/images"):
        (tmp_path / place / f"{files.STAGING}abc" / "inner").mkdir(parents=True)
        (tmp_path / place / f"{files.STAGING}def").write_bytes(b"half a pict")
    assert len(files.sweep(tmp_path, deep=False)) == 2
    assert len(files.sweep(tmp_path)) == 4
    assert not list(tmp_path.rglob(f"{files.STAGING}*"))


def test_a_claim_is_for_one(tmp_path):
    lock = tmp_path / "run-1" / ".lock"
    with files.claim(lock):
        with (
            pytest.raises(Unfinished, match=f"run-1 is held by process {os.getpid()}"),
            files.claim(lock),
        ):
            pass
        assert lock.exists()
    assert not lock.exists()
    with files.claim(lock):
        pass


_CLAIM = """
import sys
from pathlib import Path
from workspace.files import claim
with claim(Path(sys.argv[1])):
    print("here", flush=True)
    sys.stdin.read()
"""


def test_a_claim_ends_with_its_process(tmp_path):
    lock = tmp_path / "run-1" / ".lock"
    with subprocess.Popen(
        [sys.executable, "-c", _CLAIM, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout.readline() == b"here\n"
        with pytest.raises(Unfinished, match=f"held by process {process.pid}"), files.claim(lock):
            pass
        process.kill()
        process.wait()
    with files.claim(lock):
        pass
    assert not lock.exists()


def test_claims_by_many_threads_never_overlap(tmp_path):
    inside, most, won = [], [], []

    def work():
        for _ in range(50):
            try:
                with files.claim(tmp_path / "lock"):
                    inside.append(1)
                    most.append(len(inside))
                    won.append(1)
                    inside.pop()
            except Unfinished:
                pass

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won
    assert max(most) == 1

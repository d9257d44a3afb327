"""What is exported comes where a person says: through links, into pipes, to stdout, whole or with one line."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

import studio
from studio.runs.deliver import deliver, is_stream
from workspace.errors import StorageError
from workspace.files import publish

CONTENT = b"x" * 300_000


@pytest.mark.parametrize("folder", ["/dev/fd", "/proc/self/fd", f"/proc/{os.getpid()}/fd"])
def test_an_open_file_is_written_to(folder: str) -> None:
    reading, writing = os.pipe()
    got: list[bytes] = []

    def read() -> None:
        with open(reading, "rb") as file:
            got.append(file.read())

    reader = threading.Thread(target=read)
    reader.start()
    target = Path(f"{folder}/{writing}")
    assert is_stream(target)
    deliver(target, CONTENT)
    os.close(writing)
    reader.join(30)
    assert got == [CONTENT]


def test_a_file_behind_an_open_descriptor_is_gone_on_with(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        file.write(b"before ")
        file.flush()
        deliver(Path(f"/dev/fd/{file.fileno()}"), b"after")
    assert (tmp_path / "log").read_bytes() == b"before after"


def test_a_named_pipe_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    deliver(pipe, CONTENT)
    reader.join(30)
    assert got == [CONTENT] and pipe.is_fifo()


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.md"
    link.symlink_to(Path("there") / "report.md")
    for content in (b"new", b"newer"):
        deliver(link, content)
        assert link.is_symlink() and (tmp_path / "there" / "report.md").read_bytes() == content


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for target in (tmp_path / "a", Path("/dev/fd/987"), Path("/dev/full"), Path("/proc/self/fd/none")):
        with pytest.raises(StorageError) as told:
            deliver(target, CONTENT)
        assert "\n" not in str(told.value)
    with pytest.raises(StorageError):
        publish(Path("/proc/self/fd/none"), CONTENT)


@pytest.mark.usefixtures("scripted_studio", "home")
def test_a_run_is_exported_to_stdout(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run = studio.design("a tough panel", seed=5)
    capfd.readouterr()
    assert studio.export(run.run_id, out=Path("-")) == Path("-")
    assert run.design is not None and capfd.readouterr().out.startswith(f"# {run.design.title}")
    assert not Path("-").exists()

"""Which servers run here: a file each in ``STUDIO_HOME/servers``, by which doctor, runs and other tools find them.

A record holds nothing secret. The key stands in a file beside it that only its owner may read, or in a variable of the
environment; the record says which.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workspace.errors import ServiceError, StorageError, Unfinished, UsageError
from workspace.files import claim, disk, publish

_KEY = re.compile(r"[\x21-\x7e]{16,200}")
_DRIFT = 2.0  # seconds by which the clock that tells a process's start may move


class Record(BaseModel):
    """A server that runs, and all that a batch must know of it to use it and to be repeated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="What it is called here")
    address: str = Field(description="Its base URL")
    model: str = Field(description="The name to ask for")
    models: tuple[str, ...] = Field(description="All names that it knows: the model's and its adapters'")
    engine: str = Field(description="llama.cpp or vllm")
    version: str = Field(description="The engine's")
    folder: Path = Field(description="Where the model lies")
    fingerprint: str = Field(description="The model's")
    adapters: dict[str, str] = Field(description="Each adapter's fingerprint, by the name to ask for")
    weights: str = Field(description="In which numbers they are served")
    in_flight: int = Field(ge=1, description="Answers that it writes at the same time")
    context: int = Field(ge=1, description="Tokens of a conversation that it holds")
    batch_invariant: bool = Field(description="Whether an answer does not depend on what else is asked")
    flags: tuple[str, ...] = Field(description="The engine's command")
    key_file: Path | None = Field(description="The file that holds the key")
    api_key_env: str | None = Field(description="Or the variable that does")
    log: Path
    pid: int = Field(description="The process that watches it")
    began: float = Field(description="When that process began, in Unix time")
    engine_pid: int = Field(description="The engine's own process")
    restarts: int = Field(0, ge=0, description="How often the engine has been started again")

    @property
    def key(self) -> str:
        """The server's key.

        Raises:
            ServiceError: It is not where the record says.
        """
        if self.api_key_env is not None:
            found = os.environ.get(self.api_key_env, "").strip()
            if not found:
                raise ServiceError(f"the variable {self.api_key_env}, which holds the key of {self.name}, is not set")
            return found
        try:
            return Path(str(self.key_file)).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ServiceError(f"the key of {self.name} cannot be read from {self.key_file}") from error

    def is_at(self, server: str) -> bool:
        """Whether an address is this server's, by whichever of the loopback's names."""
        asked, own = urlsplit(server), urlsplit(self.address)
        here = asked.hostname in (own.hostname, "localhost")
        return here and (asked.scheme, asked.port) == (own.scheme, own.port)

    @property
    def alive(self) -> bool:
        """Whether the process that watches it still runs."""
        return abs(began(self.pid) - self.began) < _DRIFT


def began(pid: int) -> float:
    """When a process began, in Unix time; minus infinity where there is none."""
    import psutil  # type: ignore[import-untyped]

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return float("-inf")


def folder_of(home: Path) -> Path:
    """Where records and keys lie."""
    return home / "servers"


def put(home: Path, record: Record) -> None:
    """Write a server's record, or write it anew."""
    publish(folder_of(home) / f"{record.name}.json", record.model_dump_json(indent=1) + "\n")


def running(home: Path) -> list[Record]:
    """The servers that run, by name; records that a killed process left are passed over."""
    found = []
    for path in sorted(folder_of(home).glob("*.json")):
        with suppress(OSError, ValidationError, UnicodeDecodeError):
            record = Record.model_validate_json(path.read_bytes())
            if record.alive:
                found.append(record)
    return found


@contextmanager
def entry(home: Path, name: str) -> Iterator[None]:
    """Hold a server's name within the block; its record is gone afterwards.

    Raises:
        UsageError: A server of this name runs.
        StorageError: The folder cannot be written.
    """
    folder = folder_of(home)
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    try:
        held = claim(folder / f"{name}.lock")
        held.__enter__()
    except Unfinished as taken:
        where = next((f" at {one.address}" for one in running(home) if one.name == name), "")
        raise UsageError(f"{name} is being served{where}", hint="end that server first, or give --name") from taken
    try:
        yield
    finally:
        try:
            (folder / f"{name}.json").unlink(missing_ok=True)
        finally:
            held.__exit__(None, None, None)


def key_in(home: Path, name: str) -> tuple[str, Path]:
    """A server's key and the file that holds it: the one it had the last time, so that what was set with it holds.

    Raises:
        StorageError: The file cannot be written, or others may read it.
    """
    path = folder_of(home) / f"{name}.key"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return _new_key(path), path
    with open(handle, "rb") as held:
        kind = os.fstat(handle)
        text = held.read(1000).decode("ascii", "replace").strip()
    if not stat.S_ISREG(kind.st_mode) or kind.st_uid != os.getuid() or stat.S_IMODE(kind.st_mode) & 0o077:
        raise StorageError(f"others may read the key in {path}", hint=f"rm {path}")
    return (text if _KEY.fullmatch(text) else _new_key(path)), path


def _new_key(path: Path) -> str:
    key = f"studio-{secrets.token_urlsafe(32)}"
    with disk(path):
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(handle, "w", encoding="ascii") as file:
            file.write(f"{key}\n")
    return key


def key_from(variable: str) -> str:
    """The key that a variable of the environment holds.

    Raises:
        UsageError: It holds none, or one that cannot be sent.
    """
    key = os.environ.get(variable, "").strip()
    if not _KEY.fullmatch(key):
        why = "is not set" if not key else "must hold 16 to 200 plain characters without spaces"
        raise UsageError(f"the variable {variable}, which should hold the server's key, {why}")
    return key

"""A real PostgreSQL for tests: a cluster of its own in a short folder, stopped and removed in the end."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from workspace.postgres.address import Address

PATIENCE = 60.0
PASSWORD = "s3cret/@:word"
_FOLDERS = (Path("/usr/lib/postgresql"), Path("/usr/pgsql"))
_LETTERS = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"]
"""An order of letters that is not that of their numbers."""
_SETTINGS = """
fsync = off
full_page_writes = off
synchronous_commit = off
shared_buffers = 16MB
max_connections = 60
autovacuum = off
logging_collector = off
lc_messages = 'C'
"""


@dataclass
class Postgres:
    """A cluster of PostgreSQL.

    Args:
        programs: The folder of ``initdb`` and ``postgres``.
        folder: Where it is kept, and its socket.
        port: Of the socket and of 127.0.0.1.
        account: How its processes are started; it refuses to run as root.
    """

    programs: Path
    folder: Path
    port: int
    account: dict[str, Any]
    _process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=count)

    def make(self) -> None:
        """Make the cluster: whoever comes by the socket is trusted, by TCP a password is asked for."""
        word = self.folder / "word"
        word.write_text(PASSWORD)
        word.chmod(0o644)
        command = [self.programs / "initdb", "-D", self.folder / "data", "-U", "studio", "-E", "UTF8", *_LETTERS,
                   "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={word}"]  # fmt: skip
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, **self.account)
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS)

    def start(self, *, wait: bool = True) -> None:
        """Start the server, from the main thread, with which it ends; by default wait until it answers."""
        command = [self.programs / "postgres", "-D", self.folder / "data", "-k", self.folder, "-h", "127.0.0.1",
                   "-p", str(self.port)]  # fmt: skip
        if shutil.which("setpriv"):  # it ends with the tests however they end
            command = ["setpriv", "--pdeathsig", "INT", *command]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.account
        )
        log.close()
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until the server answers."""
        assert self._process is not None
        end = time.monotonic() + PATIENCE
        ready = [self.programs / "pg_isready", "-q", "-h", self.folder, "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode:
            assert self._process.poll() is None and time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self, how: int = signal.SIGINT) -> None:
        """Stop the server, which ends all connections; ``SIGQUIT`` is as if the power had failed."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)
            self._process = None

    def address(self, options: str = "") -> Address:
        """The database by its socket, where nobody is asked for a password."""
        return Address(f"postgresql://studio@/postgres?host={self.folder}&port={self.port}{options}")

    def by_password(self, password: str = "s3cret%2F%40%3Aword", options: str = "") -> Address:
        """The database by TCP."""
        return Address(f"postgresql://studio:{password}@127.0.0.1:{self.port}/postgres?{options}")

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement as its owner, on a connection of its own."""
        import psycopg

        with psycopg.connect(self.address().url, autocommit=True) as connection:
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []

    def schema(self) -> str:
        """A new empty schema, which stands for a database of its own."""
        name = f"test_{next(self._numbers)}"
        self.run(f"CREATE SCHEMA {name}")
        return name


def _programs() -> Path | None:
    """The folder of the newest PostgreSQL here; programs that are links are found where they lie."""
    found = [path for folder in _FOLDERS for path in folder.glob("*/bin/initdb")]
    newest = sorted(found, key=lambda path: [int(part) for part in path.parts[-3].split(".") if part.isdigit()])
    on_path = shutil.which("initdb")
    return newest[-1].parent if newest else Path(on_path).resolve().parent if on_path else None


def _account() -> dict[str, Any] | None:
    """As whom the server runs: this user, or where that is root, ``postgres`` or ``nobody``."""
    if os.geteuid():
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return None


def _missing(reason: str) -> None:
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running server."""
    programs, account = _programs(), _account()
    if any(importlib.util.find_spec(name) is None for name in ("psycopg", "langgraph.checkpoint.postgres")):
        _missing("psycopg is not installed: pip install -c constraints.txt '.[postgres]'")
    if programs is None:
        _missing("PostgreSQL is not installed: apt-get install postgresql")
    if account is None:
        _missing("PostgreSQL does not run as root, and there is no user postgres or nobody")
    assert programs is not None and account is not None
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # the path of a socket has at most 107 bytes
    try:
        folder.chmod(0o755)
        if account:
            os.chown(folder, account["user"], account["group"])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = Postgres(programs, folder, port, account)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def new_address(postgres: Postgres) -> Iterator[Callable[[], Address]]:
    """Gives the address of one empty database after another."""
    made: list[str] = []

    def new() -> Address:
        made.append(postgres.schema())
        return postgres.address(f"&options=-csearch_path%3D{made[-1]}")

    yield new
    for name in made:
        postgres.run(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def address(new_address: Callable[[], Address]) -> Address:
    """An empty database."""
    return new_address()


@pytest.fixture
def shared_home(home: Path, address: Address, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty STUDIO_HOME whose ledger and checkpoints are in PostgreSQL."""
    monkeypatch.setenv("STUDIO_LEDGER__URL", address.url)
    return home

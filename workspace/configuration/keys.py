"""Keys of servers that a person gave Studio to keep: one file in the home that its owner alone may read.

A key is set, used and forgotten, and never shown. The environment goes first: the file is asked for a variable that
is not set there. Knows names and values; not which server they are for.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path

from workspace.errors import StorageError, UsageError, one_line
from workspace.files import disk

FILE = "keys.toml"
MOST_LETTERS = 1_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_SAID = "# Keys of servers, by the variable that settings name (api_key_env). Never share this file.\n"


def key(variable: str, home: Path | None = None) -> str:
    """The key that a variable stands for: the environment's, else the one that is kept; empty where there is none.

    Args:
        variable: Its name, as ``api_key_env`` says it.
        home: STUDIO_HOME; that of this process if not given.

    Raises:
        StorageError: The file of keys cannot be trusted or read.
    """
    return os.environ.get(variable, "").strip() or _kept(home or _home()).get(variable, "")


def names(home: Path) -> list[str]:
    """The names of the keys that are kept; never their values."""
    return sorted(_kept(home))


def keep(home: Path, variable: str, value: str) -> None:
    """Keep a key under the name of a variable, in place of one that was kept.

    Raises:
        UsageError: It is no name of a variable, or holds what a key cannot have.
        StorageError: The disk refuses.
    """
    value = value.strip()
    if not _NAME.fullmatch(variable):
        raise UsageError(f"{variable[:60]!r} is no name of a variable, such as MY_SERVER_KEY")
    if not value or len(value) > MOST_LETTERS or not (value.isascii() and value.isprintable()):
        raise UsageError(f"a key has 1 to {MOST_LETTERS} plain characters")
    _write(home, {**_kept(home), variable: value})


def forget(home: Path, variable: str) -> bool:
    """Forget a key that is kept; say whether there was one."""
    kept = _kept(home)
    found = kept.pop(variable, None) is not None
    if found:
        _write(home, kept)
    return found


_places: list[Path] = []


def look_in(home: Path) -> None:
    """Let `key` look into the home whose settings this process read last."""
    _places[:] = [home]


def _home() -> Path:
    return _places[0] if _places else Path(os.environ.get("STUDIO_HOME") or "~/.studio").expanduser()


def _kept(home: Path) -> dict[str, str]:
    path = home / FILE
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return {}
    except OSError as fault:
        raise StorageError(f"cannot read the keys in {path}: {fault.strerror}") from None
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise StorageError(f"others may read the keys in {path}", hint=f"chmod 600 {path}")
        text = file.read(1_000_000).decode("utf-8", "replace")
    try:
        held = tomllib.loads(text)
    except ValueError as fault:
        raise StorageError(f"{path} is damaged: {one_line(fault)}", hint="remove it, and give the keys again") from None
    return {name: value for name, value in held.items() if isinstance(value, str)}


def _write(home: Path, kept: Mapping[str, str]) -> None:
    path, staged = home / FILE, home / f".{FILE}.{os.getpid()}"
    text = _SAID + "".join(f"{name} = {json.dumps(value)}\n" for name, value in sorted(kept.items()))
    with disk(path):
        home.mkdir(parents=True, exist_ok=True)
        staged.unlink(missing_ok=True)
        handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        os.replace(staged, path)

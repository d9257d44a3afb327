"""Who is logged in: sessions by the hash of their random token, in a file that outlives the server. Knows no HTTP."""

from __future__ import annotations

import json
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from studio.sharing.private import only_writer, read_private, stamp, write_private
from studio.sharing.users import User, Users, digest_of
from workspace.errors import UsageError

SECONDS = 7 * 24 * 3600
"""How long a session lasts."""

MOST = 1_000
"""Sessions at a time; the oldest ends when one more begins."""

FILE = "sessions.json"


@dataclass(frozen=True)
class _Session:
    name: str
    mark: str
    until: float


class Sessions:
    """Those of a home.

    Args:
        home: STUDIO_HOME.
        users: Who may log in; a session ends when its user goes or gets another password.
    """

    def __init__(self, home: Path, users: Users) -> None:
        self._path, self._users = home / FILE, users
        self._stamp: object = ()
        self._held: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def begin(self, user: User, now: float) -> str:
        """Begin a session and return its token, of which a hash alone is kept."""
        token = secrets.token_urlsafe(32)
        with self._lock, only_writer(self._path):
            held = {key: one for key, one in self._read().items() if one.until > now}
            held[digest_of(token)] = _Session(user.name, user.mark, now + SECONDS)
            for key in sorted(held, key=lambda one: held[one].until)[: max(0, len(held) - MOST)]:
                del held[key]
            self._write(held)
        return token

    def user(self, token: str, now: float) -> User | None:
        """Whose session a token stands for, if it lasts."""
        with self._lock:
            found = self._read().get(digest_of(token))
        if found is None or found.until <= now:
            return None
        user = self._users.all().get(found.name)
        return user if user is not None and user.mark == found.mark else None

    def end(self, token: str) -> None:
        """End a session."""
        key = digest_of(token)
        with self._lock, only_writer(self._path):
            held = dict(self._read())
            if held.pop(key, None) is not None:
                self._write(held)

    def _read(self) -> dict[str, _Session]:
        now = stamp(self._path)
        if now != self._stamp:
            self._held, self._stamp = self._parsed(), now
        return self._held

    def _parsed(self) -> dict[str, _Session]:
        """What the file holds; a damaged one ends all sessions and nothing else."""
        try:
            found = json.loads(read_private(self._path) or "{}")
            return {
                str(key): _Session(str(one["name"]), str(one["mark"]), float(one["until"]))
                for key, one in found.items()
            }
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, UsageError):
            return {}

    def _write(self, held: dict[str, _Session]) -> None:
        write_private(self._path, json.dumps({key: vars(one) for key, one in held.items()}))
        self._held, self._stamp = held, stamp(self._path)

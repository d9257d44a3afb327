"""Who may log in: a file of names with salted scrypt hashes, one a line, and of tokens for the API. Knows no HTTP.

A line is ``name:scrypt$15$8$3$SALT$HASH`` and, for who has a token, ``:SHA256`` of it. Passwords and tokens stand
nowhere. A file that others may read is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import threading
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from studio.sharing.private import only_writer, read_private, stamp, write_private
from workspace.errors import UsageError, unknown

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
SHORTEST, LONGEST = 8, 1024
"""Letters of a password."""

COST, BLOCK, LANES = 15, 8, 3
"""Of scrypt: 2 to the power of COST steps in blocks of 8, 32 MB, three times over (OWASP's password storage list)."""

_HASH = re.compile(r"scrypt\$(1[0-9]|20)\$([1-9]|[12][0-9]|3[0-2])\$([1-9]|1[0-6])\$([\w+/=]{16,88})\$([\w+/=]{44,88})")
_TOKEN = re.compile(r"[0-9a-f]{64}")
MOST_USERS = 10_000


@dataclass(frozen=True)
class User:
    """One who may log in.

    Attributes:
        name: As it is typed.
        secret: The password's hash with its salt.
        token: The sha256 of the token for the API; empty where there is none.
    """

    name: str
    secret: str
    token: str = ""

    @property
    def mark(self) -> str:
        """Tells this password from another, so that a session ends when the password changes."""
        return hashlib.sha256(self.secret.encode()).hexdigest()[:24]

    def line(self) -> str:
        """The user's line in the file."""
        return ":".join([self.name, self.secret, *([self.token] if self.token else [])])


def hashed(password: str, *, cost: int = COST) -> str:
    """Hash a password with a new salt.

    Args:
        password: As typed.
        cost: The power of two of scrypt's steps.
    """
    salt = secrets.token_bytes(16)
    made = _scrypt(password, salt, cost, BLOCK, LANES)
    return "$".join(["scrypt", str(cost), str(BLOCK), str(LANES), _text(salt), _text(made)])


def fits(password: str, secret: str) -> bool:
    """Say whether a password is the one of a hash, in a time that does not tell how near it is."""
    found = _HASH.fullmatch(secret)
    if found is None:
        return False
    cost, block, lanes = (int(found[place]) for place in (1, 2, 3))
    try:
        salt, wanted = base64.b64decode(found[4], validate=True), base64.b64decode(found[5], validate=True)
    except binascii.Error:
        return False
    return hmac.compare_digest(_scrypt(password, salt, cost, block, lanes), wanted)


def _scrypt(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    plain = unicodedata.normalize("NFC", password[: 2 * LONGEST]).encode("utf-8", "surrogatepass")
    memory = 128 * block * (2**cost + lanes + 2) + 1_000_000
    return hashlib.scrypt(plain, salt=salt, n=2**cost, r=block, p=lanes, maxmem=memory, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


class Users:
    """Those of a file, read anew when the file changes.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: object = ()
        self._held: Mapping[str, User] = {}
        self._lock = threading.Lock()
        self._nobody = User("", hashed(secrets.token_urlsafe(16)))

    def all(self) -> Mapping[str, User]:
        """Everybody, by name.

        Raises:
            UsageError: The file is open to others, or a line is none.
        """
        with self._lock:
            now = stamp(self.path)
            if now != self._stamp:
                self._held, self._stamp = read_users(self.path), now
            return self._held

    def check(self, name: str, password: str) -> User | None:
        """Who logs in so, if anybody may; takes as long for a name that nobody has."""
        found = self.all().get(name)
        right = fits(password, (found or self._nobody).secret)
        return found if right and found is not None else None

    def of_token(self, token: str) -> User | None:
        """Whose token of the API this is, if anybody's."""
        digest = digest_of(token)
        same = [one for one in self.all().values() if one.token and hmac.compare_digest(one.token, digest)]
        return same[0] if same else None


def digest_of(token: str) -> str:
    """What is kept of a random token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def read_users(path: Path) -> dict[str, User]:
    """Read a file of users; nobody where there is none.

    Raises:
        UsageError: The file is open to others, or a line is none; the line is named, not shown.
    """
    found: dict[str, User] = {}
    for number, line in enumerate((read_private(path) or "").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        secret, _, token = rest.partition(":")
        if not NAME.fullmatch(name) or not _HASH.fullmatch(secret) or (token and not _TOKEN.fullmatch(token)):
            raise UsageError(
                f"{path}, line {number} is no name:scrypt-hash", hint=f"studio users add NAME --file {path}"
            )
        if name in found:
            raise UsageError(f"{path}, line {number}: {name} stands there twice")
        found[name] = User(name, secret, token)
    return found


def put(path: Path, name: str, password: str) -> bool:
    """Add a user, or give one another password, which ends their sessions; say whether they are new.

    Raises:
        UsageError: The name or the password will not do.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"a user's name is letters, digits and ._@-, 64 at most, not {name[:80]!r}")
    if not SHORTEST <= len(password) <= LONGEST:
        raise UsageError(f"a password has {SHORTEST} to {LONGEST:,} letters")
    secret = hashed(password)
    with only_writer(path):
        found = read_users(path)
        if name not in found and len(found) >= MOST_USERS:
            raise UsageError(f"{path} has {MOST_USERS:,} users already")
        new = name not in found
        _write(path, found | {name: replace(found.get(name, User(name, "")), secret=secret)})
    return new


def remove(path: Path, name: str) -> None:
    """Take a user out, which ends their sessions and their token.

    Raises:
        UsageError: There is no such user.
    """
    with only_writer(path):
        found = read_users(path)
        if name not in found:
            raise UsageError(unknown("user", name, found))
        _write(path, {other: one for other, one in found.items() if other != name})


def new_token(path: Path, name: str) -> str:
    """Give a user a token for the API in place of the one before, and return it; it is kept nowhere.

    Raises:
        UsageError: There is no such user.
    """
    token = f"studio_{secrets.token_urlsafe(32)}"
    with only_writer(path):
        found = read_users(path)
        if name not in found:
            raise UsageError(unknown("user", name, found))
        _write(path, found | {name: replace(found[name], token=digest_of(token))})
    return token


def _write(path: Path, users: Mapping[str, User]) -> None:
    write_private(path, "".join(f"{one.line()}\n" for one in users.values()))

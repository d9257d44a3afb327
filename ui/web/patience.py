"""How long somebody waits who got a password wrong: longer each time, by address and by name. Knows no password."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

FREE = 5
"""Wrong tries before anybody waits."""

LONGEST_OF_ADDRESS, LONGEST_OF_NAME = 900.0, 60.0
"""Seconds; a name's are few, so that nobody can shut its owner out."""

FORGOTTEN = 3600.0
"""Seconds after the last try in which tries count."""

MOST = 10_000
"""Addresses, and names, that are remembered; the longest untouched is forgotten first."""


@dataclass
class _Tries:
    wrong: int
    last: float


class Patience:
    """Counts wrong tries.

    Args:
        longest: Seconds that somebody waits at most.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._held: OrderedDict[bytes, _Tries] = OrderedDict()

    def wait(self, who: str, now: float) -> float:
        """Seconds until somebody may try again; 0 where they may now."""
        found = self._held.get(_key(who))
        if found is None or now - found.last > FORGOTTEN or found.wrong < FREE:
            return 0.0
        return max(0.0, found.last + min(self._longest, 2.0 ** (found.wrong - FREE + 1)) - now)

    def tried(self, who: str, now: float) -> None:
        """Count a try as wrong, until it is known to be right."""
        key = _key(who)
        found = self._held.pop(key, None)
        wrong = 0 if found is None or now - found.last > FORGOTTEN else found.wrong
        self._held[key] = _Tries(min(wrong + 1, 64), now)
        while len(self._held) > MOST:
            self._held.popitem(last=False)

    def right(self, who: str, *, all: bool) -> None:
        """Take a try back that was right; ``all`` forgets the wrong ones before it too."""
        key = _key(who)
        found = self._held.get(key)
        if found is None:
            return
        found.wrong -= 1
        if all or found.wrong <= 0:
            del self._held[key]

    def __len__(self) -> int:
        return len(self._held)


def _key(who: str) -> bytes:
    return hashlib.sha256(who.encode("utf-8", "surrogatepass")).digest()[:16]


def neighbourhood(address: str) -> str:
    """An address as tries are counted: of version 6 its network, which is one household's."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped) if found.ipv4_mapped else f"{int(found) >> 64:x}/64"
    return str(found)

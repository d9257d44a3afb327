"""Who holds a job where machines share a ledger: a row that its holder renews while it lives, and that lapses else.

Times are the server's. Processes that see the same locks on the same machine settle it among themselves by a lock of
the system, which is freed at once when a process dies (`studio.queue.claims`); a lease tells the other machines.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from workspace.errors import StudioError, Unfinished
from workspace.ledger import Ledger
from workspace.postgres.address import Address
from workspace.postgres.connection import faults, open_server

LEASE_SECONDS = 60.0
"""After which a machine that was not heard of has lost what it held."""
RENEW_SECONDS = 10.0

_NOW = "extract(epoch FROM clock_timestamp())::double precision"
_TAKE = f"""
INSERT INTO leases (name, token, holder, machine, until) VALUES (?, ?, ?, ?, {_NOW} + ?)
ON CONFLICT (name) DO UPDATE
SET token = excluded.token, holder = excluded.holder, machine = excluded.machine, until = excluded.until
WHERE leases.until < {_NOW} OR leases.machine = excluded.machine
"""
_RENEW = f"UPDATE leases SET until = {_NOW} + ? WHERE name = ? AND token = ?"
_GIVE_BACK = "DELETE FROM leases WHERE name = ? AND token = ?"
_HOLDER = f"SELECT holder FROM leases WHERE name = ? AND machine != ? AND until >= {_NOW}"


def machine(locks: Path) -> str:
    """A name for all processes whose locks in a folder exclude each other: of one running system, in one folder."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        folder = locks.stat()
    except OSError:
        return f"unknown {secrets.token_hex(8)}"
    return f"{boot} {folder.st_dev} {folder.st_ino}"


def elsewhere(ledger: Ledger, name: str, locks: Path) -> str | None:
    """Who holds a name on another machine, as ``HOST:PID``."""
    rows = ledger.read(_HOLDER, name, machine(locks))
    return str(rows[0][0]) if rows else None


@contextmanager
def leased(address: Address, name: str, holder: str, locks: Path) -> Iterator[None]:
    """Hold a name within the block, for a process that has its lock on this machine.

    Args:
        address: The shared ledger.
        name: What is held, a job's id.
        holder: ``HOST:PID``, for people.
        locks: The folder of this machine's locks.

    Raises:
        Unfinished: A process of another machine holds it.
    """
    token = secrets.token_hex(16)
    with Ledger(address) as ledger:
        with ledger.write() as connection:
            row = (name, token, holder, machine(locks), LEASE_SECONDS)
            taken = connection.execute(_TAKE, row).rowcount
        if not taken:
            raise Unfinished(f"it is held by {elsewhere(ledger, name, locks) or 'another machine'}")
    ended = threading.Event()
    thread = threading.Thread(target=_renewed, args=(address, name, token, ended), name=f"lease of {name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with suppress(StudioError):  # or it lapses
            _told(address, _GIVE_BACK, name, token)


def _renewed(address: Address, name: str, token: str, ended: threading.Event) -> None:
    """Renew a lease until it ends, or another has taken it: then the ledger takes no more of this process's work."""
    while not ended.wait(RENEW_SECONDS):
        with suppress(StudioError):  # or it is asked again
            if not _told(address, _RENEW, LEASE_SECONDS, name, token):
                return


def _told(address: Address, statement: str, *values: Any) -> int:
    """Say something of one lease on a connection of its own, which waits for no writer; return whether it is there."""
    with closing(open_server(address)) as connection, faults(address):
        return int(connection.execute(statement, values).rowcount)

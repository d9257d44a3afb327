"""A process with all that it starts: begun in a session of its own, looked at, ended to the last one. Knows no server.

It ends with the process that started it, even when that is killed: the kernel then sends it SIGTERM.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from workspace.errors import ServiceError, one_line
from workspace.files import disk

MOST_LOG = 64_000_000
"""Bytes of a log, after which it is put aside as ``NAME.1`` and begun anew."""

_POLL = 0.05
_DYING = 10.0  # seconds that a killed process may take, most often to give its memory back
_TAIL = 65_536
_TELLING = re.compile(r"(?i)error|fail|exception|cannot|unable|out of memory|not enough|abort|killed")
_NAMED = re.compile(r"\b[\w.]*(?:Error|Exception): \S.*")  # an exception of Python's, behind what a log puts before it
_POINTING = re.compile(
    r"(?i)(?:see|check) (?:the )?(?:root cause|stack trace|log)|^traceback|exiting due to"
)  # elsewhere
_LEASH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
os.getppid() == int(sys.argv[1]) or sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Asks the kernel for SIGTERM when the parent dies (PR_SET_PDEATHSIG, which outlives exec), and becomes the command."""


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, or the signal that killed it."""

    code: int
    killed: bool


class Process:
    """A command that runs once at a time.

    Args:
        command: The program's path and its arguments.
        environment: All variables it gets.
        log: Where its output goes, after what is there.
    """

    def __init__(self, command: tuple[str, ...], environment: Mapping[str, str], log: Path) -> None:
        self.command, self.environment, self.log = command, environment, log
        self.starting = threading.Lock()
        self._ending = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._from = 0

    @property
    def pid(self) -> int:
        """Its id; 0 while it does not run."""
        running = self._running
        return 0 if running is None else running.pid

    def start(self) -> None:
        """Start it, in a session of its own, whose id is the process's.

        Raises:
            ServiceError: There is no such program.
            StorageError: The log cannot be written.
        """
        if not os.access(self.command[0], os.X_OK):
            raise ServiceError(f"there is no program {self.command[0]}")
        leash = [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid())]
        with disk(self.log):
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with open(self.log, "ab") as output:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                output.write(f"== {now} {' '.join(self.command)}\n".encode())
                output.flush()
                self._from = output.tell()
                self._running = subprocess.Popen(
                    [*leash, *self.command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=dict(self.environment),
                    cwd=self.log.parent,
                    start_new_session=True,
                )

    def ended(self) -> Ended | None:
        """How it ended; nothing while it runs. Its id is kept from use by others until `end`."""
        running = self._running
        if running is None:
            return Ended(0, False)
        try:
            found = os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return Ended(0, False)
        return None if found is None else Ended(found.si_status, found.si_code != os.CLD_EXITED)

    def end(self, grace: float) -> None:
        """End it and all that it started: asked first, killed after so many seconds. Then none is left."""
        with self._ending, self.starting:
            running = self._running
            if running is None:
                return
            if self.ended() is None:
                with suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGTERM)
                deadline = time.monotonic() + grace
                while self.ended() is None and time.monotonic() < deadline:
                    time.sleep(_POLL)
            deadline = time.monotonic() + _DYING
            while (left := self._session()) and time.monotonic() < deadline:
                for pid in left:  # until the leader is reaped its number is no other session's
                    with suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(_POLL)
            running.wait()
            self._running = None

    def computed(self) -> float:
        """Seconds of a core that its processes have used."""
        import psutil  # type: ignore[import-untyped]

        total = 0.0
        for pid in self._session():
            with suppress(psutil.Error):
                used = psutil.Process(pid).cpu_times()
                total += used.user + used.system
        return total

    def _session(self) -> list[int]:
        """Its living processes: those of the session that it began."""
        leader, found = str(self.pid), []
        for name in os.listdir("/proc") if leader != "0" else ():
            with suppress(OSError):
                if name.isdigit():
                    state, _, _, session = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[:4]
                    if session == leader and state not in "ZX":
                        found.append(int(name))
        return found

    def trim_log(self) -> None:
        """Put a log that has grown large aside, and go on in an empty one."""
        with suppress(OSError):  # a log that was taken away is no reason to end what runs
            if self.log.stat().st_size <= MOST_LOG:
                return
            with suppress(OSError):  # where there is no room for it
                shutil.copyfile(self.log, self.log.with_name(f"{self.log.name}.1"))
            os.truncate(self.log, 0)
            self._from = 0

    def last_words(self) -> str:
        """The last exception in the log since the start, or its last line that tells of a fault, or its last."""
        try:
            with open(self.log, "rb") as held:
                size = held.seek(0, os.SEEK_END)
                held.seek(max(self._from, size - _TAIL))
                lines = held.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        lines = [line.strip() for line in lines if line.strip()]
        telling = [line for line in lines if _TELLING.search(line) and not _POINTING.search(line)]
        named = [found[0] for line in telling if (found := _NAMED.search(line))]
        return one_line((named or telling or lines or [""])[-1])


def wording(ended: Ended, process: Process) -> str:
    """How a process ended, in words, with its last ones."""
    words = process.last_words()
    said = f": {words}" if words else " without a word"
    if not ended.killed:
        return f"ended with exit code {ended.code}{said}"
    name = signal.Signals(ended.code).name if ended.code in signal.valid_signals() else f"signal {ended.code}"
    why = " (out of memory?)" if ended.code == signal.SIGKILL else ""
    return f"was killed by {name}{why}{said}"

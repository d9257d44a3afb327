"""A server process: started, waited for with a one-token canary, watched, started again when it dies, stopped.

It runs in a session of its own, so that all its processes can be found and ended, and ends when this process does.
Its output goes to a log. Knows no engine: a command, a port, a model's name, and how to ask for one token.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from models.chat.exchange import Refused
from models.serving.canary import Canary
from models.serving.process import Process, wording
from workspace.errors import ServiceError, UsageError, one_line
from workspace.progress import Remark, Tell, silent, waiting

HOST = "127.0.0.1"
POLL = 0.1
_IDLE = 0.05  # of a core's time, that a server which waits for nothing but requests may take
_PATIENCE = 10  # times `Limits.hang`, after which a busy server that answers nothing hangs too


@dataclass(frozen=True)
class Launch:
    """How a server is started and asked.

    Args:
        title: What it is, for people.
        command: The program and its arguments.
        environment: All variables it gets.
        port: Where it listens on the loopback address.
        model: The name to ask for.
        key: The key it wants.
        log: Where its output goes.
    """

    title: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    model: str
    key: str
    log: Path


@dataclass(frozen=True)
class Limits:
    """How long is waited and how often it is tried; all in seconds but `restarts`.

    Args:
        start: Within which the first token must come.
        every: Between two looks whether it still answers.
        hang: Without an answer and without computing, after which it hangs.
        grace: That it may take to stop.
        restarts: How often it is started again, until it has been well for `steady`.
        pause: Before it is started again the first time; twice as long each next time.
        longest_pause: At most.
        steady: After which earlier restarts are forgotten.
    """

    start: float = 900.0
    every: float = 60.0
    hang: float = 120.0
    grace: float = 15.0
    restarts: int = 5
    pause: float = 1.0
    longest_pause: float = 60.0
    steady: float = 600.0


class Server:
    """A server that is kept up while this object is open.

    Args:
        launch: How it is started.
        tell: Told of each death and restart, from the thread that watches.
        limits: How patient it is.
        changed: Called with the process's id and the number of restarts whenever a new process answers.
    """

    def __init__(
        self,
        launch: Launch,
        tell: Tell = silent,
        limits: Limits | None = None,
        changed: Callable[[int, int], None] = lambda pid, restarts: None,
    ) -> None:
        self.launch, self._tell, self._changed = launch, tell, changed
        self.limits = limits or Limits()
        self.restarts = 0
        self._process = Process(launch.command, launch.environment, launch.log)
        self._canary = Canary(HOST, launch.port, launch.model, launch.key)
        self._fault: BaseException | None = None
        self._stopping, self._ready, self._over = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watches {launch.title}", daemon=True)

    @property
    def pid(self) -> int:
        """The process that answers now; 0 while there is none."""
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and return when it has written a token.

        Raises:
            UsageError: The port is in use.
            ServiceError: It ended, or did not answer in time; with what its log says.
        """
        check_free(self.launch.port)
        self._thread.start()
        try:
            with waiting(f"starting {self.launch.title}; log: {self.launch.log}"):
                self._ready.wait()
            if self._over.is_set():
                self.wait()
        except BaseException:
            self.stop()
            raise

    def wait(self) -> None:
        """Return when it was stopped.

        Raises:
            ServiceError: It died more often than it is started again.
        """
        self._over.wait()
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        """End it and every process it has started."""
        self._stopping.set()
        self._process.end(self.limits.grace)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._bring_up()
            self._ready.set()
            self._keep_up()
        except BaseException as fault:  # told to whoever waits, in the thread that asked
            self._fault = None if self._stopping.is_set() else fault
        finally:
            self._process.end(self.limits.grace)
            self._over.set()
            self._ready.set()

    def _bring_up(self) -> None:
        """Start a process and wait until it has written a token."""
        deadline = time.monotonic() + self.limits.start
        title, log = self.launch.title, self.launch.log
        with self._process.starting:
            if self._stopping.is_set():
                return
            self._process.start()
        while not self._stopping.is_set():
            if (ended := self._process.ended()) is not None:
                raise ServiceError(f"{title} did not start: it {wording(ended, self._process)}", hint=f"its log: {log}")
            left = deadline - time.monotonic()
            if left <= 0:
                raise ServiceError(f"{title} has not answered within {self.limits.start:g} s", hint=f"its log: {log}")
            if self._answers(left, starting=True):
                self._changed(self._process.pid, self.restarts)
                return
            self._stopping.wait(POLL)

    def _answers(self, timeout: float, *, starting: bool = False) -> bool:
        """Whether it writes a token; where it never will, a fault while it starts."""
        try:
            return (not starting or self._canary.hatched()) and self._canary.sings(timeout)
        except Refused as refused:
            if not starting or refused.status_code >= 500 or refused.status_code in (408, 425, 429):
                return False
            words = one_line(refused.text) or f"HTTP {refused.status_code}"
            raise ServiceError(
                f"{self.launch.title} refuses to answer: {words}", hint=f"its log: {self.launch.log}"
            ) from refused

    def _keep_up(self) -> None:
        """Watch it, and start it again when it dies, until it is stopped.

        Raises:
            ServiceError: It died too often.
        """
        tries, since = 0, time.monotonic()
        while (why := self._watch()) is not None:
            if time.monotonic() - since >= self.limits.steady:
                tries = 0
            tries = self._revive(why, tries)
            since = time.monotonic()

    def _revive(self, why: str, tries: int) -> int:
        """Start it again, as often as it takes and is allowed; return how often it was tried since it was steady."""
        title, limits = self.launch.title, self.limits
        while not self._stopping.is_set():
            self._process.end(limits.grace)
            if tries >= limits.restarts:
                raise ServiceError(
                    f"{title} {why}; it was started again {tries} times and is left alone now",
                    hint=f"its log: {self.launch.log}",
                )
            pause = min(limits.pause * 2**tries, limits.longest_pause)
            tries += 1
            words = f"{title} {why}; started again in {pause:g} s ({tries} of {limits.restarts})"
            self._tell(Remark(text=words))
            self._stopping.wait(pause)
            try:
                self.restarts += 1
                self._bring_up()
            except ServiceError as fault:
                why = fault.message.removeprefix(f"{title} ")
                continue
            if not self._stopping.is_set():
                self._tell(Remark(text=f"{title} answers again"))
            break
        return tries

    def _watch(self) -> str | None:
        """Return why it is no longer of use, or nothing when it is to stop."""
        look = time.monotonic() + self.limits.every
        unwell: tuple[float, float] | None = None  # since when it does not answer, and the time it had computed by then
        while not self._stopping.wait(POLL):
            if (ended := self._process.ended()) is not None:
                return wording(ended, self._process)
            self._process.trim_log()
            if time.monotonic() < look:
                continue
            begun = time.monotonic(), self._process.computed()
            if self._answers(self.limits.hang):
                unwell, look = None, time.monotonic() + self.limits.every
                continue
            unwell = unwell or begun
            look = time.monotonic() + self.limits.every / 10
            gone = time.monotonic() - unwell[0]
            idle = self._process.computed() - unwell[1] < _IDLE * gone
            if gone >= self.limits.hang * (1 if idle else _PATIENCE) and self._process.ended() is None:
                return f"has not answered for {gone:.0f} s"
        return None


def check_free(port: int) -> None:
    """Refuse a port on which somebody listens.

    Raises:
        UsageError: It is in use, or this user may not listen there.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one just closed by a server before it is free
        try:
            probe.bind((HOST, port))
        except OSError as error:
            why = "is in use" if error.errno != errno.EACCES else "may not be listened on by this user"
            raise UsageError(f"port {port} of {HOST} {why}", hint="--port another one; 0 takes a free one") from error


def free_port() -> int:
    """A port on which nobody listens at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])

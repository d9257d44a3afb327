"""A page in a process of its own, as a person serves it; a client that keeps its connection; a browser.

For the parts of `page.py`. Knows no figure.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self
from urllib.parse import urlencode

from home import ROOT

HOST = "127.0.0.1"
PATIENCE = 120.0
"""Seconds until something that does not come counts as not coming."""

SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {HOST}",
)
"""For Chromium; a name of another machine is not even looked up."""


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


class Served:
    """A server in a process of its own, from its start until it is ended; use it in a ``with``.

    Args:
        env: Its environment.
        words: Its command after Python, with the port as ``{port}``; ``studio ui`` for none.
        port: Where; any that is free for 0.
    """

    STUDIO = ("-m", "ui.cli", "ui", "--port", "{port}")

    def __init__(self, env: Mapping[str, str], words: Sequence[str] = STUDIO, port: int = 0) -> None:
        self.port = port or free_port()
        self.address = f"http://{HOST}:{self.port}/"
        command = [sys.executable, *(word.replace("{port}", str(self.port)) for word in words)]
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=dict(env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def answered(self) -> float:
        """Wait until the first page answers; return the seconds since the start.

        Raises:
            SystemExit: It does not.
        """
        while time.perf_counter() - self.began < PATIENCE and self.process.poll() is None:
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE)
                try:
                    connection.request("GET", "/")
                    answer = connection.getresponse()
                    answer.read()
                finally:
                    connection.close()
                if answer.status == 200:
                    return time.perf_counter() - self.began
            time.sleep(0.01)
        raise SystemExit(f"{self.address} did not answer (exit {self.process.poll()})")

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self.process.kill()
        self.process.wait()

    def holds(self, word: str) -> bool | None:
        """Whether the process has read a library whose path has this word; ``None`` where the system does not say."""
        try:
            with open(f"/proc/{self.process.pid}/maps", encoding="utf-8", errors="replace") as file:
                return any(word in line for line in file)
        except OSError:
            return None


class Client:
    """A browser's share of the protocol: pieces read and presses sent, over one connection; use one a thread."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
        self._digests: dict[str, str] = {}

    def read(self, name: str, **query: str) -> tuple[int, str]:
        """Read a piece as a page does, with the digest of what it has; give status and HTML."""
        path = f"/desk/{name}" + (f"?{urlencode(query)}" if query else "")
        headers = {"If-None-Match": self._digests[path]} if path in self._digests else {}
        self._connection.request("GET", path, headers=headers)
        answer = self._connection.getresponse()
        html = answer.read().decode()
        if digest := answer.getheader("etag"):
            self._digests[path] = digest
        return answer.status, html

    def act(self, name: str, **values: Any) -> tuple[int, dict[str, Any]]:
        """Press a button; give status and reply."""
        self._connection.request("POST", f"/desk/{name}", json.dumps(values), {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def get(self, path: str) -> tuple[int, bytes]:
        """Get what lies at a path."""
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@contextmanager
def browsing() -> Iterator[Any]:
    """Debian's Chromium without a window.

    Raises:
        SystemExit: There is none.
    """
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        raise SystemExit("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(SWITCHES))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(browser: Any) -> Iterator[Any]:
    """A page of a visitor who was never here before."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(1000 * PATIENCE)
    try:
        yield context.new_page()
    finally:
        context.close()


def share(values: Sequence[float], part: float) -> float:
    """The value that a part of all does not pass, such as .95."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of ratios of what was measured in turns."""
    return round(statistics.median(one / other for one, other in zip(ours, theirs, strict=True)), 3)

"""The server: takes a port, serves an application until Ctrl-C. Knows HTTP; not what a run is."""

from __future__ import annotations

import asyncio
import socket
import sys
import webbrowser
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from ui.web.fence import is_address
from workspace.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp


class _Server(uvicorn.Server):
    """A server that says where it is once it answers."""

    def __init__(self, config: uvicorn.Config, address: str, open_browser: bool) -> None:
        super().__init__(config)
        self._address = address
        self._open_browser = open_browser

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        print(f"Studio is at {self._address} (Ctrl-C ends the page, not the designs)", flush=True)
        if self._open_browser:
            await asyncio.to_thread(webbrowser.open, self._address)


def refuse_strangers(host: str, auth: Path | None) -> None:
    """Raise where a page would be open to others without a log-in.

    Args:
        host: The address that is listened on.
        auth: The file of who may log in, if one is given.

    Raises:
        UsageError: Others reach the address, and nobody would have to log in; or nobody could.
    """
    from studio.sharing.users import read_users

    if auth is None:
        if host != "localhost" and not (is_address(host) and ip_address(host.strip("[]")).is_loopback):
            raise UsageError(
                f"whoever reaches {host} could use this page; it asks for a log-in there",
                hint=f"studio users add NAME --file users.txt, then: studio ui --host {host} --auth users.txt",
            )
    elif not read_users(auth):
        raise UsageError(f"nobody may log in by {auth}", hint=f"studio users add NAME --file {auth}")


def listen(host: str, port: int) -> socket.socket:
    """Take a port, any free one for 0.

    Raises:
        ServiceError: If it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except (OSError, OverflowError) as error:
        sock.close()
        raise ServiceError(f"cannot listen on {host}:{port}: {error}", hint="name another port with --port") from error
    return sock


def run(app: ASGIApp, host: str, port: int, *, open_browser: bool) -> None:
    """Serve an application until Ctrl-C."""
    with listen(host, port) as sock:
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{sock.getsockname()[1]}/"
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
        try:
            _Server(config, address, open_browser).run(sockets=[sock])
        except KeyboardInterrupt:
            print("", file=sys.stderr)

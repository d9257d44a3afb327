"""The page's web application: pictures, the fence around the page, the server. Knows HTTP; not what a run is.

Pictures come from a route of their own that serves nothing but what the ledger lists, so Gradio's file cache, which
every visitor may read, stays empty. The fence forbids the browser any address but this one, whatever a model says.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse

from workspace.errors import ServiceError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "frame-ancestors 'self'",
        "form-action 'self'",
    )
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
]


class Fence:
    """Adds the headers that keep the page to this address."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and add the headers to what comes back."""

        async def fenced(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        await self._app(scope, receive, fenced)


def gallery(find: Callable[[str, str], Path | None]) -> FastAPI:
    """Make an application with the one route that serves pictures.

    Args:
        find: Gives a picture's path for a run's id and the picture's name, or nothing.
    """
    app = FastAPI(title="Studio", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Fence)

    @app.get("/pictures/{run_id}/{name}", response_model=None)
    def picture(run_id: str, name: str) -> FileResponse:
        path = find(run_id, name)
        if path is None:
            raise HTTPException(404, "no such picture")
        return FileResponse(path, media_type="image/png")

    return app


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

"""The page's web application: pictures, the fence around the page, the server. Knows HTTP; not what a run is.

Pictures come from a route of their own that serves nothing but what the ledger lists, so Gradio's file cache, which
every visitor may read, stays empty. The fence forbids the browser any address but this one, whatever a model says.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import webbrowser
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import PlainTextResponse, Response

from ui.pages.calls import POSTS, Calls
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
    (b"cross-origin-resource-policy", b"same-origin"),
]


LOCAL = frozenset({"localhost"})
MOST_BODY = 1_000_000
"""Bytes that a request may bring: a brief has 8,000 letters."""

MOST_ADDRESS = 8_000

CLOSED = re.compile(
    r"(/gradio_api)?/(call/v2|component_server|custom_component|deep_link|dev/reload|hooks|login|logout|monitoring|"
    r"process_recording|profiling|proxy=|run-history|runs|stream/|undo-vibe|upload|vibe)"
)
"""Routes that Gradio opens and this page has no use for."""


@dataclass(frozen=True)
class Refusal:
    """Why a request is not let in."""

    status: int
    why: str


def refusal(scope: Scope, names: frozenset[str]) -> Refusal | None:
    """Say why a request is not let in: another name for this machine, another site's page, too much, a closed route.

    A page of some other site whose name was made to point here says that name as its host (DNS rebinding), so of names
    only those given are served; an address says nothing false.

    Args:
        scope: The request as ASGI has it.
        names: The hosts that may be named, beside addresses and ``localhost``.
    """
    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope.get("headers", [])}
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if re.search(r":[0-9]*$", host) else host
    if name.lower().rstrip(".") not in names and not _is_address(name):
        return Refusal(421, f"this page is not called {name[:100]!r}; studio ui --allow-host names another")
    origin = headers.get("origin")
    if origin is not None and origin.lower().partition("://")[2] != host.lower():
        return Refusal(403, "a page of another site may not ask for this")
    if scope.get("method", "GET") not in ("GET", "HEAD", "OPTIONS") or scope["type"] == "websocket":
        if headers.get("sec-fetch-site", "").lower() in ("cross-site", "same-site"):
            return Refusal(403, "a page of another site may not ask for this")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MOST_BODY or "transfer-encoding" in headers:
            return Refusal(413, f"a request may bring {MOST_BODY:,} bytes, and says how many it brings")
    if len(scope.get("query_string", b"")) + len(scope.get("path", "")) > MOST_ADDRESS:
        return Refusal(414, f"an address has at most {MOST_ADDRESS:,} letters")
    if CLOSED.match(scope.get("path", "")):
        return Refusal(404, "there is no such route")
    return None


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


class Fence:
    """Lets in what belongs to this page alone, and adds the headers that keep the page to this address."""

    def __init__(self, app: ASGIApp, names: frozenset[str] = LOCAL, calls: Calls | None = None) -> None:
        self._app, self._names, self._calls = app, names, calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, if it may, and add the headers to what comes back."""

        async def fenced(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        if scope["type"] in ("http", "websocket") and (refused := refusal(scope, self._names)) is not None:
            answer = PlainTextResponse(refused.why, refused.status)
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": refused.why[:120]})
                return
            await answer(scope, receive, fenced)
            return
        if self._calls and scope.get("method") == "POST" and POSTS.match(scope["path"]):
            body = await _body(receive)
            if (wrong := self._calls.fault(scope["path"], body)) is not None:
                await PlainTextResponse(wrong[1], wrong[0])(scope, receive, fenced)
                return
            receive = _again(body, receive)
        await self._app(scope, receive, fenced)


async def _body(receive: Receive) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """What gives a request's body once more, and then goes on with the connection."""
    left = [body]

    async def once_more() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return once_more


def gallery(find: Callable[[str, str], bytes | None], names: Iterable[str] = (), calls: Calls | None = None) -> FastAPI:
    """Make an application with the one route that serves pictures.

    Args:
        find: Gives a picture's PNG file for a run's id and the picture's name, or nothing.
        names: What this machine may be called, beside its addresses and ``localhost``.
        calls: What calls of the page look like; others are refused.
    """
    app = FastAPI(title="Studio", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Fence, names=LOCAL | {name.lower() for name in names}, calls=calls)

    @app.get("/pictures/{run_id}/{name}", response_model=None)
    def picture(run_id: str, name: str) -> Response:
        content = find(run_id, name)
        if content is None:
            raise HTTPException(404, "no such picture")
        return Response(content, media_type="image/png", headers={"cache-control": "private, max-age=31536000"})

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
    if not _is_address(host) or not ip_address(host).is_loopback:
        print(f"note: whoever reaches {host} can use this page; it has no log-in", file=sys.stderr, flush=True)
    with listen(host, port) as sock:
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{sock.getsockname()[1]}/"
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
        try:
            _Server(config, address, open_browser).run(sockets=[sock])
        except KeyboardInterrupt:
            print("", file=sys.stderr)

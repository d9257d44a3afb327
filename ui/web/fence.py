"""The fence around the page: who may ask for what, and the headers that keep the page to this address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from fastapi.responses import PlainTextResponse

from ui.web.calls import POSTS, Calls

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

MOST_DROP = 20_000_000
"""Bytes of a picture that is dropped on the page."""

CLOSED = re.compile(
    r"(/gradio_api)?/(app_id|call/v2|component_server|custom_component|deep_link|dev/reload|docs|file=|file/|hooks|info|"
    r"login|logout|mcp|monitoring|openapi\.json|process_recording|profiling|proxy=|pwa_icon|redoc|run-history|runs|"
    r"stream/|token|undo-vibe|upload|user|vibe)"
)
"""Routes that Gradio opens and this page has no use for."""


KINDS = {"/desk/": "application/json", "/api/v1/": "application/json", "/drop": "image/png"}
"""What is sent where: kinds that no form of another site can send without asking first."""


ONCE = ("host", "origin", "content-length", "content-type")
"""Headers that are believed, and so may stand once."""


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
    given = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in scope.get("headers", [])]
    headers = dict(given)
    if any(sum(key == name for key, _ in given) > 1 for name in ONCE):
        return Refusal(400, "a request says this once: " + ", ".join(ONCE))
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if re.search(r":[0-9]*$", host) else host
    if name.lower().rstrip(".") not in names and not is_address(name):
        return Refusal(421, f"this page is not called {name[:100]!r}; studio ui --allow-host names another")
    origin = headers.get("origin")
    if origin is not None and origin.lower().partition("://")[2] != host.lower():
        return Refusal(403, "a page of another site may not ask for this")
    if scope.get("method", "GET") not in ("GET", "HEAD", "OPTIONS") or scope["type"] == "websocket":
        if headers.get("sec-fetch-site", "").lower() in ("cross-site", "same-site"):
            return Refusal(403, "a page of another site may not ask for this")
        path = scope.get("path", "")
        length, most = headers.get("content-length", "0"), MOST_DROP if path == "/drop" else MOST_BODY
        if not re.fullmatch(r"[0-9]{1,18}", length) or int(length) > most or "transfer-encoding" in headers:
            return Refusal(413, f"a request may bring {most:,} bytes, and says how many it brings")
        wanted = next((kind for place, kind in KINDS.items() if path.startswith(place)), None)
        if wanted and headers.get("content-type", "").partition(";")[0].strip().lower() != wanted:
            return Refusal(415, f"what is sent here is {wanted}")
    if len(scope.get("query_string", b"")) + len(scope.get("path", "")) > MOST_ADDRESS:
        return Refusal(414, f"an address has at most {MOST_ADDRESS:,} letters")
    if CLOSED.match(scope.get("path", "")):
        return Refusal(404, "there is no such route")
    return None


def is_address(name: str) -> bool:
    """Say whether a host is named by its address."""
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

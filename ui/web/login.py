"""The log-in before everything that is served: pages, pieces, pictures, streams and Gradio's own routes.

A session is a random token in a cookie that no script reads and no other site sends; a hash of it is kept. The API
takes a user's own token instead. Nothing but the log-in page answers to who is not logged in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from studio.sharing.sessions import SECONDS, Sessions
from ui.desk.render import render
from ui.web.patience import LONGEST_OF_ADDRESS, LONGEST_OF_NAME, Patience, neighbourhood
from workspace.errors import StudioError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from studio.sharing.users import User, Users

LOG_IN, LOG_OUT, API = "/log-in", "/log-out", "/api/"
MOST_FORM = 8_000
AT_ONCE, WAITING = 2, 8
"""Passwords that are checked at a time, which takes memory, and requests that wait for it."""

_FORM = "application/x-www-form-urlencoded"
_QUIET = {"cache-control": "no-store"}
WRONG = "The name or the password is wrong."


class Login:
    """Lets in who is logged in.

    Args:
        app: What is behind it.
        users: Who may log in.
        sessions: Who is.
        clock: The time, in seconds.
    """

    def __init__(self, app: ASGIApp, users: Users, sessions: Sessions, clock: Callable[[], float] = time.time) -> None:
        self._app, self._users, self._sessions, self._clock = app, users, sessions, clock
        self._addresses, self._names = Patience(LONGEST_OF_ADDRESS), Patience(LONGEST_OF_NAME)
        self._room, self._waiting = asyncio.Semaphore(AT_ONCE), 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request of somebody who is logged in on; answer the log-in page's own."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            answer = await self._answer(scope, receive)
        except StudioError as error:
            answer = PlainTextResponse(f"nobody can log in just now: {error}", 503, _QUIET)
        if answer is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "log in first"})
        else:
            await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        """What is said to a request; ``None`` where it may go on."""
        path = scope.get("path", "")
        if scope["type"] == "http" and path in (LOG_IN, LOG_OUT):
            return await self._of_its_own(Request(scope, receive), path)
        user = self._user(scope)
        if user is None:
            return _shut(scope)
        scope.setdefault("state", {})["user"] = user.name
        return None

    def _user(self, scope: Scope) -> User | None:
        headers = _headers(scope)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scope.get("path", "").startswith(API) and scheme.lower() == "bearer":
            return self._users.of_token(token.strip())
        token = _cookie(headers, _cookie_name(scope, headers))
        return self._sessions.user(token, self._clock()) if token else None

    async def _of_its_own(self, request: Request, path: str) -> Response:
        if request.method in ("GET", "HEAD"):
            return self._page(request, path)
        if request.method != "POST" or request.headers.get("content-type", "").partition(";")[0].strip() != _FORM:
            return PlainTextResponse("a form is sent here", 415 if request.method == "POST" else 405, _QUIET)
        if path == LOG_OUT:
            return await self._out(request)
        form = await _form(request)
        return await self._in(request, form.get("name", ""), form.get("password", ""), form.get("next", ""))

    def _page(self, request: Request, path: str) -> Response:
        user = self._user(request.scope)
        if path == LOG_OUT and user is None:
            return RedirectResponse(LOG_IN, 303, _QUIET)
        after = inside(request.query_params.get("next", ""))
        if path == LOG_IN and user is not None:
            return RedirectResponse(after, 303, _QUIET)
        return _shown(after=after, leaving="" if user is None else user.name)

    async def _in(self, request: Request, name: str, password: str, after: str) -> Response:
        """Log somebody in; the answer to a wrong name and to a wrong password is the same, and takes as long."""
        name, after, now = name.strip()[:200], inside(after), self._clock()
        address = neighbourhood(request.client.host if request.client else "")
        wait = max(self._addresses.wait(address, now), self._names.wait(name, now))
        if wait > 0 or self._waiting >= WAITING:
            return _later(max(1, round(wait + 0.5)), name, after)
        self._addresses.tried(address, now)
        self._names.tried(name, now)
        self._waiting += 1
        try:
            async with self._room:
                user = await run_in_threadpool(self._users.check, name, password)
        finally:
            self._waiting -= 1
        if user is None:
            return _shown(after=after, name=name, error=WRONG, status=401)
        self._addresses.right(address, all=False)
        self._names.right(name, all=True)
        answer = RedirectResponse(after, 303, _QUIET)
        _set(answer, request, await run_in_threadpool(self._sessions.begin, user, now), SECONDS)
        return answer

    async def _out(self, request: Request) -> Response:
        headers = _headers(request.scope)
        if token := _cookie(headers, _cookie_name(request.scope, headers)):
            await run_in_threadpool(self._sessions.end, token)
        answer = RedirectResponse(LOG_IN, 303, _QUIET)
        _set(answer, request, "", 0)
        return answer


def inside(address: str) -> str:
    """An address to go to after the log-in, if it is one of this page; else its front."""
    plain = address.startswith("/") and not address.startswith(("//", "/\\", LOG_IN, LOG_OUT))
    return address if plain and address.isprintable() and "\\" not in address and len(address) < 2_000 else "/"


def _shut(scope: Scope) -> Response:
    """What is said to who is not logged in: to a browser that goes somewhere, the way to the log-in."""
    headers, path = _headers(scope), scope.get("path", "")
    if path.startswith(API):
        told = {"error": "a token is needed: studio users token NAME"}
        return JSONResponse(told, 401, {**_QUIET, "www-authenticate": "Bearer"})
    if scope.get("method") == "GET" and "text/html" in headers.get("accept", "") and not path.startswith("/desk/"):
        query = scope.get("query_string", b"").decode("latin-1")
        after = quote(path + (f"?{query}" if query else ""), safe="")
        return RedirectResponse(LOG_IN if after == "%2F" else f"{LOG_IN}?next={after}", 303, _QUIET)
    return PlainTextResponse("log in first", 401, _QUIET)


def _shown(*, after: str, name: str = "", error: str = "", leaving: str = "", status: int = 200) -> Response:
    return HTMLResponse(render("login", after=after, name=name, error=error, leaving=leaving), status, _QUIET)


def _later(seconds: int, name: str, after: str) -> Response:
    words = f"Too many tries; the next one is heard in {seconds} second{'s' if seconds > 1 else ''}."
    answer = _shown(after=after, name=name, error=words, status=429)
    answer.headers["retry-after"] = str(seconds)
    return answer


def _set(answer: Response, request: Request, token: str, seconds: int) -> None:
    """Set the cookie: for this address alone, unseen by scripts, never sent from another site's page."""
    name, secure = _cookie_name(request.scope, _headers(request.scope)), request.url.scheme == "https"
    answer.set_cookie(name, token, max_age=seconds, path="/", secure=secure, httponly=True, samesite="strict")


def _cookie_name(scope: Scope, headers: Mapping[str, str]) -> str:
    """The cookie's name; browsers share cookies between the ports of a machine, so it holds the port."""
    if scope.get("scheme") in ("https", "wss"):
        return "__Host-studio"
    port = headers.get("host", "").rpartition(":")[2]
    return f"studio-{port if port.isdigit() else '80'}"


def _headers(scope: Scope) -> dict[str, str]:
    return {key.decode("latin-1"): value.decode("latin-1") for key, value in scope.get("headers", [])}


def _cookie(headers: Mapping[str, str], name: str) -> str:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        return ""
    return jar[name].value if name in jar else ""


async def _form(request: Request) -> dict[str, str]:
    parts: list[bytes] = []
    async for part in request.stream():
        parts.append(part)
        if sum(map(len, parts)) > MOST_FORM:
            return {}
    fields: list[tuple[str, Any]]
    try:
        fields = parse_qsl(b"".join(parts).decode("ascii"), keep_blank_values=True, max_num_fields=10)
    except ValueError:
        return {}
    return dict(fields)

"""The routes of our own: pictures, pieces of pages, what a press of a button asks for. Knows HTTP; not what a run is.

Pictures come from a route that serves nothing but what the ledger lists, so Gradio's file cache, which every visitor
may read, stays empty. A piece carries a digest: asked again with it, an unchanged one costs no bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from studio.sharing.sessions import Sessions
from ui.desk.door import Door
from ui.desk.fragments import Action, Reader, Reply
from ui.desk.status import error as error_line
from ui.web.calls import Calls
from ui.web.fence import LOCAL, Fence
from ui.web.handing import add_handing
from ui.web.login import Login
from ui.web.sheets import add_sheets
from workspace.errors import StudioError
from workspace.letters import whole_data

if TYPE_CHECKING:
    from studio.sharing.users import Users

KEEP = {"cache-control": "private, max-age=31536000"}
FRESH = {"cache-control": "private, no-cache"}


def routes(
    door: Door,
    find: Callable[[str, str], bytes | None],
    readers: Mapping[str, Reader],
    actions: Mapping[str, Action],
    names: Iterable[str] = (),
    calls: Calls | None = None,
    users: Users | None = None,
    api: bool = False,
) -> FastAPI:
    """Make an application with our own routes behind the fence.

    Args:
        door: What pieces and actions ask.
        find: Gives a picture's PNG file for a run's id and the picture's name, or nothing.
        readers: The pieces by name.
        actions: What may be asked for, by name.
        names: What this machine may be called, beside its addresses and ``localhost``.
        calls: What calls of the Gradio page look like; others are refused.
        users: Who may log in; without them nobody has to.
        api: Whether the API is open, see `ui.web.api`.
    """
    app = FastAPI(title="Studio", docs_url=None, redoc_url=None, openapi_url=None)
    if users is not None:
        app.add_middleware(Login, users=users, sessions=Sessions(door.settings.home, users))
    app.add_middleware(Fence, names=LOCAL | {name.lower() for name in names}, calls=calls)

    @app.get("/pictures/{run_id}/{name}", response_model=None)
    def picture(run_id: str, name: str) -> Response:
        content = find(run_id, name)
        if content is None:
            raise HTTPException(404, "no such picture")
        return Response(content, media_type="image/png", headers=KEEP)

    @app.get("/thumbnails/{run_id}/{name}", response_model=None)
    def thumbnail(run_id: str, name: str, side: int = 256) -> Response:
        try:
            content = door.thumbnail(run_id, name, side)
        except StudioError as error:
            raise HTTPException(404, "no such picture") from error
        if content is None:
            raise HTTPException(404, "no such picture")
        return Response(content, media_type="image/webp", headers=KEEP)

    _add_desk(app, door, readers, actions)
    add_handing(app, door)
    add_sheets(app, door)
    if api:
        from ui.web.api import AT
        from ui.web.api import api as opened

        app.mount(AT, opened(door, find))
    return app


def _add_desk(app: FastAPI, door: Door, readers: Mapping[str, Reader], actions: Mapping[str, Action]) -> None:
    """Add the pieces and the actions."""

    @app.get("/desk/{name:path}", response_model=None)
    def piece(name: str, request: Request) -> Response:
        if name not in readers:
            raise HTTPException(404, "no such piece")
        try:
            html, status = readers[name](door, dict(request.query_params)), 200
        except StudioError as error:
            html, status = error_line(str(error)), 422
        digest = f'"{hashlib.sha256(html.encode()).hexdigest()[:20]}"'
        headers = FRESH | {"etag": digest}
        if status == 200 and request.headers.get("if-none-match") == digest:
            return Response(status_code=304, headers=headers)
        return HTMLResponse(html, status, headers)

    @app.post("/desk/{name:path}", response_model=None)
    async def act(name: str, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        if name not in actions:
            raise HTTPException(404, "no such action")
        values = _values(await request.body())
        if values is None:
            raise HTTPException(400, "an action takes one JSON object")
        reply, status = await run_in_threadpool(_done, actions[name], door, values)
        return JSONResponse(reply.to_json(), status)


def _values(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and whole_data(found) == found else None


def _done(action: Action, door: Door, values: Mapping[str, Any]) -> tuple[Reply, int]:
    try:
        return action(door, values), 200
    except StudioError as error:
        return Reply(error=str(error), at=getattr(error, "at", "")), 422

"""What goes out and comes in as files: a run's export by its id, a dropped picture for its recipe. Knows HTTP."""

from __future__ import annotations

import threading
from typing import get_args
from urllib.parse import quote

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool

import studio
from studio.sharing.exporting import Format
from ui.desk.door import Door
from ui.desk.run.following import RUN_ID
from ui.web.fence import MOST_DROP
from workspace.errors import DataError, StudioError, UsageError

PNG = b"\x89PNG\r\n\x1a\n"
LONGEST_SIDE = 16_384
AT_ONCE = threading.BoundedSemaphore(2)
"""Files that are made at a time, each of which takes memory."""

SHUT = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"
"""What an exported page may do where a browser shows it after all: nothing."""


def add_handing(app: FastAPI, door: Door) -> None:
    """Add the routes for files to an application.

    Args:
        app: The application.
        door: Whose runs are handed out.
    """

    @app.get("/export/{name}", response_model=None)
    def export(name: str) -> Response:
        run_id, _, format = name.partition(".")
        return handed(door, run_id, format)

    @app.post("/drop", response_model=None)
    async def drop(request: Request) -> Response:
        content = await dropped(request)
        return await run_in_threadpool(_recipe, door, content)


def handed(door: Door, run_id: str, format: str) -> Response:
    """A run as a file to be kept.

    Args:
        door: Whose run it is.
        run_id: Which run.
        format: One of `studio.export`'s.
    """
    kind = next((one for one in get_args(Format) if one == format), None)
    if kind is None or not RUN_ID.fullmatch(run_id) or not _known(door, run_id):
        raise HTTPException(404, "there is no such run or format")
    if not AT_ONCE.acquire(timeout=30):
        raise HTTPException(503, "other files are being made just now", {"retry-after": "10"})
    try:
        made = studio.exported(run_id, format=kind, settings=door.settings)
    except UsageError as error:
        return PlainTextResponse(str(error), 409)
    except StudioError as error:
        return PlainTextResponse(str(error), 422)
    finally:
        AT_ONCE.release()
    headers = {
        "content-disposition": f"attachment; filename=\"{made.name}\"; filename*=UTF-8''{quote(made.name)}",
        "content-security-policy": SHUT,
        "cache-control": "private, no-store",
    }
    return Response(made.content, media_type=made.media, headers=headers)


def _known(door: Door, run_id: str) -> bool:
    try:
        return door.job(run_id).kind == "design"
    except StudioError:
        return False


async def dropped(request: Request) -> bytes:
    """The PNG that a request brings, bounded while it is read and looked at before anything opens it.

    Args:
        request: The request.

    Raises:
        HTTPException: It is too large or no PNG.
    """
    kept = bytearray()
    async for part in request.stream():
        kept += part
        if len(kept) > MOST_DROP:
            raise HTTPException(413, f"a picture has at most {MOST_DROP:,} bytes")
        if len(kept) >= len(PNG) and not kept.startswith(PNG):
            break
    content = bytes(kept)
    if not content.startswith(PNG) or content[12:16] != b"IHDR" or len(content) < 45:
        raise HTTPException(415, "this is no PNG; drop a picture that Studio made")
    sides = [int.from_bytes(content[place : place + 4]) for place in (16, 20)]
    if not all(0 < side <= LONGEST_SIDE for side in sides):
        raise HTTPException(415, f"a picture is at most {LONGEST_SIDE:,} pixels wide and high")
    return content


def _recipe(door: Door, content: bytes) -> Response:
    with AT_ONCE:
        try:
            return JSONResponse(studio.recipe_of(content, settings=door.settings).model_dump(mode="json"))
        except (DataError, UsageError) as error:
            return JSONResponse({"error": str(error)}, 422)

"""The routes of whole pages that jobs wrote: a batch's contact sheet, the report of what was measured. Knows HTTP."""

from __future__ import annotations

import re

from fastapi import FastAPI, HTTPException
from fastapi.responses import Response

from ui.desk.batching import sheet_of
from ui.desk.door import Door
from ui.desk.training.trained import report_page
from workspace.errors import StudioError
from workspace.files import read_inside

SHEET_FILES = (
    (re.compile(r"index\.html"), "text/html"),
    (re.compile(r"thumbs/[0-9a-f]{24}\.webp"), "image/webp"),
    (re.compile(r"designs/[a-z0-9._-]+/images/[0-9]+\.png"), "image/png"),
)
"""What of a batch's folder is shown: its contact sheet and what that loads."""

FRESH = {"cache-control": "private, no-cache"}


def add_sheets(app: FastAPI, door: Door) -> None:
    """Add the routes.

    Args:
        app: What they are added to.
        door: Says where batches and the report lie.
    """

    @app.get("/batches/{job_id}/{name:path}", response_model=None)
    def batch_file(job_id: str, name: str) -> Response:
        kind = next((kind for found, kind in SHEET_FILES if found.fullmatch(name)), None)
        try:
            folder = sheet_of(door, job_id) if kind else None
            content = None if folder is None else read_inside(folder, name)
        except StudioError as error:
            raise HTTPException(404, "there is no such file") from error
        if content is None:
            raise HTTPException(404, "there is no such file")
        return Response(content, media_type=kind, headers=FRESH)

    @app.get("/report", response_model=None)
    def report() -> Response:
        try:
            content = report_page(door)
        except StudioError as error:
            raise HTTPException(404, "no report was written yet") from error
        if content is None:
            raise HTTPException(404, "no report was written yet")
        return Response(content, media_type="text/html", headers=FRESH)

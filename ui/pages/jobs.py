"""The page of the queue."""

from __future__ import annotations

from typing import Any

from ui.pages.frame import frame, piece, place


def lay_out(gr: Any) -> None:
    """Lay out the page."""
    frame(gr, "Jobs")
    piece(gr, "jobs", every=2)
    place(gr, "job-log")

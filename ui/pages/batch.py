"""The page of batches."""

from __future__ import annotations

from typing import Any

from ui.pages.frame import frame, piece


def lay_out(gr: Any) -> None:
    """Lay out the page."""
    frame(gr, "Batch")
    piece(gr, "batch/rows", every=2)
    piece(gr, "batch")
    piece(gr, "batches", every=2)

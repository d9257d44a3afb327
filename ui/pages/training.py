"""The page of training."""

from __future__ import annotations

from typing import Any

from ui.pages.frame import frame, piece, place


def lay_out(gr: Any) -> None:
    """Lay out the page."""
    frame(gr, "Training")
    piece(gr, "training")
    piece(gr, "trained", every=2)
    piece(gr, "variants", every=15)
    place(gr, "job-log")

"""The page of designs side by side."""

from __future__ import annotations

from typing import Any

from ui.pages.frame import frame, piece


def lay_out(gr: Any) -> None:
    """Lay out the page."""
    frame(gr, "Compare")
    piece(gr, "compare")

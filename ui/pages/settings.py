"""The page of settings."""

from __future__ import annotations

from typing import Any

from ui.pages.frame import frame, piece


def lay_out(gr: Any) -> None:
    """Lay out the page."""
    frame(gr, "Settings")
    piece(gr, "settings/servers")
    piece(gr, "settings")
    piece(gr, "doctor", label="Looking at models and devices …")

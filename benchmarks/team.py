"""A design team outside the ledger, for benchmarks that call its roles one by one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def kit_for(home: Path, seed: int, changes: Mapping[str, Any] | None = None, **parts: Any) -> Any:
    """A kit on the embedded profile that computes everything anew and publishes nothing.

    Args:
        home: STUDIO_HOME, where the models lie.
        seed: Of the run.
        changes: Settings, by dotted key.
        parts: What the kit has of its own instead.
    """
    from agents.kit import Kit
    from agents.programs import load_program
    from models.chat.choose import chat_model
    from models.chat.structured import structured
    from pipelines.pictures.painter import Painter
    from studio.runs.assemble import KitPainter, embedder, looking, ranker
    from workspace.settings import load_settings, resolved

    settings = load_settings("embedded", {"home": str(home), **(changes or {})})
    usual: dict[str, Any] = {
        "program": load_program("relate-and-design"),
        "seed": seed,
        "chat": lambda role, seed: chat_model(resolved(settings, role), home, seed=seed),
        "structured": structured,
        "once": lambda key, compute, *, kind: (json.loads(json.dumps(compute())), False),
        "emit": lambda event: None,
        "publish_picture": lambda image, spec, index: {},
        "read_picture": lambda picture: b"",
    }
    if "painter" not in parts:
        embed = embedder(home)
        usual |= {
            "painter": KitPainter(Painter.load(settings.painter, home), lambda event: None),
            "rank": None if embed is None else ranker(embed),
            "library": looking(home, settings.evidence, embed) if settings.evidence.enabled else None,
        }
    return Kit(**usual | parts)

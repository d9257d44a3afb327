"""Training as the front door offers it: where results go, what is said of them. Knows no terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workspace.settings import Settings


def image_lora(
    config: Path, out: Path | None, plan: bool, settings: Settings, listener: Callable[[dict[str, Any]], None] | None
) -> dict[str, Any]:
    """Train, or with ``plan`` only check, a LoRA adapter; see `studio.train_image_lora`."""
    from training.image_lora import load_config, main
    from training.picture_folder import read_folder

    wanted = load_config(config)
    folder = (out or settings.home / "training" / wanted.name).expanduser()
    if plan:
        count = len(read_folder(wanted.pictures, wanted.trigger))
        shown = wanted.model_dump(mode="json") | {"pictures": str(wanted.pictures)}
        seen = wanted.steps * wanted.batch * wanted.accumulate
        return {**shown, "picture_count": count, "epochs": round(seen / count, 2), "out": str(folder)}
    file = main(wanted, settings.home, folder, listener)
    return {
        "adapter": str(file),
        "trigger": wanted.trigger,
        "loss": str(folder / "loss.png"),
        "metrics": str(folder / "metrics.jsonl"),
        "use": f"painter.adapter = {file.parent}",
    }

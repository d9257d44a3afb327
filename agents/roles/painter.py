"""The Painter's round: from a prompt to published pictures. Knows no files and not what paints."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from agents.kit import Kit
from agents.state import DesignState, Json
from workspace.events import PictureProgress, PictureReady


def painter(kit: Kit, state: DesignState) -> Json:
    """Paint the round's pictures, each once; those painted together share one call of the painter."""
    number, prompt, before = state["round"], state["prompts"][-1], len(state["pictures"])
    keys = [f"picture/round-{number}/{place:02d}" for place in range(kit.images)]
    specs = [
        kit.painter.spec(prompt["short"], long_prompt=prompt["long"], seed=kit.seed_of(key), size=kit.size)
        for key in keys
    ]
    images: dict[int, Any] = {}

    def paint(place: int) -> Json:
        if place not in images:
            batch = specs[place : place + kit.batch]
            images.update(enumerate(kit.painter.paint(batch, _progress(kit, number, place, len(batch))), start=place))
        return kit.publish_picture(images.pop(place), specs[place], before + place)

    pictures = []
    for place, key in enumerate(keys):
        label = f"Painting picture {place + 1} of {kit.images}"
        made = kit.step(
            "painter", key, label, partial(paint, place), kind="picture", summary=lambda made: str(made["path"])
        )
        picture = {**made, "seed": kit.seed_of(key), "round": number, "index": before + place}
        named = {name: picture[name] for name in ("index", "path", "seed", "sha256", "pixels_sha256")}
        kit.emit(PictureReady(round=number, **named))
        pictures.append(picture)
    return {"pictures": pictures}


def _progress(kit: Kit, number: int, start: int, count: int) -> Callable[[int, int], None]:
    def on_step(step: int, steps: int) -> None:
        each = steps // count
        kit.emit(PictureProgress(round=number, step=start * each + step, steps=each * kit.images))

    return on_step

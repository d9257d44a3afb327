"""The Painter's round: from a prompt to published pictures. Knows no files and not what paints.

A person may skip: what is being painted and the rest of the round are left out, and the team goes on.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from PIL.Image import Image

from agents.kit import Kit
from agents.state import DesignState, Json
from workspace.events import PicturePreview, PictureProgress, PictureReady

SKIPPED: Json = {"skipped": True}


class _Skipped(Exception):
    """A person wants no more pictures of this round."""


class _Round:
    """The pictures of a round while they are painted; those painted together come out of one call."""

    def __init__(self, kit: Kit, prompt: Json, number: int) -> None:
        self.kit, self.number = kit, number
        self.keys = [f"picture/round-{number}/{place:02d}" for place in range(kit.images)]
        self.specs = [
            kit.painter.spec(prompt["short"], long_prompt=prompt["long"], seed=kit.seed_of(key), size=kit.size)
            for key in self.keys
        ]
        self._images: dict[int, Any] = {}
        self._skipped = False

    def index(self, place: int) -> int:
        """A picture's place among all that the run may paint: a skipped one leaves a gap."""
        return (self.number - 1) * self.kit.images + place

    def paint(self, place: int) -> Json:
        """Paint and publish a picture, or leave it out."""
        try:
            self._heed()
            if place not in self._images:
                batch = self.specs[place : place + self.kit.batch]
                self._images.update(enumerate(self._painted(batch, place), start=place))
        except _Skipped:
            self._skipped = True
            return SKIPPED
        return self.kit.publish_picture(self._images.pop(place), self.specs[place], self.index(place))

    def _painted(self, batch: list[Any], start: int) -> list[Image]:
        def on_step(step: int, steps: int) -> None:
            each = steps // len(batch)
            done = start * each + step
            self.kit.emit(PictureProgress(round=self.number, step=done, steps=each * self.kit.images))
            self._heed()

        def on_preview(number: int, image: Image) -> None:
            index = self.index(start + number)
            if self.kit.preview:
                path = self.kit.preview(image, index)
                self.kit.emit(PicturePreview(round=self.number, index=index, path=path))

        if self.kit.preview is None:
            return self.kit.painter.paint(batch, on_step)
        return self.kit.painter.paint(batch, on_step, on_preview=on_preview)

    def _heed(self) -> None:
        if self._skipped or (self.kit.skipping and self.kit.skipping()):
            raise _Skipped


def painter(kit: Kit, state: DesignState) -> Json:
    """Paint the round's pictures, each once."""
    number = state["round"]
    if kit.skipping:
        kit.skipping()  # a wish that came too late for another round is none for this one
    painting = _Round(kit, state["prompts"][-1], number)
    pictures = []
    for place, key in enumerate(painting.keys):
        label = f"Painting picture {place + 1} of {kit.images}"
        made = kit.step(
            "painter",
            key,
            label,
            partial(painting.paint, place),
            kind="picture",
            summary=lambda made: str(made.get("path", "skipped")),
        )
        if made.get("skipped"):
            continue
        picture = {"seed": kit.seed_of(key), **made, "round": number, "index": painting.index(place)}
        named = {name: picture[name] for name in ("index", "path", "seed", "sha256", "pixels_sha256")}
        kit.emit(PictureReady(round=number, **named))
        pictures.append(picture)
    return {"pictures": pictures}

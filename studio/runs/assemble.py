"""Building the kit of a run from its settings: models, painter, ledger and log in one hand. Knows every floor below."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.runs.branching.steps import REDIRECT
from studio.runs.skipping import skipping
from workspace.errors import ServiceError
from workspace.events import Event, Notice

if TYPE_CHECKING:
    from PIL.Image import Image

    from agents.kit import Kit
    from pipelines.corpus.index.retrieve import Filters, Hit, Shelf
    from pipelines.pictures.painter import Painter
    from pipelines.pictures.picture import PictureSpec
    from workspace.atlas.evidence import EvidenceSettings
    from workspace.event_log import EventLog
    from workspace.ledger import Ledger, RunRow
    from workspace.settings import Settings

Rank = Callable[[str, Sequence[str]], Sequence[float]]

RANKER = "all-minilm-l6-v2"
_READING = threading.Lock()
"""Small encoders and their tokenizers read for one thread at a time."""


@dataclass(frozen=True)
class Tools:
    """What all runs of the same settings share: what paints, what says how near texts are in meaning, the libraries."""

    painter: Painter
    rank: Rank | None
    library: Looking | None = None


def tools_of(settings: Settings) -> Tools:
    """Find what runs of these settings need beside their chat models; weights are read when they are first used."""
    from pipelines.pictures.painter import Painter

    embed = embedder(settings.home)
    library = looking(settings.home, settings.evidence, embed) if settings.evidence.enabled else None
    return Tools(Painter.load(settings.painter, settings.home), None if embed is None else ranker(embed), library)


class KitPainter:
    """The painter as the roles know it: both prompts in one call, and its notices among the run's events."""

    def __init__(self, painter: Painter, emit: Callable[[Event], Any]) -> None:
        self._painter = painter
        self._emit = emit

    @property
    def trigger(self) -> str | None:
        """The adapter's trigger words."""
        return self._painter.trigger

    def vocabulary(self) -> Mapping[str, Any]:
        """The words the painter knows."""
        return self._painter.vocabulary()

    def spec(self, prompt: str, *, long_prompt: str, seed: int, size: int | None = None) -> PictureSpec:
        """Settle all that a picture depends on."""
        return self._painter.spec(prompt, long_prompt, seed=seed, size=size)

    def looks(self, words: str) -> Sequence[str] | None:
        """The family that words mean to the painter, by name; none it does not know, ``None`` if it reads all."""
        with _READING:
            reading = self._painter.meant(words)
        if reading is None:
            return None
        if len(reading.structures) != 1 or reading.unknown:
            return ()
        return tuple(self._painter.vocabulary()["vocabulary"][reading.structures[0].family][:1])

    def paint(
        self,
        specs: list[PictureSpec],
        on_step: Callable[[int, int], None] | None = None,
        *,
        on_preview: Callable[[int, Image], None] | None = None,
    ) -> list[Image]:
        """Paint pictures."""
        watched = {} if on_preview is None else {"on_preview": on_preview}
        return self._painter.paint(specs, on_step, lambda text: self._emit(Notice(text=text)), **watched)


Embed = Callable[[list[str]], Any]


def embedder(home: Path) -> Embed | None:
    """What embeds texts; ``None`` where that model is not there. Several threads may ask."""
    from models.catalogue.fetch import locate

    try:
        folder = locate(RANKER, home)
    except ServiceError:
        return None
    loaded: list[Any] = []

    def embed(texts: list[str]) -> Any:
        from models.encoders.embeddings import Embedder

        with _READING:
            if not loaded:
                quiet()
                loaded.append(Embedder(folder))
            return loaded[0].encode(texts)

    return embed


def ranker(embed: Embed) -> Rank:
    """How near texts are in meaning. Choices that are often the same are embedded once."""

    @lru_cache(maxsize=64)
    def vectors(texts: tuple[str, ...]) -> Any:
        return embed(list(texts))

    def rank(text: str, choices: Sequence[str]) -> Sequence[float]:
        return [float(value) for value in vectors(tuple(choices)) @ vectors((text,))[0]]

    return rank


class Looking:
    """The libraries of a run, opened when they are first looked into; one thread at a time looks.

    Raises:
        DataError: When one of them is no library.
    """

    def __init__(self, open_them: Callable[[], Shelf]) -> None:
        self._open = open_them
        self._held: Shelf | None = None
        self._turn = threading.Lock()

    def search(self, question: str, count: int = 10, filters: Filters | None = None) -> list[Hit]:
        """The passages that fit a question best."""
        with self._turn:
            if self._held is None:
                self._held = self._open()
            return self._held.search(question, count, filters)


def looking(home: Path, settings: EvidenceSettings, embed: Embed | None) -> Looking | None:
    """The libraries that settings name; ``None`` where there is none."""
    from pipelines.corpus.index.store import FILE
    from studio.runs.shelf import own, shelf

    if not (settings.shipped or settings.libraries or (own(home) / FILE).is_file()):
        return None
    return Looking(lambda: shelf(home, settings.libraries, embed, ships=settings.shipped))


def publisher(run_id: str, folder: Path, ledger: Ledger) -> Callable[[Image, PictureSpec, int], dict[str, Any]]:
    """How a picture becomes a file of the run and an entry in the ledger."""

    def publish_picture(image: Image, spec: PictureSpec, index: int) -> dict[str, Any]:
        from pipelines.pictures.picture import pixels_sha256, write_png

        name = f"images/{index + 1:02d}.png"
        published = write_png(folder / name, image, spec)
        pixels = pixels_sha256(image)
        preview = folder / preview_name(index)
        preview.unlink(missing_ok=True)
        with suppress(OSError):  # others are there yet
            preview.parent.rmdir()
        meta = {"seed": spec.seed, "index": index, "pixels_sha256": pixels, "spec": spec.model_dump(mode="json")}
        if noise := image.info.get("noise"):
            meta["noise"] = noise
        ledger.artifact(run_id, name, published.sha256, "picture", meta)
        return {"path": name, "seed": spec.seed, "sha256": published.sha256, "pixels_sha256": pixels}

    return publish_picture


def preview_name(index: int) -> str:
    """The file in a run's folder that shows how a picture looks while it is painted."""
    return f"previews/{index + 1:02d}.jpg"


def previewer(folder: Path) -> Callable[[Image, int], str]:
    """How a preview becomes a file of the run; the next one of the picture takes its place."""

    def keep(image: Image, index: int) -> str:
        from workspace.files import publish

        name, buffer = preview_name(index), io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=80)
        publish(folder / name, buffer.getvalue())
        return name

    return keep


def figures(data: bytes, width: float | None) -> dict[str, Any] | None:
    """What is measured on a picture, as plain data; nothing on one that is too small to measure."""
    from PIL import Image

    from pipelines.pictures.measure import measure
    from workspace.errors import UsageError

    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        try:
            scale = None if width is None else width / image.width
            return measure(image, micrometres_per_pixel=scale).model_dump(mode="json")
        except UsageError:
            return None


def quiet() -> None:
    """Keep libraries from writing between a run's lines; what matters comes as an error or a notice."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def redirects(ledger: Ledger, row: RunRow) -> dict[str, str]:
    """What a person wished to be otherwise in steps that a branch makes anew, by their keys."""
    if not row.settings.get("branch"):
        return {}
    rows = [one for one in ledger.effects(row.run_id) if one.kind == REDIRECT]
    return {one.key.partition("/")[2]: str(one.value["wish"]) for one in rows}


def assemble(
    row: RunRow,
    settings: Settings,
    ledger: Ledger,
    log: EventLog,
    folder: Path,
    tools: Tools | None = None,
    *,
    watched: bool = False,
) -> Kit:
    """Build the kit of one run.

    Args:
        row: What was asked.
        settings: The run's own.
        ledger: What it did.
        log: Its events.
        folder: Its files.
        tools: Those of its settings, where they are at hand.
        watched: Whether a person may look on: pictures are shown while they are painted, and may be skipped.
    """
    from agents.evidence.gathering import Amount
    from agents.kit import Kit
    from agents.programs import Program
    from models.chat.choose import chat_model
    from models.chat.structured import structured
    from workspace.settings import resolved

    def once(key: str, compute: Callable[[], Any], *, kind: str) -> tuple[Any, bool]:
        return ledger.once(row.run_id, key, compute, kind=kind)

    emit: Callable[[Event], Any] = log.emit
    flow, tools = settings.flow, tools or tools_of(settings)
    return Kit(
        program=Program.model_validate(row.settings["program"]),
        seed=row.seed,
        chat=lambda role, seed: chat_model(resolved(settings, role), settings.home, seed=seed),
        structured=structured,
        painter=KitPainter(tools.painter, emit),
        once=once,
        emit=emit,
        publish_picture=publisher(row.run_id, folder, ledger),
        read_picture=lambda picture: (folder / picture["path"]).read_bytes(),
        measure=figures,
        rank=tools.rank,
        library=tools.library,
        amount=Amount(settings.evidence.passages, settings.evidence.words, settings.evidence.later),
        images=flow.images,
        rounds=flow.rounds,
        review=flow.review,
        reviews=flow.reviews,
        critic_enabled=settings.sees,
        ask=bool(row.settings.get("ask")),
        choose=bool(row.settings.get("choose")),
        batch=settings.painter.batch,
        size=settings.painter.size,
        redirects=redirects(ledger, row),
        preview=previewer(folder) if watched else None,
        skipping=skipping(folder) if watched else None,
    )

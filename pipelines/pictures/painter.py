"""The Painter: from a specification to a picture, on any FLUX in the catalogue or in a folder.

    painter = Painter.load(settings.painter, settings.home)
    spec = painter.spec("leaf veins, green", long_prompt="a fine network of ...", seed=7)
    [image] = painter.paint([spec])

`load` reads a few small files; the weights are read at the first picture and kept, one set a process. A picture's
pixels depend on its own specification alone, and on a CPU each is painted by itself. Knows nothing of runs or designs.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from models.catalogue.fetch import fingerprint, locate
from models.encoders.wishes import READER
from pipelines.pictures.adapters import Adapter, check_adapter, find_adapter
from pipelines.pictures.easel import Easel, OnNotice
from pipelines.pictures.flux import Card, Defaults, assemble, choose_device, choose_dtype, has_encoders, read_card
from pipelines.pictures.picture import PictureSpec, check_images, make_spec, studio_version
from pipelines.pictures.preview import OnPreview
from workspace.errors import DataError
from workspace.progress import waiting, weighed
from workspace.settings import PainterSettings

if TYPE_CHECKING:
    from PIL import Image

    from models.encoders.wishes import Reading

OnStep = Callable[[int, int], None]

_EASELS: dict[tuple[str, ...], Easel] = {}
_EASELS_LOCK = threading.Lock()


class Painter:
    """A FLUX model with its settings; build it with `Painter.load`."""

    def __init__(self, settings: PainterSettings, home: Path, folder: Path, encoder: Path | None, card: Card) -> None:
        self.settings = settings
        self.home = home
        self.folder = folder
        self.card = card
        self.adapter: Adapter | None = None
        self.adapter_scale = 0.0
        self._encoder = encoder
        self._fingerprint: str | None = None
        self._reader: tuple[Any, Any] | None = None

    @classmethod
    def load(cls, settings: PainterSettings, home: Path) -> Painter:
        """Find the model and its adapter, and check that they can be used; the weights are read later.

        Args:
            settings: The painter's settings.
            home: STUDIO_HOME, where fetched models lie.

        Raises:
            UsageError: The model is unknown or no painter, or a setting is out of range.
            ServiceError: The model, its text encoder or its adapter is not fetched.
            DataError: A file is not whole, or the adapter does not fit the model.
        """
        folder = locate(settings.model, home, kind="painter")
        card = read_card(folder)
        encoder = None if has_encoders(folder) else locate(card.text_encoder, home)
        painter = cls(settings, home, folder, encoder, card)
        painter.set_adapter(settings.adapter, settings.adapter_scale)
        return painter

    @property
    def trigger(self) -> str | None:
        """The words that wake the adapter, if it has one that needs them."""
        return self.adapter.trigger if self.adapter else None

    @property
    def model_fingerprint(self) -> str:
        """What tells this model's weights from any others, the text encoder's included."""
        if self._fingerprint is None:
            parts = [fingerprint(folder) for folder in (self.folder, self._encoder) if folder is not None]
            self._fingerprint = parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()
        return self._fingerprint

    def defaults(self) -> Defaults:
        """Size, steps and guidance as set, or else as the model is meant to be sampled."""
        known = self.card.model_dump(include=set(Defaults.model_fields))
        wanted = {name: getattr(self.settings, name) for name in ("size", "steps", "guidance")}
        return Defaults(**known | {name: value for name, value in wanted.items() if value is not None})

    def vocabulary(self) -> dict[str, Any]:
        """The words, palettes and so on that the model was trained on; empty for one that knows them all."""
        names = ("vocabulary", "palettes", "densities", "attributes", "joins")
        known = {name: getattr(self.card, name) for name in names}
        return {name: value for name, value in known.items() if value is not None}

    def meant(self, words: str) -> Reading | None:
        """What the model reads in some words, before it paints anything; None for a model that reads every text itself.

        Raises:
            DataError: Its reader cannot be used.
        """
        if self._encoder is None or not (self.folder / READER).is_file():
            return None
        if self._reader is None:
            from models.encoders.minilm import load_minilm

            self._reader = load_minilm(self._encoder, max_length=self.card.max_sequence_length, painter=self.folder)
        encoder, tokenizer = self._reader
        ids = tokenizer(words, truncation=True, return_tensors="pt").input_ids
        return cast("Reading", encoder.read(ids[0]))

    def set_adapter(self, name: str | None, scale: float = 1.0) -> None:
        """Choose the adapter of the pictures specified from now on.

        Args:
            name: Its catalogue id, folder or file; ``None`` for the bare model.
            scale: How strongly it acts; 0 is exactly the bare model.

        Raises:
            DataError: It does not fit the model.
        """
        adapter = find_adapter(name, self.home) if name else None
        if adapter is not None:
            check_adapter(adapter, self.folder / "transformer")
        self.adapter, self.adapter_scale = adapter, scale if adapter else 0.0

    def spec(
        self,
        prompt: str,
        long_prompt: str = "",
        *,
        seed: int,
        size: int | tuple[int, int] | None = None,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> PictureSpec:
        """Specify a picture.

        Args:
            prompt: The short prompt, for the pooled encoder (CLIP).
            long_prompt: The long one, for the sequence encoder (T5); the short one if empty.
            seed: Where its random numbers start.
            size: Side in pixels, or width and height.
            steps: Denoising steps.
            guidance: Guidance scale.

        Raises:
            UsageError: Something is out of range.
        """
        known = self.defaults()
        side = known.size if size is None else size
        width, height = side if isinstance(side, tuple) else (side, side)
        return make_spec(
            prompt=prompt,
            long_prompt=long_prompt or prompt,
            seed=seed,
            width=width,
            height=height,
            steps=known.steps if steps is None else steps,
            guidance=known.guidance if guidance is None else guidance,
            true_cfg=known.true_cfg,
            model=self.settings.model,
            model_fingerprint=self.model_fingerprint,
            adapter=self.adapter.id if self.adapter else None,
            adapter_scale=self.adapter_scale,
            adapter_fingerprint=self.adapter.fingerprint if self.adapter else None,
            studio_version=studio_version(),
        )

    def paint(
        self,
        specs: Sequence[PictureSpec],
        on_step: OnStep | None = None,
        on_notice: OnNotice | None = None,
        on_preview: OnPreview | None = None,
    ) -> list[Image.Image]:
        """Paint pictures, in the order of their specifications.

        Args:
            specs: What to paint; made by this painter or read from a picture of the same model.
            on_step: Told after each denoising step how many are done, and of how many, over all pictures.
            on_notice: Told of a prompt that was cut.
            on_preview: Takes a picture's number and what it will look like, a few times each.

        Raises:
            DataError: A specification is of other weights, or the weights cannot be used.
            ServiceError: There is not enough memory.
        """
        check_images(len(specs))
        for spec in specs:
            if spec.model_fingerprint != self.model_fingerprint:
                raise DataError(
                    f"picture {spec.name()} is specified for model {spec.model} ({spec.model_fingerprint[:12]}), "
                    f"this is {self.settings.model} ({self.model_fingerprint[:12]})"
                )
        worn = self.adapter
        specs = [  # one read from a picture's file names its adapter, not where that lies
            spec.model_copy(update={"adapter": worn.id})
            if worn is not None and spec.adapter_fingerprint == worn.fingerprint
            else spec
            for spec in specs
        ]
        easel = self._easel()
        total, done = sum(spec.steps for spec in specs), 0

        def stepped(count: int) -> None:
            nonlocal done
            done += count
            if on_step:
                on_step(done, total)

        with easel.lock:
            groups = _groups(specs, 1 if easel.on_cpu else self.settings.batch)
            images: list[Image.Image] = []
            for group in groups:
                shown = on_preview and partial(_shown, on_preview, len(images))
                images += easel.paint(group, self.home, stepped, on_notice, shown)
            return images

    def _easel(self) -> Easel:
        """The weights in memory, read if they are not; those of another model make room first."""
        device = choose_device(self.settings.device)
        dtype = choose_dtype(self.settings.dtype, device, self.folder)
        offload = self.settings.offload
        key = (str(self.folder), self.model_fingerprint, str(device), str(dtype), offload)
        with _EASELS_LOCK:
            if key not in _EASELS:
                _EASELS.clear()
                with waiting(f"reading {weighed(*filter(None, [self.folder, self._encoder]))}"):
                    pipe = assemble(self.folder, self._encoder, self.card, device, dtype, offload)
                _EASELS[key] = Easel(pipe, self.card.max_sequence_length)
            return _EASELS[key]


def _shown(on_preview: OnPreview, before: int, number: int, image: Image.Image) -> None:
    on_preview(before + number, image)


def _groups(specs: Sequence[PictureSpec], limit: int) -> Iterator[list[PictureSpec]]:
    """Cut specifications, in order, into runs of at most ``limit`` that differ in prompt and seed only.

    A run of more than one is faster on a GPU, where it may change a picture's last bits.
    """
    group: list[PictureSpec] = []
    for spec in specs:
        if group and (len(group) >= limit or _shared(group[0]) != _shared(spec)):
            yield group
            group = []
        group.append(spec)
    if group:
        yield group


def _shared(spec: PictureSpec) -> dict[str, Any]:
    return spec.model_dump(exclude={"prompt", "long_prompt", "seed"})

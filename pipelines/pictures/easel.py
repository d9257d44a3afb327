"""One set of FLUX weights in memory: the adapter it wears, the prompts it has encoded, and a group of pictures painted.

A picture's random numbers come from its own seed. A prompt is encoded once: its short form by the first encoder (CLIP
reads 77 tokens), its long form by the second (T5 reads up to 512), and what does not fit is cut at a word and told.
Knows nothing of where weights lie or how pictures are kept.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.pictures.adapters import Adapter, find_adapter, put_on, set_scale
from pipelines.pictures.flux import enough_memory
from pipelines.pictures.mixing import Mix, composed, mixing, seeds_of, understood
from pipelines.pictures.picture import PictureSpec
from pipelines.pictures.preview import Foretelling, OnPreview, noise, noise_recipe
from workspace.errors import DataError

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from models.encoders.wishes import Names, Reading

KEPT_PROMPTS = 64

OnNotice = Callable[[str], None]
Encoded = tuple["torch.Tensor", "torch.Tensor", Mix | None, tuple[str, ...]]


class Easel:
    """A pipeline and its state; hold ``lock`` while using it.

    Args:
        pipe: A `FluxPipeline`, placed.
        sequence_length: How many tokens of the long prompt the model reads.
    """

    def __init__(self, pipe: Any, sequence_length: int) -> None:
        self.pipe = pipe
        self.sequence_length = sequence_length
        self.lock = threading.Lock()
        self._adapter: Adapter | None = None
        self._scale = 0.0
        self._prompts: OrderedDict[tuple[str, ...], Encoded] = OrderedDict()

    @property
    def on_cpu(self) -> bool:
        """Whether it computes on a CPU."""
        return bool(self.pipe._execution_device.type == "cpu")

    def paint(
        self,
        group: Sequence[PictureSpec],
        home: Path,
        stepped: Callable[[int], None],
        on_notice: OnNotice | None = None,
        on_preview: OnPreview | None = None,
    ) -> list[Image.Image]:
        """Paint pictures that differ in prompt and seed only, together.

        Args:
            group: Their specifications.
            home: Where their adapter is looked for.
            stepped: Told after each denoising step of how many pictures it was.
            on_notice: Told of a prompt that was cut.
            on_preview: Takes what they will look like, a few times each.
        """
        import torch

        first = group[0]
        foretelling: Foretelling | None = None

        def step_ended(_pipe: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            if on_preview and foretelling and (pixels := foretelling.after(step, tensors["latents"])) is not None:
                for number, picture in enumerate(whole(pixels)):
                    on_preview(number, _drawn(picture))
            stepped(len(group))
            return tensors

        with enough_memory(f"painting {len(group)} of {first.width}x{first.height}"), torch.inference_mode():
            self._wear(first, home)
            try:
                encoded = [self._encode(spec.prompt, spec.long_prompt, on_notice) for spec in group]
                inputs, mixes = self._inputs(encoded, group[0].true_cfg)
                parts = [seeds_of(spec.seed, one[2]) for spec, one in zip(group, encoded, strict=True)]
                seeds = [seed for part in parts for seed in part]

                def whole(pixels: torch.Tensor) -> list[torch.Tensor]:
                    apart = pixels.split([len(part) for part in parts])  # type: ignore[no-untyped-call]
                    return [composed(own, one[2]) for own, one in zip(apart, encoded, strict=True)]

                if on_preview:
                    begun = noise(self.pipe, first.width, first.height, seeds, inputs["prompt_embeds"])
                    foretelling = Foretelling(self.pipe, first.width, first.height, begun)
                with mixing(self.pipe.transformer, inputs["pooled_prompt_embeds"], mixes):
                    pixels = self.pipe(
                        **inputs,
                        width=first.width,
                        height=first.height,
                        num_inference_steps=first.steps,
                        guidance_scale=first.guidance,
                        true_cfg_scale=first.true_cfg,
                        generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
                        max_sequence_length=self.sequence_length,
                        callback_on_step_end=step_ended,
                        output_type="pt",
                    ).images
            finally:
                self.pipe.maybe_free_model_hooks()
        return self._signed(group, whole(pixels), parts, inputs["prompt_embeds"].dtype)

    def _signed(
        self, group: Sequence[PictureSpec], pixels: Any, parts: Sequence[Sequence[int]], dtype: torch.dtype
    ) -> list[Image.Image]:
        """The pictures, each with how its noise is drawn again."""
        images = [_image(spec, picture) for spec, picture in zip(group, pixels, strict=True)]
        for image, spec, seeds in zip(images, group, parts, strict=True):
            image.info["noise"] = noise_recipe(self.pipe, spec.width, spec.height, seeds, dtype)
        return images

    def _inputs(self, encoded: Sequence[Encoded], true_cfg: float) -> tuple[dict[str, torch.Tensor], list[Mix | None]]:
        """What the pipeline is given, a row for each prompt or for each of two structures apart, and rows' mixes."""
        import torch

        rows, mixes = [], list[Mix | None]()
        for states, pooled, mix, _ in encoded:
            apart = mix is not None and mix.colours is not None
            rows += list(mix.parts) if mix is not None and apart else [(states, pooled)]
            mixes += [None, None] if apart else [mix]
        inputs = {
            "prompt_embeds": torch.cat([states for states, _ in rows]),
            "pooled_prompt_embeds": torch.cat([pooled for _, pooled in rows]),
        }
        if true_cfg > 1:
            states, pooled, *_ = self._encode("", "", None)
            inputs["negative_prompt_embeds"] = torch.cat([states] * len(rows))
            inputs["negative_pooled_prompt_embeds"] = torch.cat([pooled] * len(rows))
        return inputs, mixes

    def _encode(self, short: str, long: str, on_notice: OnNotice | None) -> Encoded:
        """Encode a prompt, once for each adapter and scale, as an adapter may change the encoders too."""
        worn = self._adapter.fingerprint if self._adapter and self._scale else ""
        key = (short, long, worn, str(self._scale))
        if key not in self._prompts:
            pipe = self.pipe
            lengths = {"short": pipe.tokenizer_max_length, "long": self.sequence_length}
            short, short_rest = fit(short, pipe.tokenizer, lengths["short"])
            long, long_rest = fit(long, pipe.tokenizer_2, lengths["long"])
            for form, rest in (("short", short_rest), ("long", long_rest)):
                if rest and on_notice:
                    on_notice(
                        f"the {form} prompt is longer than the {lengths[form]} tokens its encoder reads; cut: {rest!r}"
                    )
            whole, reading, mix = understood(pipe, short, long, self.sequence_length)
            told = remarks(reading, pipe.text_encoder.reader.names) if reading else []
            self._prompts[key] = (*whole, mix, tuple(told))
            if len(self._prompts) > KEPT_PROMPTS:
                self._prompts.popitem(last=False)
        self._prompts.move_to_end(key)
        for line in self._prompts[key][3]:
            if on_notice:
                on_notice(line)
        return self._prompts[key]

    def _wear(self, spec: PictureSpec, home: Path) -> None:
        """Put on the adapter that a picture asks for at its scale; at scale 0 none acts."""
        self._scale = spec.adapter_scale if spec.adapter else 0.0
        worn = self._adapter.fingerprint if self._adapter else None
        if spec.adapter and self._scale and worn != spec.adapter_fingerprint:
            adapter = find_adapter(spec.adapter, home)
            if adapter.fingerprint != spec.adapter_fingerprint:
                raise DataError(f"picture {spec.name()} is specified for another version of adapter {spec.adapter}")
            self._adapter = None
            put_on(self.pipe, adapter)
            self._adapter = adapter
        set_scale(self.pipe, self._adapter, self._scale)


def remarks(reading: Reading, names: Names) -> list[str]:
    """What a person ought to hear of a reading: words that the painter does not know, and what it paints for them."""
    lines = [
        f"the painter does not know {one.words!r}; it paints the nearest of what it knows: {names.families[one.family]}"
        for one in reading.unknown
    ]
    if reading.strange:
        painted = names.fields["palette"][reading.said["palette"]]
        lines.append(f"the painter has no colours like {reading.strange!r}: {painted} is painted")
    return lines


def fit(text: str, tokenizer: Any, limit: int) -> tuple[str, str]:
    """Cut a prompt at a word so that an encoder reads all that is left of it.

    The tokenizers are asked quietly: their own warning is about a cut nobody chose, and this is the choice.

    Args:
        text: The prompt.
        tokenizer: The encoder's fast tokenizer.
        limit: How many tokens the encoder reads, its marks at start and end included.

    Returns:
        What is read and what is left out; the latter is empty for a prompt that fits.
    """
    kept = text
    while True:
        tokens = tokenizer(kept, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False)
        excess = len(tokens["input_ids"]) - limit
        if excess <= 0:
            return kept, text[len(kept) :].strip()
        pairs = zip(tokens["offset_mapping"], tokens["special_tokens_mask"], strict=True)
        ends = [end for (_, end), special in pairs if not special]
        end = min(ends[-excess - 1], len(kept) - 1) if excess < len(ends) else 0
        gap = re.search(r"\s+\S*$", kept[: end + 1])
        kept = kept[: gap.start() if gap and gap.start() else end]


def _image(spec: PictureSpec, pixels: torch.Tensor) -> Image.Image:
    """Turn (3, H, W) in 0..1 into a picture."""
    if not bool(pixels.isfinite().all()):
        raise DataError(
            f"picture {spec.name()} came out as numbers that are none",
            hint="try painter.dtype = float32; or the weights are bad",
        )
    return _drawn(pixels)


def _drawn(pixels: torch.Tensor) -> Image.Image:
    from PIL import Image

    return Image.fromarray(pixels.float().mul(255).round().byte().permute(1, 2, 0).cpu().numpy())

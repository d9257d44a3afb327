"""One picture: the specification that makes it, its name, and the PNG file that carries both.

A `PictureSpec` says everything a picture's pixels depend on, and its hash names the picture. The PNG keeps it twice:
whole, as JSON under the text key ``studio``, and under ``parameters`` in the line that AUTOMATIC1111 and its kin read.
Files are opened with Pillow's PNG reader alone and under a pixel cap. Knows nothing of models.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipelines.pictures.eight_bits import as_rgb
from workspace.errors import DataError, UsageError, one_line, pydantic_fault
from workspace.files import Published, publish

if TYPE_CHECKING:
    from PIL import Image

SIDE_STEP, SIDE_MIN, SIDE_MAX = 16, 64, 2048
IMAGES_MAX = 64
SEED_MAX = 2**32 - 1  # torch's CPU generator reads 32 bits of a seed, so a larger one would repeat a picture
PIXEL_CAP = 4096 * 4096
SPEC_KEY, A1111_KEY = "studio", "parameters"

_PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


class PictureSpec(BaseModel):
    """Everything a picture's pixels depend on."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    prompt: str = Field(min_length=1, max_length=4000, description="The short prompt, for the pooled text encoder")
    long_prompt: str = Field(min_length=1, max_length=16000, description="The long prompt, for the sequence encoder")
    seed: int = Field(ge=0, le=SEED_MAX)
    width: int = Field(ge=SIDE_MIN, le=SIDE_MAX, multiple_of=SIDE_STEP)
    height: int = Field(ge=SIDE_MIN, le=SIDE_MAX, multiple_of=SIDE_STEP)
    steps: int = Field(ge=1, le=200)
    guidance: float = Field(ge=0, le=30, description="The guidance a distilled model is told")
    true_cfg: float = Field(default=1.0, ge=1, le=30, description="Classifier-free guidance; 1 is none")
    model: str = Field(min_length=1, max_length=500)
    model_fingerprint: str = Field(min_length=1, max_length=128)
    adapter: str | None = Field(default=None, min_length=1, max_length=500)
    adapter_scale: float = Field(default=0.0, ge=-4, le=4)
    adapter_fingerprint: str | None = Field(default=None, min_length=1, max_length=128)
    studio_version: str = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _adapter_whole(self) -> PictureSpec:
        if (self.adapter is None) != (self.adapter_fingerprint is None):
            raise ValueError("adapter and adapter_fingerprint come together or not at all")
        if self.adapter is None and self.adapter_scale != 0:
            raise ValueError("adapter_scale is given without an adapter")
        return self

    def canonical(self) -> str:
        """The specification as JSON that is the same for the same picture: keys sorted, no free whitespace."""
        data = self.model_dump(mode="json")
        return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    def name(self) -> str:
        """Sixteen hexadecimal digits that name the picture."""
        return hashlib.sha256(self.canonical().encode("utf-8")).hexdigest()[:16]


def studio_version() -> str:
    """The version of Studio that is installed."""
    try:
        return version("bio-studio")
    except PackageNotFoundError:
        return "uninstalled"


def public_name(name: str) -> str:
    """What a model or adapter is called in a picture that may go anywhere: a catalogue id, or a path's last part."""
    path = os.path.expanduser(name)
    if os.path.isabs(path) or name[:1] in (".", "~") or os.path.exists(path):
        return os.path.basename(os.path.abspath(path)) or os.sep
    return name


def check_side(side: int, name: str = "size") -> int:
    """Return a width or height in pixels.

    Raises:
        UsageError: It is no multiple of 16 or outside 64 to 2048.
    """
    if not SIDE_MIN <= side <= SIDE_MAX or side % SIDE_STEP:
        near = max(SIDE_MIN, min(SIDE_MAX, round(side / SIDE_STEP) * SIDE_STEP))
        raise UsageError(
            f"{name} {side} is not a multiple of {SIDE_STEP} from {SIDE_MIN} to {SIDE_MAX}",
            hint=f"the nearest is {near}",
        )
    return side


def check_images(images: int) -> int:
    """Return a number of pictures.

    Raises:
        UsageError: It is outside 1 to 64.
    """
    if not 1 <= images <= IMAGES_MAX:
        raise UsageError(f"images {images} is outside 1 to {IMAGES_MAX}")
    return images


def make_spec(**fields: object) -> PictureSpec:
    """Build a specification from a request.

    Raises:
        UsageError: A field is out of range; the line names the first.
    """
    for side in ("width", "height"):
        value = fields.get(side)
        if isinstance(value, int):
            check_side(value, side)
    try:
        return PictureSpec.model_validate(fields)
    except ValidationError as fault:
        raise UsageError(f"this picture cannot be painted: {pydantic_fault(fault, PictureSpec)}") from None


def write_png(path: Path, image: Image.Image, spec: PictureSpec) -> Published:
    """Publish a picture as PNG with its specification inside, in which models are named and not where they lie.

    Args:
        path: Where it appears, whole or not at all.
        image: The picture.
        spec: What it was made from.
    """
    from PIL.PngImagePlugin import PngInfo

    adapter = public_name(spec.adapter) if spec.adapter else None
    spec = spec.model_copy(update={"model": public_name(spec.model), "adapter": adapter})
    info = PngInfo()
    info.add_itxt(SPEC_KEY, spec.canonical())
    info.add_itxt(A1111_KEY, a1111(spec))
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format="PNG", pnginfo=info)
    return publish(path, buffer.getvalue())


def a1111(spec: PictureSpec) -> str:
    """Word a specification the way AUTOMATIC1111 does: the prompt, then one line of settings."""
    prompt = "".join(char if char >= " " or char in "\n\t" else " " for char in spec.long_prompt)
    settings = {
        "Steps": spec.steps,
        "Sampler": "Euler",
        "Schedule type": "Simple",
        "CFG scale": spec.true_cfg,
        "Distilled CFG Scale": spec.guidance,
        "Seed": spec.seed,
        "Size": f"{spec.width}x{spec.height}",
        "Model hash": spec.model_fingerprint[:10],
        "Model": _quoted(spec.model),
        "Version": f"Studio {spec.studio_version}",
    }
    if spec.adapter is not None and spec.adapter_fingerprint is not None:
        prompt += f" <lora:{spec.adapter.rpartition('/')[2].removesuffix('.safetensors')}:{spec.adapter_scale:g}>"
        settings["Lora hashes"] = _quoted(f"{spec.adapter}: {spec.adapter_fingerprint[:12]}")
    return f"{prompt}\n" + ", ".join(f"{key}: {value}" for key, value in settings.items())


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if any(char in text for char in ',:"\n') else text


def open_picture(path: Path) -> Image.Image:
    """Read a PNG file as RGB; its text keys lie in ``info``.

    Raises:
        DataError: It is missing, not a whole PNG, animated, or larger than the pixel cap.
    """
    from PIL import Image

    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(24)
            if len(start) < 24 or not start.startswith(_PNG_START):
                raise DataError(f"{path} is not a PNG picture")
            width, height = struct.unpack(">II", start[16:24])
            if width * height > PIXEL_CAP:
                raise DataError(f"{path} is {width}x{height} pixels; at most {PIXEL_CAP} pixels are read")
            file.seek(0)
            with Image.open(file, formats=["PNG"]) as picture:
                if getattr(picture, "is_animated", False):
                    raise DataError(f"{path} is animated; a picture has one frame")
                picture.load()
                image = as_rgb(picture)
                image.info = dict(picture.info)
                return image
    except FileNotFoundError:
        raise DataError(f"there is no picture {path}") from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ) as fault:
        raise DataError(f"{path} is not a whole PNG picture: {one_line(fault)}") from None


def read_spec(path: Path) -> PictureSpec:
    """Read back what a picture was made from.

    Raises:
        DataError: The picture cannot be read, or carries no specification of Studio's, or one that does not hold.
    """
    text = open_picture(path).info.get(SPEC_KEY)
    if not isinstance(text, str):
        raise DataError(f"{path} carries no Studio settings", hint=f"the PNG text key {SPEC_KEY!r} is missing")
    try:
        return PictureSpec.model_validate_json(text)
    except ValidationError as fault:
        wrong = pydantic_fault(fault, PictureSpec)
        raise DataError(f"{path} carries Studio settings that do not hold: {wrong}") from None


def pixels_sha256(image: Image.Image) -> str:
    """The sha256 of a picture's RGB bytes, which no metadata or compression changes."""
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()

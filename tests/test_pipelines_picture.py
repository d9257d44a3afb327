from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipelines.pictures.picture import (
    PictureSpec,
    a1111,
    check_images,
    check_side,
    make_spec,
    open_picture,
    pixels_sha256,
    public_name,
    read_spec,
    write_png,
)
from workspace.errors import DataError, UsageError
from workspace.files import sha256

FIELDS: dict[str, Any] = {
    "prompt": "leaf veins, green",
    "long_prompt": "a fine network of leaf veins",
    "seed": 7,
    "width": 64,
    "height": 96,
    "steps": 4,
    "guidance": 3.5,
    "model": "flux.1-dev",
    "model_fingerprint": "a" * 64,
    "studio_version": "0.1.0",
}
LEAF = {"adapter": "leaf-flux-lora", "adapter_scale": 0.8, "adapter_fingerprint": "b" * 64}

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
sides = st.integers(4, 128).map(lambda n: n * 16)
numbers = st.floats(0, 30, allow_nan=False)


@st.composite
def specs(draw: st.DrawFn) -> PictureSpec:
    fields = {
        "prompt": draw(texts),
        "long_prompt": draw(texts),
        "seed": draw(st.integers(0, 2**32 - 1)),
        "width": draw(sides),
        "height": draw(sides),
        "steps": draw(st.integers(1, 200)),
        "guidance": draw(numbers),
        "true_cfg": draw(st.floats(1, 30, allow_nan=False)),
        "model": draw(texts),
        "model_fingerprint": draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
        "studio_version": "0.1.0",
    }
    if draw(st.booleans()):
        fields |= {
            "adapter": draw(texts),
            "adapter_scale": draw(st.floats(-4, 4, allow_nan=False)),
            "adapter_fingerprint": draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
        }
    return PictureSpec.model_validate(fields)


def _image(width: int = 8, height: int = 8) -> Image.Image:
    image = Image.new("RGB", (width, height))
    image.putdata([(x * 31 % 256, x * 17 % 256, x * 7 % 256) for x in range(width * height)])
    return image


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spec=specs())
def test_a_png_gives_back_its_spec_and_its_pixels(spec: PictureSpec, tmp_path: Path) -> None:
    image, file = _image(), tmp_path / "picture.png"
    published = write_png(file, image, spec)
    assert published.sha256 == sha256(file)
    names = {"model": public_name(spec.model), "adapter": spec.adapter and public_name(spec.adapter)}
    assert read_spec(file) == spec.model_copy(update=names)
    back = open_picture(file)
    assert pixels_sha256(back) == pixels_sha256(image)
    assert isinstance(back.info["parameters"], str)


def test_text_with_newlines_and_other_alphabets_survives(tmp_path: Path) -> None:
    spec = PictureSpec(
        **FIELDS | {"prompt": 'réseau\n"de"\tnervures', "long_prompt": "蜘蛛の巣 \U0001f578\n\x00 Seed: 9, Size: 1x1"}
    )
    write_png(tmp_path / "a.png", _image(), spec)
    assert read_spec(tmp_path / "a.png") == spec


def test_the_same_spec_has_the_same_name_and_file(tmp_path: Path) -> None:
    one, two = PictureSpec(**FIELDS), PictureSpec(**dict(reversed(FIELDS.items())))
    assert one.name() == two.name() and re.fullmatch(r"[0-9a-f]{16}", one.name())
    assert one.name() != PictureSpec(**FIELDS | {"seed": 8}).name()
    first = write_png(tmp_path / "a.png", _image(), one)
    assert first.sha256 == write_png(tmp_path / "b.png", _image(), two).sha256


def test_metadata_changes_the_file_and_not_the_pixels_hash(tmp_path: Path) -> None:
    one = write_png(tmp_path / "a.png", _image(), PictureSpec(**FIELDS))
    two = write_png(tmp_path / "b.png", _image(), PictureSpec(**FIELDS | {"seed": 8}))
    assert one.sha256 != two.sha256
    assert pixels_sha256(open_picture(one.path)) == pixels_sha256(open_picture(two.path))


def test_a1111_line() -> None:
    first, last = a1111(PictureSpec(**FIELDS | LEAF)).split("\n")
    assert first == "a fine network of leaf veins <lora:leaf-flux-lora:0.8>"
    assert last.startswith("Steps: 4, Sampler: Euler, ")
    for part in ("Seed: 7", "Size: 64x96", "Distilled CFG Scale: 3.5", "Model: flux.1-dev", "Model hash: aaaaaaaaaa"):
        assert part in last.split(", ")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"steps": 0}, "steps"),
        ({"width": 100}, "width 100"),
        ({"height": 48}, "height 48"),
        ({"width": 4096}, "width 4096"),
        ({"guidance": float("nan")}, "guidance"),
        ({"prompt": ""}, "prompt"),
        ({"adapter": "x"}, "adapter_fingerprint"),
        ({"adapter_scale": 0.5}, "without an adapter"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_request_names_the_field(change: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word) as caught:
        make_spec(**FIELDS | change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("side", [0, -16, 63, 100, 2049, 4096])
def test_bad_sides(side: int) -> None:
    with pytest.raises(UsageError, match=f"size {side} is not a multiple of 16 from 64 to 2048") as caught:
        check_side(side)
    near = int(str(caught.value.hint).rsplit(" ", 1)[1])
    assert check_side(near) == near


@pytest.mark.parametrize("images", [0, -1, 65, 1000])
def test_bad_counts(images: int) -> None:
    with pytest.raises(UsageError, match=f"images {images} is outside 1 to 64"):
        check_images(images)
    assert check_images(64) == 64


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _bad_files() -> dict[str, bytes]:
    start = b"\x89PNG\r\n\x1a\n"
    huge = start + _chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return {
        "empty": b"",
        "text": b"this is no picture at all, whatever its name says",
        "gif": b"GIF89a" + b"\x00" * 60,
        "only a start": start,
        "header only": start + _chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)),
        "broken data": start
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
        + _chunk(b"IDAT", b"not zlib")
        + _chunk(b"IEND", b""),
        "no size": start + _chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 0, 8, 2, 0, 0, 0)) + _chunk(b"IEND", b""),
        "bomb": huge + _chunk(b"IDAT", zlib.compress(b"\x00" * 1000)) + _chunk(b"IEND", b""),
    }


@pytest.mark.parametrize("name", list(_bad_files()))
def test_bad_files_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.png"
    file.write_bytes(_bad_files()[name])
    with pytest.raises(DataError, match=r"bad\.png") as caught:
        open_picture(file)
    assert "\n" not in str(caught.value)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_picture_is_read_or_refused_and_never_more(data: st.DataObject, tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    if not whole.exists():
        write_png(whole, _image(), PictureSpec(**FIELDS))
    raw = bytearray(whole.read_bytes())
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    file = tmp_path / "damaged.png"
    file.write_bytes(bytes(raw))
    try:
        read_spec(file)
    except DataError as fault:
        assert "damaged.png" in str(fault)


def test_an_animated_picture_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "moving.png"
    Image.new("RGB", (8, 8)).save(file, save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
    with pytest.raises(DataError, match="animated"):
        open_picture(file)


def test_a_missing_picture_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no picture"):
        open_picture(tmp_path / "none.png")
    with pytest.raises(DataError, match="not a whole PNG"):
        open_picture(tmp_path)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (None, "carries no Studio settings"),
        ("{", "do not hold"),
        ('{"prompt": "a"}', "long_prompt: Field required"),
        ("[]", "do not hold"),
    ],
)
def test_settings_that_do_not_hold(text: str | None, word: str, tmp_path: Path) -> None:
    info = PngInfo()
    if text is not None:
        info.add_itxt("studio", text)
    _image().save(tmp_path / "a.png", pnginfo=info)
    with pytest.raises(DataError, match=word):
        read_spec(tmp_path / "a.png")

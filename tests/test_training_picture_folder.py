"""Pictures as cameras, microscopes and the web leave them: read as a person sees them, or named with what to do."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms

from pipelines.pictures.eight_bits import as_rgb
from pipelines.pictures.picture import open_picture
from training.images.folder import Captioned, read_folder, remarks, square
from workspace.errors import DataError

RAMP = np.linspace(0, 1, 64 * 64).reshape(64, 64)


def captioned(folder: Path, name: str, caption: str | None = None, suffix: str = ".txt") -> Path:
    path = folder / name
    path.with_suffix(suffix).write_text(caption or f"a leaf, {name}")
    return path


def seen(path: Path) -> np.ndarray[Any, Any]:
    return square(path, 64).astype(int)


DEEP: dict[str, tuple[str, Callable[[], Image.Image]]] = {
    "16 bits": ("a.tif", lambda: Image.fromarray((2000 + 40_000 * RAMP).astype(np.uint16))),
    "12 bits of 16": ("a.tif", lambda: Image.fromarray((4095 * RAMP).astype(np.uint16))),
    "16 bits, PNG": ("a.png", lambda: Image.fromarray((2000 + 40_000 * RAMP).astype(np.uint16))),
    "32 bits": ("a.tif", lambda: Image.fromarray((-70_000 + 140_000 * RAMP).astype(np.int32))),
    "floats": ("a.tif", lambda: Image.fromarray(RAMP.astype(np.float32))),
    "floats below zero": ("a.tif", lambda: Image.fromarray((1e-6 * RAMP - 5e-7).astype(np.float32))),
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_greys_are_scaled_by_a_rule_that_is_told(name: str, tmp_path: Path) -> None:
    file, make = DEEP[name]
    make().save(captioned(tmp_path, file))
    [one] = read_folder(tmp_path, "")
    pixels = seen(one.path)
    assert pixels.min() <= 2 and pixels.max() >= 253
    assert abs(pixels[..., 0] - 255 * RAMP).max() <= 4 and (pixels[..., 0] == pixels[..., 2]).all()
    [remark] = remarks(tmp_path, [one])
    assert f"1 files ({file}) with greys of more than 8 bits are scaled to 8" in remark and "darkest 0.1%" in remark


def test_one_hot_pixel_does_not_darken_a_picture(tmp_path: Path) -> None:
    values = (1000 * RAMP).astype(np.float32)
    values[3, 3], values[4, 4], values[5, 5] = 1e9, np.nan, -np.inf
    Image.fromarray(values).save(captioned(tmp_path, "a.tif"))
    assert 120 < seen(tmp_path / "a.tif").mean() < 135


def test_zero_may_mean_white(tmp_path: Path) -> None:
    values = (60_000 * RAMP).astype("<u2")
    tags = [
        (256, 64),
        (257, 64),
        (258, 16),
        (259, 1),
        (262, 0),
        (273, 8 + 2 + 12 * 8 + 4),
        (277, 1),
        (279, 64 * 64 * 2),
    ]
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags))
    head += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags) + struct.pack("<I", 0)
    captioned(tmp_path, "a.tif").write_bytes(head + values.tobytes())
    assert abs(seen(tmp_path / "a.tif")[..., 0] - 255 * (1 - RAMP)).max() <= 4


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(arrays(np.float32, (16, 16), elements=st.floats(-(2.0**90), 2.0**90, width=32)))
def test_any_values_keep_their_order(values: np.ndarray[Any, Any]) -> None:
    picture = Image.fromarray(values)
    try:
        pixels = np.asarray(as_rgb(picture))[..., 0].ravel()
    except DataError as fault:
        assert "every pixel has the value" in str(fault) and values.min() == values.max()
        return
    order = np.argsort(values.ravel(), kind="stable")
    assert (np.diff(pixels[order].astype(int)) >= 0).all() and pixels.min() == 0 and pixels.max() == 255


def test_a_picture_of_one_value_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64), 300, np.uint16)).save(captioned(tmp_path, "a.tif"))
    with pytest.raises(DataError, match=r"a.tif: every pixel has the value 300; there is nothing to see in it"):
        read_folder(tmp_path, "")


def test_colours_and_turns_are_as_a_person_sees_them(tmp_path: Path) -> None:
    red = Image.new("RGB", (64, 64), (200, 40, 30))
    red.convert("CMYK").save(captioned(tmp_path, "cmyk.jpg"), quality=95)
    red.quantize(4).save(captioned(tmp_path, "palette.gif"))
    red.save(captioned(tmp_path, "a.avif"), quality=95)
    turned = Image.new("RGB", (64, 64), "white")
    turned.paste((0, 0, 255), (0, 0, 64, 8))
    turned.getexif()[0x0112] = 6  # the camera was held upright: the top is on the right
    turned.save(captioned(tmp_path, "turned.jpg"), exif=turned.getexif(), quality=95)
    clear = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    clear.save(captioned(tmp_path, "clear.png"))
    grey = Image.new("L", (64, 64), 7)
    grey.save(captioned(tmp_path, "clear-grey.png"), transparency=7)
    Image.new("1", (64, 64), 1).save(captioned(tmp_path, "one-bit.bmp"))
    found = {one.path.name: seen(one.path) for one in read_folder(tmp_path, "")}
    for name in ("cmyk.jpg", "palette.gif", "a.avif"):
        assert abs(found[name].mean(axis=(0, 1)) - (200, 40, 30)).max() < 12, name
    assert found["turned.jpg"][32, 62, 0] < 60 and found["turned.jpg"][2, 2, 0] > 200
    for name in ("clear.png", "clear-grey.png", "one-bit.bmp"):
        assert (found[name] == 255).all(), name


def test_colours_with_a_profile_become_srgb(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (64, 64), (200, 40, 30)).save(captioned(tmp_path, "a.png"), icc_profile=lab)
    Image.new("RGB", (64, 64), (200, 40, 30)).save(captioned(tmp_path, "b.png"), icc_profile=b"no profile" * 20)
    found = read_folder(tmp_path, "")
    assert [tuple(seen(one.path)[9, 9]) for one in found] == [(200, 40, 30)] * 2
    assert [line for line in remarks(tmp_path, found) if "profiles" in line] == [
        "1 files (b.png) have colour profiles that cannot be read; their colours are taken for sRGB's"
    ]


def test_what_lies_beside_a_caption_and_is_not_read_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(captioned(tmp_path, "a.jpg"))
    for name in ("b.heic", "c.dm3"):
        captioned(tmp_path, name).write_bytes(b"xx")
    captioned(tmp_path, "d.gif").write_bytes(b"GIF89a")
    with pytest.raises(DataError) as caught:
        read_folder(tmp_path, "")
    for line in ("d.gif cannot be read as a picture", "b.heic has a caption, and .heic is no picture", "c.dm3 has a"):
        assert line in str(caught.value)


def test_what_is_left_out_is_remarked(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 64)).save(captioned(tmp_path, name))
    (tmp_path / "a.dm3").write_bytes(b"the same picture as its microscope wrote it")
    (tmp_path / "z.heic").write_bytes(b"xx")
    (tmp_path / "readme.txt").write_text("About these")
    (tmp_path / "10_bone").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "10_bone" / "c.png")
    (tmp_path / "empty").mkdir()
    assert remarks(tmp_path, read_folder(tmp_path, "")) == [
        "1 files (z.heic) are of kinds that are not read, and have no caption: they are left out",
        "1 files (readme.txt) are captions of no picture: they are left out",
        "folders inside are not looked into: 10_bone (1 pictures)",
    ]


def test_captions_by_either_name_and_folders_of_folders(tmp_path: Path) -> None:
    inside = tmp_path / "10_leaf"
    inside.mkdir()
    Image.new("RGB", (64, 64)).save(captioned(inside, "a.png", "a leaf", ".caption"))
    assert [one.caption for one in read_folder(inside, "")] == ["a leaf"]
    with pytest.raises(
        DataError, match=r"holds no pictures .*not looked into: 10_leaf \(1 pictures\) \(name one of them"
    ):
        read_folder(tmp_path, "")
    captioned(inside, "a.png", "a bone")
    with pytest.raises(DataError, match=r"a.png has two captions, a.txt and a.caption; keep one"):
        read_folder(inside, "")
    for path in inside.glob("a.[tc]*"):
        path.unlink()
    (inside / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "a leaf"}\n')
    assert [one.caption for one in read_folder(inside, "")] == ["a leaf"]


TABLES = {
    "metadata.jsonl": """{"file_name": "a.png", "text": "a [trigger] leaf"}

{"file_name": "./b.png", "text": "a\\nbone", "source": "x"}
{"file_name": "gone.png", "text": "a shell"}
""",
    "metadata.csv": """\ufefffile_name,prompt,source
a.png,a [trigger] leaf,
b.png,"a
bone",x
gone.png,a shell,
""",
}


@pytest.mark.parametrize("name", TABLES)
def test_captions_in_a_table_of_the_folder(name: str, tmp_path: Path) -> None:
    for file in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (64, 64)).save(tmp_path / file)
    (tmp_path / name).write_text(TABLES[name], encoding="utf-8")
    with pytest.raises(DataError, match=rf"c.png has no caption \(give {name} a row with file_name c.png, or"):
        read_folder(tmp_path, "lf")
    captioned(tmp_path, "c.png", "a shell")
    found = read_folder(tmp_path, "lf")
    assert [one.caption for one in found] == ["a lf leaf", "a bone", "a shell"]
    assert remarks(tmp_path, found) == [
        f"{name} names 1 files (gone.png) that are no pictures of this folder: they are left out",
        f"{name}: columns that are not used: source",
    ]
    captioned(tmp_path, "b.png", "a tooth")
    with pytest.raises(DataError, match=rf"b.png has two captions, b.txt and {name}; keep one"):
        read_folder(tmp_path, "lf")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"file_name": "a.png", "text": 3}', "line 1, text: it is 3, not text"),
        ('{"file_name": "a.png", "text": null}', "the caption of a.png is empty"),
        ('{"file_name": "a.png", "text": "x", "caption": "y"}', "text and caption could both be the caption"),
        ('{"file_name": "a.png", "label": 1}', "no column holds a caption .its columns are file_name, label"),
        ('{"image": "a.png", "text": "x"}', "line 1: no file_name"),
        (
            '{"file_name": "a.png", "text": "x"}\n{"file_name": "a.png", "text": "y"}',
            "line 2: a.png has another",
        ),
        (
            '{"file_name": "a.png", "text": "x"}\n{"file_name": "b.heic", "text": "y"}',
            "b.heic has a caption, and",
        ),
        ("{", "line 1: no JSON"),
    ],
)
def test_a_table_with_faults_is_refused_in_one_line(text: str, why: str, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    (tmp_path / "b.heic").write_bytes(b"x")
    (tmp_path / "metadata.jsonl").write_text(text)
    with pytest.raises(DataError, match=why) as fault:
        read_folder(tmp_path, "")
    assert "\n" not in str(fault.value)


def test_colours_of_sixteen_bits_are_told(tmp_path: Path) -> None:
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    row = b"\0" + struct.pack(">3H", 0x8080, 0x4040, 0xFFFF) * 64
    data = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(row * 64))
    captioned(tmp_path, "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b""))
    found: list[Captioned] = read_folder(tmp_path, "")
    assert tuple(seen(found[0].path)[5, 5]) == (0x80, 0x40, 0xFF)
    assert remarks(tmp_path, found) == [
        "1 files (a.png) with colours of 16 bits are read by their upper 8, the full range"
    ]


def test_a_deep_png_is_opened_as_it_looks(tmp_path: Path) -> None:
    Image.fromarray((4095 * RAMP).astype(np.uint16)).save(tmp_path / "a.png")
    pixels = np.asarray(open_picture(tmp_path / "a.png")).astype(int)
    assert abs(pixels[..., 1] - 255 * RAMP).max() <= 2

"""What a picture was made from, read out of its file: Studio's own text, or the line that AUTOMATIC1111's kin write.

Of a PNG only the chunks of text are read, under a cap; no pixel is decoded. Whatever does not hold is left out or told.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from studio.keeping.rows import refresh
from studio.queue.claims import has_ledger, ledger_of
from studio.verb import Call, verb
from workspace.errors import DataError, StudioError, UsageError
from workspace.letters import whole_letters

MOST_BYTES = 64_000_000
MOST_TEXT = 100_000
MOST_SIDE = 65_536
SEED_MAX = 2**32 - 1
_PNG = b"\x89PNG\r\n\x1a\n"
_KEYS = ("studio", "parameters")
_MOST_CHUNKS = 10_000
_SETTING = re.compile(r'\s*([A-Za-z][\w /-]{0,60}):\s*("(?:[^"\\]|\\.){0,2000}"|[^,]{0,2000})(?:,|$)')
_LORA = re.compile(r"<lora:([^:<>]{1,200}):(-?[\d.]{1,12})>")


class Recipe(BaseModel):
    """What a picture was made from, as far as its file says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(description="studio or a1111: whose text it was")
    prompt: str
    short_prompt: str = Field("", description="The short prompt, where there are two")
    negative: str = Field("", description="What was not to be in it")
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None
    model: str = ""
    adapter: str = ""
    adapter_scale: float | None = None
    run: str = Field("", description="The run of this home that made it")
    picture: str = Field("", description="Its name in that run")
    run_seed: int | None = Field(None, description="The seed of that run")
    brief: str = Field("", description="What that run was asked for")
    inspirations: tuple[str, ...] = ()
    program: str = ""


@verb(Call)
def recipe_of(data: bytes, options: Call) -> Recipe:
    """Read what a picture was made from out of a PNG file, or out of the text that other programs write into one.

    Args:
        data: The file, or the text in UTF-8.
        options: Which home is looked into for the run that made it.

    Raises:
        DataError: It is no such file, is damaged, or carries nothing of the kind.
        UsageError: It is too large.
    """
    if len(data) > MOST_BYTES:
        raise UsageError(f"the picture has {len(data):,} bytes; at most {MOST_BYTES:,} are read")
    if data.startswith(_PNG):
        texts = _texts(data)
        found = _studio(texts["studio"]) if "studio" in texts else None
        if found is None and "parameters" in texts:
            found = _a1111(texts["parameters"])
        if found is None:
            raise DataError("the picture does not say what it was made from", hint="it was saved by another program")
        return _with_run(found, hashlib.sha256(data).hexdigest(), options)
    found = _a1111(_plain_text(data))
    if found is None:
        raise DataError("this is neither a PNG picture nor the parameters of one", hint="drop the PNG file itself")
    return found


def _plain_text(data: bytes) -> str:
    if len(data) > MOST_TEXT or b"\0" in data:
        return ""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ""


def _texts(data: bytes) -> dict[str, str]:
    """The texts of a PNG that are looked for, by key; the first of each counts."""
    found: dict[str, str] = {}
    for kind, body in _chunks(data):
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            key, _, rest = body.partition(b"\0")
            name = key.decode("latin-1")[:80]
            if name in _KEYS and name not in found:
                found[name] = _text(kind, rest)
    return found


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG)
    for _ in range(_MOST_CHUNKS):
        if at + 12 > len(data):
            return
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        if length > len(data) - at - 12:
            raise DataError("the picture is damaged: it ends within one of its parts")
        if kind == b"IEND":
            return
        yield kind, data[at + 8 : at + 8 + length] if kind in (b"tEXt", b"zTXt", b"iTXt") else b""
        at += 12 + length


def _text(kind: bytes, rest: bytes) -> str:
    """The text of a chunk behind its key, never more than `MOST_TEXT`."""
    if kind == b"tEXt":
        return rest[:MOST_TEXT].decode("latin-1")
    if kind == b"zTXt":
        return _inflated(rest[1:]).decode("latin-1")
    packed, rest = rest[:1] == b"\1", rest[2:]
    body = rest.partition(b"\0")[2].partition(b"\0")[2]
    return (_inflated(body) if packed else body[:MOST_TEXT]).decode("utf-8", "replace")


def _inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, MOST_TEXT)
    except zlib.error as error:
        raise DataError("the picture is damaged: its text cannot be unpacked") from error


def _studio(text: str) -> Recipe | None:
    """What Studio wrote; ``None`` where it is none."""
    try:
        spec = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(spec, dict) or not isinstance(spec.get("prompt"), str):
        return None
    long = spec.get("long_prompt")
    return Recipe(
        source="studio",
        prompt=_line(long if isinstance(long, str) and long else spec["prompt"]),
        short_prompt=_line(spec["prompt"]),
        seed=_whole(spec.get("seed"), SEED_MAX),
        width=_whole(spec.get("width"), MOST_SIDE, 1),
        height=_whole(spec.get("height"), MOST_SIDE, 1),
        steps=_whole(spec.get("steps"), 10_000, 1),
        guidance=_number(spec.get("guidance")),
        model=_name(spec.get("model")),
        adapter=_name(spec.get("adapter")),
        adapter_scale=_number(spec.get("adapter_scale")) if spec.get("adapter") else None,
    )


def _a1111(text: str) -> Recipe | None:
    """What AUTOMATIC1111 and its kin write: prompt, negative prompt, a line of settings; ``None`` where it is none."""
    lines = text[:MOST_TEXT].replace("\r\n", "\n").strip().split("\n")
    told = {key.strip().lower(): value.strip() for key, value in _SETTING.findall(lines[-1][:20_000])}
    if "steps" not in told or not {"seed", "size", "sampler"} & told.keys():
        return None
    at = next((number for number, line in enumerate(lines) if line.startswith("Negative prompt:")), len(lines) - 1)
    prompt = "\n".join(lines[:at]).strip()
    negative = "\n".join(lines[at:-1]).removeprefix("Negative prompt:").strip()
    lora = _LORA.search(prompt)
    size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", told.get("size", ""))
    guidance = told.get("distilled cfg scale") or told.get("cfg scale")
    return Recipe(
        source="a1111",
        prompt=_line(_LORA.sub("", prompt).strip()),
        negative=_line(negative),
        seed=_whole(_read(told.get("seed")), SEED_MAX),
        width=_whole(int(size[1]), MOST_SIDE, 1) if size else None,
        height=_whole(int(size[2]), MOST_SIDE, 1) if size else None,
        steps=_whole(_read(told.get("steps")), 10_000, 1),
        guidance=_number(_read(guidance)),
        model=_name(_unquoted(told.get("model", ""))),
        adapter=_name(lora[1]) if lora else "",
        adapter_scale=_number(_read(lora[2])) if lora else None,
    )


def _read(text: str | None) -> Any:
    try:
        return json.loads((text or "")[:40])
    except (ValueError, RecursionError):
        return None


def _unquoted(text: str) -> str:
    found = _read(text) if text.startswith('"') and len(text) <= 40 else None
    return found if isinstance(found, str) else text.strip('"')


def _whole(value: Any, most: int, least: int = 0) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    return value if good else None


def _number(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and -1000 <= value <= 1000
    return float(value) if good else None


def _name(value: Any) -> str:
    """A model's name, never a path of somebody's machine: its last part, if it is one."""
    text = _line(value)[:200] if isinstance(value, str) else ""
    return text.rpartition("/")[2] if text.startswith(("/", "~", ".")) or "\\" in text else text


def _line(text: str) -> str:
    kept = "".join(sign for sign in text[:16_000] if sign >= " " or sign in "\n\t")
    return whole_letters(kept)


def _with_run(found: Recipe, sha256: str, options: Call) -> Recipe:
    """The recipe with the run of this home that made the picture, if one did."""
    if not has_ledger(options.home):
        return found
    refresh(options.home)
    try:
        with ledger_of(options.home, reading=True) as ledger:
            made = ledger.shelf.made_by(sha256)
            row = ledger.run(made[0]) if made else None
    except StudioError:
        return found
    if made is None or row is None:
        return found
    program: Mapping[str, Any] = row.settings.get("program") or {}
    sources = row.brief.get("inspirations") or []
    more = {
        "run": made[0],
        "picture": made[1],
        "run_seed": row.seed,
        "brief": str(row.brief.get("text", "")),
        "inspirations": tuple(map(str, sources)),
        "program": str(program.get("name", "")),
    }
    return found.model_copy(update=more)

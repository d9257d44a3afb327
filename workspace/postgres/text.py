r"""Texts in PostgreSQL that hold NUL, which it refuses: written otherwise there, read back as they were.

A private character stands for NUL, and for itself when another follows: no two texts are written alike. In JSON, whose
texts PostgreSQL unpacks in a ``jsonb`` column, ``\u0000`` is written the same way.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg.abc import Buffer
    from psycopg.adapt import AdaptersMap

_SIGN = "\ue000"
_WRITTEN = re.compile(f"{_SIGN}([01])")
_JSON_ESCAPES = re.compile(r"\\(u0000|ue000|.)")
_IN_JSON = {"u0000": r"\ue0000", "ue000": r"\ue0001"}


def written(text: str) -> str:
    """A text as PostgreSQL can hold it."""
    if "\0" not in text and _SIGN not in text:
        return text
    return text.replace(_SIGN, f"{_SIGN}1").replace("\0", f"{_SIGN}0")


def read(text: str) -> str:
    """A text as it was before `written`."""
    return _WRITTEN.sub(lambda found: "\0" if found[1] == "0" else _SIGN, text) if _SIGN in text else text


def json_written(data: Any) -> str:
    """Plain data as JSON that PostgreSQL can hold in a ``jsonb`` column."""
    return _JSON_ESCAPES.sub(lambda found: _IN_JSON.get(found[1], found[0]), json.dumps(data))


def json_read(data: str | bytes) -> Any:
    """The plain data that `json_written` was given."""
    text = data.decode() if isinstance(data, bytes) else data
    return json.loads(_WRITTEN.sub(lambda found: r"\u0000" if found[1] == "0" else _SIGN, text))


def adapters() -> AdaptersMap:
    """How a connection of psycopg's writes and reads texts and JSON so."""
    import psycopg
    from psycopg.adapt import Dumper, Loader
    from psycopg.pq import Format
    from psycopg.types.json import set_json_dumps, set_json_loads

    class Text(Dumper):
        def dump(self, obj: str) -> bytes:
            return written(obj).encode()

    class Written(Loader):
        def load(self, data: Buffer) -> str:
            return read(bytes(data).decode())

    class WrittenBinary(Written):
        format = Format.BINARY

    made = psycopg.adapt.AdaptersMap(psycopg.adapters)
    made.register_dumper(str, Text)
    for loader in (Written, WrittenBinary):
        made.register_loader("text", loader)
    set_json_dumps(json_written, made)
    set_json_loads(json_read, made)
    return made
